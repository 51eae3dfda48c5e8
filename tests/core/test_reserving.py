"""A gang that waited its patience out holds nodes until it has all; short ones run there."""

from dure.core import columns as col
from tests.core.bench import Bench, flat_pool

PATIENCE_S, HOUR_S = 600, 3600


def busy_bench() -> tuple[Bench, int]:
    """Return four busy nodes whose gangs end an hour apart, and an owner's gang that waits for all
    four.
    """
    bench = Bench(flat_pool(8, 8, 8, 8), reserve_s=PATIENCE_S, lend=False, cleaning_s=0, start_s=0)
    for hours in (1, 2, 3, 4):
        bench.submit(gpus=8, estimate=hours * HOUR_S)
    bench.at(0)
    bench.entitle("owner", 32)
    large = bench.submit("owner", gpus=32, estimate=HOUR_S)
    bench.at(1)
    return bench, large


def end_first(bench: Bench, job: int, at_s: int) -> None:
    bench.end(job)
    bench.at(at_s)


def test_nobody_passes_a_gang_for_ever() -> None:
    bench, large = busy_bench()

    for hour in range(4):
        passing = bench.submit(gpus=8, estimate=8 * HOUR_S)
        end_first(bench, hour, (hour + 1) * HOUR_S)
        assert bench.is_(passing) == "PENDING"

    assert bench.is_(large) == "RUNNING"
    assert bench.nodes(large) == [0, 1, 2, 3]


def test_before_its_patience_is_out_others_pass() -> None:
    bench, large = busy_bench()
    passing = bench.submit(gpus=8, estimate=8 * HOUR_S)

    end_first(bench, 0, PATIENCE_S - 1)

    assert bench.is_(passing) == "RUNNING"
    assert bench.number(col.J_CLAIM_DUE, large) < 0


def test_a_short_gang_runs_on_what_is_held_and_a_long_one_does_not() -> None:
    bench, large = busy_bench()
    long_ = bench.submit(gpus=8, estimate=4 * HOUR_S)
    short = bench.submit(gpus=8, estimate=2 * HOUR_S)

    end_first(bench, 0, HOUR_S)

    assert bench.number(col.J_CLAIM_DUE, large) == col.FOREVER_S
    assert (bench.is_(short), bench.is_(long_)) == ("RUNNING", "PENDING")
    assert bench.nodes(short) == [0]


def test_a_node_that_fails_lets_the_gang_hold_another() -> None:
    bench, large = busy_bench()
    end_first(bench, 0, HOUR_S)

    bench.observe(col.K_FAULT, -1, 1, 1, 0)
    bench.at(HOUR_S + 1)

    assert bench.told(col.K_CLAIM_ENDED) == [[large, col.CLAIM_FAULT, 0, 0, 0, 0]]
    assert bench.is_(large) == "PENDING"


def test_what_an_elastic_gang_keeps_busy_is_ready_when_it_ends_with_what_it_has() -> None:
    rules = {"reserve_s": PATIENCE_S, "cleaning_s": 0, "start_s": 0, "grow_s": 9 * HOUR_S}
    bench = Bench(flat_pool(8, 8, 8), **rules)
    first = bench.submit(gpus=8, estimate=HOUR_S)
    bench.submit(gpus=8, estimate=HOUR_S)
    bench.at(0)
    # With half of what it could use it takes four hours: until 4 h, not until 8 h.
    bench.submit(gpus=16, min_gpus=8, estimate=2 * HOUR_S, ckpt_every=60)
    bench.at(1)
    bench.entitle("owner", 24)
    large = bench.submit("owner", gpus=24, estimate=HOUR_S)
    bench.at(2)
    too_long = bench.submit(gpus=8, estimate=4 * HOUR_S)
    short = bench.submit(gpus=8, estimate=2 * HOUR_S)

    end_first(bench, first, HOUR_S)

    assert bench.number(col.J_CLAIM_DUE, large) == col.FOREVER_S
    assert (bench.is_(short), bench.is_(too_long)) == ("RUNNING", "PENDING")
