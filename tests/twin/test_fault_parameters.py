"""A wrong parameter is refused by key, with what was found and what was expected."""

from pathlib import Path

import pytest

from dure.core.errors import InputError
from dure.twin.fault_model import read_fault_model


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "rates_per_gpu_h: {gpu_hard: -1}",
            r"mine.yaml: rates_per_gpu_h.gpu_hard: found -1; expec",
        ),
        ("rates_per_gpu_h: {gpu_hrad: 1.0e-6}", r"rates_per_gpu_h.gpu_hrad: found the key"),
        ("rates_per_gpu_h: {nic: often}", r"rates_per_gpu_h.nic: found 'often'; expected a number"),
        ("rates_per_gpu_h: [1]", r"mine.yaml: rates_per_gpu_h: found \[1\]; expected a mapping"),
        ("lemons: {share_of_nodes: 5, times: 20}", r"lemons.share_of_nodes: found 5; .* 0 to 1"),
        ("lemons: {share_of_nodes: 0.05}", r"lemons.times: found nothing; expected a number"),
        ("repairs_that_do_not_fix: {automatic: 1, manual: 0.2}", r"automatic: found 1; .* to 0.9"),
        ("fleet_factor: {usual: .nan}", r"fleet_factor.usual: found nan"),
        ("fleets: {x: {rates: below, factor: 1}}", r"fleets.x.rates: found 'below'; .* as above"),
        (
            "fleets: {x: {node_faults_per_1000_node_days: 4,"
            " repair_h: {lognormal_median: 9, mean: 8}}}",
            r"fleets.x.repair_h.mean: found 8; expected a number above the median, 9",
        ),
        ("rats: {}", r"mine.yaml: rats: found the key 'rats'; expected one of rates_per_gpu_h"),
        ("rates_per_gpu_h: {", r"found text that is no YAML"),
        ("- 1", r"mine.yaml: found \[1\]; expected a mapping"),
        ("repair_days_max: 1.5", r"repair_days_max: found 1.5; expected a whole number"),
    ],
)
def test_a_wrong_value_is_refused_by_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_fault_model(written(tmp_path, text))


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.yaml: found No such file"):
        read_fault_model(tmp_path / "none.yaml")


def test_sections_left_out_are_the_shipped_ones(tmp_path: Path) -> None:
    shipped = read_fault_model()

    own = read_fault_model(written(tmp_path, "rates_per_gpu_h: {gpu_hard: 1.0e-5}"))

    rates = {one.name: one.rate_per_gpu_h for one in own.classes}
    assert rates.pop("gpu_hard") == 1.0e-5
    # A section is taken whole: a class without a rate does not happen.
    assert set(rates.values()) == {0.0}
    assert own.gates == shipped.gates
    assert own.fleets == shipped.fleets


@pytest.mark.shared
def test_the_shared_facts_are_the_shipped_model(shared_dir: Path) -> None:
    assert read_fault_model(shared_dir / "facts" / "faults.yaml") == read_fault_model()
