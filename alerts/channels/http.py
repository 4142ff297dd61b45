"""One POST to a service: short, without redirects, reading little of the answer, telling no secrets."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from alerts.channels.outcome import Outcome, refused, retry

TIMEOUT = aiohttp.ClientTimeout(total=5.0)
ANSWER_MAX = 64 * 2**10


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, JSON body (None where it is none) and headers of an answer."""

    status: int
    body: Any
    headers: Mapping[str, str]


async def post(
    http: aiohttp.ClientSession, url: str, body: bytes, headers: Mapping[str, str]
) -> Answer | Outcome:
    """Sends a body and returns the answer, or the outcome where there is none.

    The address is sent exactly as given: signatures in it are encoded already.
    """
    try:
        async with http.post(
            URL(url, encoded=True), data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False
        ) as answer:
            text = b""
            async for part in answer.content.iter_any():
                text += part
                if len(text) > ANSWER_MAX:
                    break
            return Answer(answer.status, _json(text), answer.headers)
    except TimeoutError:
        return retry("timeout", f"No answer within {TIMEOUT.total:.0f} s.")
    except aiohttp.InvalidURL:
        return refused("address", "The address cannot be used.")
    except (aiohttp.ClientError, OSError) as error:
        # The type alone: an error's text may hold the address, and that is a secret.
        return retry("unreachable", f"The service cannot be reached ({type(error).__name__}).")


def by_status(answer: Answer) -> Outcome | None:
    """What the status alone says; None for a 2xx, whose body has the last word."""
    code = f"HTTP {answer.status}"
    if answer.status == 429:
        return retry(code, "The service asks for fewer messages.", pause_s=_after_s(answer.headers))
    if answer.status >= 500 or answer.status in (408, 425):
        return retry(code, "The service has a fault of its own.")
    if 300 <= answer.status < 400:
        return refused(code, "The address redirects; redirects are not followed.")
    if answer.status >= 400:
        return refused(code, "The service refuses the message.")
    return None


def _after_s(headers: Mapping[str, str]) -> float:
    given = headers.get("Retry-After", "")
    return float(min(int(given), 600)) if given.isascii() and given.isdigit() and len(given) < 9 else 10.0


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
