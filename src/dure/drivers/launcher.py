"""The small process beside each attempt: starts its command once, outlives us, writes its end down.

It takes the attempt's lock before anything else, so of many launchers of one attempt one goes on.
It inherits every orphan of the attempt, so that the end it writes means: nothing of it runs.
It must start within milliseconds; it imports nothing that it can do without.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from typing import Any

from dure.drivers import files, processes

PR_SET_CHILD_SUBREAPER = 36
POLL_S = 0.02
# A full disk may be freed by somebody; giving up loses only the exit code, never the end itself.
WRITE_ATTEMPTS = 3_600

Intent = dict[str, Any]


def main(arguments: list[str]) -> None:
    """Run the attempt whose intent lies at the path given; return when nothing of it runs."""
    text = files.text_at(arguments[0])
    if text is None:
        return
    intent: Intent = json.loads(text)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Whoever stops the pool's own programme must not take the ends of its jobs with it.
        signal.signal(number, signal.SIG_IGN)
    _inherit_orphans()
    mine = {
        "launcher": processes.identity(os.getpid()),
        "action_id": intent["action_id"],
        "at_s": int(time.time()),
    }
    if not files.create_exclusively(intent["lock"], json.dumps(mine)):
        return
    end = {"kind": "ended", "exit_code": 0, "reason": ""}
    for steps_left, argv in zip(range(len(intent["steps"]))[::-1], intent["steps"], strict=True):
        end = _run(intent, argv)
        if steps_left and end["exit_code"] != 0:
            end["reason"] = end["reason"] or "SetupFailed"
        if end["exit_code"] != 0 or os.path.lexists(intent["stop"]):
            break
    end["at_s"] = int(time.time())
    for _ in range(WRITE_ATTEMPTS):
        try:
            files.create_exclusively(intent["exit"], json.dumps(end))
            return
        except OSError as wrong:
            print(f"{intent['exit']}: {wrong}", file=sys.stderr, flush=True)
            time.sleep(1)
            with contextlib.suppress(OSError):
                os.makedirs(os.path.dirname(intent["exit"]), exist_ok=True)


def _inherit_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, sessions of their own or not."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _run(intent: Intent, argv: list[str]) -> dict[str, Any]:
    """Run one step to its end and to the end of all that it left behind.

    The child waits until it is written down that it runs: where no such file lies, not one
    instruction of the job was carried out, whoever kills us and when.
    """
    reader, writer = os.pipe()
    gate, opener = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        os.close(opener)
        _become(intent, argv, gate, writer)
    os.close(writer)
    os.close(gate)
    try:
        started = {"command": processes.identity(pid), "session": pid, "at_s": int(time.time())}
        files.write_durably(intent["run"], json.dumps(started))
    except OSError as wrong:
        print(f"{intent['run']}: {wrong}", file=sys.stderr, flush=True)
    with contextlib.suppress(BrokenPipeError):
        os.write(opener, b"!")
    os.close(opener)
    with open(reader, "rb") as stream:
        complaint = stream.read().decode(errors="replace")
    code = _waited_for(pid)
    _end_what_is_left(intent["grace_s"])
    if complaint:
        return {"kind": "failed", "exit_code": code, "reason": complaint}
    return {"kind": "ended", "exit_code": code, "reason": ""}


def _become(intent: Intent, argv: list[str], gate: int, complaints: int) -> None:
    """Turn this child into the command once the gate opens; never returns."""
    place = ""
    try:
        os.setsid()
        for number in range(1, signal.NSIG):
            if number not in (signal.SIGKILL, signal.SIGSTOP) and number not in (32, 33):
                signal.signal(number, signal.SIG_DFL)
        if not os.read(gate, 1):
            os._exit(127)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        for descriptor, place, mode in (
            (0, "/dev/null", os.O_RDONLY),
            (1, intent["out"], flags),
            (2, intent["err"], flags),
        ):
            os.dup2(os.open(place, mode, 0o600), descriptor)
        place = intent["cwd"]
        os.chdir(place)
        place = argv[0]
        environment = {os.fsencode(k): os.fsencode(v) for k, v in intent["env"].items()}
        os.execvpe(place, [os.fsencode(one) for one in argv], environment)
    except BaseException as wrong:
        words = wrong.strerror if isinstance(wrong, OSError) else repr(wrong)
        os.write(complaints, f"{place}: {words}".encode(errors="replace")[:1_000])
    os._exit(127)


def _waited_for(pid: int) -> int:
    """Return the command's exit code, 128 + N for signal N; reap every orphan that ends before."""
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _end_what_is_left(grace_s: float) -> None:
    """Ask what the command left behind to end, then end it. An orphan of ours cannot escape."""
    kill_from_s = time.monotonic() + grace_s
    number = signal.SIGTERM
    asked: set[processes.SeenProcess] = set()
    while _reap_what_ended():
        if time.monotonic() >= kill_from_s:
            number, asked = signal.SIGKILL, set()
        for process in processes.belonging((), launcher=os.getpid()):
            if process._replace(state="") not in asked:
                processes.send(process, number)
                asked.add(process._replace(state=""))
        time.sleep(POLL_S)


def _reap_what_ended() -> bool:
    """Collect ended children; True while there are living ones."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        return False
    return True
