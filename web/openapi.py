"""The desk's addresses as an OpenAPI 3.1 document, and as a page to read. `docs/api.md` has the meaning."""

import html
import json
import re
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from alerts.model import Alert
from alerts.nearby import Helper
from alerts.outbox import Delivery
from core.model import Detection, HelmetEvent, WorkerReport
from web.asking import HEADER, KEY_MAX
from web.describing import INTEGER, NUMBER, REF, TEXT, Operation, array, record, ref
from web.operations import OPERATIONS
from web.registering import RegisterFile
from web.wire import Close, Drill, Help, Hush, Many, Remark, Seen, SignIn, Take, Where

_KEY = {"type": "string", "maxLength": KEY_MAX, "pattern": "^[ -~]*$"}
_AGAIN = "the same key is the same request: sent again it changes nothing, and gets the alert as it is now"


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for key, operation in OPERATIONS.items():
        method, path = key.split()
        paths.setdefault(path, {})[method.lower()] = _operation(path, operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Helmetwatch alert desk",
            "version": "1",
            "description": "Times are microseconds since 1970 UTC and end in _us. Errors are problem+json.",
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "person": {"type": "apiKey", "in": "cookie", "name": "helmetwatch_session"},
                "worker": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def page() -> str:
    """The document for people: plain HTML, no scripts."""
    rows = []
    for key, operation in OPERATIONS.items():
        asks = ", ".join(f"<code>{name}</code> ({html.escape(text)})" for name, _, text in operation.query)
        cells = (f"<code>{html.escape(key)}</code>", operation.who, html.escape(operation.summary), asks)
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    schemas = "".join(
        f"<details><summary><code>{name}</code></summary><pre>{html.escape(json.dumps(body, indent=1))}</pre></details>"
        for name, body in document()["components"]["schemas"].items()
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<title>Helmetwatch API</title><style>body{font:16px/1.5 system-ui;margin:2rem;max-width:70rem}"
        "td,th{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0}pre{overflow:auto}</style>"
        "<h1>Helmetwatch API</h1><p>The same for machines: <a href='/api/v1/openapi.json'>openapi.json</a>.</p>"
        "<table><tr><th>address<th>who<th>what<th>query</tr>" + "".join(rows) + "</table>"
        f"<h2>Values</h2>{schemas}</html>"
    )


def _operation(path: str, operation: Operation) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": TEXT}
        for name in re.findall(r"{(\w+)}", path)
    ] + [
        {"name": name, "in": "query", "schema": schema, "description": text}
        for name, schema, text in operation.query
    ]
    if operation.keyed:
        parameters.append({"name": HEADER, "in": "header", "schema": _KEY, "description": _AGAIN})
    found: dict[str, Any] = {"summary": operation.summary, "parameters": parameters}
    if operation.answer is None:
        found["responses"] = {"204": {"description": "Done"}}
    else:
        content = {operation.media: {"schema": operation.answer}}
        found["responses"] = {"200": {"description": operation.summary, "content": content}}
    if operation.body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": operation.body}}}
    errors = set(operation.errors) | ({408, 413, 415} if operation.body is not None else set())
    if operation.who != "anyone":
        found["security"] = [{"worker" if operation.who == "worker" else "person": []}]
        errors |= {401, 403}
    problem = {"application/problem+json": {"schema": ref("Problem")}}
    for status in sorted(errors):
        found["responses"][str(status)] = {"description": "A problem, in one sentence", "content": problem}
    if operation.who == "supervisor":
        found["responses"]["403"]["description"] = "For supervisors, in one sentence; the audit has who tried"
    return found


def _schemas() -> dict[str, Any]:
    models = (
        Alert,
        Close,
        Delivery,
        Detection,
        Drill,
        Help,
        Helper,
        HelmetEvent,
        Hush,
        Many,
        RegisterFile,
        Remark,
        Seen,
        SignIn,
        Take,
        Where,
        WorkerReport,
    )
    inputs = [(model, "validation", TypeAdapter(model)) for model in models]
    _, definitions = TypeAdapter.json_schemas(inputs, ref_template=REF)  # type: ignore[arg-type]
    schemas: dict[str, Any] = dict(definitions["$defs"])
    status = {"type": "integer"}
    schemas["Problem"] = record(type=TEXT, status=status, title=TEXT, detail=TEXT)
    more = record(
        timeline=array(
            record(seq=INTEGER, at_us=INTEGER, type=TEXT, actor=TEXT, address=TEXT, detail={"type": "object"})
        ),
        detections=array({"type": "object"}),
        features={"type": "object"},
        points={"type": "object"},
        detector=TEXT,
        trace={"type": ["object", "null"]},
        deliveries=array(ref("Delivery")),
        shown_us={"type": ["integer", "null"]},
    )
    schemas["AlertDetail"] = {"allOf": [ref("Alert"), more]}
    schemas["Helper"]["properties"] |= {
        "distance_m": NUMBER,
        "status": {"type": ["string", "null"]},
        "status_us": {"type": ["integer", "null"]},
        "prompt": {"enum": ["waiting", "sent", "expired", None]},
    }
    return schemas
