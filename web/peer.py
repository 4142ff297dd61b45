"""Where a request comes from; a proxy on this machine is believed about it."""

from aiohttp import web


def address(request: web.Request) -> str:
    """Network address of whoever asks."""
    if _from_proxy(request):
        return request.headers["X-Forwarded-For"].rsplit(",", 1)[-1].strip()
    return request.remote or ""


def over_https(request: web.Request) -> bool:
    """Whether the browser's connection is encrypted, as a proxy on this machine says."""
    return _loopback(request) and request.headers.get("X-Forwarded-Proto", "").lower() == "https"


def _loopback(request: web.Request) -> bool:
    return request.remote in ("127.0.0.1", "::1")


def _from_proxy(request: web.Request) -> bool:
    return _loopback(request) and bool(request.headers.get("X-Forwarded-For"))
