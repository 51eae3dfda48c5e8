"""A policy: the name of an order and its parameters, each with its default (docs/policies.md)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from dure.core.accounts import DECAY_PARTS
from dure.core.columns import (
    DURE,
    GROUPS_MOST,
    P_BACKOFF_S,
    P_BACKOFF_S_MAX,
    P_BREAKER_PCT,
    P_BREAKER_S,
    P_BREAKER_WINDOW_S,
    P_CLEANING_S,
    P_CONSOLIDATE,
    P_DAY_S,
    P_DEARER_S,
    P_DECAY,
    P_DRAIN_S,
    P_ESTIMATE_WEIGHT,
    P_FELT_S,
    P_FLOOR,
    P_GOES_ON_S,
    P_GROUPS,
    P_GROW_S,
    P_HAZARD_S,
    P_HORIZON_S,
    P_INSTANT,
    P_LARGE_PCT,
    P_LEMON_FAULTS,
    P_LEMONS_PCT,
    P_LEND,
    P_PASSED_S,
    P_POLICY,
    P_PROBATION_S,
    P_RELOCATE,
    P_RESERVE_S,
    P_RESTART_S,
    P_RETURN_S,
    P_START_S,
    P_SWAP,
    P_UNDECLARED_S,
    P_URGENT_S,
    P_YIELD_RATIO,
    POLICIES,
    POLICY_SIZE,
    IntArray,
)
from dure.core.errors import PolicyError

DAY_S = 86_400
SPARES_PCT_MAX = 50
LONGEST_S = 10**10  # some 300 years; sums of products stay far below 63 bits


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of a pool. Times are in seconds.

    Attributes:
        name: one of ``POLICIES``.
        return_s: G, within which an owner's gang that asks starts again on its GPUs.
        drain_s: what a backend needs to take work off a node.
        cleaning_s: what a device needs between owners.
        start_s: what a start takes after a reclaim.
        backoff_s: after a reclaim a borrower waits this long for its next loan, twice as long each
            time.
        backoff_s_max: but never longer.
        dearer_s: each earlier reclaim makes a borrower a dearer victim by this much work.
        lend: whether idle entitlement is lent at all.
        half_life_days: use this old counts half in the order of loans.
        horizon_s: what runs now counts as if it ran this much longer in the order of loans.
        urgent_s: a job goes before others of its owner so long before it must start for its
            deadline.
        grow_s: an elastic gang grows once in so long at most.
        reserve_s: an entitled gang that waited so long gets a date, or holds nodes until it has
            all; 0 is never.
        large_pct: a gang of so many in a hundred of the nodes of a kind gets its date at once; 0 is
            never.
        felt_s: what being sent away costs a borrower whose work is short; less, the longer it is.
        restart_s: what a job that was stopped takes to load what it saved (no progress meanwhile).
        estimate_weight: a gang lets others pass by its declared GPU-time, so many times.
        undeclared_s: a job that declares no duration is taken to declare this.
        passed_s: whoever waited so long is let pass by nobody who waited less; 0 is never.
        relocate: small own gangs are moved for an entitled one that finds no place otherwise.
        yield_ratio: a gang gives way to one of its owner that has this many times less to run by
            its own word; 0 is never.
        instant_stop: the machines stop the moment they are told (imagined ones do).
        swap: a gang struck by a fault goes on at once with substitutes, if any are free.
        hazard_half_life_days: a fault this old weighs half in what is known against its node.
        lemon_faults: a node whose faults weigh so many is on probation; 0 watches no node.
        probation_s: until it stayed healthy so long after its repair.
        lemons_pct: so many nodes in a hundred may be on probation at once.
        goes_on_s: a borrower's next gangs follow its last ones on the same devices, uncleaned,
            until it has had so many seconds of all that is lent more than others who wait.
        floors: of what is lent, the part in a hundred that each group of projects may count on,
            while it asks for so much; what they leave is everybody else's.
        consolidate_gpu_s_per_h: what moving small gangs together, to make room for a gang that
            finds it only scattered, may cost in an hour; 0 moves none.
        breaker_pct: more of a provider's nodes in a hundred than this fail within the window, and
        no gang starts there for a while; 0 is never.
        breaker_window_s: the window, and how long small gangs are tried there first afterwards.
        breaker_s: how long no gang starts there.
        spares_pct: so many nodes in a hundred are kept for gangs whose node fails.
    """

    name: str = "dure"
    return_s: int = 600
    drain_s: int = 0
    cleaning_s: int = 10
    start_s: int = 20
    backoff_s: int = 60
    backoff_s_max: int = 900
    dearer_s: int = 600
    lend: bool = True
    half_life_days: int = 7
    horizon_s: int = 5 * DAY_S
    grow_s: int = 600
    urgent_s: int = 3600
    reserve_s: int = DAY_S
    large_pct: int = 0
    felt_s: int = 300_000
    restart_s: int = 0
    estimate_weight: int = 2
    undeclared_s: int = DAY_S
    passed_s: int = 3 * DAY_S
    relocate: bool = True
    yield_ratio: int = 4
    instant_stop: bool = True
    swap: bool = False
    hazard_half_life_days: int = 28
    lemon_faults: int = 0
    probation_s: int = 86_400
    lemons_pct: int = 5
    goes_on_s: int = 30 * DAY_S
    floors: Mapping[str, int] = field(default_factory=dict)
    consolidate_gpu_s_per_h: int = 0
    breaker_pct: int = 0
    breaker_window_s: int = 600
    breaker_s: int = 1800
    spares_pct: int = 0

    def __post_init__(self) -> None:
        if self.name not in POLICIES:
            raise PolicyError(
                f"policy {self.name!r} is unknown; choose one of {', '.join(POLICIES)}."
            )
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, int) and not 0 <= value <= LONGEST_S:
                raise PolicyError(f"{one.name} is {value}; it must be 0..{LONGEST_S}.")
        # Products of these with GPU-seconds must stay within 63 bits.
        for name, most in (
            ("estimate_weight", 100),
            ("yield_ratio", 100),
            ("felt_s", 10**6),
            ("undeclared_s", 10**8),
        ):
            if getattr(self, name) > most:
                raise PolicyError(f"{name} is {getattr(self, name)}; it must be 0..{most}.")
        if self.half_life_days < 1:
            raise PolicyError(
                f"half_life_days is {self.half_life_days}; it must be 1 or more. "
                "To forget nothing, choose a half-life longer than the programme."
            )
        if self.hazard_half_life_days < 1:
            raise PolicyError(
                f"hazard_half_life_days is {self.hazard_half_life_days}; it must be 1 or more. "
                "To watch no node, set lemon_faults to 0."
            )
        _check_floors(self.floors)
        if self.breaker_pct > 0 and min(self.breaker_window_s, self.breaker_s) < 1:
            raise PolicyError(
                "breaker_window_s and breaker_s must be 1 or more. "
                "To have no breaker, set breaker_pct to 0."
            )
        if self.spares_pct > SPARES_PCT_MAX:
            raise PolicyError(
                f"spares_pct is {self.spares_pct}; it must be 0..{SPARES_PCT_MAX}. "
                "A pool keeps some nodes for faults, not most of them."
            )
        needed_s = self.drain_s + self.cleaning_s + self.start_s
        if needed_s > self.return_s:
            raise PolicyError(
                f"drain_s + cleaning_s + start_s is {needed_s}, more than return_s "
                f"({self.return_s}): no return could keep the promise. Raise return_s."
            )

    def _rest_pct(self) -> int:
        """Return the part of whoever is in no group: what the floors leave, but never nothing."""
        return max(1, 100 - sum(self.floors.values()))

    @property
    def spares_kept_pct(self) -> int:
        """Return how many nodes in a hundred are spares; the baselines keep none."""
        return self.spares_pct if self.name == POLICIES[DURE] else 0

    def vector(self) -> IntArray:
        """Return the parameters as the kernels read them."""
        p = np.zeros(POLICY_SIZE, dtype=np.int64)
        p[P_POLICY] = POLICIES.index(self.name)
        p[P_RETURN_S], p[P_DRAIN_S] = self.return_s, self.drain_s
        p[P_CLEANING_S], p[P_START_S] = self.cleaning_s, self.start_s
        p[P_BACKOFF_S], p[P_BACKOFF_S_MAX] = self.backoff_s, self.backoff_s_max
        p[P_DEARER_S], p[P_LEND] = self.dearer_s, int(self.lend)
        # Whole parts of 10,000, because the last bit of a float differs between machines.
        p[P_DECAY] = math.floor(DECAY_PARTS * 0.5 ** (1 / self.half_life_days) + 0.5)
        p[P_HORIZON_S], p[P_INSTANT], p[P_DAY_S] = self.horizon_s, int(self.instant_stop), DAY_S
        p[P_RESERVE_S], p[P_LARGE_PCT] = self.reserve_s, self.large_pct
        p[P_SWAP], p[P_CONSOLIDATE] = int(self.swap), self.consolidate_gpu_s_per_h
        p[P_GOES_ON_S], p[P_GROW_S] = self.goes_on_s, self.grow_s
        p[P_GROUPS] = 1 + len(self.floors)
        p[P_FLOOR : P_FLOOR + p[P_GROUPS]] = [self._rest_pct(), *self.floors.values()]
        # The baselines know neither deadlines nor their nodes' past.
        p[P_URGENT_S] = self.urgent_s if self.name == POLICIES[DURE] else 0
        if self.name == POLICIES[DURE] and self.lemon_faults > 0:
            p[P_HAZARD_S], p[P_LEMON_FAULTS] = self.hazard_half_life_days * DAY_S, self.lemon_faults
            p[P_PROBATION_S], p[P_LEMONS_PCT] = self.probation_s, self.lemons_pct
        if self.name == POLICIES[DURE] and self.breaker_pct > 0:
            p[P_BREAKER_PCT], p[P_BREAKER_S] = self.breaker_pct, self.breaker_s
            p[P_BREAKER_WINDOW_S] = self.breaker_window_s
        p[P_RESTART_S], p[P_ESTIMATE_WEIGHT] = self.restart_s, self.estimate_weight
        p[P_UNDECLARED_S], p[P_FELT_S] = self.undeclared_s, self.felt_s
        p[P_PASSED_S], p[P_RELOCATE] = self.passed_s, int(self.relocate)
        p[P_YIELD_RATIO] = self.yield_ratio
        return p


