"""The differences between the servers that can't be levelled, and the requests of Gunicorn's corpus that Gunicorn
refuses and this stack does not. The tests hold to both lists: anything else is a failure.
"""

# What differs → why that does no harm.
DIFFERENCES = dict(
    (
        (
            'A header that is sent several times reaches the app joined with "," on Gunicorn, with ", " on the others',
            "Both forms mean the same (RFC 9110, section 5.3). Nginx joins Cookie and Content-Type, for which it would "
            "matter.",
        ),
        (
            "Beyond PEP 3333 each server adds variables of its own to the environ (RAW_URI, REQUEST_URI, mod_wsgi.*)",
            "An app that uses them is written for one server. None of them comes from a header.",
        ),
    )
)

# Of Gunicorn's `invalid` folder: what the app sees nevertheless, on every server alike, why that does no harm, and
# which requests these are.
SEEN_THOUGH_INVALID = {
    "Tests of header limits below or at what Nginx lets through (8 KiB)": {"008", "limit_header_default_01"},
    "Transfer_Encoding and Content_Length: Nginx drops names with an underscore, the app sees neither": {"040"},
    "Nginx drops trailers, the app sees none": {
        "rfc9110_trailer_forbidden_cl_01",
        "rfc9110_trailer_forbidden_host_01",
        "rfc9110_trailer_forbidden_te_01",
    },
    "A line that ends with LF alone: RFC 9112, 2.2 allows it, and Nginx passes on CR LF": {"rfc9112_bare_lf_01"},
    "Two empty lines before the request instead of one: Nginx passes on neither": {"rfc9112_leading_crlf_02"},
}

_NO_CODING = "Apache refuses a coding that it does not know as malformed, not as not implemented."
_NO_LENGTH = "Without Nginx, which counts it first, a chunked body gets 411."

# Apache as the front (deploy/targets/apache): what it answers otherwise than Nginx, and why that does no harm.
APACHE_FRONT: dict[str, tuple[int, str]] = {
    "Transfer-Encoding: 'identity'": (400, _NO_CODING),
    "Transfer-Encoding: 'gzip'": (400, _NO_CODING),
    "Transfer-Encoding: '\\x0bchunked'": (400, _NO_CODING),
    "Transfer-Encoding: 'chunked;a=b'": (400, _NO_CODING),
    "Transfer-Encoding and Content-Length": (411, _NO_LENGTH),
    "Transfer-Encoding on HTTP/1.0": (411, _NO_LENGTH),
    "a chunk's size with a sign": (411, _NO_LENGTH),
    "a chunk's size of 2^64": (411, _NO_LENGTH),
    "one byte more, chunked": (411, _NO_LENGTH),
    "HTTP/2.0 in HTTP/1.1's form": (400, "Refused as well."),
    "method in lower case": (405, "Refused as a method that is not served."),
    "CONNECT": (405, "The same."),
    "OPTIONS *": (200, "Answered by Apache itself; the app does not see it."),
    "folded header": (200, "Apache joins the lines by a space, as RFC 9112, 5.2 allows."),
    "8-bit name": (400, "Nginx drops the header, Apache the request."),
    "request line of 8,200 bytes": (414, "The more exact status."),
    "five headers of 8,000 bytes": (200, "Apache limits each header and their number, not the sum of their lengths."),
}
