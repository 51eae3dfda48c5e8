"""The view of a pool, made by its engine after a cycle and looked at by everybody else."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from dure.core import columns as col
from dure.core.errors import DureError
from dure.core.state import CycleRecord, State
from dure.services.asked import Demand
from dure.services.forecasts import Forecasts
from dure.services.job_look import Look
from dure.services.pool_map import PoolMap
from dure.services.programme_views import MonthUse
from dure.services.returns import Returns
from dure.services.samples import Samples
from dure.services.snapshot import take_snapshot
from dure.services.standing import Follower
from dure.services.stories import Stories
from dure.services.use_months import UseMonths
from dure.services.views import Name, PoolView

# Of what is kept beside a state.
VERSION = 3


@dataclass(frozen=True, slots=True)
class Title:
    """What a pool is, in words that do not change.

    Attributes:
        names: providers and clusters as people call them.
    """

    name: str
    title: Name
    imagined: bool = False
    speed: int = 1
    names: Mapping[str, Name] = field(default_factory=dict)


class Publisher:
    """Follows a pool and makes its views.

    Args:
        title: what the pool is.
        demand: titles and users of jobs that people submitted.
    """

    def __init__(self, title: Title, demand: Demand) -> None:
        self.title, self._demand = title, demand
        self.use = UseMonths()
        self.stories = Stories(closed=self.use.closed)
        self.returns = Returns()
        # An imagined pool has cycles by the hundred thousand, and hours that pass in a second.
        self.samples = Samples(queue_step_s=600 if title.imagined else 0)
        self.forecasts = Forecasts()
        # Use comes first: it must have begun anew before it is told of stays that are over.
        self._parts: tuple[Follower, ...] = (
            self.use,
            self.stories,
            self.returns,
            self.samples,
            self.forecasts,
        )
        self._state: State | None = None
        self._map: PoolMap | None = None
        self._seq = 0
        self.looks = 0
        self._view: PoolView | None = None

    def listen(self, state: State, record: CycleRecord) -> None:
        """Take in one record, just applied to ``state``."""
        for part in self._parts:
            part.listen(state, record)

    def keep(self) -> bytes:
        """Return all that we remember of the pool, to be kept together with its state."""
        parts = [part.keep() for part in self._parts]
        return bytes([VERSION]) + zlib.compress(msgspec.msgpack.encode(parts), 1)

    def begin_from(self, state: State, kept: bytes) -> None:
        """Go on from what was kept when the pool stood at ``state``.

        Raises:
            DureError: if it was kept by another version, or is damaged.
        """
        if kept[:1] != bytes([VERSION]):
            raise DureError(f"views were kept as version {kept[:1].hex()}; not one of ours.")
        try:
            parts = msgspec.msgpack.decode(zlib.decompress(kept[1:]), type=list[bytes])
            for part, memory in zip(self._parts, parts, strict=True):
                part.begin_from(state, memory)
        except (zlib.error, ValueError, msgspec.MsgspecError) as broken:
            raise DureError(f"views were kept and are damaged: {broken}") from broken

    def view(self) -> PoolView:
        """Return the newest view; how often anybody looked is counted."""
        self.looks += 1
        assert self._view is not None, "publish before anybody looks"
        return self._view

    def publish(self, state: State, now_s: int) -> PoolView:
        """Make a view of this moment; only the engine's thread may."""
        self._state, now_s = state, max(now_s, state.now_s)
        pool_map = self._map_of(state)
        snap = take_snapshot(state, self.stories.ended, now_s)
        self._seq += 1
        look = Look(snap, self._demand, self.stories, self.returns, self.forecasts.known())
        device_state, device_job, by_cluster = pool_map.devices(state, look.places())
        s = state.c.scalars
        milli = s[col.S_KIND : col.S_KIND + 7]
        since_s = max(0, now_s - state.now_s) if state.now_s >= 0 else 0
        booked = ((s[col.S_SUM : col.S_SUM + 7] + milli * since_s) // col.WHOLE).tolist()
        waiting = snap.jobs[:, snap.running : snap.running + snap.waiting]
        asked_milli = int((waiting[col.J_GPUS] * waiting[col.J_MILLI]).sum())
        self._view = PoolView(
            name=self.title.name,
            title=self.title.title,
            imagined=self.title.imagined,
            seq=self._seq,
            now_s=now_s,
            from_s=int(s[col.S_STARTED_AT]) if state.now_s >= 0 else now_s,
            speed=self.title.speed,
            policy=state.policy.name,
            gpus=pool_map.gpus,
            public_gpus=pool_map.public_gpus,
            kinds_milli=tuple(milli.tolist()),
            kinds_gpu_s=tuple(booked),
            waiting_jobs=snap.waiting + len(look.held),
            waiting_gpus=(asked_milli + look.held_milli()) // col.WHOLE,
            running_jobs=snap.running,
            done_jobs=self.stories.ended_count,
            supply=pool_map.supply(state, by_cluster),
            nodes=pool_map.nodes,
            device_state=device_state,
            device_job=device_job,
            closed_by=pool_map.closed_by(state),
            jobs=look.columns(),
            loans=look.loans(),
            reclaims=self.returns.rows(state),
            lending=self.returns.lending(
                state, loan_gpu_s=booked[col.LOAN], scavenge_gpu_s=booked[col.SCAVENGE]
            ),
            history=self.samples.history(now_s),
            why=look.why,
            story=look.story,
        )
        return self._view

    def months(self) -> Sequence[MonthUse]:
        """Return the use of every month up to the newest view."""
        assert self._state is not None, "publish before anybody looks"
        return self.use.rows(self._state, self.stories.open_stays(), self.view().now_s)

    def used_at(self, provider: str, month: str) -> dict[str, int]:
        """Return the GPU-seconds used on a provider's nodes in a month, by project, or by the
        provider for its jobs without one; up to the newest view.
        """
        assert self._state is not None, "publish before anybody looks"
        stays, now_s = self.stories.open_stays(), self.view().now_s
        return self.use.at_provider(self._state, stays, now_s, month=month, provider=provider)

    def _map_of(self, state: State) -> PoolMap:
        if self._map is None or self._map.pool is not state.pool:
            self._map = PoolMap(state.pool, self.title.names)
        return self._map
