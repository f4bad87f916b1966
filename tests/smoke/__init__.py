"""Smoke tests: HTTP tests of a running site with the sample app.

    pip install pytest requests
    pytest tests/smoke                                     test http://127.0.0.1:8080
    pytest tests/smoke --base-url https://example.com      test another site
    pytest tests/smoke --expect-server uwsgi               fail if the site runs another WSGI server
    pytest tests/smoke --user me@example.com --password …  use an existing account instead of two new ones
    pytest tests/smoke --max-body 26214400                 for a site with MAX_BODY_SIZE=25m
    pytest tests/smoke --rate-limits off                   for a site with RATE_LIMITS=off
    REQUESTS_CA_BUNDLE=ca.pem pytest tests/smoke …         for a site with a private CA

The tests only run if this folder, or a file in it, is named on the command line. A table at the end lists the
docstring and the result of each test; --tb=short and -v show details. The tests create two accounts, which they
close, and a few posts, which they delete. Exit status: 0 if all tests passed, 1 if some failed, 4 if an option is
wrong or the site does not respond.
"""
