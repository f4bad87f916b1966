"""The plain-text responses of the middleware."""

from http import HTTPStatus

# Of all responses that do not come from the app, also in nginx/snippets/security-headers.conf and front.conf of Apache.
SECURITY_HEADERS = [
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
]


def plain_response(start_response, status: str, exc_info=None) -> list[bytes]:
    """Start a text response with a status such as `400 Bad Request`, which no cache may store; return its body."""
    description = HTTPStatus(int(status[:3])).description or status[4:]
    body = f"{status}\n{description}\n".encode()
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        *SECURITY_HEADERS,
    ]
    start_response(status, headers, exc_info)
    return [body]
