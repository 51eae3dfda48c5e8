"""A notebook server of the user's own, told to listen where only the portal's door reaches it."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time

# The first that is there; each knows ``--config`` and listens on a unix socket.
PROGRAMS = ("jupyter-lab", "jupyter-notebook", "jupyter-server")
CONFIG = "session.json"
GRACE_S = 5.0
NONE_HERE = (
    "dure: found no Jupyter: none of {} in PATH ({}) or in ~/.local/bin; expected one of them. "
    "Next: install it in the job's setup (pip install --user jupyterlab), name an image that has "
    "it, or begin a session shell.\n"
)


def run(folder: str, inside: tuple[str, ...], *, ends_at_s: float) -> int:
    """Run the notebook server until it ends or its time is up; return the exit code."""
    path = os.path.join(folder, CONFIG)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(_config(os.getcwd()), file)
    if inside:
        # The image's own: what it has in its PATH, this process cannot see.
        argv = [*inside, "env", "-C", folder, "jupyter", "lab", f"--config={path}"]
    elif program := _program():
        argv = [program, f"--config={path}"]
    else:
        sys.stderr.write(NONE_HERE.format(", ".join(PROGRAMS), os.environ.get("PATH", "")))
        return 127
    child = subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL)
    try:
        return child.wait(max(0.0, ends_at_s - time.time()))
    except subprocess.TimeoutExpired:
        sys.stderr.write("dure: the session's time is up\n")
    child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(GRACE_S)
    child.kill()
    return 0


def _program() -> str | None:
    own = os.path.join(os.environ.get("HOME", ""), ".local", "bin")
    path = os.pathsep.join((own, os.environ.get("PATH", os.defpath)))
    return next((found for name in PROGRAMS if (found := shutil.which(name, path=path))), None)


def _config(work: str) -> dict[str, dict[str, object]]:
    """Return what a server is told, under the name of its old and its new class.

    Who comes in is decided at the portal's door; behind it the server asks for nothing. That
    pages are this very origin's it still checks by itself.
    """
    told: dict[str, object] = {
        "sock": "session.sock",
        "sock_mode": "0600",
        "token": "",
        "password": "",
        "open_browser": False,
        "allow_remote_access": True,
        "allow_root": True,
        "port_retries": 0,
    }
    return {
        "ServerApp": {**told, "root_dir": work},
        "NotebookApp": {**told, "notebook_dir": work},
        "IdentityProvider": {"token": ""},
        "PasswordIdentityProvider": {"hashed_password": ""},
    }
