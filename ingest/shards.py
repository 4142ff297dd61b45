"""Which part of the topic space a worker owns: shards, and the MQTT filters of their topics."""

import contextlib

from core.config import ConfigError

_LEAVES = ("motion", "event", "status")


def parse_shards(text: str) -> list[str]:
    """Shards of a list of ranges such as `00-7f,a0`. Raises `ConfigError` where it is not one."""
    shards: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        low = high = -1
        with contextlib.suppress(ValueError):
            low, high = int(first, 16), int(last or first, 16)
        if not 0 <= low <= high <= 255:
            raise ConfigError(
                [f"ingest.shards: must be ranges of two hex digits such as 00-7f,a0, got {text!r}"]
            )
        shards |= set(range(low, high + 1))
    return [f"{shard:02x}" for shard in sorted(shards)]


def topic_filters(shards: str) -> list[str]:
    """The MQTT filters of some shards; `all` gives every filter a worker could ever have had."""
    every = [f"{shard:02x}" for shard in range(256)]
    chosen = [*every, "+"] if shards == "all" else parse_shards(shards)
    if chosen == every:
        chosen = ["+"]
    return [f"helmets/{shard}/+/{leaf}" for shard in chosen for leaf in _LEAVES]
