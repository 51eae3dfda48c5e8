"""A real server in a thread over the filled platform, and the ``dure`` command beside it."""

import io
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from dure.cli.main import main
from dure.cli.server import make_server
from dure.services.access import Role
from dure.services.desks import Services
from tests.portal.visiting import USER_OF

START_S_MAX = 20.0


@dataclass(frozen=True, slots=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str


class Shell:
    """Runs commands in this process, as ``main`` would be run by a shell with this environment."""

    def __init__(self, patch: pytest.MonkeyPatch, home: Path, url: str, services: Services) -> None:
        self.patch, self.home, self.url, self.services = patch, home, url, services
        for name in ("DURE_TOKEN", "DURE_IN", "LANG", "XDG_CONFIG_HOME", "COLUMNS"):
            patch.delenv(name, raising=False)
        self.set({"HOME": str(home), "DURE_URL": url, "DURE_LANG": "en"})
        patch.chdir(home)

    def set(self, variables: Mapping[str, str]) -> None:
        for name, value in variables.items():
            self.patch.setenv(name, value)

    def be(self, role: Role | None) -> None:
        """Speak for one of a role, or for nobody."""
        token = ""
        if role is not None:
            user = USER_OF[role]
            token, _ = self.services.people.issue_token(
                user, label="test", days=1, by=user, makes_room=True
            )
        self.set({"DURE_TOKEN": token})

    def __call__(self, *arguments: str, stdin: str = "") -> Done:
        out, err, code = io.StringIO(), io.StringIO(), 0
        with self.patch.context() as patch:
            patch.setattr("sys.argv", ["dure", *arguments])
            patch.setattr("sys.stdin", io.StringIO(stdin))
            with redirect_stdout(out), redirect_stderr(err):
                try:
                    main()
                except SystemExit as end:
                    code = int(end.code or 0)
        return Done(code, out.getvalue(), err.getvalue())


@contextmanager
def serving(services: Services) -> Iterator[str]:
    """Serve on a free port of this machine; give the address."""
    server = make_server(services, port=0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        until = time.monotonic() + START_S_MAX
        while not server.started:
            assert thread.is_alive() and time.monotonic() < until, "the server did not start"
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(START_S_MAX)
