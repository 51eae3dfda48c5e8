"""A pool that was kept begins where it stood; one whose keeping does not fit folds its records."""

import pytest

from dure.services.keeping import BOOK, FOLLOWERS, STATE
from tests.services.live_bench import ADMIN, LiveBench


def worked() -> LiveBench:
    """Return a pool with a loan called back, a promotion, and jobs that ran, wait and ended."""
    bench = LiveBench(slots=2)
    bench.allocate("owner", 2)
    bench.allocate("guest", 0)
    borrower = bench.submit("gpus: 2, preemptible: true, checkpoint_takes: 2s", project="guest")
    bench.turn(10)
    owner = bench.submit("gpus: 2", project="owner")
    bench.turn()
    bench.end(borrower, exit_code=85, kind="stopped")
    bench.turn(5)
    bench.end(owner)
    bench.turn(20)
    bench.submit("gpus: 2")
    bench.turn(3)
    return bench


def shown(bench: LiveBench) -> tuple[object, ...]:
    """Return what people see of a pool."""
    view = bench.desk.view()
    stories = tuple(view.story(job) for job in view.jobs.ids)
    return stories, view.lending, view.reclaims, view.kinds_gpu_s, bench.publisher.months()


def test_a_kept_pool_is_the_folded_pool() -> None:
    bench = worked()
    bench.keeper.keep()
    kept_seq = bench.ledger.get_projection(*STATE)

    again = bench.again(at_s=bench.clock.at_s)

    assert kept_seq is not None
    assert kept_seq[0] == bench.runtime.seen
    assert again.runtime.state.digest() == bench.runtime.state.digest()
    assert shown(again) == shown(bench)
    again.end("here-1")
    again.turn(3)
    assert again.state("here-1") == "COMPLETED"


def test_what_came_after_is_folded_on_top() -> None:
    bench = worked()
    bench.keeper.keep()
    job = bench.submit()
    bench.turn()
    later = bench.submit()
    bench.desk.cancel(job, by=ADMIN)

    again = bench.again(at_s=bench.clock.at_s)
    again.turn()

    assert again.state(job) == "CANCELLED"
    assert again.state(later) == "PENDING"


def test_nothing_is_kept_while_an_event_waits_for_its_cycle() -> None:
    bench = worked()
    bench.submit()

    bench.keeper.keep()

    assert bench.ledger.get_projection(*STATE) is None


@pytest.mark.parametrize("name", [STATE, FOLLOWERS, BOOK])
def test_what_cannot_be_read_is_folded_instead(name: tuple[str, int]) -> None:
    bench = worked()
    bench.keeper.keep()
    kept = bench.ledger.get_projection(*name)
    assert kept is not None
    bench.ledger.put_projection(*name, kept[0], b"\x01damaged")

    again = bench.again(at_s=bench.clock.at_s)

    assert shown(again) == shown(bench)


def test_two_halves_of_different_moments_are_not_put_together() -> None:
    bench = worked()
    bench.keeper.keep()
    kept = bench.ledger.get_projection(*STATE)
    assert kept is not None
    bench.ledger.put_projection(*STATE, kept[0] - 1, kept[1])

    assert shown(bench.again(at_s=bench.clock.at_s)) == shown(bench)
