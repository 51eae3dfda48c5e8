"""The way to a session on another machine: a gate beside it, which opens to the pool's door alone.

A session listens on a unix socket in a private folder, wherever it runs. Where whoever lets people
in is on another machine, a gate on the session's own listens on a port and passes on what comes by
TLS, once each side has shown that it holds the key of this one attempt. What both need lies in the
gate's folder, which the machines share and which is open to the pool's own account alone:

- ``key.pem``: the key and its certificate, made when the attempt is laid out, gone when it is over;
- ``nodes.json``: the address of each node of the attempt, and between which ports to choose;
- ``open.json``: the node and the port, written once the session listens.

The gate runs beside the session: the standard library and this package's own small modules.
"""

import asyncio
import contextlib
import ipaddress
import json
import logging
import os
import secrets
import signal
import socket
import ssl
import stat
import subprocess
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator, Mapping
from pathlib import Path

from dure.core.errors import DriverError
from dure.drivers import files
from dure.drivers.ends import whole, written_at
from dure.drivers.interactive.lines import CONNECT_S, Line, connected
from dure.drivers.places import Places

log = logging.getLogger("dure.sessions")

KEY, NODES, OPEN = "key.pem", "nodes.json", "open.json"
MAKE_KEY = (
    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
    *("-subj", "/CN=dure-session", "-days", "3650", "-keyout", "/dev/stdout"),
)
MAKE_S_MAX = 20.0
# OpenSSL's X509_V_FLAG_NO_CHECK_TIME: the key lives as long as its file, whatever clocks say.
NO_CHECK_TIME = 0x200000
PORT_MIN, PORT_MAX = 1_024, 65_535
PORTS_TRIED_MAX = 1_000
HANDSHAKE_S = 10.0
LINES_MAX = 256
READ_BYTES = 65_536
LOOK_S = 0.1
GOODBYE_S = 2.0


def lay_out(folder: Path, addresses: Mapping[str, str], ports: tuple[int, int]) -> None:
    """Put into a gate's folder what it needs; what lies there already stays.

    Args:
        addresses: by node, where the door reaches it.
        ports: the lowest and the highest to choose from; (0, 0) for any.

    Raises:
        DriverError: if there is no ``openssl`` to make a key with.
        OSError: if the disk is full.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files.write(str(folder / NODES), json.dumps({"addresses": dict(addresses), "ports": ports}))
    if not (folder / KEY).exists():
        files.create_exclusively(str(folder / KEY), _new_key(), durable=False)


def close(folder: Path) -> None:
    """Remove a gate's folder, and with it the key; without effect if there is none.

    What a job put in their place or beside them does not hold us up, and may stay.
    """
    for name in (KEY, NODES, OPEN):
        with contextlib.suppress(OSError):
            files.remove(str(folder / name))
    with contextlib.suppress(OSError):
        folder.rmdir()


class GatedLines:
    """The way to the sessions of a pool whose machines share its folder.

    Args:
        root: folder of the pool, ``DIR/here``.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def reach(self, job: str, attempt: int) -> Line | None:
        """Return a stream to the session's gate; None if it is not open yet, or not reached."""
        folder = Places(self._root, job, attempt).gate_dir
        address, port = _open_at(folder)
        if not address or not PORT_MIN <= port <= PORT_MAX:
            return None
        try:
            tls = context(folder, is_gate=False)
            stream = socket.create_connection((address, port), CONNECT_S)
        except (OSError, ValueError) as wrong:
            log.warning(
                "%s: its gate at %r, port %d, is not reached: %s", job, address, port, wrong
            )
            return None
        stream.settimeout(None)
        return Line(stream.detach(), tls)


def _open_at(folder: Path) -> tuple[str, int]:
    """Return the address and port of a gate; ("", 0) if it is not open (yet).

    The gate names one of the nodes that were ordered, or leads nowhere. A job can write to this
    folder, so nothing but files is read there: a pipe would be waited for.
    """
    try:
        modes = [os.lstat(folder / name).st_mode for name in (KEY, NODES, OPEN)]
        if not all(map(stat.S_ISREG, modes)):
            return "", 0
        told, opened = written_at(folder / NODES) or {}, written_at(folder / OPEN) or {}
    except OSError:
        return "", 0
    addresses = told.get("addresses")
    address = addresses.get(str(opened.get("node"))) if isinstance(addresses, dict) else None
    return (address, whole(opened, "port")) if isinstance(address, str) else ("", 0)


