"""Left from where this app ran before. Nothing reads it here: the servers are set up in the stack's own folder."""

raise RuntimeError("gunicorn.conf.py of the app was read")
