"""What the imagined jobs promise: the same whenever drawn, and as the parameters say."""

from datetime import datetime, timedelta, timezone

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.core.errors import InputError
from dure.twin.workload_columns import JOB_SCHEMA
from dure.twin.workload_model import (
    draw_behaviours,
    draw_jobs,
    draw_jobs_between,
    read_workload_model,
)
from dure.twin.workload_parameters import Lasting

MODEL = read_workload_model()
DAY_S = 86_400
KST = timezone(timedelta(hours=9))
# A Monday, the first day of the founding programme's operation.
MONDAY_S = int(datetime(2026, 3, 9, tzinfo=KST).timestamp())
GROUPS = ("academia", "industry", "research")


def projects(count: int = 40, gpus: int = 64) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "project": [f"p{one:03d}" for one in range(count)],
            "group": [GROUPS[one % 3] for one in range(count)],
            "accelerator": [("B200", "H200")[one % 2] for one in range(count)],
            "gpus": [gpus] * count,
        }
    )


def founding_like() -> pl.DataFrame:
    """Return 10,456 GPUs held by 160 projects of very different size, and 2,680 by providers."""
    chance = np.random.default_rng(1)
    held = np.clip(8 * np.rint(np.exp(chance.normal(3.3, 0.8, 150)) / 8), 8, 256).astype(int)
    left = 10_456 - int(held.sum())
    large = [left // 10] * 9 + [left - 9 * (left // 10)]
    names = [f"p{one:03d}" for one in range(160)] + ["naver-own", "nhn-own", "kakao-own"]
    return pl.DataFrame(
        {
            "project": names,
            "group": [GROUPS[one % 3] for one in range(150)]
            + ["national"] * 10
            + ["provider-own"] * 3,
            "accelerator": ["B200"] * 163,
            "gpus": [*held.tolist(), *large, 760, 1_536, 384],
            "provider": [""] * 160 + ["naver-cloud", "nhn-cloud", "kakao"],
        }
    )


@given(
    seed=st.integers(0, 2**32),
    cut_s=st.integers(0, 4 * DAY_S),
    start_s=st.integers(MONDAY_S, MONDAY_S + 400 * DAY_S),
)
def test_a_draw_equals_the_draws_of_its_parts(seed: int, cut_s: int, start_s: int) -> None:
    end_s, asked = start_s + 4 * DAY_S, projects(8)

    def draw(from_s: int, to_s: int) -> pl.DataFrame:
        return draw_jobs_between(MODEL, asked, from_s=from_s, to_s=to_s, seed=seed)

    assert draw(start_s, end_s).equals(
        pl.concat([draw(start_s, start_s + cut_s), draw(start_s + cut_s, end_s)])
    )


@given(seed=st.integers(0, 2**32), without=st.integers(0, 9))
def test_a_project_that_leaves_moves_nobody_elses_jobs(seed: int, without: int) -> None:
    gone, day = f"p{without:03d}", {"day_from_s": MONDAY_S, "seed": seed}

    jobs = draw_jobs(MODEL, projects(10), **day)
    others = draw_jobs(MODEL, projects(10).filter(pl.col("project") != gone), **day)
    shuffled = draw_jobs(MODEL, projects(10).reverse(), **day)

    assert others.equals(jobs.filter(pl.col("project") != gone))
    assert shuffled.equals(jobs)


@given(seed=st.integers(0, 2**32), gpus=st.integers(0, 300))
def test_every_job_is_one_that_can_run(seed: int, gpus: int) -> None:
    day = {"day_from_s": MONDAY_S, "seed": seed}

    jobs = draw_jobs(MODEL, projects(12, gpus), **day)

    assert dict(jobs.schema) == JOB_SCHEMA
    assert jobs.null_count().sum_horizontal().item() == 0
    assert jobs["job"].is_unique().all()
    assert jobs["submit_at_s"].is_sorted()
    wrong = jobs.filter(
        ~pl.col("submit_at_s").is_between(MONDAY_S, MONDAY_S + DAY_S - 1)
        | (pl.col("duration_s") < 1)
        | (pl.col("gpus") < 1)
        | (pl.col("gpus") > 2 * gpus)
        | ~pl.col("gpu_milli").is_between(1, 1_000)
        | ((pl.col("gpu_milli") < 1_000) & (pl.col("gpus") != 1))
        | (~pl.col("preemptible") & (pl.col("gpus") > gpus))
        | ((pl.col("estimate_s") >= 0) & (pl.col("estimate_s") < pl.col("duration_s")))
        | ((pl.col("checkpoint_takes_s") >= 0) & (pl.col("checkpoint_every_s") == 0))
        | ~pl.col("grade").is_in(["C", "S", "O"])
    )
    assert wrong.to_dicts() == []


def test_ids_tell_project_and_local_date() -> None:
    jobs = draw_jobs(MODEL, projects(5), day_from_s=MONDAY_S, seed=1)

    first = jobs.group_by("project").agg(pl.col("job").min()).sort("project")
    expected = [f"{project}-260309-001" for project in first["project"]]
    assert first["job"].to_list() == expected


def test_three_months_of_the_founding_pool_have_the_stated_size() -> None:
    asked, days = founding_like(), 91

    for seed in (1, 2):
        jobs = draw_jobs_between(
            MODEL, asked, from_s=MONDAY_S, to_s=MONDAY_S + days * DAY_S, seed=seed
        )

        work = jobs.select((pl.col("gpus") * pl.col("duration_s") * pl.col("gpu_milli")).sum())
        load = work.item() / 1_000 / (13_136 * days * DAY_S)
        assert 60_000 <= jobs.height <= 120_000
        # A drawn population strays from the mean: ten projects hold half of the GPUs.
        assert 0.65 <= load <= 1.0


def test_the_long_run_demand_of_many_projects_is_the_stated_one() -> None:
    drawn = draw_behaviours(MODEL, projects(3_000), seed=7)

    weights = {
        name: sum(one.groups.get(group, 0) / _weight(group) for group in GROUPS) / 3
        for name, one in MODEL.behaviours.items()
    }
    expected = sum(weights[name] * one.demand for name, one in MODEL.behaviours.items())
    mean = drawn["demand"].mean()
    assert mean == pytest.approx(expected, rel=0.03)
    assert 0.75 <= expected <= 0.95


def _weight(group: str) -> float:
    return sum(one.groups.get(group, 0) for one in MODEL.behaviours.values())


def test_one_project_in_eight_uses_less_than_a_tenth() -> None:
    drawn = draw_behaviours(MODEL, projects(3_000), seed=7)

    share = drawn.filter(pl.col("demand") < 0.1).height / 3_000

    assert 0.09 <= share <= 0.15


def test_work_done_follows_the_demand() -> None:
    # Many small projects with the same behaviour, a year: the sum is close to what was stated.
    asked = projects(60, 32).with_columns(behaviour=pl.lit("steady_trainer"))
    demand = draw_behaviours(MODEL, asked, seed=3)["demand"].mean()

    jobs = draw_jobs_between(
        MODEL, asked, from_s=MONDAY_S, to_s=MONDAY_S + 364 * DAY_S, seed=3, load=0.5
    )

    work = jobs.select((pl.col("gpus") * pl.col("duration_s") * pl.col("gpu_milli")).sum())
    measured = work.item() / 1_000 / (60 * 32 * 364 * DAY_S)
    assert demand is not None
    assert measured == pytest.approx(0.5 * demand, rel=0.04)


@pytest.mark.parametrize("lasting", MODEL.lasting, ids=lambda one: f"{one.gpus} GPUs")
def test_durations_have_the_fitted_quantiles(lasting: Lasting) -> None:
    drawn = lasting.durations_s(np.random.default_rng(1).random(400_000))

    inner = [one for one in lasting.probabilities if 0.05 <= one <= 0.99]
    expected = [
        quantile
        for one, quantile in zip(lasting.probabilities, lasting.quantiles_s, strict=True)
        if one in inner
    ]
    assert np.quantile(drawn, inner) == pytest.approx(expected, rel=0.05)
    assert drawn.mean() == pytest.approx(lasting.mean_s, rel=0.02)


def test_weekends_nights_and_sweeps_are_as_fitted() -> None:
    asked = projects(60).with_columns(behaviour=pl.lit("fine_tuner"))

    jobs = draw_jobs_between(
        MODEL, asked, from_s=MONDAY_S, to_s=MONDAY_S + 182 * DAY_S, seed=5
    ).with_columns(
        weekday=(pl.col("submit_at_s") - MONDAY_S) // DAY_S % 7,
        hour=(pl.col("submit_at_s") - MONDAY_S) // 3_600 % 24,
    )

    weekend = jobs.filter(pl.col("weekday") >= 5).height / 2
    working = jobs.filter(pl.col("weekday") < 5).height / 5
    assert weekend / working == pytest.approx(MODEL.weekend_factor, rel=0.08)
    afternoon = jobs.filter(pl.col("hour").is_between(13, 17)).height
    night = jobs.filter(pl.col("hour").is_between(6, 10)).height
    expected = sum(MODEL.hour_weights[13:18]) / sum(MODEL.hour_weights[6:11])
    assert afternoon / night == pytest.approx(expected, rel=0.06)
    single = jobs.filter(pl.col("gpus") == 1)
    gap_s = pl.col("submit_at_s").diff().over("project")
    follows = single.sort("project", "submit_at_s").select((gap_s < 60).mean()).item()
    # Jobs of other sweeps that happen to be close come on top of the fitted share.
    assert MODEL.lasting[0].sweep - 0.05 <= follows <= MODEL.lasting[0].sweep + 0.12
    parts = single.filter(pl.col("gpu_milli") < 1_000).height / single.height
    assert parts == pytest.approx(MODEL.fraction_share, abs=0.02)


def test_a_providers_nights_stand_idle() -> None:
    asked = founding_like().filter(pl.col("group") == "provider-own")

    jobs = draw_jobs(MODEL, asked, day_from_s=MONDAY_S, seed=1)

    def busy_gpus(hour: int) -> int:
        at_s = MONDAY_S + hour * 3_600
        runs = (pl.col("submit_at_s") <= at_s) & (
            pl.col("submit_at_s") + pl.col("duration_s") > at_s
        )
        return int(jobs.filter(runs)["gpus"].sum())

    assert 0.25 <= busy_gpus(3) / 2_680 <= 0.40
    assert 0.80 <= busy_gpus(14) / 2_680 <= 0.95
    assert not jobs["preemptible"].any()
    assert set(jobs["provider"]) == {"naver-cloud", "nhn-cloud", "kakao"}


def test_a_slow_starter_grows() -> None:
    asked = projects(60).with_columns(
        behaviour=pl.lit("slow_starter"), from_s=pl.lit(MONDAY_S), to_s=pl.lit(None, pl.Int64)
    )

    def jobs(week: int) -> int:
        start_s = MONDAY_S + week * 7 * DAY_S
        drawn = draw_jobs_between(MODEL, asked, from_s=start_s, to_s=start_s + 7 * DAY_S, seed=2)
        return drawn.height

    assert jobs(0) < 0.3 * jobs(10)


def test_nobody_submits_before_the_start_or_after_the_end() -> None:
    noon_s = MONDAY_S + DAY_S // 2
    asked = projects(40).with_columns(from_s=pl.lit(noon_s - 3_600), to_s=pl.lit(noon_s))

    jobs = draw_jobs(MODEL, asked, day_from_s=MONDAY_S, seed=2)

    assert jobs.height > 0
    assert jobs.filter(~pl.col("submit_at_s").is_between(noon_s - 3_600, noon_s - 1)).height == 0


@pytest.mark.parametrize(
    ("asked", "day_from_s", "message"),
    [
        (projects(2), MONDAY_S + 1, "day_from_s: found .* expected a local midnight"),
        (pl.concat([projects(2), projects(1)]), MONDAY_S, "found 'p000' twice"),
        (
            projects(1).with_columns(group=pl.lit("army")),
            MONDAY_S,
            "group of p000: found 'army'; expected one of academia",
        ),
        (
            projects(1).with_columns(behaviour=pl.lit("lazy")),
            MONDAY_S,
            "behaviour of p000: found 'lazy'; expected one of steady_trainer",
        ),
    ],
)
def test_wrong_projects_are_refused(asked: pl.DataFrame, day_from_s: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw_jobs(MODEL, asked, day_from_s=day_from_s, seed=1)


def test_no_projects_have_no_jobs() -> None:
    assert draw_jobs(MODEL, projects(0), day_from_s=MONDAY_S, seed=1).height == 0
    assert draw_jobs_between(MODEL, projects(3), from_s=5, to_s=5, seed=1).height == 0
