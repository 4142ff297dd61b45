"""JSON that somebody sent, and what is wrong with it as a `Problem` that never quotes it."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import ValidationError

from web.problems import Problem

T = TypeVar("T")

LARGEST = 2**53
"""Largest integer that a browser's numbers hold exactly (ECMA-262)."""


def read_json(body: bytes) -> Any:
    """The value of a JSON text. Raises `Problem` 400."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        where = (
            f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        )
        raise Problem(400, f"The body is not JSON{where}.") from None


def checked(validate: Callable[[], T]) -> T:
    """What a validation gives, or the first fault it finds as `Problem` 400."""
    try:
        return validate()
    except ValidationError as error:
        # Never the input itself: an error message may end in a log.
        details = error.errors(include_input=False, include_context=False, include_url=False)
        first = details[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
        message = first["msg"][:1].lower() + first["msg"][1:]
        raise Problem(400, f"{field}: {message}{more}.") from None
