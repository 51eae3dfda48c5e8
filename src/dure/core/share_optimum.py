"""Sizes and line chosen together: the share-out of the greatest score-weighted total.

A mixed-integer programme, solved by HiGHS on one thread with fixed options, so that equal inputs
give equal answers. Its sums are floats; whatever comes out is rounded to whole nodes and counted
anew in integers, and the plain walk by rank stands in wherever it is as good.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import highspy
import numpy as np

from dure.core.awards import Candidate
from dure.core.share_options import (
    Option,
    Pick,
    Picks,
    Room,
    Share,
    Space,
    broken_rules,
    group_of,
    total_value,
    walk_by_rank,
)

# The solver stops when the best share-out is proven within this part of the optimum ..
GAP = 5e-4
# .. or after so many branches; round 2026-1 needs fewer than a hundred.
BRANCHES_MAX = 2_000
# The solver counts in points, not in thousandths.
SCALE = 1000.0


@dataclass(frozen=True, slots=True)
class Optimum:
    """A share-out, its value, and what no share-out under the same rules can exceed.

    Attributes:
        kept: GPU-months of its floor that each track has in both.
    """

    picks: Picks
    value: int
    bound: int
    rank_picks: Picks
    rank_value: int
    kept: Mapping[Share, int]


def find_optimum(space: Space) -> Optimum:
    """Choose an option and a size for as many as fit, so that the total is greatest.

    The optimum keeps as much of every floor as the walk by rank does, so the walk is one of the
    share-outs it chooses from: it is never worth less. The call's band is kept, too, unless that
    would be worth less than the walk, which knows no band. A pinned candidate that the walk placed
    is placed. Among those who ask alike, the higher score is served first, then the lower
    identifier.
    """
    rank_picks = walk_by_rank(space)
    rank_value = total_value(rank_picks)
    kept = kept_floors(space, rank_picks)
    if not any(space.options.values()):
        return Optimum({}, 0, 0, {}, 0, kept)
    best = _best(space, rank_picks, kept, band_milli=space.call.band_milli)
    if space.call.band_milli and (best is None or total_value(best[0]) < rank_value):
        best = _best(space, rank_picks, kept, band_milli=0)
    picks, bound = best or (dict(rank_picks), rank_value)
    if total_value(picks) < rank_value:
        picks = dict(rank_picks)
    broken = broken_rules(space, picks, kept=kept)
    assert not broken, broken
    value = total_value(picks)
    return Optimum(picks, value, max(bound, value), rank_picks, rank_value, kept)


def _best(
    space: Space, rank_picks: Picks, kept: Mapping[Share, int], *, band_milli: int
) -> tuple[dict[str, Pick], int] | None:
    """Return the best share-out and its bound, None where no share-out keeps the band."""
    programme = _Programme(space)
    programme.limit_choices(rank_picks)
    programme.limit_room()
    programme.keep_floors(kept)
    if band_milli:
        programme.keep_band(band_milli)
    solved = programme.solve(rank_picks)
    return None if solved is None else (settle_likes(space, solved[0]), solved[1])


def kept_floors(space: Space, rank_picks: Picks) -> dict[Share, int]:
    """Return what the walk by rank keeps of each floor, in GPU-months."""
    room = Room(space).put(rank_picks.values())
    return {share: room.kept(share) for share in space.floors}


class _Programme:
    """Columns 0 .. n-1 take an option (0 or 1), columns n .. 2n-1 add nodes to its least size.

    Behind them, for the band: whether anybody at a place of a group's order or below is selected.
    """

    def __init__(self, space: Space) -> None:
        options = [one for name in space.options for one in space.options[name]]
        self._space, self._options = space, options
        self._places = 0
        self._rows: list[tuple[float, float, dict[int, float]]] = []
        self._at: dict[str, list[int]] = defaultdict(list)
        for place, option in enumerate(options):
            self._at[option.candidate.application].append(place)

    def limit_choices(self, rank_picks: Picks) -> None:
        """Take one option of each at most, exactly one of a pinned one; sizes within its bounds."""
        for name, places in self._at.items():
            pinned = self._options[places[0]].candidate.is_pinned and name in rank_picks
            if len(places) > 1 or pinned:
                self._add(1.0 if pinned else 0.0, 1.0, dict.fromkeys(places, 1.0))
        for place, option in enumerate(self._options):
            if self._spare(option):
                row = {place: -float(self._spare(option)), self._more(place): 1.0}
                self._add(-np.inf, 0.0, row)

    def limit_room(self) -> None:
        """Keep within the capacity and the organisations' caps, in every month."""
        caps = self._space.call.organisation_caps
        use: dict[tuple[str, str, int], list[int]] = defaultdict(list)
        for place, option in enumerate(self._options):
            for month in range(option.from_month, option.to_month):
                use[option.accelerator, "", month].append(place)
                if option.accelerator in caps:
                    use[option.accelerator, option.candidate.organisation, month].append(place)
        node = self._space.call.node_gpus
        seen: set[tuple[str, bool, tuple[int, ...]]] = set()
        for (kind, organisation, _), places in sorted(use.items()):
            key = kind, organisation != "", tuple(places)
            if key in seen:
                # Months in which nobody begins or ends are the same row.
                continue
            seen.add(key)
            gpus = caps[kind] if organisation else self._space.call.capacity[kind]
            self._add(-np.inf, float(gpus // node), self._nodes(places))

    def keep_band(self, band_milli: int) -> None:
        """Select whoever scores the band more than anybody selected of the same group."""
        groups: dict[Share, list[Candidate]] = defaultdict(list)
        for one in self._space.candidates:
            if self._space.compares(one):
                groups[group_of(one)].append(one)
        for group in groups.values():
            below = 2 * len(self._options) + self._places
            self._places += len(group)
            scores = [-one.score_milli for one in group]
            for place, one in enumerate(group):
                taken = self._at[one.application]
                self._add(-np.inf, 0.0, {**dict.fromkeys(taken, 1.0), below + place: -1.0})
                if place + 1 < len(group):
                    self._add(-np.inf, 0.0, {below + place + 1: 1.0, below + place: -1.0})
                worse = bisect_left(scores, band_milli - one.score_milli)
                if worse < len(group):
                    row = {below + worse: 1.0, **dict.fromkeys(taken, -1.0)}
                    self._add(-np.inf, 0.0, row)

    def keep_floors(self, kept: Mapping[Share, int]) -> None:
        """Give every track the GPU-months of its floor that the walk by rank gives it."""
        node = self._space.call.node_gpus
        for (track, kind), least in kept.items():
            places = [
                place
                for place, option in enumerate(self._options)
                if (option.candidate.track, option.accelerator) == (track, kind)
            ]
            if least:
                row = self._nodes(places)
                of = len(self._options)
                months = {place: self._options[place % of].months for place in row}
                weighed = {place: nodes * months[place] for place, nodes in row.items()}
                self._add(float(-(-least // node)), np.inf, weighed)

    def solve(self, rank_picks: Picks) -> tuple[dict[str, Pick], int] | None:
        """Return the best share-out found and the proven bound of the total, None if none is."""
        solver = self._solver()
        if not self._places:
            solver.setSolution(self._start(rank_picks))
        solver.run()
        if (
            solver.getInfo().primal_solution_status
            != highspy.SolutionStatus.kSolutionStatusFeasible
        ):
            return None
        values = np.rint(np.array(solver.getSolution().col_value)).astype(np.int64)
        picks: dict[str, Pick] = {}
        for place, option in enumerate(self._options):
            if values[place]:
                nodes = int(values[self._more(place)])
                gpus = option.least_gpus + nodes * option.node_gpus
                picks[option.candidate.application] = Pick(option, gpus)
        info = solver.getInfo()
        return picks, int(np.ceil(info.mip_dual_bound * SCALE))

    def _solver(self) -> highspy.Highs:
        solver, count = highspy.Highs(), len(self._options)
        options: dict[str, bool | int | float | str]
        options = {"output_flag": False, "threads": 1, "parallel": "off", "random_seed": 0,
                   "mip_rel_gap": GAP, "mip_max_nodes": BRANCHES_MAX}  # fmt: skip
        for name, value in options.items():
            solver.setOptionValue(name, value)
        worth = [option.value(option.least_gpus) / SCALE for option in self._options]
        worth += [
            (option.value(option.least_gpus + option.node_gpus) - option.value(option.least_gpus))
            / SCALE
            for option in self._options
        ]
        most = [1.0] * count + [float(self._spare(option)) for option in self._options]
        every = np.arange(2 * count, dtype=np.int32)
        solver.addVars(2 * count, np.zeros(2 * count), np.array(most))
        solver.changeColsCost(2 * count, every, np.array(worth))
        whole = np.array([highspy.HighsVarType.kInteger] * (2 * count))
        solver.changeColsIntegrality(2 * count, every, whole)
        solver.addVars(self._places, np.zeros(self._places), np.ones(self._places))
        solver.changeObjectiveSense(highspy.ObjSense.kMaximize)
        for lower, upper, row in self._rows:
            solver.addRow(lower, upper, len(row), np.array(list(row), dtype=np.int32),
                          np.array(list(row.values())))  # fmt: skip
        return solver

    def _start(self, picks: Picks) -> highspy.HighsSolution:
        """Return a share-out as a solution to begin with."""
        values = np.zeros(2 * len(self._options))
        for place, option in enumerate(self._options):
            pick = picks.get(option.candidate.application)
            if pick is not None and pick.option == option:
                values[place] = 1.0
                values[self._more(place)] = (pick.gpus - option.least_gpus) // option.node_gpus
        start = highspy.HighsSolution()
        start.col_value = list(values)
        return start

    def _nodes(self, places: Sequence[int]) -> dict[int, float]:
        row = {}
        for place in places:
            option = self._options[place]
            row[place] = float(option.least_gpus // option.node_gpus)
            if self._spare(option):
                row[self._more(place)] = 1.0
        return row

    def _more(self, place: int) -> int:
        return len(self._options) + place

    def _add(self, lower: float, upper: float, row: dict[int, float]) -> None:
        self._rows.append((lower, upper, row))

    @staticmethod
    def _spare(option: Option) -> int:
        """Return the nodes between an option's least and most size."""
        return (option.most_gpus - option.least_gpus) // option.node_gpus


def settle_likes(space: Space, picks: Picks) -> dict[str, Pick]:
    """Deal the picks of those who ask alike anew: the best score first, then the lower identifier.

    Options and bounds are the same for all of them, so no rule can break; and the total cannot fall
    when the greater weight goes to the greater score.
    """
    likes: dict[object, list[str]] = defaultdict(list)
    for one in space.candidates:
        options = space.options[one.application]
        home = one.organisation if space.call.organisation_caps else ""
        key = (one.track, home, one.is_pinned, tuple((o.key, o.least_weight) for o in options))
        likes[key].append(one.application)
    settled: dict[str, Pick] = {}
    for names in likes.values():
        taken = [picks[name] for name in names if name in picks]
        taken.sort(key=lambda pick: (-pick.option.weight(pick.gpus), pick.option.key, pick.gpus))
        # Candidates stand in turn, so the names do, too.
        for name, pick in zip(names, taken, strict=False):
            options = space.options[name]
            own = next(one for one in options if one.key == pick.option.key)
            settled[name] = Pick(own, pick.gpus)
    return settled
