"""Known differences: between the servers, between Gunicorn alone and the stack, and between Apache and Nginx.

The tests fail on any difference that is not listed here, and on any listed request that no longer differs.
"""

# Difference → why it is harmless.
DIFFERENCES = dict(
    (
        (
            "Each server adds variables to the environ besides those of PEP 3333 (RAW_URI, REQUEST_URI, mod_wsgi.*)",
            "An app that uses them depends on one server. None of them is taken from a header.",
        ),
    )
)

# Why it is harmless → requests of Gunicorn's `invalid` folder that reach the app on every server.
SEEN_THOUGH_INVALID = {
    "Header limits: the tests expect a limit at or below the 8 KiB that Nginx accepts": {
        "008",
        "limit_header_default_01",
    },
    "Transfer_Encoding and Content_Length: Nginx drops header names with an underscore": {"040"},
    "Trailers: Nginx drops them": {
        "rfc9110_trailer_forbidden_cl_01",
        "rfc9110_trailer_forbidden_host_01",
        "rfc9110_trailer_forbidden_te_01",
    },
    "A line that ends with LF alone: RFC 9112, section 2.2 allows it, and Nginx forwards CR LF": {"rfc9112_bare_lf_01"},
    "Two empty lines before the request: Nginx drops them": {"rfc9112_leading_crlf_02"},
}

_NO_CODING = "Apache treats an unknown transfer coding as malformed, not as unimplemented."
_NO_LENGTH = "Chunked bodies get 411: without Nginx, which buffers them, they have no Content-Length."

# Apache without Nginx (deploy/targets/apache): request → the status that differs from Nginx's, why it is harmless.
APACHE_FRONT: dict[str, tuple[int, str]] = {
    "Transfer-Encoding: 'identity'": (400, _NO_CODING),
    "Transfer-Encoding: 'gzip'": (400, _NO_CODING),
    "Transfer-Encoding: '\\x0bchunked'": (400, _NO_CODING),
    "Transfer-Encoding: 'chunked;a=b'": (400, _NO_CODING),
    "Transfer-Encoding and Content-Length": (411, _NO_LENGTH),
    "Transfer-Encoding on HTTP/1.0": (411, _NO_LENGTH),
    "chunk size with a sign": (411, _NO_LENGTH),
    "chunk size of 2^64": (411, _NO_LENGTH),
    "one byte more than MAX_BODY_SIZE, chunked": (411, _NO_LENGTH),
    "HTTP/2.0 in the form of HTTP/1.1": (400, "Apache refuses it as well."),
    "lower-case method": (405, "Apache refuses it as an unsupported method."),
    "OPTIONS *": (200, "Apache answers it itself; the app does not see it."),
    "Host with an empty port": (400, "Apache refuses it, although RFC 3986 allows it."),
    "folded header": (200, "Apache joins the lines with a space, as RFC 9112, section 5.2 allows."),
    "8-bit header name": (400, "Nginx drops the header; Apache refuses the request."),
    "five headers of 8,000 bytes": (
        200,
        "Apache limits the size of each header and their number, not their total size.",
    ),
}
