"""What the tests of the local backend share: a machine of four slots, orders, real processes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from dure.core.orders import Receipt, Recipe, StartOrder
from dure.drivers.local import LocalDriver
from dure.drivers.machine import NODE, MachineNode, this_machine
from tests.drivers.polling import until

SLOTS = 4


def four_slots() -> MachineNode:
    return this_machine(slots=SLOTS)[0]


def driver_at(root: Path, *, grace_s: float = 0.5) -> LocalDriver:
    return LocalDriver(root, four_slots(), grace_s=grace_s)


def order(
    job: str, script: str = "", *, attempt: int = 1, command: tuple[str, ...] = (), **recipe: object
) -> StartOrder:
    return StartOrder(
        action_id=f"start-{job}-{attempt}",
        job=job,
        attempt=attempt,
        devices=((NODE, 0),),
        gpu_milli=1000,
        recipe=Recipe(script=script, command=command, **recipe),  # type: ignore[arg-type]
    )


def end_of(driver: LocalDriver, job: str, *, attempt: int = 1) -> Receipt:
    """Wait for the receipt of an attempt."""

    def look() -> list[Receipt]:
        return [one for one in driver.observe() if (one.job, one.attempt) == (job, attempt)]

    return until(look)[0]


def said(driver: LocalDriver, job: str, *, attempt: int = 1, stream: str = "out") -> str:
    return driver.output(job, attempt, stream=stream)[0].decode()


def until_it_says(driver: LocalDriver, job: str, words: str, *, attempt: int = 1) -> None:
    """Wait until an attempt has printed ``words``."""

    def look() -> bool:
        driver.observe()
        return words in said(driver, job, attempt=attempt)

    until(look)


class Running(Protocol):
    """A backend that says what runs there."""

    def running(self) -> Sequence[tuple[str, int]]: ...

    def stop(self, job: str, attempt: int) -> None: ...

    def observe(self) -> Sequence[Receipt]: ...


def end_all(driver: Running) -> None:
    """Stop whatever a test left running; the grace of a test's driver is short."""
    for job, attempt in driver.running():
        driver.stop(job, attempt)

    def look() -> bool:
        driver.observe()
        return not driver.running()

    until(look)
