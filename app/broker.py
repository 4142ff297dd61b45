"""The embedded broker for demo, replay and development: rumqttd in a process of its own.

It keeps nothing over a restart and has no access rules; anything that must not lose a message uses mosquitto
with `deploy/mosquitto.conf`. Its limits were measured; the settings below keep its memory bounded.
"""

import signal
import sys
from pathlib import Path

import iotcore

_CONFIG = """\
id = 0

[router]
id = 0
max_connections = 20000
max_outgoing_packet_count = 200
max_segment_size = 20971520
max_segment_count = 10
"""

_LISTENER = """
[v{version}.{name}]
name = "{name}"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1

[v{version}.{name}.connections]
connection_timeout_ms = 10000
max_payload_size = 70000
max_inflight_count = 500
dynamic_filters = true

[v{version}.{name}.connections.auth]
"""


def write_config(path: Path, *, port_v5: int, port_v311: int, users: dict[str, str]) -> None:
    """Writes the broker's settings: one listener for each version of MQTT, on loopback, with passwords."""
    text = _CONFIG
    for version, name, port in ((5, "five", port_v5), (4, "four", port_v311)):
        text += _LISTENER.format(version=version, name=name, port=port)
        text += "".join(f'{user} = "{password}"\n' for user, password in users.items())
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def main() -> None:
    """Runs the broker with the settings file named on the command line, until it is told to stop."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with iotcore.Broker(config_path=sys.argv[1]):
        while True:
            signal.pause()


if __name__ == "__main__":
    main()
