"""Centre and agents as people start them: over HTTPS, cut off, killed, with a wrong key."""

import hashlib
import io
import json
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from dure.app.agent import AgentSettings, assemble_agent
from dure.app.assemble import assemble
from dure.app.settings import Settings
from dure.cli.server import Door, serving_agents
from dure.core.errors import DriverError, InputError
from dure.core.sealing import seal
from dure.core.site_words import Answer, Push, encoded
from dure.drivers.centre import HttpCentre
from dure.ledger.verify import examine
from dure.services.sites import NoSites, Sealed
from tests.cli.agent_process import Pair, enrol
from tests.cli.serving import Shell
from tests.cli.up_process import DURE, UpProcess
from tests.drivers.polling import until
from tests.slurm_cluster import SlurmCluster

SAVING = (
    "trap 'echo saved > $DURE_CHECKPOINT_DIR/state; exit 85' USR1\n"
    "test -e $DURE_CHECKPOINT_DIR/state && echo resumed && exit 0\n"
    "echo up\nwhile true; do sleep 0.05; done"
)


def submit_with(up: UpProcess, content: dict[str, bytes], text: str) -> str:
    """Submit a job with a folder of files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, body in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
    sha256 = hashlib.sha256(packed.getvalue()).hexdigest()
    sent = up.http.put(f"/pools/here/workdirs/{sha256}", content=packed.getvalue())
    assert sent.status_code == 201, sent.text
    body = {"form": "yaml", "text": f"{text}\nworkdir: .", "workdir_sha256": sha256}
    headers = {"idempotency-key": sha256}
    taken = up.http.post("/pools/here/jobs", json=body, headers=headers)
    assert taken.status_code == 201, taken.text
    return str(taken.json()["job"])


def test_work_at_a_site_is_run_read_lent_and_called_back(
    tmp_path: Path, certificate: Path, stack: ExitStack
) -> None:
    allocations = ("--allocate", "owner=2", "--allocate", "guest=0")
    pair = Pair(tmp_path, certificate, stack, *allocations, backend="local")
    up = pair.up

    assert "pool here: 2 slot, 1 nodes of seoul" in up.printed
    first = up.submit("echo hello; echo $DURE_DEVICES", project="owner")
    up.wait_for(first, "COMPLETED")
    assert pair.output(first).splitlines() == ["hello", "here-0001:0"]
    # A folder that was sent along lies at the centre; the agent brings it to the site.
    with_folder = submit_with(up, {"word.txt": b"from afar\n"}, "run: cat word.txt")
    up.wait_for(with_folder, "COMPLETED")
    assert pair.output(with_folder) == "from afar\n"
    borrower = up.submit(
        SAVING, "gpus: 2, preemptible: true, checkpoint_takes: 5s", project="guest"
    )
    up.wait_for(borrower, "RUNNING")
    until(lambda: "up" in pair.output(borrower))
    owner = up.submit("echo mine", "gpus: 2", project="owner")
    up.wait_for(owner, "COMPLETED")
    up.wait_for(borrower, "COMPLETED")

    assert [kind for kind, _ in up.attempts(borrower)] == ["loan", "loan"]
    assert up.attempts(borrower)[0][1] == "reclaimed"
    assert pair.output(borrower).splitlines()[-1] == "resumed"
    evidence = (up.data / "here" / "cleaned.jsonl").read_text().splitlines()
    assert [json.loads(line)["site"] for line in evidence] == ["seoul"] * 5
    row = pair.site()
    assert (row["state"], row["provider"], row["nodes"], row["gpus"]) == (
        "in-reach",
        "hanbit",
        1,
        2,
    )


def test_what_ends_while_the_centre_is_away_is_told_once_when_it_is_back(
    tmp_path: Path, certificate: Path, stack: ExitStack
) -> None:
    pair = Pair(tmp_path, certificate, stack, backend="local")
    up, agent = pair.up, pair.agent
    jobs = [up.submit("while [ ! -e go ]; do sleep 0.05; done; echo over") for _ in range(2)]
    works = [agent.jobs / job / "work" for job in jobs]
    until(lambda: all(work.exists() for work in works))

    up.stop()
    (works[0] / "go").touch()
    until(lambda: '"job":"' + jobs[0] in (agent.data / "agent" / "spool").read_text())
    ended_s = int(time.time())
    agent.says("the centre is out of reach")
    agent.kill()
    (works[1] / "go").touch()
    until(lambda: (agent.data / "agent" / "control" / jobs[1] / "attempt-1.exit").exists())
    # Long enough for the books to tell the moment of an end from that of its telling.
    until(lambda: time.time() > ended_s + 8)
    agent.start()
    up.start()
    shown = [up.wait_for(job, "COMPLETED") for job in jobs]

    assert [len(one["attempts"]) for one in shown] == [1, 1]
    assert shown[0]["row"]["end_at_s"] <= ended_s
    assert [pair.output(job) for job in jobs] == ["over\n", "over\n"]
    evidence = (up.data / "here" / "cleaned.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["job"] for line in evidence) == sorted(jobs)
    up.stop()
    assert examine(up.data / "here" / "ledger.db").flaws == []


@pytest.mark.slow
def test_a_site_that_is_killed_is_closed_and_opens_when_its_agent_is_back(
    tmp_path: Path, certificate: Path, stack: ExitStack
) -> None:
    pair = Pair(tmp_path, certificate, stack, "--reach", "2", backend="local")
    up, agent = pair.up, pair.agent
    long = up.submit("while [ ! -e go ]; do sleep 0.05; done")
    work = agent.jobs / long / "work"
    until(work.exists)

    agent.kill()
    (work / "go").touch()

    def closed_by() -> list[str]:
        (node,) = up.http.get("/pools/here/nodes").json()
        return list(node["closed_by"])

    until(lambda: closed_by() == ["health"])
    waits = up.submit("echo late")
    assert pair.site()["state"] == "out-of-reach"
    assert up.state(long) == "RUNNING" and up.state(waits) == "PENDING"
    agent.start()
    up.wait_for(long, "COMPLETED")
    up.wait_for(waits, "COMPLETED")

    assert closed_by() == []
    assert len(up.job(long)["attempts"]) == len(up.job(waits)["attempts"]) == 1


@pytest.mark.slow
def test_a_key_that_is_revoked_or_replaced_opens_nothing_more(
    tmp_path: Path, certificate: Path, stack: ExitStack
) -> None:
    pair = Pair(tmp_path, certificate, stack, backend="local")
    up, agent = pair.up, pair.agent
    words = ["site", "revoke", "seoul", "--data", str(up.data), "--reason", "stolen"]

    revoked = subprocess.run([*DURE, *words], capture_output=True, text=True, check=True)
    agent.says("404 not-found")
    until(lambda: pair.site()["state"] == "revoked")
    again = subprocess.run([*DURE, *words], capture_output=True, text=True)
    agent.close()
    key_file = enrol(up.data, "seoul", "--provider", "hanbit")
    agent.start()
    job = up.submit("echo anew")
    up.wait_for(job, "COMPLETED")

    assert "worth nothing" in revoked.stdout
    assert again.returncode == 1 and "dure sites" in again.stderr
    secret = key_file.read_text().strip()
    assert secret.startswith("dure-site_")
    told = [one for one in tmp_path.glob("*.log") if secret in one.read_text()]
    assert told == []
    assert pair.site()["state"] == "in-reach"


@pytest.mark.slow
@pytest.mark.slurm
def test_an_agent_beside_slurm_runs_what_the_centre_orders(
    tmp_path: Path,
    certificate: Path,
    stack: ExitStack,
    slurm_cluster: SlurmCluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLURM_CONF", str(slurm_cluster.conf))
    pair = Pair(tmp_path, certificate, stack, backend="slurm")
    up, agent = pair.up, pair.agent
    assert "pool here: 32 B200, 4 nodes of seoul" in up.printed
    gang = up.submit("srun hostname -s >/dev/null; echo $DURE_DEVICES", "gpus: 16")
    up.wait_for(gang, "COMPLETED")
    long = up.submit("while [ ! -e go ]; do sleep 0.1; done; echo over")
    work = agent.jobs / long / "work"
    until(work.exists)

    up.kill()
    (work / "go").touch()
    until(lambda: '"job":"' + long in (agent.data / "agent" / "spool").read_text(), within_s=60)
    up.start()
    shown = up.wait_for(long, "COMPLETED")

    assert len(pair.output(gang).split(",")) == 16
    assert len(shown["attempts"]) == 1
    assert pair.output(long) == "over\n"


def refusal(ask: Callable[[], object]) -> str:
    with pytest.raises(InputError) as wrong:
        ask()
    return str(wrong.value)


def test_what_an_agent_must_be_told_is_asked_for(tmp_path: Path) -> None:
    data, to = tmp_path / "site", ("http://127.0.0.1:9",)
    key_file = enrol(tmp_path / "centre", "seoul")

    def settings(
        servers: tuple[str, ...] = to, site: str = "seoul", key: Path | None = key_file, **more: Any
    ) -> AgentSettings:
        return AgentSettings(data, servers, site, key, slots=2, **more)

    assert "--server: found none" in refusal(lambda: settings(()))
    for clear in ("http://centre.example", "http://10.0.0.1:8470", "http://localhost.example"):
        assert "https, or http to this machine" in refusal(lambda url=clear: settings((url,)))
    for odd in ("https://me:secret@centre.example", "ftp://centre", "centre:8470", "https://a b"):
        assert "https://HOST:PORT" in refusal(lambda url=odd: settings((url,)))
    assert "--site" in refusal(lambda: settings(site="../x"))
    assert "--key-file: found none" in refusal(lambda: settings(key=None))
    assert "local, slurm for an agent" in refusal(lambda: settings(backend="agents"))
    nowhere = settings(ca_file=tmp_path / "none.pem")
    assert "certificates in PEM" in refusal(lambda: assemble_agent(nowhere))
    key_file.chmod(0o644)
    assert "readable by others" in refusal(lambda: assemble_agent(settings()))
    key_file.chmod(0o600)
    key_file.write_text("dure-site_of somebody else")
    said = refusal(lambda: assemble_agent(settings()))
    assert "what dure site enrol printed" in said and "somebody" not in said
    assert "a file" in refusal(lambda: assemble_agent(settings(key=tmp_path / "none")))


def test_whoever_serves_beyond_the_machine_needs_a_certificate_that_fits(
    tmp_path: Path, certificate: Path
) -> None:
    key = certificate.with_suffix(".key")

    assert "proxy with TLS" in refusal(lambda: Door.of("0.0.0.0", None, None))
    assert "together" in refusal(lambda: Door.of("0.0.0.0", certificate, None))
    assert "in PEM" in refusal(lambda: Door.of("0.0.0.0", key, key))
    assert Door.of("0.0.0.0", certificate, key).url(8470) == "https://0.0.0.0:8470"


def test_a_centre_without_sites_is_refused(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "data", scenario="empty", backend="agents")

    with pytest.raises(InputError, match="dure site enrol NAME"):
        assemble(settings)


def test_names_that_no_site_may_have_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = Shell(monkeypatch, tmp_path, "http://127.0.0.1:9", None)  # type: ignore[arg-type]
    data = ("--data", str(tmp_path / "centre"))

    for name in ("Seoul", "a.b", "../x", "-x", "a" * 33, "서울"):
        assert shell("site", "enrol", *data, "--", name).code == 1
    assert shell("site", "enrol", "seoul", "--provider", "a b", *data).code == 1
    assert shell("site", "revoke", "seoul", *data).code == 1
    first, second = (shell("site", "enrol", "seoul", *data).out for _ in range(2))
    assert first.startswith("dure-site_") and first != second


class Forger(NoSites):
    """A centre that has no key of the site and answers all the same."""

    def exchange(self, site: str, said: Sealed) -> Sealed:
        answer = Answer(generation=1, run=1, count=1)
        return Sealed(encoded(answer), seal(bytes(31) + b"1", by="centre", site=site, body=b""))


def test_a_centre_that_cannot_prove_who_it_is_hears_nothing(
    tmp_path: Path, certificate: Path
) -> None:
    door = Door.of("127.0.0.1", certificate, certificate.with_suffix(".key"))
    push = Push(agent="a", run=1, count=1, generation=0, taken=0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with serving_agents(NoSites(), door, listener):

            def asked(url: str, ca_file: Path | None) -> str:
                centre = HttpCentre([url], "seoul", bytes(32), root=tmp_path, ca_file=ca_file)
                with closing(centre), pytest.raises(DriverError) as wrong:
                    until(lambda: centre.exchange(push))
                return str(wrong.value)

            until(lambda: "404 not-found" in asked(f"https://127.0.0.1:{port}", certificate))
            assert "CERTIFICATE_VERIFY_FAILED" in asked(f"https://127.0.0.1:{port}", None)
            # The right certificate under another name.
            assert "not valid for 'localhost'" in asked(f"https://localhost:{port}", certificate)
        with serving_agents(Forger(), door, listener):
            until(lambda: "not the seal" in asked(f"https://127.0.0.1:{port}", certificate))
