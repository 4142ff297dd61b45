"""Any service that the library apprise knows: the long tail, for messages that may fail.

Apprise says only whether it believes that all went well; of some services it does not read the answer's error
code. So this is never the only way of a critical alert (`alerts.policy`), and no message calls people by name.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import aiohttp
import apprise

from alerts.channels.limits import Limit
from alerts.channels.outcome import Outcome, delivered, retry, sending
from alerts.notices import Notice
from core.config import ConfigError

TIMEOUT_S = 15.0
"""Apprise's own sockets give up after 4 s each to connect and to read; a channel may hold several addresses."""


@dataclass(frozen=True, slots=True)
class Apprise:
    """One channel of one or more apprise addresses. Raises `ConfigError` for one that apprise does not know."""

    name: str
    urls: tuple[str, ...]
    kind: str = "apprise"
    limits: tuple[Limit, ...] = (Limit(20, 60.0, kept=5),)
    """As careful as with the strictest robot: which service it is, we do not know."""
    _threads: ThreadPoolExecutor = field(default_factory=sending, repr=False, compare=False)
    _library: apprise.Apprise = field(default_factory=apprise.Apprise)

    def __post_init__(self) -> None:
        for number, url in enumerate(self.urls, start=1):
            if not self._library.add(url):
                # Not the address itself: it is a secret.
                raise ConfigError([f"url_file, address {number}: apprise does not know this kind of address"])

    async def send(self, notice: Notice, http: aiohttp.ClientSession, now_us: int) -> Outcome:  # noqa: ARG002
        """Tries once, in a thread: the library blocks."""
        kind = apprise.NotifyType.SUCCESS if notice.ended else apprise.NotifyType.WARNING
        body = "\n".join((*notice.lines, notice.url)).strip()
        notify = partial(self._library.notify, body=body, title=notice.title, notify_type=kind)
        work = asyncio.get_running_loop().run_in_executor(self._threads, notify)
        try:
            sent = await asyncio.wait_for(work, TIMEOUT_S)
        except TimeoutError:
            return retry("timeout", f"Apprise did not end within {TIMEOUT_S:.0f} s.")
        if sent:
            return delivered("apprise")
        return retry("apprise", "Apprise says that not every address took the message.")
