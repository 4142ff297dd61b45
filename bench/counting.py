"""A client that only counts: what paho itself makes of the same stream, as the measure for the worker."""

import json
import sys
import threading
import time

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


def main(port: int, username: str, password: str, expected: int) -> None:
    """Subscribes with a persistent session, counts and acknowledges `expected` messages, prints the rate.

    With `expected` 0 it only leaves the session behind, so that the broker queues for it.
    """
    done, first, count = threading.Event(), 0.0, 0

    def on_message(client: Client, _: object, message: MQTTMessage) -> None:
        nonlocal first, count
        first = first or time.perf_counter()
        count += 1
        client.ack(message.mid, 1)
        if count == expected:
            done.set()

    def on_connect(client: Client, *_: object) -> None:
        client.subscribe("helmets/+/+/motion", 1)

    def on_subscribe(*_: object) -> None:
        if not expected:
            done.set()

    client = Client(
        CallbackAPIVersion.VERSION2,
        "helmetwatch-counting",
        protocol=MQTTProtocolVersion.MQTTv5,
        manual_ack=True,
    )
    client.username_pw_set(username, password)
    client.on_message = on_message
    client.on_connect = on_connect
    client.on_subscribe = on_subscribe
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval, properties.ReceiveMaximum = 3600, 2000
    client.connect("127.0.0.1", port, clean_start=False, properties=properties)
    client.loop_start()
    if not done.wait(120):
        sys.exit(f"only {count} of {expected} messages came")
    took_s = time.perf_counter() - first
    client.disconnect()
    print(json.dumps({"frames_per_s": count / took_s if expected else 0, "cpu_s": time.process_time()}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.stdin.readline().strip(), int(sys.argv[3]))
