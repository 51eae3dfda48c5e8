"""Figures of the judging: `python tests/services/judging_bench.py` prints them.

Round 2026-1 of seeds 1 to 10: assignment, scores against what the imagined proposals are worth, and
the share-out by each rule; then 60 rounds, 30,840 applications, from assignment to share-out.
"""

import time
from collections.abc import Mapping

import msgspec
import numpy as np

from dure.core.awards import Candidate
from dure.core.calls.model import Call
from dure.core.conflicts import Reviewer
from dure.core.programme import Refusal
from dure.core.share_out import share_out
from dure.core.sizing import Sizing
from dure.ledger.codec import decode_events, encode_events
from dure.ledger.memory import MemoryLedger
from dure.services.access import Actor, Role
from dure.services.book import Book
from dure.services.intake import Arrival, Marked
from dure.services.programme import Programme
from dure.services.scoring import Judged, judged
from dure.twin.applications import (
    imagine_applications,
    imagine_marks,
    imagine_reviewers,
    read_round,
)
from tests.services.programme_desk import OPERATOR, SetClock

RULES: dict[str, dict[str, object]] = {
    "one start, whole sizes": {"band_milli": 0},
    "four starts, no band": {"start_months": (0, 3, 6, 9), "band_milli": 0},
    "four starts, band 10": {"start_months": (0, 3, 6, 9)},
    "four starts, band 5": {"start_months": (0, 3, 6, 9), "band_milli": 5000},
    "four starts, band 10, sizes from half": {
        "start_months": (0, 3, 6, 9),
        "scaled_min_percent": 50,
    },
    "four starts, band 10, from half, extra 0.8": {
        "start_months": (0, 3, 6, 9),
        "scaled_min_percent": 50,
        "extra_milli": 800,
    },
}


def reviewed(seed: int) -> tuple[Judged, dict[str, float], float]:
    """Return a round whose reviews are in, what its proposals are worth, and the assignment's s."""
    model, clock = read_round(), SetClock()
    book = Book(MemoryLedger(), encode=encode_events, decode=decode_events)
    programme = Programme(book, clock)
    call = model.calls[-1]
    applications_rng, reviewers_rng, marks_rng = np.random.default_rng([seed, 26]).spawn(3)
    published = call.terms
    clock.at_s = published.opens_at_s
    programme.draft_call(OPERATOR, published)
    programme.publish_call(OPERATOR, published.call)
    imagined = imagine_applications(model, call, applications_rng)
    arrivals = [
        Arrival(one.at_s, Actor(one.lead, frozenset({Role.APPLICANT})), one.fields)
        for one in imagined
    ]
    answers = programme.apply_many(published.call, arrivals, synthetic=True)
    worth = {answer.application: one.worth for one, answer in zip(imagined, answers, strict=True)}
    people, adds = imagine_reviewers(model, reviewers_rng)
    pool = [
        Reviewer(one.name, one.organisation, model.fields[place % len(model.fields)])
        for place, one in enumerate(people)
    ]
    clock.at_s = published.closes_at_s
    begin_s = time.perf_counter()
    for stage in ("written", "panel"):
        asked = programme.assign_reviewers(OPERATOR, published.call, pool, stage=stage)
        assert not isinstance(asked, Refusal)
    took_s = time.perf_counter() - begin_s
    marked = [
        Marked(
            clock.at_s,
            Actor(reviewer, frozenset({Role.REVIEWER})),
            name,
            imagine_marks(
                model, list(published.rubric), worth=worth[name], adds=adds[reviewer], rng=marks_rng
            ),
            stage,
        )
        for name, state in programme.tables.applications.items()
        for stage, reviewer in state.asked
    ]
    programme.review_many(marked, synthetic=True)
    found = judged(programme.tables, published.call, now_s=clock.at_s, sizing=Sizing())
    assert isinstance(found, Judged)
    return found, worth, took_s


def kendall_tau(score: Mapping[str, int], worth: Mapping[str, float]) -> float:
    names = sorted(score)
    ours, true = (np.array([one[name] for name in names]) for one in (score, worth))
    agree = np.sign(ours[:, None] - ours[None, :]) * np.sign(true[:, None] - true[None, :])
    return float(agree.sum() / (len(names) * (len(names) - 1)))


def passed_over_points(call: Call, candidates: list[Candidate]) -> float:
    """Return by how many points the plain dated walk passes somebody over."""
    from dure.core.share_options import edges, space_of, walk_by_rank

    space = space_of(candidates, call)
    found = edges(space, walk_by_rank(space)).values()
    return max(edge.waiting_milli - edge.lowest_milli for edge in found) / 1000


def main() -> None:
    taus: list[tuple[float, float]] = []
    sums: dict[str, list[tuple[float, float, float]]] = {name: [] for name in RULES}
    over: list[float] = []
    for seed in range(1, 11):
        found, worth, assign_s = reviewed(seed)
        raw, ours = (kendall_tau(one, worth) for one in (found.raw_milli, found.score_milli))
        taus.append((raw, ours))
        line = [f"seed {seed}: assignment {assign_s:.2f} s, tau {raw:.3f} -> {ours:.3f}"]
        for name, terms in RULES.items():
            call = msgspec.structs.replace(found.call, rule="optimum", **terms)
            begin_s = time.perf_counter()
            shared = share_out(found.candidates, call)
            took_s = time.perf_counter() - begin_s
            gain = 100 * (shared.value / shared.rank_value - 1)
            gap = 100 * (shared.bound / shared.value - 1)
            sums[name].append((gain, gap, took_s))
            line.append(f"{name}: {gain:+.2f} % (gap {gap:.3f} %, {took_s:.1f} s)")
        dated = msgspec.structs.replace(found.call, start_months=(0, 3, 6, 9))
        over.append(passed_over_points(dated, list(found.candidates)))
        print("; ".join(line), flush=True)
    gains = np.array([after - before for before, after in taus])
    half = 2.262 * gains.std(ddof=1) / len(gains) ** 0.5
    raw, ours = np.array(taus).mean(axis=0)
    print(f"tau: {raw:.3f} -> {ours:.3f}, gain {gains.mean():.3f} +- {half:.3f} (95 %), "
          f"least {gains.min():.3f}")  # fmt: skip
    for name, rows in sums.items():
        table = np.array(rows)
        print(f"{name}: gain {table[:, 0].min():+.2f} .. {table[:, 0].max():+.2f} %, mean "
              f"{table[:, 0].mean():+.2f} %, gap at most {table[:, 1].max():.3f} %, "
              f"{table[:, 2].max():.1f} s at most")  # fmt: skip
    print(f"the dated walk passes over by {min(over):.1f} .. {max(over):.1f} points")
    begin_s, count = time.perf_counter(), 0
    terms = RULES["four starts, band 10"]
    for seed in range(101, 161):
        found, _, _ = reviewed(seed)
        share_out(found.candidates, msgspec.structs.replace(found.call, rule="optimum", **terms))
        count += len(found.candidates)
    print(f"{count} applications in 60 rounds, from intake to share-out: "
          f"{time.perf_counter() - begin_s:.0f} s")  # fmt: skip


if __name__ == "__main__":
    main()
