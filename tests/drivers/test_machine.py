"""What a machine has is counted the same way every time, and never guessed."""

import os

import pytest

from dure.core.errors import DriverError, InputError
from dure.drivers.machine import NODE, SLOT, gpu_model, gpu_models, this_machine

ANSWER = """\
1, NVIDIA H100 80GB HBM3, 81559
0, NVIDIA H100 80GB HBM3, 81559
"""


def test_real_gpus_are_counted_and_named() -> None:
    (node,) = this_machine(ask=lambda: ANSWER)

    assert (node.node, node.accelerator, node.gpus, node.has_gpus) == (NODE, "H100", 2, True)
    assert node.note == ""


def test_without_gpus_each_cpu_is_a_slot() -> None:
    (node,) = this_machine(ask=lambda: None)

    assert (node.accelerator, node.has_gpus) == (SLOT, False)
    assert node.gpus == len(os.sched_getaffinity(0)) == node.cpu_milli // 1000
    assert node.memory_mib > 0


def test_slots_said_outright_count_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURE_SLOTS", "3")

    by_environment = this_machine(ask=lambda: ANSWER)[0]
    by_argument = this_machine(slots=5, ask=lambda: ANSWER)[0]

    assert [(one.accelerator, one.gpus) for one in (by_environment, by_argument)] == [
        (SLOT, 3),
        (SLOT, 5),
    ]
    assert not by_argument.has_gpus


@pytest.mark.parametrize("text", ["0", "-1", "many", "1e3", "99999"])
def test_slots_that_are_no_count_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DURE_SLOTS", text)

    with pytest.raises(InputError):
        this_machine(ask=lambda: None)


@pytest.mark.parametrize("answer", ["", "\n", "No devices were found", "x, H100, 3", "0, H100"])
def test_gpus_that_cannot_be_read_are_not_replaced_by_slots(answer: str) -> None:
    with pytest.raises(DriverError):
        this_machine(ask=lambda: answer)


def test_gpus_that_differ_are_said() -> None:
    (node,) = this_machine(ask=lambda: "0, NVIDIA A100-SXM4-40GB, 40960\n1, Tesla T4, 15360")

    assert node.note == "GPUs differ: A100, T4; all count as one"
    assert gpu_models("0, Tesla T4, 15360") == ["T4"]


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("NVIDIA B200", "B200"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("Tesla V100-PCIE-16GB", "V100"),
        ("NVIDIA GeForce RTX 4090", "RTX4090"),
        ("NVIDIA RTX A6000", "RTXA6000"),
        ("NVIDIA GB200", "GB200"),
        ("", "GPU"),
    ],
)
def test_a_products_name_holds_its_model(name: str, model: str) -> None:
    assert gpu_model(name) == model
