"""The limits on forms hold however the form is encoded."""

import pytest


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_with_too_many_fields_is_refused(client, content_type):
    """A form of a thousand fields gets 413 before it costs anything."""
    fields = {f"field{number}": "x" for number in range(1000)}
    assert client.post("/", data=fields, content_type=content_type).status_code == 413


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_field_that_is_too_large_is_refused(client, content_type):
    """A text far beyond any form of ours gets 413 although it is below MAX_BODY_SIZE."""
    assert client.post("/", data={"body": "x" * 300_000}, content_type=content_type).status_code == 413


def test_a_multipart_form_keeps_bad_bytes_visible(app):
    """Bytes that are not UTF-8 become U+FFFD in a multipart form and in an urlencoded one alike."""
    multipart = b'--b\r\nContent-Disposition: form-data; name="body"\r\n\r\n\xff\r\n--b--\r\n'
    for data, kind in (
        (multipart, "multipart/form-data; boundary=b"),
        (b"body=%FF", "application/x-www-form-urlencoded"),
    ):
        with app.test_request_context("/", method="POST", data=data, content_type=kind) as context:
            assert context.request.form["body"] == "\ufffd"
