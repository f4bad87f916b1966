"""A configuration file from the app's former host. The stack must not read it: it has its own configuration."""

raise RuntimeError("gunicorn.conf.py of the app was read")
