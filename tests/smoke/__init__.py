"""Smoke tests: what the stack promises, asked of any running site from outside.

    pip install pytest requests
    pytest tests/smoke                                     the stack on this machine, http://127.0.0.1:8080
    pytest tests/smoke --base-url https://example.com      any other
    pytest tests/smoke --expect-server uwsgi               red as well if another WSGI server answers
    pytest tests/smoke --user me@example.com --password …  with an account that is there, instead of two new ones
    pytest tests/smoke --max-body 26214400                 where MAX_BODY_SIZE is 25m
    REQUESTS_CA_BUNDLE=ca.pem pytest tests/smoke …         a site whose certificate this machine does not know

They run only when this folder, or a file in it, is named on the command line. Each test's docstring is one
promise; a table at the end says which are kept, and --tb=short or -v show more. The tests make two accounts,
which they close again, and a few posts, which they delete. Exit status 0: all promises are kept; 1: some are
not; 4: an option is wrong, or the site does not answer at all.
"""
