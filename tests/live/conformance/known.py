"""The differences between the servers that can't be levelled, and the requests of Gunicorn's corpus that Gunicorn
refuses and this stack does not. The tests hold to both lists: anything else is a failure.
"""

DIFFERENCES = {
    'A header that came several times reaches the app joined with "," on Gunicorn, with ", " on the others':
        "The two mean the same (RFC 9110, 5.3), and what was joined can't be told from what the client wrote. Cookie "
        "and Content-Type, where it would matter, are joined by Nginx.",
    "Beyond PEP 3333 each server adds variables of its own to the environ (RAW_URI, REQUEST_URI, mod_wsgi.*)":
        "An app that uses them is written for one server. None of them comes from a header.",
}

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
