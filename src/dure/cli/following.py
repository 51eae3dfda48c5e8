"""Waiting for a job: its state as it changes, what it prints, and its end."""

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from dure.cli.output import note, say, words

if TYPE_CHECKING:
    from dure.cli.client import Service

# Slurm's states in which a job may still run.
ALIVE = ("PENDING", "RUNNING", "STOPPING", "SUSPENDED", "PREEMPTED", "REQUEUED")
POLL_S_MIN, POLL_S_MAX = 0.5, 5.0
# How long a new job's first cycle is waited for, to tell a refusal at once.
FIRST_LOOK_S, FIRST_LOOK_TRIES = 0.1, 15
UNSEEN = "WaitingForNextCycle"
# A service that restarts is waited for: so many polls in a row may fail.
LOST_POLLS_MAX = 12


class Printer:
    """Copies a job's output to ours, from where it stopped the last time."""

    def __init__(self, service: "Service", job: str, *, pool: str) -> None:
        from dure.cli.client import path_of

        self._service, self._path, self._pool = service, path_of("jobs", job, "output"), pool
        self._offset = 0

    def print_new(self) -> bool:
        """Print what is there by now; return whether there was anything."""
        printed = False
        while True:
            part = self._service.get(self._path, pool=self._pool, offset=self._offset)
            sys.stdout.write(part["text"])
            sys.stdout.flush()
            moved = part["next_offset"] > self._offset
            self._offset = part["next_offset"]
            printed = printed or moved
            if not moved or part["is_end"]:
                return printed


def watch(service: "Service", job: str, *, pool: str, with_output: bool) -> None:
    """Wait for a job's end; each change of its state is told on stderr.

    Raises:
        typer.Exit: with code 1 if the job ended in any other way than by completing.
    """
    from dure.cli.client import UnreachableError

    printer = Printer(service, job, pool=pool) if with_output else None
    told, pause_s, lost = "", POLL_S_MIN, 0
    while True:
        try:
            row = _row(service, job, pool)
            is_new = _print(printer, row)
            lost = 0
        except UnreachableError:
            lost += 1
            if lost > LOST_POLLS_MAX:
                raise
            time.sleep(POLL_S_MAX)
            continue
        shown = _told(row)
        if shown != told:
            note(f"{job}: {shown}")
            told, is_new = shown, True
        if row["state"] not in ALIVE:
            if row["state"] != "COMPLETED":
                raise typer.Exit(1)
            return
        pause_s = POLL_S_MIN if is_new else min(pause_s * 1.5, POLL_S_MAX)
        time.sleep(pause_s)


def watch_all(service: "Service", jobs: Sequence[str], *, pool: str, with_output: bool) -> None:
    """Wait for the ends of an array's jobs, or of one, in order.

    Raises:
        typer.Exit: with code 1, after the last, if any ended otherwise than by completing.
    """
    failed = 0
    for job in jobs:
        try:
            watch(service, job, pool=pool, with_output=with_output)
        except typer.Exit:
            failed += 1
    if failed:
        raise typer.Exit(1)


def refused_at_once(service: "Service", job: str, *, pool: str) -> str | None:
    """Return why a job just taken can never start; None if it can, or is not looked at soon."""
    from dure.cli.client import MissingError

    for _ in range(FIRST_LOOK_TRIES):
        try:
            row = _row(service, job, pool)
        except MissingError:
            # Taken, but not on a screen yet.
            row = {"state": "PENDING", "reason": UNSEEN}
        if row["state"] == "REFUSED":
            return str(row["reason"])
        if row["state"] != "PENDING" or row["reason"] != UNSEEN:
            return None
        time.sleep(FIRST_LOOK_S)
    return None


def _row(service: "Service", job: str, pool: str) -> dict[str, Any]:
    from dure.cli.client import path_of

    row: dict[str, Any] = service.get(path_of("jobs", job), pool=pool)["row"]
    return row


def _print(printer: Printer | None, row: dict[str, Any]) -> bool:
    from dure.cli.client import MissingError

    if printer is None:
        return False
    try:
        return printer.print_new()
    except MissingError:
        # There is nothing before its first start.
        if row["start_at_s"] is None:
            return False
        raise


def _told(row: dict[str, Any]) -> str:
    """Return a job's state in words, with the reason and the earliest start of one that waits."""
    state = words(f"jobstate.{row['state']}", otherwise=row["state"])
    if not row["reason"]:
        return state
    reason = words(f"whyshort.{row['reason']}", otherwise=row["reason"])
    if row["earliest_s"] is None:
        return f"{state} ({reason})"
    return f"{state} ({reason}; {say('not_before', at_s=row['earliest_s'])})"