def _check_floors(floors: Mapping[Any, Any]) -> None:
    total = 0
    for group, percent in floors.items():
        if not isinstance(group, str) or isinstance(percent, bool) or not isinstance(percent, int):
            raise PolicyError(
                f"floors has {group!r}: {percent!r}; expected a group and its percent."
            )
        if not 1 <= percent <= 100:
            raise PolicyError(f"floors gives {group} {percent} percent; it must be 1..100.")
        total += percent
    if len(floors) >= GROUPS_MOST or total > 100:
        raise PolicyError(
            f"floors are {len(floors)} of {total} percent together; "
            f"at most {GROUPS_MOST - 1} may share 100 percent."
        )


def policy_named(name: str, **changes: object) -> Policy:
    """Return a policy by name with some parameters changed.

    The baselines take no time for draining, cleaning and starting (DESIGN section 4).

    Raises:
        PolicyError: an unknown name or parameter, or a value it cannot have.
    """
    known = {one.name for one in fields(Policy)}
    for key, value in changes.items():
        if key not in known or key == "name":
            raise PolicyError(
                f"parameter {key!r} is unknown; known are {', '.join(sorted(known))}."
            )
        if key == "floors":
            if not isinstance(value, Mapping):
                raise PolicyError(f"floors is {value!r}; it must be groups and their percent.")
            continue
        wants_bool = key in {"lend", "instant_stop", "swap", "relocate"}
        if isinstance(value, bool) != wants_bool or not isinstance(value, int):
            kind = "true or false" if wants_bool else "a whole number"
            raise PolicyError(f"{key} is {value!r}; it must be {kind}.")
    policy = Policy(name=name)
    if name != POLICIES[DURE]:
        policy = replace(policy, cleaning_s=0, start_s=0)
    return replace(policy, **changes)  # type: ignore[arg-type]
