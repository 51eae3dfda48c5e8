"""``dure up --backend slurm`` as people meet it, killed while jobs run."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.cli.up_process import UpProcess, free_port
from tests.drivers.polling import until
from tests.drivers.web_socket import WebSocket
from tests.slurm_cluster import SlurmCluster

pytestmark = pytest.mark.slurm
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def up(
    tmp_path: Path, slurm_cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch
) -> Iterator[UpProcess]:
    monkeypatch.setenv("SLURM_CONF", str(slurm_cluster.conf))
    sessions = ("--sessions-port", str(free_port()))
    process = UpProcess(
        tmp_path / "data", "--backend", "slurm", "--allocate", "owner=32", *sessions
    )
    yield process
    process.close()


def test_what_runs_at_slurm_outlives_a_kill_of_the_service_and_runs_once(up: UpProcess) -> None:
    up.start()
    assert "pool here: 32 B200, 4 nodes of Slurm" in up.printed
    greeted = up.run("submit", str(EXAMPLES / "hello.yaml"), "--wait")
    long = up.submit("echo start >> starts\nwhile [ ! -e go ]; do sleep 0.1; done\necho done")
    work = up.data / "here" / "jobs" / long / "work"
    until(lambda: (work / "starts").exists())

    up.kill()
    (work / "go").touch()
    up.start()
    up.wait_for(long, "COMPLETED")

    assert (greeted.returncode, greeted.stdout.split()[0]) == (0, "here-1")
    assert (work / "starts").read_text() == "start\n"
    assert up.run("output", long).stdout == "done\n"


def test_a_session_on_a_node_is_opened_by_its_link_and_outlives_the_service(up: UpProcess) -> None:
    up.start()
    begun = up.run("session", "shell", "--gpus", "2", "--time", "30m", "--project", "owner")
    assert begun.returncode == 0, begun.stderr
    link = urlsplit(begun.stdout.strip())
    job, port = link.netloc.partition(".")[0], int(link.netloc.rpartition(":")[2])
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        client.headers["host"] = link.netloc
        admitted = client.get(link.path)
        cookie = admitted.headers["set-cookie"].split(";")[0]
        until(lambda: client.get("/").status_code == 200)
        page = client.get("/?lang=en")
        client.cookies.clear()
        stranger = client.get("/?lang=en")

    def terminal() -> WebSocket | None:
        line = socket.create_connection(("127.0.0.1", port))
        told = {"Host": link.netloc, "Cookie": cookie, "Origin": f"http://{link.netloc}"}
        found = WebSocket(line, "/tty", told)
        return found if found.status == 101 else None

    before = until(terminal)
    before.send(b"kept=here; echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES $((6*7))\n")
    told = before.until(b" 42\r\n")
    up.kill()
    up.start()
    after = until(terminal)
    after.send(b"echo still $kept\n")
    after.until(b"still here\r\n")
    (key,) = (up.data / "here" / "control").rglob("key.pem")
    secrets = [one for one in key.read_bytes().splitlines() if b"-----" not in one]
    kept = [up.data.with_name(up.data.name + ".log"), *up.data.rglob("*.db*")]
    said = b"".join(one.read_bytes() for one in kept)
    assert up.run("session", "stop", job).returncode == 0
    up.wait_for(job, "CANCELLED")
    over = up.run("session", "open", job)

    assert (admitted.status_code, stranger.status_code) == (303, 401)
    assert f"Terminal of {job}" in page.text
    assert re.search(rb"alpha-\d{4} 0,1 42", told)
    assert over.returncode == 1 and "does not run now" in over.stderr
    assert len(secrets) >= 8 and [one for one in secrets if one in said] == []
    until(lambda: not key.exists())
