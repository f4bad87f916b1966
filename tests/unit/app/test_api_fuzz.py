"""Schemathesis tests the API against its OpenAPI description, in process."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as openapi

EXAMPLES = 12  # per operation; about 400 requests, anonymous and authenticated
EXISTING = {"post_id": 1, "token_id": 1, "username": "alice"}  # existing resources, which Schemathesis cannot guess
CHECKS = [
    checks.not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_headers_conformance,
    openapi.response_schema_conformance,
]
FUZZED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),  # including the checks of its own speed
    derandomize=True,
)


@pytest.fixture(params=[False, True], ids=["anonymous", "authenticated"])
def fuzz(request, make_app, database, add_api_user):
    """Return a function that sends a test case to an app with posts, and the API description of that app."""
    app = make_app(database, RATE_LIMITS=False, PROPAGATE_EXCEPTIONS=False)
    headers = add_api_user("alice", app)
    for body in ("one", "two"):
        app.test_client().post("/api/v1/posts", json={"body": body}, headers=headers)

    def send(case):
        case.call_and_validate(headers=headers if request.param else {}, checks=CHECKS)

    return send, schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)


def test_api_matches_its_description(fuzz):
    """Responses to valid and invalid requests match the description and are never 5xx."""
    send, description = fuzz
    operations = [result.ok() for result in description.get_all_operations()]
    assert len(operations) == 17
    for operation in operations:
        existing = {name: value for name, value in EXISTING.items() if f"{{{name}}}" in operation.path}
        valid, invalid = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)
        on_existing = operation.as_strategy(path_parameters=existing or None)
        FUZZED(given(valid | invalid | on_existing)(send))()
