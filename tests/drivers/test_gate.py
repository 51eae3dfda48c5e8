"""Sessions on the nodes of a real Slurm, and their gates: who gets in, and who does not."""

import errno
import json
import os
import random
import shutil
import socket
import ssl
import stat
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from dure.core.orders import Receipt
from dure.drivers.interactive import gate
from dure.drivers.interactive.gate import KEY, NODES, OPEN, GatedLines, context
from dure.drivers.interactive.lines import SOCKET, Line
from dure.drivers.places import Places
from dure.drivers.slurm.commands import SlurmCommands
from dure.drivers.slurm.driver import SlurmDriver
from dure.drivers.slurm.launch import scratch_of
from tests.drivers.local_bench import end_all, order
from tests.drivers.polling import until
from tests.drivers.slurm_model import SlurmModel
from tests.drivers.web_socket import TEXT, WebSocket
from tests.slurm_cluster import SRUN_PORTS, SlurmCluster

NOBODY = 65_534
needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="no openssl to make a key with; try `make setup-slurm`"
)
JOB = "here-1"


@pytest.fixture
def driver(tmp_path: Path, slurm_cluster: SlurmCluster) -> Iterator[SlurmDriver]:
    commands = SlurmCommands(slurm_cluster.environment)
    driver = SlurmDriver(tmp_path / "here", commands, grace_s=1, queue_s=0.2)
    yield driver
    end_all(driver)


def begin(driver: SlurmDriver, *nodes: str) -> Line:
    """Begin a terminal on these nodes, wait until it listens; return a line to it."""
    plain = order(JOB, interactive="shell", interactive_s=600, notice_signal="none")
    devices = tuple((node, 0) for node in nodes or sorted(driver.site.nodes)[:1])
    driver.start(replace(plain, devices=devices))
    lines = GatedLines(driver.root)

    def look() -> Line | None:
        driver.observe()
        return lines.reach(JOB, 1)

    return until(look, within_s=60)


def stream_over(line: Line, tls: ssl.SSLContext | None = None) -> socket.socket:
    context = tls or line.tls
    assert context is not None
    stream = socket.socket(fileno=line.descriptor)
    stream.settimeout(20)
    return context.wrap_socket(stream)


def gate_of(driver: SlurmDriver) -> Path:
    return Places(driver.root, JOB, 1).gate_dir


def port_of(driver: SlurmDriver) -> int:
    return int(json.loads((gate_of(driver) / OPEN).read_text())["port"])


def ends(driver: SlurmDriver) -> Sequence[Receipt]:
    return until(lambda: driver.observe(), within_s=60)


@pytest.mark.slurm
def test_a_shell_on_a_node_computes_tells_of_a_notice_and_its_exit_ends_the_job(
    driver: SlurmDriver,
) -> None:
    first, second, *_ = sorted(driver.site.nodes)
    page = WebSocket(stream_over(begin(driver, first, second)), "/tty", {"Host": "a"})

    page.send(b"echo $SLURMD_NODENAME $((6*7)) $DURE_JOB; head -c 400000 /dev/zero | tr '\\0' x\n")

    page.until(f"{first} 42 {JOB}\r\n".encode())
    page.until(b"x" * 1_000)
    driver.notify(JOB, 1, stop_by_s=1_900_000_000)
    page.until(b'"stop_by_s": 1900000000', TEXT)
    page.send(b"exit\n")
    page.until(b"is_over", TEXT)
    assert SRUN_PORTS[0] <= port_of(driver) <= SRUN_PORTS[1]
    (receipt,) = ends(driver)
    assert (receipt.kind, receipt.exit_code) == ("ended", 0)
    found = driver.clean(JOB, 1)
    assert found["is_clean"] and set(found["nodes"]) == {first, second}  # type: ignore[call-overload]
    driver.acknowledge([receipt])
    assert not gate_of(driver).exists()
    assert GatedLines(driver.root).reach(JOB, 1) is None


@pytest.mark.slurm
def test_nobody_without_the_key_of_this_very_attempt_gets_in(
    driver: SlurmDriver, tmp_path: Path
) -> None:
    begin(driver)
    other = tmp_path / "other"
    gate.lay_out(other, {}, (0, 0))
    without = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    without.check_hostname, without.verify_mode = False, ssl.CERT_NONE
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
    stranger.load_cert_chain(other / KEY)
    asked = b"GET /tty HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\n\r\n"

    def answer(tls: ssl.SSLContext | None) -> bytes:
        with socket.create_connection(("127.0.0.1", port_of(driver)), 20) as plain:
            try:
                stream = tls.wrap_socket(plain) if tls else plain
                stream.sendall(asked)
                return stream.recv(100)
            except OSError:
                return b""

    assert [answer(one) for one in (without, stranger)] == [b"", b""]
    assert b"HTTP" not in answer(None)
    assert answer(context(gate_of(driver), is_gate=False)).startswith(b"HTTP/1.1 101 ")


