"""Request parsing: limits and bytes that are not UTF-8, for both encodings of forms."""

import pytest


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data"])
def test_too_many_fields(client, content_type):
    """A form with 1000 fields is rejected with 413."""
    fields = {f"field{number}": "x" for number in range(1000)}
    assert client.post("/", data=fields, content_type=content_type).status_code == 413


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data"])
def test_too_large_field(client, content_type):
    """A field of 300 kB is rejected with 413, although it is below MAX_BODY_SIZE."""
    assert client.post("/", data={"body": "x" * 300_000}, content_type=content_type).status_code == 413


def test_invalid_utf8_becomes_a_replacement_character(app):
    """Bytes that are not UTF-8 become U+FFFD in multipart and in URL-encoded forms."""
    multipart = b'--b\r\nContent-Disposition: form-data; name="body"\r\n\r\n\xff\r\n--b--\r\n'
    for data, kind in (
        (multipart, "multipart/form-data; boundary=b"),
        (b"body=%FF", "application/x-www-form-urlencoded"),
    ):
        with app.test_request_context("/", method="POST", data=data, content_type=kind) as context:
            assert context.request.form["body"] == "\ufffd"
