"""An app that answers 400 for other hosts than app.example.com, as Django does, redirects http:// to https://, as
Flask-Talisman does, and redirects `/` to a log-in page.
"""

HOST = "app.example.com"


def application(environ, start_response):
    if environ["HTTP_HOST"] != HOST:
        start_response("400 Bad Request", [("Content-Type", "text/plain")])
        return [b"Invalid HTTP_HOST header"]
    if environ["wsgi.url_scheme"] != "https":
        start_response("301 Moved Permanently", [("Location", f"https://{HOST}{environ['PATH_INFO']}")])
        return [b""]
    if environ["PATH_INFO"] == "/":
        start_response("302 Found", [("Location", "/login")])
        return [b""]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"welcome"]
