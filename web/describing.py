"""How an address of the desk is described: what it takes and gives, in JSON Schema."""

from dataclasses import dataclass
from typing import Any

REF = "#/components/schemas/{model}"


@dataclass(frozen=True, slots=True)
class Operation:
    """What one address does."""

    summary: str
    who: str = "person"
    """`person` (any role), `supervisor`, `worker` or `anyone`."""
    body: Any = None
    """Schema of the request's body."""
    answer: Any = None
    """Schema of a 200's body; None for 204."""
    media: str = "application/json"
    errors: tuple[int, ...] = ()
    query: tuple[tuple[str, dict[str, Any], str], ...] = ()
    keyed: bool = False
    """Whether it takes an `Idempotency-Key`."""


def ref(name: str) -> dict[str, Any]:
    """A named schema of the document."""
    return {"$ref": REF.format(model=name)}


def array(of: dict[str, Any]) -> dict[str, Any]:
    """The schema of a list."""
    return {"type": "array", "items": of}


def record(**properties: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object with these members."""
    return {"type": "object", "properties": properties}


def limit(of: str, default: int, most: int = 1000) -> tuple[str, dict[str, Any], str]:
    """The parameter `limit` of a list that comes in pages."""
    return (
        "limit",
        {"type": "integer", "minimum": 1, "maximum": most, "default": default},
        f"{of} on a page",
    )


TEXT, NUMBER, INTEGER = {"type": "string"}, {"type": "number"}, {"type": "integer", "minimum": 0}
BEFORE = ("before", INTEGER, "`next` of the page before")
