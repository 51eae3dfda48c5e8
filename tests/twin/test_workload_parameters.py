"""The workload's parameters: wrong ones are refused by key, fitted ones come from the traces."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from dure.core.errors import InputError
from dure.twin.workload_parameters import read_workload_model

ROOT = Path(__file__).resolve().parents[2]
TRACES_USED = ("itp/jobs.parquet", "muri/jobs.parquet", "openb/pods.parquet")


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flexible_share: 2", r"mine.yaml: flexible_share: found 2; expected a number from 0 to 1"),
        ("flexible: 0.1", r"mine.yaml: flexible: found the key 'flexible'"),
        (
            "arrivals: {hour_weights: [1], weekend_factor: 1, day_shape: 1}",
            r"hour_weights: .* 24 n",
        ),
        (
            "durations_s: {probabilities: [0, 1], by_gpus: {1: {sweep: 0, quantiles: [9, 8]}}}",
            r"by_gpus.1.quantiles: found \[9, 8\]; expected 2 rising numbers",
        ),
        (
            "durations_s: {probabilities: [0, 1], by_gpus: {x: {sweep: 0, quantiles: [8, 9]}}}",
            r"by_gpus.x: found the key 'x'; expected a GPU count",
        ),
        (
            "fractions: {share_of_single_gpu: 0.5, gpu_milli: {1000: 1}}",
            r"gpu_milli.1000: .* expected 1 to 999",
        ),
        (
            "behaviours: {b: {groups: {academia: 1}, demand: 1, spread: 0,"
            " gpu_hours: {whole: 0.5}}}",
            r"behaviours.b.gpu_hours: .* sum to 1 \(not 0.5\)",
        ),
        (
            "behaviours: {b: {groups: {academia: 1}, demand: 1, spread: 0, gpu_hours: {all: 1}}}",
            r"behaviours.b.gpu_hours.all: found the key 'all'; expected one of tries",
        ),
        ("service_not_preemptible: {provider-own: 1}", r"service_not_preemptible.else: found not"),
        ("accelerators: [1]", r"accelerators: found \[1\]; expected a list of words"),
    ],
)
def test_a_wrong_value_is_refused_by_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_workload_model(written(tmp_path, text))


def test_sections_left_out_are_the_shipped_ones(tmp_path: Path) -> None:
    own = read_workload_model(written(tmp_path, "flexible_share: 0.5"))

    assert own.flexible_share == 0.5
    assert own.lasting == read_workload_model().lasting


@pytest.mark.shared
def test_the_fitted_part_is_what_the_tool_fits(shared_dir: Path) -> None:
    traces = shared_dir / "traces"
    missing = [name for name in TRACES_USED if not (traces / name).is_file()]
    if missing:
        pytest.skip(f"needs {', '.join(missing)} in shared/traces")

    done = subprocess.run(
        [sys.executable, "tools/fit_workload.py", "--traces", str(traces), "--check"],
        cwd=ROOT,
        timeout=120,
    )

    assert done.returncode == 0, "run tools/fit_workload.py and review the change"


@pytest.mark.shared
def test_the_model_keeps_the_traces_mean_durations(shared_dir: Path) -> None:
    path = shared_dir / "traces" / "itp" / "jobs.parquet"
    if not path.is_file():
        pytest.skip("needs itp/jobs.parquet in shared/traces")
    means = dict(
        pl.read_parquet(path).group_by("num_gpu").agg(pl.col("duration").mean()).iter_rows()
    )

    # Straight lines between eleven quantiles of 63 to 22,870 jobs keep the mean within an eighth.
    for one in read_workload_model().lasting:
        assert one.mean_s == pytest.approx(means[one.gpus], rel=0.13), one.gpus
