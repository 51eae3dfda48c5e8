"""The server: where it listens, what it refuses, how it goes."""

import socket
import threading

import httpx
import pytest

from dure.cli.server import Door, Tls, is_loopback, make_server
from dure.core.errors import InputError
from dure.services.desks import Services
from tests.portal.filled_programme import filled_services

WAIT_S = 10


@pytest.fixture(scope="module")
def services() -> Services:
    return filled_services()


@pytest.mark.parametrize(
    ("host", "here"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("example.test", False)],
)  # fmt: skip
def test_only_this_machine_is_this_machine(host: str, here: bool) -> None:
    assert is_loopback(host) == here


def test_nothing_is_bound_beyond_this_machine_without_tls(services: Services, tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match="proxy with TLS"):
        Door("0.0.0.0")
    tls = Tls(tmp_path / "certificate.pem", tmp_path / "key.pem")

    assert make_server(services, Door("0.0.0.0", tls)).config.is_ssl


def test_pages_and_api_share_a_port_and_open_streams_do_not_hold_it_up(
    services: Services,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = make_server(services, port=port)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    pause = threading.Event()
    while not server.started and thread.is_alive():
        pause.wait(0.01)
    base = f"http://127.0.0.1:{port}"

    assert "13,136" in httpx.get(base).text
    assert httpx.get(f"{base}/healthz").json()["status"] == "ok"
    with httpx.stream("GET", f"{base}/api/v1/events") as stream:
        lines = stream.iter_lines()
        assert any(line == "event: figures" for line in lines)
        server.should_exit = True
        rest = list(lines)
    thread.join(WAIT_S)

    assert not thread.is_alive()
    assert all(not line.startswith("event") for line in rest)
