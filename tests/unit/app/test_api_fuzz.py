"""The API keeps to its own description, whatever is sent: what Schemathesis makes of openapi.json, in process."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as openapi

EXAMPLES = 12  # for each operation; known or not, some 400 requests
THERE = {"post_id": 1, "token_id": 1, "username": "alice"}  # what is there, which nobody would guess
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
    suppress_health_check=list(HealthCheck),  # of its own speed
    derandomize=True,
)


@pytest.fixture(params=[False, True], ids=["stranger", "known"])
def fuzz(request, make_app, sqlite_url, join):
    """Return what sends a case, without credentials and with them, to an app with posts, and that app's description."""
    app = make_app(sqlite_url, RATE_LIMITS=False, PROPAGATE_EXCEPTIONS=False)
    headers = join("alice", app)
    for body in ("one", "two"):
        app.test_client().post("/api/v1/posts", json={"body": body}, headers=headers)

    def send(case):
        case.call_and_validate(headers=headers if request.param else {}, checks=CHECKS)

    return send, schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)


def test_the_api_keeps_to_its_description(fuzz):
    """Whatever is sent, good or bad, the answer is one that the description has, and never a 5xx."""
    send, description = fuzz
    operations = [found.ok() for found in description.get_all_operations()]
    assert len(operations) == 17
    for operation in operations:
        there = {name: value for name, value in THERE.items() if f"{{{name}}}" in operation.path}
        good, bad = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)
        FUZZED(given(good | bad | operation.as_strategy(path_parameters=there or None))(send))()
