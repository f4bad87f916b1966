"""Parsing of requests: which content types are accepted, and how large forms and JSON may be."""

from urllib.parse import parse_qsl

from flask import Flask, Request, abort, current_app, request
from werkzeug.datastructures import Authorization
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.utils import cached_property


class FormParser(FormDataParser):
    """Werkzeug's form parser with two changes for URL-encoded forms.

    The limit on the number of fields, which Werkzeug enforces for multipart forms only, applies to them too.
    Bytes that are not valid UTF-8 become U+FFFD, as in multipart forms, so that validation.py can reject them. Werkzeug
    keeps such bytes as `%FF`, which cannot be told from typed text.
    """

    def parse(self, stream, mimetype, content_length, options=None):
        """Return the stream, the form fields and the files."""
        if mimetype != "application/x-www-form-urlencoded":
            return super().parse(stream, mimetype, content_length, options)
        return stream, self.cls(self._parse_urlencoded(stream)), self.cls()

    def _parse_urlencoded(self, stream) -> list[tuple[str, str]]:
        try:
            return parse_qsl(
                stream.read().decode(errors="replace"),
                keep_blank_values=True,
                errors="replace",
                max_num_fields=self.max_form_parts,
            )
        except ValueError as error:  # too many fields
            raise RequestEntityTooLarge() from error


class AppRequest(Request):
    """A request with FormParser and limits for forms and JSON, on which malformed input is never an exception (500)."""

    form_data_parser_class = FormParser

    @property
    def max_content_length(self) -> int | None:
        """The largest body that is read. Reading a larger one raises RequestEntityTooLarge before it is parsed.

        A parsed body takes many times its size: JSON such as `{"":0},{"":0},…` 30 times. So MAX_BODY_SIZE, which
        bounds what is received, is too much to parse. No form has files, so its limit includes everything.
        """
        parsed = current_app.config["MAX_JSON_SIZE" if self.is_json else "MAX_FORM_MEMORY_SIZE"]
        return min((limit for limit in (parsed, super().max_content_length) if limit), default=None)

    @cached_property
    def authorization(self) -> Authorization | None:
        """The credentials, or None. Werkzeug raises ValueError for HTTP Basic with bytes that are not ASCII."""
        try:
            return super().authorization
        except ValueError:
            return None

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True):
        """Return the parsed JSON body. Raises BadRequest if it is malformed or nested too deeply."""
        try:
            return super().get_json(force, silent, cache)
        except RecursionError as error:
            if silent:
                return None
            raise BadRequest() from error


def init_app(app: Flask) -> None:
    """Parse all requests with AppRequest, and accept JSON only below /api/."""
    app.request_class = AppRequest
    app.before_request(_refuse_json_on_pages)


def _refuse_json_on_pages() -> None:
    # Flask-Security and Flask-WTF read JSON wherever they read a form, without the limits and types of forms.
    is_page = request.routing_exception is None and not request.path.startswith("/api/")
    if is_page and request.is_json and (request.content_length or request.method == "POST"):
        abort(415)