def errno_as_nobody(act: Callable[[], None]) -> int:
    """Do something in a process of another account; return its error's number, 0 for none."""
    pid = os.fork()
    if pid == 0:
        code = 0
        try:
            os.setgroups(())
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            act()
        except OSError as wrong:
            code = wrong.errno or 255
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.slurm
def test_another_account_of_the_node_reads_no_key_and_enters_no_socket(driver: SlurmDriver) -> None:
    begin(driver)
    places = Places(driver.root, JOB, 1)
    scratch = Path(scratch_of(driver.site_id, places))
    modes = [places.gate_dir, places.control_dir, scratch]
    for folder in (one for one in places.gate_dir.parents if one.is_relative_to(Path("/tmp"))):
        # The folders of tests are closed already; what counts is ours.
        if not folder.is_relative_to(driver.root) and folder != Path("/tmp"):
            folder.chmod(0o755)

    def read() -> None:
        (places.gate_dir / KEY).read_text()

    def connect() -> None:
        socket.socket(socket.AF_UNIX).connect(str(scratch / SOCKET))

    assert [errno_as_nobody(read), errno_as_nobody(connect)] == [errno.EACCES] * 2
    assert [stat.S_IMODE(one.stat().st_mode) for one in modes] == [0o700] * 3
    for name in (KEY, NODES, OPEN):
        assert stat.S_IMODE((places.gate_dir / name).stat().st_mode) == 0o600


@pytest.mark.slurm
def test_the_key_stands_in_no_argument_environment_or_log(
    driver: SlurmDriver, slurm_cluster: SlurmCluster
) -> None:
    page = WebSocket(stream_over(begin(driver)), "/tty", {"Host": "a"})
    page.send(b"env; echo do''ne\n")
    page.until(b"done\r\n")
    kept = gate_of(driver) / KEY
    lines = [one.encode() for one in kept.read_text().splitlines() if "-----" not in one]

    seen = slurm_cluster.ask("scontrol", "show", "job", "--details").encode()
    for entry in Path("/proc").iterdir():
        for what in ("cmdline", "environ"):
            try:
                seen += (entry / what).read_bytes() if entry.name.isdecimal() else b""
            except OSError:
                continue
    logs = [one for one in (slurm_cluster.folder / "log").iterdir() if one.is_file()]
    ours = [one for one in driver.root.rglob("*") if one.is_file() and one != kept]
    seen += b"".join(one.read_bytes() for one in (*logs, *ours))

    assert str(gate_of(driver)).encode() in seen and len(lines) >= 8
    assert [one for one in lines if one in seen] == []


def two_keys(folder: Path) -> tuple[Path, Path]:
    for name in ("one", "other"):
        gate.lay_out(folder / name, {"n1": "127.0.0.1"}, (0, 0))
    return folder / "one", folder / "other"


@needs_openssl
def test_a_door_says_nothing_to_a_listener_without_the_key(tmp_path: Path) -> None:
    places = Places(tmp_path, JOB, 1)
    gate.lay_out(places.gate_dir, {"n1": "127.0.0.1"}, (0, 0))
    other, heard = two_keys(tmp_path)[1], []

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def pretend() -> None:
            accepted = listener.accept()[0]
            accepted.settimeout(20)
            try:
                impostor = context(other, is_gate=True)
                impostor.verify_mode = ssl.CERT_NONE
                heard.append(impostor.wrap_socket(accepted, server_side=True).recv(100))
            except OSError:
                heard.append(b"")

        thread = Thread(target=pretend)
        thread.start()
        told = {"node": "n1", "port": listener.getsockname()[1]}
        (places.gate_dir / OPEN).write_text(json.dumps(told))
        line = GatedLines(tmp_path).reach(JOB, 1)
        assert line is not None
        with pytest.raises(ssl.SSLCertVerificationError):
            stream_over(line)
        thread.join()

    assert heard == [b""]


