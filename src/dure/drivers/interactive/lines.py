"""Where an interactive session listens, and the way to it.

It is a unix socket in the attempt's private folder, which is open to the pool's own account alone:
no port, so no other account of the machine, and no page in anybody's browser, can reach it.
"""

import contextlib
import os
import socket
import stat
from pathlib import Path

from dure.core.orders import Recipe
from dure.drivers.own_program import own_program
from dure.drivers.places import Places

SOCKET = "session.sock"
PROGRAM = "dure.drivers.interactive.program"
CONNECT_S = 5.0


def session_step(recipe: Recipe, *, scratch: Path, inside: tuple[str, ...]) -> tuple[str, ...]:
    """Return the argument list of a session that listens in ``scratch``.

    Args:
        inside: the words that run a program in the job's image; none without one.
    """
    return own_program(
        PROGRAM, recipe.interactive, str(recipe.interactive_s), str(scratch), *inside
    )


class LocalLines:
    """The way to the sessions of a pool on this machine.

    Args:
        root: folder of the pool, ``DIR/here``.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def reach(self, job: str, attempt: int) -> int | None:
        """Return the descriptor of a stream to the session, which the caller closes; None if
        nobody listens there (yet).
        """
        try:
            folder = os.open(
                Places(self._root, job, attempt).scratch_dir,
                os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC,
            )
        except OSError:
            return None
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        line.settimeout(CONNECT_S)
        try:
            # A socket's name has room for a hundred letters, and folders lie deeper than that.
            if stat.S_ISSOCK(os.stat(SOCKET, dir_fd=folder, follow_symlinks=False).st_mode):
                line.connect(f"/proc/self/fd/{folder}/{SOCKET}")
                line.settimeout(None)
                return line.detach()
        except OSError:
            pass
        finally:
            os.close(folder)
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
