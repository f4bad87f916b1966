"""The description of the API: as OpenAPI 3.1, and as a page that needs neither scripts nor the internet."""

from pathlib import Path

from apiflask import APIFlask
from flask import current_app, render_template
from flask_cors import CORS

from app.api import auth
from app.api.blueprint import bp

SPEC_PATH = f"{bp.url_prefix}/openapi.json"
DESCRIPTION = Path(__file__).with_name("description.md").read_text().strip()

# What every operation may be answered, and what those with these methods may be, besides what their views declare.
ALWAYS = {"401": "The credentials are wrong, or missing", "429": "Too often (Retry-After)"}
WRITES = {"400": "By cookie, and without the CSRF token", "413": "Too large"}
ERROR = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorOut"}}}}

CORS_HEADERS = {
    "allow_headers": ["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"],
    "expose_headers": ["ETag", "Link", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID"],
    "max_age": 3600,  # seconds that a browser remembers the answer
}


def init_app(app: APIFlask) -> None:
    """Describe the API of `app`, and let pages of the origins in CORS_ORIGINS use it, but never with a cookie."""
    app.config.update(SECURITY_SCHEMES=auth.SCHEMES, DESCRIPTION=DESCRIPTION)
    app.servers = [{"url": "/"}]  # default: the address of the first request, whatever its Host said
    app.spec_processor(complete)
    if origins := app.config["CORS_ORIGINS"]:
        CORS(app, resources={r"/api/*": {"origins": origins, **CORS_HEADERS}}, supports_credentials=False)


@bp.get("/docs")
@bp.doc(hide=True)
def docs() -> str:
    """Show the description as a page."""
    return render_template("api/docs.html", spec=current_app._get_spec())


def complete(spec: dict) -> dict:
    """Add to each operation what holds for all, so that no view has to repeat it."""
    for operations in spec["paths"].values():
        for method, operation in operations.items():
            _complete(method, operation)
    return spec


def _complete(method: str, operation: dict) -> None:
    responses = operation["responses"]
    for status, description in (ALWAYS | (WRITES if method != "get" else {})).items():
        responses[status] = {"description": description, **ERROR}
    if method == "get":
        responses["304"] = {"description": "Not modified (If-None-Match)"}
    else:
        operation["security"] = [{scheme: []} for scheme in auth.KNOWN]  # blueprint.guard_writes()
    if "requestBody" in operation:
        responses["415"] = {"description": "Not application/json", **ERROR}
    header = {"409": "Idempotency-Key", "412": "If-Match"}
    for status in header.keys() & responses.keys():
        operation["parameters"].append({"in": "header", "name": header[status], "schema": {"type": "string"}})
