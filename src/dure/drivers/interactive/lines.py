"""Where an interactive session listens, and the way to it on its own machine.

It is a unix socket in the attempt's private folder, which is open to the pool's own account alone:
no port, so no other account of the machine, and no page in anybody's browser, can reach it.
"""

import contextlib
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dure.core.orders import Recipe
from dure.drivers.own_program import own_program
from dure.drivers.places import Places

if TYPE_CHECKING:
    from ssl import SSLContext

SOCKET = "session.sock"
PROGRAM = "dure.drivers.interactive.program"
CONNECT_S = 5.0


@dataclass(frozen=True, slots=True)
class Line:
    """A stream to a session; see ``services.ports.Line``."""

    descriptor: int
    tls: "SSLContext | None" = None


def session_step(
    recipe: Recipe, *, scratch: str, inside: tuple[str, ...], gate: Path | None = None
) -> tuple[str, ...]:
    """Return the argument list of a session that listens in ``scratch``.

    Args:
        inside: the words that run a program in the job's image; none without one.
        gate: folder of its gate; None where whoever lets people in is on the same machine.
    """
    told = (recipe.interactive, str(recipe.interactive_s), scratch, str(gate or ""))
    return own_program(PROGRAM, *told, *inside)


class LocalLines:
    """The way to the sessions of a pool on this machine.

    Args:
        root: folder of the pool, ``DIR/here``.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def reach(self, job: str, attempt: int) -> Line | None:
        """Return a stream to the session; None if nobody listens there (yet)."""
        line = connected(str(Places(self._root, job, attempt).scratch_dir))
        return Line(line.detach()) if line else None


def connected(folder: str) -> socket.socket | None:
    """Return a stream to what listens in ``folder``; None if nobody does (yet)."""
    try:
        place = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(CONNECT_S)
    try:
        # A socket's name has room for a hundred letters, and folders lie deeper than that.
        if stat.S_ISSOCK(os.stat(SOCKET, dir_fd=place, follow_symlinks=False).st_mode):
            line.connect(f"/proc/self/fd/{place}/{SOCKET}")
            line.settimeout(None)
            return line
    except OSError:
        pass
    finally:
        os.close(place)
    line.close()
    return None


def listen(folder: str) -> socket.socket:
    """Return a socket that listens in ``folder``; what an earlier one left there goes.

    Raises:
        OSError: if it cannot be made.
    """
    back = os.open(".", os.O_PATH | os.O_CLOEXEC)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.chdir(folder)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(SOCKET)
        listener.bind(SOCKET)
        os.chmod(SOCKET, 0o600)
        listener.listen(16)
    finally:
        os.fchdir(back)
        os.close(back)
    return listener
