"""What is left on real GPUs when a job has ended; the tool's own output, for want of GPUs here."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dure.core.errors import DriverError
from dure.drivers.local import LocalDriver
from dure.drivers.machine import used_gpu_mib
from tests.drivers.local_bench import end_all, end_of, four_slots, order


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where ``nvidia-smi`` is to be written; what was asked of it lies beside it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder / "nvidia-smi"


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[LocalDriver]:
    made = LocalDriver(tmp_path / "here", replace(four_slots(), has_gpus=True), grace_s=0.5)
    yield made
    end_all(made)


def write(tool: Path, answer: str) -> None:
    tool.write_text(f'#!/bin/bash\necho "$*" >>{tool}.asked\n{answer}\n')
    tool.chmod(0o755)


@pytest.mark.parametrize(("used", "is_clean"), [("3", True), ("1024", True), ("1025", False)])
def test_memory_left_on_a_gpu_is_no_clean_node(
    tool: Path, driver: LocalDriver, used: str, is_clean: bool
) -> None:
    write(tool, f"printf '0\\n{used}\\n'")
    driver.start(replace(order("trains", "true"), devices=(("here-0001", 1), ("here-0001", 3))))
    end_of(driver, "trains")

    found = driver.clean("trains", 1)

    assert (found["gpu_mib"], found["is_clean"]) == (int(used), is_clean)
    assert "-i 1,3 --query-gpu=memory.used" in tool.with_name("nvidia-smi.asked").read_text()


@pytest.mark.parametrize("answer", ["exit 9", "echo", "echo '[N/A]'"])
def test_gpus_that_do_not_tell_are_not_taken_for_empty(
    tool: Path, driver: LocalDriver, answer: str
) -> None:
    write(tool, answer)
    driver.start(order("trains", "true"))
    end_of(driver, "trains")

    with pytest.raises(DriverError, match="memory in use on GPU 0"):
        driver.clean("trains", 1)


def test_without_the_tool_nobody_can_tell(tool: Path) -> None:
    assert not tool.exists()
    assert used_gpu_mib("0") == -1
