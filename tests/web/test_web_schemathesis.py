"""schemathesis reads the OpenAPI document and tries what it allows, and what it does not."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from running_desk import TOKEN
from schemathesis import checks
from served_desk import Server, served

from web.openapi import document
from web.operations import OPERATIONS


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with served() as running:
        yield running


@pytest.fixture(scope="module")
def cookie(server: Server) -> str:
    return server.cookie()


# The same as the desk serves: tests/web/test_web_openapi.py holds that.
api = (
    schemathesis.openapi.from_dict(document())
    .exclude(path="/api/v1/feed")  # never ends
    .exclude(path="/api/v1/session", method="DELETE")  # ends the test's own session
    .exclude(path="/readyz")  # 503 is an answer here: the test's worker reported once
)
# What an address does not know it refuses with 405, all in the same place: once is enough to try (below).
api.config.phases.coverage.unexpected_methods = set()


@api.parametrize()
@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_the_desk_answers_as_its_document_says_and_never_with_a_500(
    case: schemathesis.Case, server: Server, cookie: str
) -> None:
    who = OPERATIONS[case.operation.label].who
    headers = {"Authorization": f"Bearer {TOKEN}"} if who == "worker" else {"Cookie": cookie}
    case.call_and_validate(
        base_url=f"http://{server.address}",
        headers=headers,
        checks=[
            checks.not_a_server_error,
            schemathesis.specs.openapi.checks.status_code_conformance,
            schemathesis.specs.openapi.checks.content_type_conformance,
            schemathesis.specs.openapi.checks.response_schema_conformance,
        ],
    )


@pytest.mark.parametrize("method", ["TRACE", "PUT", "PATCH", "OPTIONS", "QUERY"])
def test_a_method_that_an_address_does_not_know_is_a_405(server: Server, cookie: str, method: str) -> None:
    status, kind, _, _ = server.call(method, "/api/v1/alerts", None, "", Cookie=cookie)
    assert (status, kind) == (405, "application/problem+json")