def context(folder: Path, *, is_gate: bool) -> ssl.SSLContext:
    """Return what either side speaks with: it shows the attempt's key and believes no other.

    Raises:
        OSError: if the key is gone or damaged.
    """
    protocol = ssl.PROTOCOL_TLS_SERVER if is_gate else ssl.PROTOCOL_TLS_CLIENT
    tls = ssl.SSLContext(protocol)
    # A host's name would prove nothing that the key does not: nobody else holds it.
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.verify_flags |= NO_CHECK_TIME
    tls.minimum_version = ssl.TLSVersion.TLSv1_3
    tls.load_cert_chain(folder / KEY)
    tls.load_verify_locations(folder / KEY)
    return tls


@contextlib.contextmanager
def beside(session: str, folder: str) -> Iterator[None]:
    """Keep a gate to what listens in ``session`` open for as long as the block runs.

    It is a process of its own, since a terminal forks and threads do not bear that.

    Raises:
        OSError: if the key cannot be read, or no port can be had.
    """
    gate = Path(folder)
    node = os.environ.get("SLURMD_NODENAME", "")
    told = written_at(gate / NODES) or {}
    tls = context(gate, is_gate=True)
    listener = listener_at(str(told["addresses"][node]), *map(int, told["ports"]))
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(_serve(listener, tls, session, gate / OPEN, node))
        finally:
            os._exit(0)
    listener.close()
    try:
        yield
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


def listener_at(address: str, low: int, high: int) -> socket.socket:
    """Return a socket that listens at an address of this machine, at a port of the range.

    A name may mean loopback on the machine that bears it; there it listens at every address.
    """
    is_number = _is_number(address)
    family = socket.AF_INET6 if ":" in address or not is_number else socket.AF_INET
    host, is_dual = (address, False) if is_number else ("", socket.has_dualstack_ipv6())
    if not is_number and not is_dual:
        family = socket.AF_INET
    count = high - low + 1
    first = secrets.randbelow(count)
    for tried in range(min(count, PORTS_TRIED_MAX)):
        port = low + (first + tried) % count
        try:
            listener = socket.create_server((host, port), family=family, dualstack_ipv6=is_dual)
        except OSError as wrong:
            last = wrong
            continue
        # What is accepted inherits it: small pieces, such as a key that was struck, go at once.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    raise OSError(f"no port of {low} to {high} can be had at {address}: {last}")


async def _serve(
    listener: socket.socket, tls: ssl.SSLContext, session: str, opened: Path, node: str
) -> None:
    """Serve until we are told to end, then to the end of what the session has said."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    # Whoever knocks without the key is turned away in silence.
    loop.set_exception_handler(lambda *_: None)
    served: set[asyncio.Task[None]] = set()

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served.add(task)
        try:
            if len(served) <= LINES_MAX:
                await _pass(session, reader, writer)
        except OSError:
            pass
        finally:
            served.discard(task)
            writer.close()

    server = await asyncio.start_server(
        serve, sock=listener, ssl=tls, ssl_handshake_timeout=HANDSHAKE_S
    )
    announcing = asyncio.create_task(_announce(session, opened, node, listener.getsockname()[1]))
    await ended.wait()
    announcing.cancel()
    server.close()
    if served:
        await asyncio.wait(served, timeout=GOODBYE_S)


async def _announce(session: str, opened: Path, node: str, port: int) -> None:
    """Tell where the gate is, once there is something behind it."""
    while (line := connected(session)) is None:
        await asyncio.sleep(LOOK_S)
    line.close()
    files.write(str(opened), json.dumps({"node": node, "port": port}))


async def _pass(session: str, reader: StreamReader, writer: StreamWriter) -> None:
    """Pass bytes on in both directions until one side ends."""
    line = await asyncio.to_thread(connected, session)
    if line is None:
        return
    inner_reader, inner_writer = await asyncio.open_connection(sock=line)
    both = (
        asyncio.create_task(_copy(reader, inner_writer)),
        asyncio.create_task(_copy(inner_reader, writer)),
    )
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in both:
            one.cancel()
        await asyncio.gather(*both, return_exceptions=True)
        inner_writer.close()


async def _copy(reader: StreamReader, writer: StreamWriter) -> None:
    while content := await reader.read(READ_BYTES):
        writer.write(content)
        await writer.drain()


def _is_number(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def _new_key() -> str:
    try:
        made = subprocess.run(
            MAKE_KEY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=MAKE_S_MAX,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as wrong:
        raise DriverError(
            f"openssl makes no key for a session ({type(wrong).__name__}); install openssl on the "
            "machine of the service."
        ) from wrong
    return made.stdout
