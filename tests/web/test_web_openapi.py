"""The served OpenAPI document is the desk's, and no request that it describes, or mangles, is answered with a 500."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running_desk import TOKEN
from served_desk import Server, served

from web.openapi import document
from web.operations import OPERATIONS
from web.routes import routes

SPEC = document()
ASYNCAPI = Path(__file__).resolve().parents[2] / "docs" / "feed.asyncapi.yaml"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NASTY = st.sampled_from(
    [-1, 2**53 + 1, 2**70, 1e308, "", "\0", "'; --", "😀" * 50, "x" * 3000, [], {}, None, True]
)


def like(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that fit a schema, more or less."""
    if "$ref" in schema:
        return like(SPEC["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return st.one_of([like(each) for each in schema["anyOf"]])
    if "allOf" in schema:
        return like(schema["allOf"][0])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    match schema.get("type"):
        case "object" if "properties" in schema:
            return st.fixed_dictionaries({key: like(each) for key, each in schema["properties"].items()})
        case "array":
            return st.lists(like(schema.get("items", {})), max_size=3)
        case "integer":
            return st.integers(schema.get("minimum", -10), schema.get("maximum", 2**53))
        case "number":
            return st.floats(-1e6, 1e6)
        case "boolean":
            return st.booleans()
        case "string":
            return st.sampled_from(["crash", "SF-000001", "rider:SF-000001", "王芳", ""]) | st.text(
                max_size=12
            )
        case "null":
            return st.none()
    return JSON


@st.composite
def mangled(draw: st.DrawFn, schema: dict[str, Any]) -> Any:
    """A value that fits, sometimes with one thing in it replaced by something nasty."""
    value = draw(like(schema))
    target = value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else value
    if isinstance(target, dict) and target and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(target)))
        if draw(st.booleans()):
            target[key] = draw(NASTY | JSON)
        else:
            del target[key]
    return value


@st.composite
def requests(draw: st.DrawFn, key: str) -> tuple[str, str, bytes | None, str]:
    """Method, address, body and content type."""
    method, path = key.split()
    operation = SPEC["paths"][path][method.lower()]
    for name in re.findall(r"{(\w+)}", path):
        ids = st.sampled_from(["crash", "gone", "group", "..", "%00", "i" * 300]) | st.text(
            min_size=1, max_size=10
        )
        path = path.replace(f"{{{name}}}", quote(draw(ids), safe=""))
    query = {
        parameter["name"]: draw(like(parameter["schema"]) | NASTY)
        for parameter in operation["parameters"]
        if parameter["in"] == "query" and draw(st.booleans())
    }
    if query:
        path += "?" + urlencode({name: str(value)[:300] for name, value in query.items()})
    if "requestBody" not in operation:
        return method, path, None, ""
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    fits = mangled(schema).map(lambda value: json.dumps(value).encode())
    body = draw(fits | fits | JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=30))
    return method, path, body, draw(st.sampled_from(["application/json"] * 9 + ["text/plain"]))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with served() as running:
        yield running


@pytest.fixture(scope="module")
def cookie(server: Server) -> str:
    return server.cookie()


def test_the_document_has_every_address_and_no_other() -> None:
    assert set(OPERATIONS) == {f"{route.method} {route.path}" for route in routes()}


def test_every_reference_in_the_document_leads_somewhere() -> None:
    for name in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(SPEC)):
        assert name in SPEC["components"]["schemas"]


def test_it_is_served_for_machines_and_to_read(server: Server) -> None:
    status, kind, body, _ = server.call("GET", "/api/v1/openapi.json", None, "")
    assert (status, kind, json.loads(body)) == (200, "application/json", SPEC)
    status, kind, body, _ = server.call("GET", "/api/v1/docs", None, "")
    assert (status, kind) == (200, "text/html")
    assert b"POST /api/v1/alerts/{id}/acknowledge" in body


def test_the_feeds_document_names_every_event() -> None:
    spec = yaml.safe_load(ASYNCAPI.read_text(encoding="utf-8"))
    assert set(spec["components"]["messages"]) == {
        "snapshot",
        "resume",
        "alert",
        "fleet",
        "deliveries",
        "beat",
    }
    for name in re.findall(r"#/components/(\w+/\w+)", json.dumps(spec)):
        kind, _, item = name.partition("/")
        assert item in spec["components"][kind]


FUZZED = sorted(set(OPERATIONS) - {"DELETE /api/v1/session", "GET /api/v1/feed"})
"""Not signing out, which ends the test, nor the feed, which never ends."""


@pytest.mark.parametrize("key", FUZZED)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_request_is_answered_with_a_500_and_every_answer_is_a_documented_one(
    server: Server, cookie: str, key: str, data: st.DataObject
) -> None:
    method, path, body, kind = data.draw(requests(key))
    who = OPERATIONS[key].who
    headers = {"Authorization": f"Bearer {TOKEN}"} if who == "worker" else {"Cookie": cookie}
    status, answered, text, _ = server.call(method, path, body, kind, **headers)
    assert status < 500 or (status == 503 and key == "GET /readyz"), text
    documented = SPEC["paths"][key.split()[1]][method.lower()]["responses"]
    # An address with an empty or dotted part in it is another address: 404 or 405.
    others = {"404", "405"} if "{" in key else set()
    assert str(status) in set(documented) | others, (status, text)
    if status >= 400:
        assert answered == "application/problem+json"
        assert json.loads(text)["detail"]
