"""A session at a site, as people start both: over HTTPS, opened by its agent, cut off, going on."""

import re
import socket
import ssl
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.cli.agent_process import Pair
from tests.cli.up_process import free_port
from tests.drivers.polling import until
from tests.drivers.web_socket import WebSocket


def terminal_at(pair: Pair, job: str, port: int, certificate: Path, cookie: str) -> WebSocket:
    """Knock at the door for a terminal, as a browser does."""
    trusted = ssl.create_default_context(cafile=str(certificate))
    plain = socket.create_connection(("127.0.0.1", port), timeout=30)
    host = f"{job}.sessions.test:{port}"
    fields = {"Host": host, "Cookie": cookie, "Origin": f"https://{host}"}
    return WebSocket(trusted.wrap_socket(plain, server_hostname="127.0.0.1"), "/tty", fields)


def test_a_session_at_a_site_is_reached_through_its_agent_alone(
    tmp_path: Path, certificate: Path, stack: ExitStack
) -> None:
    port = free_port()
    address = ("--sessions-port", str(port), "--sessions-url", f"https://*.sessions.test:{port}")
    pair = Pair(tmp_path, certificate, stack, *address, backend="local")
    up, agent = pair.up, pair.agent
    job = up.submit("", "interactive: shell, estimate: 30m")
    up.wait_for(job, "RUNNING")
    link = up.http.post(f"/jobs/{job}/session").json()["url"]
    trusted = ssl.create_default_context(cafile=str(certificate))
    fields = {"host": f"{job}.sessions.test:{port}"}
    with httpx.Client(
        base_url=f"https://127.0.0.1:{port}", verify=trusted, trust_env=False, headers=fields
    ) as client:
        entered = client.get(urlsplit(link).path)
        cookie = entered.headers["set-cookie"].split(";")[0]
        until(lambda: client.get("/", headers={"cookie": cookie}).status_code == 200)
    line = terminal_at(pair, job, port, certificate, cookie)
    line.send(b"echo $((6*7)); kept=there\n")
    line.until(b"42\r\n")

    agent.kill()
    assert line.is_over()
    agent.start()

    def goes_on() -> bool:
        anew = terminal_at(pair, job, port, certificate, cookie)
        if anew.status != 101:
            return False
        anew.send(b"echo still $kept\n")
        anew.until(b"still there\r\n")
        return True

    until(goes_on)
    assert up.state(job) == "RUNNING" and len(up.job(job)["attempts"]) == 1
    assert up.http.post(f"/jobs/{job}/cancel").status_code == 200
    up.wait_for(job, "CANCELLED")
    assert up.stop() == 0
    # Tokens of lines are 64 digits, as those of links and keys are: no log has any.
    told = [one for one in tmp_path.glob("*.log") if re.search(r"[0-9a-f]{64}", one.read_text())]
    assert told == []
