"""The built-in meter on this machine: real processes; GPUs as nvidia-smi tells them."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from dure.core.errors import DriverError
from dure.core.measured import BUSY, CPU, HOST, MEMORY, POWER, Aside, Measured, Signal, Unit
from dure.drivers.machine import NODE
from dure.drivers.sampler import Sampler
from tests.drivers.local_bench import driver_at, end_all, four_slots, order, until_it_says
from tests.drivers.polling import until

BUSY_LOOP = "echo up; while :; do :; done"


def values_of(measured: Measured, unit: Unit) -> dict[int, float]:
    place = list(measured.units).index(unit)
    rows = range(len(measured.values))
    return {row: float(measured.values[row, place]) for row in rows if measured.given[row, place]}


def test_a_job_that_computes_is_told_from_one_that_sleeps(tmp_path: Path) -> None:
    driver = driver_at(tmp_path)
    sampler = Sampler(tmp_path, four_slots())
    try:
        driver.start(order("works", BUSY_LOOP))
        driver.start(order("sleeps", "echo up; sleep 300"))
        until_it_says(driver, "works", "up")
        until_it_says(driver, "sleeps", "up")
        sampler.read(0)

        def has_worked() -> bool:
            found = values_of(sampler.read(int(time.time())), Unit(NODE, HOST, "works"))
            return found[CPU] >= 300

        until(has_worked)
        measured = sampler.read(60)
    finally:
        end_all(driver)

    asleep = values_of(measured, Unit(NODE, HOST, "sleeps"))
    assert asleep[CPU] < 100 <= values_of(measured, Unit(NODE, HOST, "works"))[CPU]
    assert 0 < asleep[MEMORY] < 1_000
    assert {unit.device for unit in measured.units} == {HOST}, "no GPU is invented"


def test_what_belongs_to_another_pool_is_not_ours(tmp_path: Path) -> None:
    driver = driver_at(tmp_path / "a")
    try:
        driver.start(order("one", "echo up; sleep 300"))
        until_it_says(driver, "one", "up")

        others, own = (Sampler(tmp_path / name, four_slots()).read(0) for name in "ba")
        assert [unit.job for unit in others.units] == [""]
        assert [unit.job for unit in own.units] == ["", "one"]
        assert values_of(own, Unit(NODE, HOST))[MEMORY] > values_of(own, own.units[1])[MEMORY]
    finally:
        end_all(driver)


ANSWER = """\
0, 00000000:3B:00.0, 97, 40536, 612.31
1, 00000000:AF:00.0, 0, 4, 71.02
2, 00000000:B0:00.0, [N/A], 4, [Not Supported]
Unable to determine the device handle for gpu 0000:D8:00.0
"""


def test_gpus_are_as_nvidia_smi_tells_them_and_xids_as_the_kernel_does(tmp_path: Path) -> None:
    machine = replace(four_slots(), has_gpus=True)
    lines = [
        "4,917,1,-;NVRM: Xid (PCI:0000:af:00): 79, pid=1234, GPU has fallen off the bus.",
        "6,918,2,-;usb 1-1: new device",
    ]
    sampler = Sampler(tmp_path, machine, ask=lambda: ANSWER, kernel_lines=lambda: lines)

    measured = sampler.read(100)

    assert [unit.device for unit in measured.units] == [HOST, 0, 1, 2]
    assert values_of(measured, Unit(NODE, 0)) == {BUSY: 970, MEMORY: 40_536, POWER: 612_310}
    assert values_of(measured, Unit(NODE, 2)) == {MEMORY: 4}
    assert measured.signals == [Signal(100, NODE, 1, 79)]
    assert [one.reason for one in measured.aside] == [Aside.UNREADABLE]


def test_gpus_that_do_not_answer_are_an_error_not_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler = Sampler(tmp_path, replace(four_slots(), has_gpus=True), kernel_lines=lambda: ())
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(DriverError, match="nvidia-smi"):
        sampler.read(0)
