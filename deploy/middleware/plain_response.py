"""The short plain answer that the middleware gives by itself."""

from http import HTTPStatus


def plain_response(start_response, status: str, exc_info=None) -> list[bytes]:
    """Starts a text response such as `400 Bad Request` that no cache may keep, and returns its body."""
    phrase = HTTPStatus(int(status[:3])).description or status[4:]
    body = f"{status}\n{phrase}\n".encode()
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    start_response(status, headers, exc_info)
    return [body]
