"""How the bytes of a form become text, for every form of the app."""

from urllib.parse import parse_qsl

from flask import Flask, Request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser


class FormParser(FormDataParser):
    """Werkzeug's parser, with its limits on multipart forms applied to the common urlencoded ones as well.

    Bytes that are not UTF-8 become U+FFFD, as in a multipart form, so that a validator can see and refuse
    them; Werkzeug would leave them as `%FF`, which looks like something that the user has typed.
    """

    def parse(self, stream, mimetype, content_length, options=None):
        if mimetype != "application/x-www-form-urlencoded":
            return super().parse(stream, mimetype, content_length, options)
        return stream, self.cls(self._pairs(stream)), self.cls()

    def _pairs(self, stream) -> list[tuple[str, str]]:
        data = stream.read()
        if len(data) > self.max_form_memory_size:
            raise RequestEntityTooLarge()
        options = {"keep_blank_values": True, "errors": "replace", "max_num_fields": self.max_form_parts}
        try:
            return parse_qsl(data.decode(errors="replace"), **options)
        except ValueError as too_many_fields:
            raise RequestEntityTooLarge() from too_many_fields


class AppRequest(Request):
    """A request whose forms are read by FormParser, and in which JSON nested too deep is simply broken JSON."""

    form_data_parser_class = FormParser

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True):
        try:
            return super().get_json(force, silent, cache)
        except RecursionError as error:
            if silent:
                return None
            raise BadRequest() from error


def init_app(app: Flask) -> None:
    """Read all forms of `app` with FormParser."""
    app.request_class = AppRequest
