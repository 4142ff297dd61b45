"""The desk: puts the alert book, the feed and the page behind one address."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable

import structlog
from aiohttp import web

from alerts.database import BookError
from core.clock import Clock
from core.config import Config, ConfigError
from web import observing, riding
from web.access import DESK, headers
from web.problems import problems
from web.routes import routes
from web.serving import STATIC
from web.state import Desk
from web.worker_token import check_token

_log = structlog.get_logger("desk")


def make_app(
    config: Config, clock: Clock, token: str, samples: observing.ReadSamples = observing.nowhere
) -> web.Application:
    """The desk as an application; `samples` reads the telemetry store.

    Raises `ConfigError` for a token, a riders file, a channel or an escalation file that cannot be used.

    `token` is what workers sign in with (`core.config.secret("HELMETWATCH_DESK_TOKEN", web.token_file)`).
    """
    check_token(token)
    app = web.Application(middlewares=[problems])
    app[DESK] = Desk(config, clock, token)
    app.on_response_prepare.append(headers(config.web.tiles_url))
    app.add_routes(routes())
    app.router.add_static("/static", STATIC)
    app.cleanup_ctx.append(_running)
    observing.install(app, samples)
    riding.install(app)
    app.on_shutdown.append(_end_feeds)
    return app


async def run(
    config: Config,
    clock: Clock,
    token: str,
    *,
    samples: observing.ReadSamples = observing.nowhere,
    listening: Callable[[str], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Runs the desk until `stop` is set; without one, until SIGINT or SIGTERM.

    `listening` is called with the address once it answers. Raises `ConfigError` where the token, the alert
    book, the riders file or the address cannot be used.
    """
    app = make_app(config, clock, token, samples)
    if stop is None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=3.0)
    try:
        await runner.setup()
        site = web.TCPSite(runner, config.web.host, config.web.port)
        await site.start()
        url = _url(config.web.host, runner.addresses[0][1])
        _log.info("desk.listening", url=url)
        if listening is not None:
            listening(url)
        await stop.wait()
    except BookError as error:
        raise ConfigError([f"alerts.path: {error}"]) from None
    except OSError as error:
        raise ConfigError(
            [f"web.host, web.port: cannot listen on {config.web.host}:{config.web.port}: {error.strerror}"]
        ) from None
    finally:
        await runner.cleanup()
    _log.info("desk.stopped")


async def _running(app: web.Application) -> AsyncIterator[None]:
    desk = app[DESK]
    desk.open()
    await desk.resume()
    ticking = asyncio.create_task(desk.tick())
    yield
    ticking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await ticking
    await desk.dispatcher.close()
    desk.close()


async def _end_feeds(app: web.Application) -> None:
    app[DESK].hub.end()


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
