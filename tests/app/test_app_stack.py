"""The ports of a stack: free, and out of the way of outgoing connections."""

import socket
from pathlib import Path

from app.stack import free_port


def test_a_free_port_is_free_and_never_one_that_an_outgoing_connection_could_get() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) > 40
    for port in ports:
        assert 1024 <= port < first < last
    with socket.socket() as s:
        s.bind(("127.0.0.1", ports[-1]))
