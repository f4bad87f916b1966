"""The API description: as OpenAPI 3.1, and as an HTML page that needs neither scripts nor a CDN."""

from pathlib import Path

from apiflask import APIFlask
from flask import current_app, render_template
from flask_cors import CORS

from app.api import auth
from app.api.blueprint import bp

SPEC_PATH = f"{bp.url_prefix}/openapi.json"
DESCRIPTION = Path(__file__).with_name("description.md").read_text().strip()

# Responses of all operations, and of all writes, in addition to those that the views declare.
COMMON_RESPONSES = {
    "401": "Authentication failed or is missing",
    "429": "Rate limit exceeded (`Retry-After`)",
}
WRITE_RESPONSES = {
    "400": "The CSRF token is missing (only with a session cookie)",
    "403": "The token can only read",
    "413": "The request body is too large",
}
ERROR_CONTENT = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorOut"}}}}
REQUEST_HEADERS = ["Idempotency-Key", "If-Match"]  # optional headers of operations whose responses mention them

CORS_HEADERS = {
    "allow_headers": ["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"],
    "expose_headers": ["ETag", "Link", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID"],
    "max_age": 3600,  # seconds that browsers cache the preflight response
}


def init_app(app: APIFlask) -> None:
    """Configure the OpenAPI description, and allow CORS requests without cookies from CORS_ORIGINS."""
    app.config.update(SECURITY_SCHEMES=auth.SCHEMES, DESCRIPTION=DESCRIPTION)
    app.servers = [{"url": "/"}]  # Default: the URL of the first request, with any Host header that a client sends.
    app.spec_processor(add_common_responses)
    if origins := app.config["CORS_ORIGINS"]:
        CORS(app, resources={r"/api/*": {"origins": origins, **CORS_HEADERS}}, supports_credentials=False)


@bp.get("/docs")
@bp.doc(hide=True)
def docs() -> str:
    """Show the API documentation."""
    return render_template("api/docs.html", spec=current_app._get_spec())


def add_common_responses(spec: dict) -> dict:
    """Add the responses and parameters that all operations share, so that the views need not declare them."""
    for operations in spec["paths"].values():
        for method, operation in operations.items():
            _complete_operation(method, operation)
    return spec


def _complete_operation(method: str, operation: dict) -> None:
    responses = operation["responses"]
    for status, description in COMMON_RESPONSES.items():
        responses[status] = {"description": description, **ERROR_CONTENT}
    if method == "get":
        responses["304"] = {"description": "Not modified (`If-None-Match`)"}
    else:
        for status, description in WRITE_RESPONSES.items():
            responses.setdefault(status, {"description": description, **ERROR_CONTENT})
        operation["security"] = [{scheme: []} for scheme in auth.ANY_SCHEME]  # see blueprint.guard_writes()
    if "requestBody" in operation:
        responses["415"] = {"description": "The content type is not `application/json`", **ERROR_CONTENT}
    for header in REQUEST_HEADERS:
        if any(f"`{header}`" in response["description"] for response in responses.values()):
            operation["parameters"].append({"in": "header", "name": header, "schema": {"type": "string"}})
