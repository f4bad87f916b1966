"""Parsing of request bodies: forms and JSON."""

from urllib.parse import parse_qsl

from flask import Flask, Request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser


class FormParser(FormDataParser):
    """Werkzeug's form parser with two changes for URL-encoded forms.

    The limits on the size and number of fields, which Werkzeug enforces for multipart forms only, apply to them too.
    Bytes that are not valid UTF-8 become U+FFFD, as in multipart forms, so that validation.py can reject them. Werkzeug
    keeps such bytes as `%FF`, which cannot be told from typed text.
    """

    def parse(self, stream, mimetype, content_length, options=None):
        """Return the stream, the form fields and the files."""
        if mimetype != "application/x-www-form-urlencoded":
            return super().parse(stream, mimetype, content_length, options)
        return stream, self.cls(self._parse_urlencoded(stream)), self.cls()

    def _parse_urlencoded(self, stream) -> list[tuple[str, str]]:
        data = stream.read()
        if len(data) > self.max_form_memory_size:
            raise RequestEntityTooLarge()
        try:
            return parse_qsl(
                data.decode(errors="replace"),
                keep_blank_values=True,
                errors="replace",
                max_num_fields=self.max_form_parts,
            )
        except ValueError as error:  # too many fields
            raise RequestEntityTooLarge() from error


class AppRequest(Request):
    """A request that uses FormParser and answers 400 to JSON that is nested too deeply."""

    form_data_parser_class = FormParser

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True):
        """Return the parsed JSON body. Raises BadRequest if it is malformed or nested too deeply."""
        try:
            return super().get_json(force, silent, cache)
        except RecursionError as error:
            if silent:
                return None
            raise BadRequest() from error


def init_app(app: Flask) -> None:
    """Parse all requests with AppRequest."""
    app.request_class = AppRequest
