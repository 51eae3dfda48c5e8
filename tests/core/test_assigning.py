"""Who reviews what: no conflict, even loads, the best fit, the same answer each time."""

from collections import Counter
from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dure.core.affinity import affinity_milli
from dure.core.assigning import Pairing, assign_panels, pairing
from dure.core.conflicts import Conflict, Entry, Reviewer, conflict_of
from dure.core.programme import Refusal


def test_every_kind_of_conflict_is_found() -> None:
    entry = Entry("a", ("lee", "park"), ("univ-a", "lab-b"))
    clean = Reviewer("kim", "univ-c", partners=("lab-x",), supervised=("choi",))

    assert conflict_of(clean, entry) is None
    assert conflict_of(clean, entry, applicants=frozenset({"kim"})) is Conflict.CO_APPLICATION
    assert conflict_of(Reviewer("park", "x"), entry) is Conflict.CO_APPLICATION
    assert conflict_of(Reviewer("kim", "lab-b"), entry) is Conflict.SAME_ORGANISATION
    assert conflict_of(Reviewer("kim", "x", partners=("lab-b",)), entry) is Conflict.PARTNER
    assert conflict_of(Reviewer("kim", "x", supervised=("lee",)), entry) is Conflict.SUPERVISION
    assert conflict_of(Reviewer("kim", "x", suppliers=("univ-a",)), entry) is Conflict.SUPPLIER


def test_rare_words_bring_people_together_in_both_languages() -> None:
    fit = affinity_milli(
        ["의료 영상 모델", "protein model", "기후 모델"],
        ["의료영상 진단 모델", "Proteins, protein folding"],
    )

    assert fit[0, 0] > fit[2, 0] > 0
    assert fit[1, 1] > 0 == fit[0, 1] == fit[2, 1]


def test_bids_and_areas_decide_where_loads_allow() -> None:
    entries = [
        Entry(f"a{place}", (), (), text) for place, text in enumerate(["기후", "기후", "로봇"])
    ]
    people = [Reviewer("r0", "x", ("기후",)), Reviewer("r1", "y", ("로봇",)), Reviewer("r2", "z")]
    bids = {("a0", "r2"): "eager", ("a1", "r0"): "conflict"}

    chosen = assign_panels(pairing(entries, people, closed={}, bids=bids), each=1)

    # "a1" may not go to "r0"; loads of one each leave it "r1" or "r2".
    assert chosen == {"a0": ("r0",), "a1": ("r2",), "a2": ("r1",)}


worlds = st.tuples(
    st.integers(1, 12), st.integers(1, 8), st.integers(1, 3), st.integers(0, 2**32 - 1)
)


def drawn(applications: int, reviewers: int, seed: int, *, shut: float) -> Pairing:
    rng = np.random.default_rng(seed)
    entries = [Entry(f"a{place:02d}", (), ()) for place in range(applications)]
    people = [Reviewer(f"r{place:02d}", "") for place in range(reviewers)]
    closed = {
        entry.application: frozenset(one.name for one in people if rng.random() < shut)
        for entry in entries
    }
    pairs = pairing(entries, people, closed=closed)
    return Pairing(pairs.applications, pairs.reviewers, rng.integers(0, 1000, pairs.fit.shape),
                   pairs.is_open, rng.integers(0, 3, reviewers))  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(world=worlds)
def test_nobody_reviews_where_the_pair_is_closed_and_each_gets_its_panel(
    world: tuple[int, int, int, int],
) -> None:
    applications, reviewers, each, seed = world
    pairs = drawn(applications, reviewers, seed, shut=0.3)

    chosen = assign_panels(pairs, each=each)

    if isinstance(chosen, Refusal):
        assert chosen is Refusal.REVIEWERS_ARE_TOO_FEW
        assert pairs.is_open.sum(axis=1).min() < each
        return
    for row, application in enumerate(pairs.applications):
        panel = chosen[application]
        assert len(set(panel)) == each
        assert all(pairs.is_open[row, pairs.reviewers.index(name)] for name in panel)
    assert assign_panels(pairs, each=each) == chosen


@settings(max_examples=50, deadline=None)
@given(applications=st.integers(1, 40), reviewers=st.integers(3, 12))
def test_without_conflicts_loads_differ_by_one_at_most(applications: int, reviewers: int) -> None:
    entries = [Entry(f"a{place}", (), ()) for place in range(applications)]
    people = [Reviewer(f"r{place}", "") for place in range(reviewers)]

    chosen = assign_panels(pairing(entries, people, closed={}), each=3)

    assert not isinstance(chosen, Refusal)
    loads = Counter({one.name: 0 for one in people})
    for panel in chosen.values():
        loads.update(panel)
    assert max(loads.values()) - min(loads.values()) <= 1


@settings(max_examples=40, deadline=None)
@given(applications=st.integers(1, 4), seed=st.integers(0, 2**32 - 1))
def test_no_other_choice_at_even_loads_fits_better(applications: int, seed: int) -> None:
    pairs = drawn(applications, 3, seed, shut=0.0)
    pairs = Pairing(pairs.applications, pairs.reviewers, pairs.fit, pairs.is_open,
                    np.zeros(3, dtype=np.int64))  # fmt: skip

    chosen = assign_panels(pairs, each=1)

    assert not isinstance(chosen, Refusal)
    ours = [pairs.reviewers.index(panel[0]) for panel in chosen.values()]
    low, high = applications // 3, -(-applications // 3)
    best = max(
        sum(pairs.fit[row, column] for row, column in enumerate(picks))
        for picks in product(range(3), repeat=applications)
        if all(low <= picks.count(column) <= high for column in range(3))
    )
    assert sum(pairs.fit[row, column] for row, column in enumerate(ours)) == best
