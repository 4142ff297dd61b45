"""Every error is a status and a sentence, as `application/problem+json` (RFC 9457)."""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web

from alerts.book import NotFoundError
from alerts.rules import RefusedError
from core import metrics, raised

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PERSON_BODY_MAX = 64 * 2**10
"""Bytes that a person's request may have."""

_log = structlog.get_logger("desk")


class Problem(Exception):  # noqa: N818  # the RFC's word for it
    """A request that cannot be served: its status, one sentence, and more members for machines."""

    def __init__(
        self, status: int, detail: str, *, headers: dict[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
        self.members = members

    def response(self) -> web.Response:
        """The answer that says so."""
        title = HTTPStatus(self.status).phrase
        body = {"type": "about:blank", "status": self.status, "title": title, "detail": self.detail}
        return web.Response(
            status=self.status,
            text=json.dumps(body | self.members, ensure_ascii=False),
            content_type="application/problem+json",
            headers=self.headers,
        )


_SENTENCES = {
    404: "There is nothing at this address.",
    405: "This address does not know this method.",
    413: "The body is too large.",
}


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns whatever goes wrong into a `Problem`; the unexpected is logged without any of its data."""
    try:
        return await handler(request)
    except Problem as problem:
        found = problem
    except NotFoundError as error:
        found = Problem(404, str(error))
    except RefusedError as error:
        found = Problem(409, str(error), owner=error.owner)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        found = Problem(error.status, _SENTENCES.get(error.status, f"{error.reason}."), headers=allow)
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception as error:
        found = _unexpected(request, error)
    metrics.REQUEST_ERRORS.labels(str(found.status)).inc()
    return found.response()


def _unexpected(request: web.Request, error: Exception) -> Problem:
    """Logged under a name that the caller is told."""
    name = secrets.token_hex(6)
    resource = request.match_info.route.resource
    _log.error(
        "desk.unexpected",
        id=name,
        method=request.method,
        route=resource.canonical if resource else "",
        **raised.facts(error),
    )
    return Problem(500, f"Something unexpected went wrong; the desk's log has it under {name}.", id=name)


async def read_body(request: web.Request, limit: int, patience_s: float = 30.0) -> bytes:
    """The body of a JSON request. Raises `Problem` 415; 413 over `limit` bytes; 408 where it stalls."""
    if request.content_type != "application/json":
        raise Problem(415, "The body must be application/json.")
    parts, size = [], 0
    try:
        async with asyncio.timeout(patience_s):
            async for part in request.content.iter_any():
                size += len(part)
                if size > limit:
                    raise Problem(413, f"The body must not exceed {limit} bytes.")
                parts.append(part)
    except TimeoutError:
        raise Problem(408, "The body did not arrive in time.") from None
    return b"".join(parts)