@needs_openssl
@pytest.mark.parametrize(
    "opened",
    [
        {"node": "n2", "port": 8_080},
        {"node": "n1", "port": 22},
        {"node": "n1", "port": 70_000},
        {"node": ["n1"], "port": 8_080},
        {"port": "8080"},
        {},
    ],
)
def test_what_a_gate_says_of_itself_leads_to_the_ordered_nodes_alone(
    tmp_path: Path, opened: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places(tmp_path, JOB, 1)
    gate.lay_out(places.gate_dir, {"n1": "127.0.0.1"}, (0, 0))
    (places.gate_dir / OPEN).write_text(json.dumps(opened))
    called: list[object] = []
    monkeypatch.setattr(socket, "create_connection", lambda *words: called.append(words))

    assert GatedLines(tmp_path).reach(JOB, 1) is None
    assert called == []


@needs_openssl
@pytest.mark.parametrize("name", [KEY, NODES, OPEN])
def test_what_a_job_puts_in_the_place_of_a_gates_files_holds_nobody_up(
    tmp_path: Path, name: str
) -> None:
    folder = Places(tmp_path, JOB, 1).gate_dir
    for put in (os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)):
        gate.lay_out(folder, {"n1": "n" * 400}, (0, 0))
        (folder / OPEN).write_text(json.dumps({"node": "n1", "port": 8_080}))
        assert GatedLines(tmp_path).reach(JOB, 1) is None
        (folder / name).unlink()
        put(folder / name)

        assert GatedLines(tmp_path).reach(JOB, 1) is None
        gate.close(folder)
        assert not (folder / KEY).is_file()
        shutil.rmtree(folder, ignore_errors=True)


@needs_openssl
def test_a_key_is_made_once_and_goes_with_the_gate(tmp_path: Path) -> None:
    one, other = two_keys(tmp_path)
    before = (one / KEY).read_text()

    gate.lay_out(one, {"n1": "127.0.0.1"}, (0, 0))

    assert (one / KEY).read_text() == before != (other / KEY).read_text()
    gate.close(one)
    gate.close(one)
    assert not one.exists() and (other / KEY).exists()


def test_a_gate_keeps_to_the_ports_that_the_site_opens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        low = min(port, 65_500)
        for _ in range(20):
            with gate.listener_at("127.0.0.1", low, low + 35) as listener:
                assert listener.getsockname()[1] in {*range(low, low + 36)} - {port}
        with pytest.raises(OSError, match=f"no port of {port} to {port}"):
            gate.listener_at("127.0.0.1", port, port)


@needs_openssl
def test_a_key_is_good_while_it_is_there_whatever_the_clocks_of_nodes_say(
    tmp_path: Path,
) -> None:
    gate.lay_out(tmp_path / "gate", {}, (0, 0))
    key = tmp_path / "gate" / KEY
    over = ("openssl", "x509", "-in", str(key), "-signkey", str(key), "-days", "-1")
    certificate = subprocess.run(over, capture_output=True, text=True, check=True).stdout
    key.write_text(key.read_text().partition("-----BEGIN CERT")[0] + certificate)
    ours, theirs = socket.socketpair()
    said: list[bytes] = []

    def listen() -> None:
        with context(tmp_path / "gate", is_gate=True).wrap_socket(theirs, server_side=True) as line:
            said.append(line.recv(100))

    thread = Thread(target=listen)
    thread.start()
    with context(tmp_path / "gate", is_gate=False).wrap_socket(ours) as door:
        door.sendall(b"hello")
        thread.join()

    assert said == [b"hello"]


@pytest.mark.parametrize(
    ("address", "host"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("n1", "::")]
)
def test_a_gate_listens_where_the_door_looks_for_it(address: str, host: str) -> None:
    # A name may be loopback's on the machine that bears it.
    with gate.listener_at(address, 0, 0) as listener:
        with socket.create_connection((host, listener.getsockname()[1])):
            accepted, _ = listener.accept()

        with accepted:
            assert listener.getsockname()[0] == host
            # Small pieces, such as a key that was struck, go at once.
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_without_openssl_a_session_fails_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = SlurmDriver(tmp_path / "here", SlurmModel(random.Random(1)), queue_s=0)
    plain = order(JOB, interactive="shell", interactive_s=600)
    monkeypatch.setenv("PATH", str(tmp_path))
    driver.start(replace(plain, devices=(("n0", 0),)))

    (receipt,) = until(lambda: driver.observe())

    assert (receipt.kind, receipt.exit_code) == ("failed", 1)
    assert receipt.reason.startswith("SessionHasNoKey: openssl makes no key")
