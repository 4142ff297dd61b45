"""A person's request that changes an alert: its body, where it came from, and how it is known when it is sent again."""

from dataclasses import dataclass
from hashlib import blake2b

from aiohttp import web

from alerts.model import Asked
from web.peer import address
from web.problems import PERSON_BODY_MAX, Problem, read_body

HEADER = "Idempotency-Key"
KEY_MAX = 100
ADDRESS_MAX = 100


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person sent."""

    body: bytes
    asked: Asked


async def wish(request: web.Request) -> Wish:
    """Reads a request. Raises `Problem` 400 for a key of a wrong form, and what `read_body` raises."""
    key = request.headers.get(HEADER, "")
    if len(key) > KEY_MAX or not (key.isascii() and key.isprintable()):
        raise Problem(400, f"{HEADER}: must be at most {KEY_MAX} printable characters of ASCII.")
    body = await read_body(request, PERSON_BODY_MAX)
    asks = blake2b(request.path.encode() + b"\n" + body, digest_size=16).hexdigest()
    return Wish(body, Asked(address(request)[:ADDRESS_MAX], key, asks if key else ""))
