"""The table of what sharing promises, what was measured, and whether it holds."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from dure.core.policy import Policy, policy_named
from dure.twin.run import Inputs, Run
from dure.twin.sharing import Case, jobs_of, owners_of, pool_of_owners
from dure.twin.sharing_figures import Figures, figures_of

RESTART_S = 60  # what a job that was called back needs to go on, in every run
VARIED_SHIFTS = 5  # variants are run on so many shifts; the main case on all
FIRM_S = 60  # the firmer promise
RARE_CHECKPOINT_S = 3600

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table; ``holds`` is None where the figure is only stated."""

    what: str
    measured: str
    reach: str
    holds: bool | None


@dataclass
class Measurement:
    """Runs cases of one trace and keeps their figures by name.

    Attributes:
        trace: jobs as ``twin.tables`` reads them, each with a provider.
        policy: the rules under test.
        faults: a table of faults, for the case with faults.
    """

    trace: pl.DataFrame
    policy: Policy
    shifts: int
    seed: int
    faults: pl.DataFrame | None = None
    tell: Tell | None = None

    def __post_init__(self) -> None:
        self.pool = pool_of_owners(self.trace)
        self.owners = list(owners_of(self.trace))
        self.figures: dict[str, list[Figures]] = {}

    def run(self) -> list[Line]:
        """Run every case; return the table."""
        shifts = range(self.shifts)
        varied = range(min(self.shifts, VARIED_SHIFTS))
        flooder = [self.owners[s % len(self.owners)] for s in varied]
        for name in ("greedy", "siloed"):
            self._cases(name, policy_named(name), [Case(s) for s in shifts])
        self._cases("shared", self.policy, [Case(s) for s in shifts])
        firm = replace(self.policy, return_s=FIRM_S)
        self._cases("firm", firm, [Case(s) for s in varied])
        rare = [Case(s, checkpoint_every_s=RARE_CHECKPOINT_S) for s in varied]
        self._cases("rare", self.policy, rare)
        for kind in ("random", "none"):
            self._cases(kind, self.policy, [Case(s, estimates=kind) for s in varied])
        floods = [Case(s, flooded_by=flooder[s]) for s in varied]
        self._cases("flooded", self.policy, floods)
        if self.faults is not None:
            cases = [Case(s) for s in varied]
            for name in ("greedy", "siloed"):
                self._cases(f"{name}, faults", policy_named(name), cases, self.faults)
            self._cases("faults", self.policy, cases, self.faults)
        return self._lines(flooder)

    def as_json(self) -> dict[str, Any]:
        """Return every figure of every run."""
        return {name: [asdict(one) for one in runs] for name, runs in self.figures.items()}

    def _cases(
        self, name: str, policy: Policy, cases: list[Case], faults: pl.DataFrame | None = None
    ) -> None:
        rules = replace(policy, restart_s=RESTART_S)
        found = []
        for case in cases:
            jobs = jobs_of(self.trace, case, seed=self.seed)
            run = Run(Inputs(jobs, self.pool, rules, faults=faults, seed=self.seed))
            found.append(figures_of(run, run.go()))
            if self.tell is not None:
                self.tell(f"{name}, shift {case.shift}: mean wait {found[-1].wait_s:,.0f} s")
        self.figures[name] = found

    def _lines(self, flooder: list[str]) -> list[Line]:
        lines = [self._wait("shared", "greedy", reach=True)]
        lines.append(self._worse("shared", "siloed", [""] * self.shifts))
        lines.append(self._worse("flooded", "siloed", flooder))
        for name in ("shared", "firm", "rare"):
            lines += self._returns(name)
        lines += [*self._costs("shared"), self._again("shared"), self._beside("shared")]
        for name in ("rare", "random", "none"):
            lines.append(self._wait(name, "greedy", reach=False))
            lines.append(self._worse(name, "siloed", [""] * len(flooder)))
        lines += [*self._returns("random"), *self._returns("none")]
        if self.faults is not None:
            lines.append(self._wait("faults", "greedy, faults", reach=False))
            lines.append(self._worse("faults", "siloed, faults", [""] * len(flooder)))
            lines += [*self._returns("faults"), self._beside("faults")]
        return lines

    def _wait(self, name: str, beside: str, *, reach: bool) -> Line:
        pairs = zip(self.figures[name], self.figures[beside], strict=False)
        ratios = np.array([one.wait_s / max(1.0, other.wait_s) for one, other in pairs])
        mean, most = float(ratios.mean()), float(ratios.max())
        wait_s = float(np.mean([one.wait_s for one in self.figures[name]]))
        return Line(
            f"mean wait over that of {beside} ({name})",
            f"{mean:.3f}, at most {most:.3f}; {wait_s:,.0f} s",
            "<= 0.65, each <= 0.9" if reach else "stated",
            mean <= 0.65 and most <= 0.9 if reach else None,
        )

    def _worse(self, name: str, alone: str, flooder: list[str]) -> Line:
        runs = zip(self.figures[name], self.figures[alone], flooder, strict=False)
        worse = [
            f"{owner} {one.owner_wait_s[owner]:,.0f} > {by_itself.owner_wait_s[owner]:,.0f}"
            for one, by_itself, flood in runs
            for owner in one.owner_wait_s
            if owner != flood and one.owner_wait_s[owner] > by_itself.owner_wait_s[owner]
        ]
        told = ", ".join([str(len(worse)), *worse[:3]])
        return Line(f"owners that wait longer than alone ({name})", told, "0", not worse)

    def _returns(self, name: str) -> list[Line]:
        runs = self.figures[name]
        claims, late = sum(one.claims for one in runs), sum(one.claims_late for one in runs)
        most_s = max(one.claim_s_max for one in runs)
        told = f"{claims:,} claims, {late} late, at most {most_s} s"
        promise_s = FIRM_S if name == "firm" else self.policy.return_s
        reach = f"0 late, <= {promise_s} s" + (", faults aside" if name == "faults" else "")
        lines = [Line(f"entitled gangs start in time ({name})", told, reach, late == 0)]
        if name != "faults":
            # A fault may leave an owner less than it is entitled to; what was claimed is owed.
            blocked = sum(one.blocked for one in runs)
            told = f"{blocked}, at most {max(one.blocked_s_max for one in runs):,} s"
            lines.append(Line(f"room that no claim could reach ({name})", told, "0", blocked == 0))
        return lines

    def _costs(self, name: str) -> list[Line]:
        runs = self.figures[name]
        lost = float(np.mean([one.lost_share for one in runs]))
        mean = float(np.mean([one.borrower_slowdown_mean for one in runs]))
        p99 = max(one.borrower_slowdown_p99 for one in runs)
        back = float(np.mean([one.slowdown_mean for one in runs]))
        back_p99 = max(one.slowdown_p99 for one in runs)
        return [
            Line("work destroyed", f"{100 * lost:.5f} %", "<= 0.01 %", lost <= 0.0001),
            Line(
                "borrowers' slowdown, mean, p99",
                f"{mean:.3f}, at most {p99:.2f}",
                "<= 1.10, <= 3.2",
                mean <= 1.10 and p99 <= 3.2,
            ),
            Line(
                "slowdown of those called back",
                f"{back:.3f}, at most {back_p99:.2f}",
                "<= 1.10, <= 3.2",
                back <= 1.10 and back_p99 <= 3.2,
            ),
        ]

    def _again(self, name: str) -> Line:
        runs = self.figures[name]
        most = max(one.reclaims_max for one in runs)
        thrice = float(np.mean([one.reclaimed_thrice for one in runs]))
        return Line(
            "reclaims of one job; three or more",
            f"{most}; {100 * thrice:.3f} %",
            "<= 5; <= 0.05 %",
            most <= 5 and thrice <= 0.0005,
        )

    def _beside(self, name: str) -> Line:
        share = max(one.beside_share for one in self.figures[name])
        return Line(f"idle beside a queue ({name})", f"{share:.1e}", "<= 1e-5", share <= 1e-5)
