"""A plausible, filled platform for tests of screens: the founding pool's shape, invented content.

The shape follows the published figures (13,136 GPUs, 10,456 for public use); everything else is
drawn from a seed.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dure.core.calendar import DAY_S, moment_s
from dure.services.views import (
    DEVICE_STATES,
    IDLE,
    LOAN,
    NEVER_S,
    NO_JOB,
    OWN,
    RESERVED,
    SCAVENGE,
    Attempt,
    History,
    Holder,
    JobColumns,
    JobRow,
    JobStory,
    Lending,
    LoanRow,
    Name,
    NodeColumns,
    PoolView,
    ReclaimRow,
    Span,
    SupplyRow,
    Why,
)

NOW_S = moment_s("2026-06-08 09:00")
FROM_S = moment_s("2026-03-09")
GPUS_A_NODE, NODES_A_LEAF = 8, 32
DRAINING, DOWN = DEVICE_STATES.index("draining"), DEVICE_STATES.index("down")

PROVIDERS = {
    "naver-cloud": Name("네이버클라우드", "Naver Cloud"),
    "nhn-cloud": Name("NHN클라우드", "NHN Cloud"),
    "kakao": Name("카카오", "Kakao"),
}
# cluster, provider, accelerator, nodes, use: as published, the own-use ones derived.
CLUSTERS = (
    ("naver-h200-a", "naver-cloud", "H200", 255, "public"),
    ("naver-h200-b", "naver-cloud", "H200", 32, "public"),
    ("naver-h200-own", "naver-cloud", "H200", 95, "own"),
    ("nhn-b200-a", "nhn-cloud", "B200", 510, "public"),
    ("nhn-b200-b", "nhn-cloud", "B200", 255, "public"),
    ("nhn-b200-own", "nhn-cloud", "B200", 192, "own"),
    ("kakao-b200", "kakao", "B200", 255, "public"),
    ("kakao-b200-own", "kakao", "B200", 48, "own"),
)


class FixedClock:
    """A clock that a test moves."""

    def __init__(self, at_s: int = NOW_S) -> None:
        self.at_s = at_s

    def now_s(self) -> int:
        return self.at_s


def nodes_of(clusters: Sequence[tuple[str, str, str, int, str]]) -> NodeColumns:
    ids, provider, cluster, leaf, accelerator, public = [], [], [], [], [], []
    leaves: list[str] = []
    providers = list(dict.fromkeys(row[1] for row in clusters))
    accelerators = sorted({row[2] for row in clusters})
    for index, (name, owner, kind, count, use) in enumerate(clusters):
        for place in range(count):
            if place % NODES_A_LEAF == 0:
                leaves.append(f"{name}-l{place // NODES_A_LEAF + 1:02d}")
            ids.append(f"{name}-{place + 1:04d}")
            provider.append(providers.index(owner))
            cluster.append(index)
            leaf.append(len(leaves) - 1)
            accelerator.append(accelerators.index(kind))
            public.append(use == "public")
    return NodeColumns(
        ids=ids,
        providers=providers,
        clusters=[row[0] for row in clusters],
        leaves=leaves,
        accelerators=accelerators,
        provider=np.array(provider, dtype=np.int32),
        cluster=np.array(cluster, dtype=np.int32),
        leaf=np.array(leaf, dtype=np.int32),
        accelerator=np.array(accelerator, dtype=np.int32),
        gpus=np.full(len(ids), GPUS_A_NODE, dtype=np.int32),
        is_public=np.array(public, dtype=np.uint8),
    )


def jobs_on(
    nodes: NodeColumns, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, list[JobRow], dict[str, tuple[str, ...]]]:
    """Fill the pool: gangs side by side in each cluster, some on loan, a few faults."""
    state = np.full(len(nodes.ids) * GPUS_A_NODE, IDLE, dtype=np.uint8)
    job = np.full(len(state), NO_JOB, dtype=np.int32)
    rows: list[JobRow] = []
    on: dict[str, tuple[str, ...]] = {}
    cursor = 0
    while cursor < len(nodes.ids):
        cluster = int(nodes.cluster[cursor])
        size = int(rng.choice([1, 1, 2, 4, 8, 16, 32], p=[0.2, 0.1, 0.2, 0.2, 0.15, 0.1, 0.05]))
        end = cursor
        while end < len(nodes.ids) and end - cursor < size and nodes.cluster[end] == cluster:
            end += 1
        devices = slice(cursor * GPUS_A_NODE, end * GPUS_A_NODE)
        is_own_use = not nodes.is_public[cursor]
        odds = [0.42, 0.42, 0.04, 0.12] if is_own_use else [0.72, 0.13, 0.04, 0.11]
        kind = int(rng.choice([OWN, LOAN, SCAVENGE, IDLE], p=odds))
        state[devices] = kind
        if kind != IDLE:
            index = len(rows)
            job[devices] = index
            name = f"j{index + 100_001}"
            on[name] = tuple(nodes.ids[cursor:end])
            start_s = NOW_S - int(rng.integers(600, 5 * DAY_S))
            owner = nodes.providers[nodes.provider[cursor]]
            is_provider = is_own_use and kind == OWN
            rows.append(
                JobRow(
                    job=name,
                    title="",
                    project="" if is_provider else f"p-2026-1-{int(rng.integers(1, 25)):04d}",
                    provider=owner if is_provider else "",
                    user="",
                    state="RUNNING",
                    kind=DEVICE_STATES[kind],
                    accelerator=nodes.accelerators[nodes.accelerator[cursor]],
                    gpus=(end - cursor) * GPUS_A_NODE,
                    gpu_milli=1000,
                    submit_at_s=start_s - int(rng.integers(0, 7200)),
                    start_at_s=start_s,
                    end_at_s=NEVER_S,
                    reason="",
                    earliest_s=NEVER_S,
                )
            )
        cursor = end
    for node in rng.choice(len(nodes.ids), size=22, replace=False):
        devices = slice(int(node) * GPUS_A_NODE, (int(node) + 1) * GPUS_A_NODE)
        state[devices], job[devices] = DOWN, NO_JOB
    idle = np.flatnonzero(state == IDLE).reshape(-1, GPUS_A_NODE)
    state[idle[:6].ravel()] = RESERVED
    state[idle[20:23].ravel()] = DRAINING
    return state, job, rows, on


def waiting_rows(count: int, rng: np.random.Generator) -> list[JobRow]:
    codes = (
        "WaitingForQuota",
        "TopologyPlacementFailed",
        "WaitingForPreemptedWorkloads",
        "WaitingForTurn",
    )
    return [
        JobRow(
            job=f"j{200_001 + index}",
            title="",
            project=f"p-2026-1-{int(rng.integers(1, 25)):04d}",
            provider="",
            user="",
            state="PENDING",
            kind="",
            accelerator=str(rng.choice(["B200", "H200"])),
            gpus=int(rng.choice([8, 16, 32, 64, 128])),
            gpu_milli=1000,
            submit_at_s=NOW_S - int(rng.integers(60, 6 * 3600)),
            start_at_s=NEVER_S,
            end_at_s=NEVER_S,
            reason=codes[index % len(codes)],
            earliest_s=NOW_S + int(rng.integers(600, 8 * 3600)),
        )
        for index in range(count)
    ]


def ended_rows(count: int, rng: np.random.Generator) -> list[JobRow]:
    states = ("COMPLETED", "COMPLETED", "COMPLETED", "FAILED", "CANCELLED")
    return [
        replace(
            row,
            job=f"j{50_001 + index}",
            state=states[index % len(states)],
            reason="",
            start_at_s=row.submit_at_s + 60,
            end_at_s=NOW_S - 30,
            earliest_s=NEVER_S,
        )
        for index, row in enumerate(waiting_rows(count, rng))
    ]


def columns_of(rows: Sequence[JobRow]) -> JobColumns:
    return JobColumns(
        ids=[row.job for row in rows],
        row=lambda index: rows[index],
        project=[row.project for row in rows],
        provider=[row.provider for row in rows],
        user=[row.user for row in rows],
        state=[row.state for row in rows],
    )


def kinds_of(state: np.ndarray) -> tuple[int, ...]:
    counts = np.bincount(state, minlength=len(DEVICE_STATES))
    return tuple(int(count) * 1000 for count in counts)


def supply_of(nodes: NodeColumns, state: np.ndarray) -> list[SupplyRow]:
    rows = []
    by_node = state.reshape(-1, GPUS_A_NODE)
    for owner, title in PROVIDERS.items():
        if owner not in nodes.providers:
            continue
        mine = nodes.provider == nodes.providers.index(owner)
        gpus = int(mine.sum()) * GPUS_A_NODE
        public = int((mine & (nodes.is_public == 1)).sum()) * GPUS_A_NODE
        kinds = kinds_of(by_node[mine].ravel())
        accelerator = next(row[2] for row in CLUSTERS if row[1] == owner)
        rows.append(
            SupplyRow(owner, "", title, accelerator, "mixed", gpus // 8, gpus, public, kinds)
        )
        for index, (name, of, kind, count, use) in enumerate(CLUSTERS):
            if of != owner:
                continue
            part = kinds_of(by_node[nodes.cluster == index].ravel())
            gpus = count * GPUS_A_NODE
            rows.append(
                SupplyRow(
                    owner,
                    name,
                    Name(name, name),
                    kind,
                    use,
                    count,
                    gpus,
                    gpus if use == "public" else 0,
                    part,
                )
            )
    return rows


def history_of(kinds: tuple[int, ...], rng: np.random.Generator) -> History:
    hours = np.arange(FROM_S, NOW_S, 3600, dtype=np.int64)
    days = (hours - FROM_S) / DAY_S
    total = sum(kinds)
    rise = np.clip(days / 30, 0.15, 1)
    week = 1 - 0.10 * (np.sin(days * 2 * np.pi / 7) > 0.7)
    own = total * (0.28 + 0.30 * rise * week + 0.02 * rng.standard_normal(len(days)))
    loan = total * (0.06 + 0.13 * rise + 0.015 * rng.standard_normal(len(days)))
    scavenge = total * (0.02 + 0.015 * rng.random(len(days)))
    down = total * (0.012 + 0.004 * rng.random(len(days)))
    reserved = total * (0.004 + 0.004 * rng.random(len(days)))
    draining = total * (0.002 + 0.002 * rng.random(len(days)))
    parts = np.stack([own, loan, scavenge, own * 0, reserved, draining, down]).astype(np.int64)
    parts[IDLE] = total - parts.sum(axis=0)
    waiting = (400 * rise + 300 * rng.random(len(days))).astype(np.int64)
    return History(hours, parts, waiting // 20, waiting)


class Answers:
    """What a view tells about single jobs."""

    def __init__(self, rows: Sequence[JobRow], on: dict[str, tuple[str, ...]]) -> None:
        self.rows, self.on = {row.job: row for row in rows}, on

    def why(self, job: str) -> Why | None:
        row = self.rows.get(job)
        if row is None or row.state != "PENDING":
            return None
        offer = {"gpus": row.gpus, "accelerator": row.accelerator}
        help_codes = (("allow_preemption", offer), ("smaller", {"gpus": row.gpus // 2}))
        earliest = row.earliest_s
        numbers = {"gpus": row.gpus, "idle_gpus": 40, "entitled_gpus": 64, "ahead": 3}
        numbers |= {"left_gpus": 4, "used_gpus": 60, "jobs": 7, "nodes": 8, "free_nodes": 5}
        numbers |= {"short_nodes": 3, "due_at_s": earliest + 7200, "own_gpus": 9000}
        numbers |= {"loan_gpus": 2500, "scavenge_gpus": 300, "reserved_gpus": 48}
        numbers |= {"draining_gpus": 24, "down_gpus": 176}
        return Why(
            row.reason,
            numbers,
            earliest,
            earliest + 1800,
            earliest + 7200,
            help_codes,
            half=Span(earliest + 900, earliest + 3600),
            most=Span(earliest + 300, earliest + 7200),
            learned_from=400,
            held_by=(Holder("h1", "loan", 64, earliest), Holder("h2", "own", 8, NEVER_S)),
        )

    def story(self, job: str) -> JobStory | None:
        row = self.rows.get(job)
        if row is None:
            return None
        attempts: tuple[Attempt, ...] = ()
        if row.kind:
            before_s, start_s, on = row.start_at_s - 9000, row.start_at_s, self.on[job]
            attempts = (
                Attempt(1, "loan", on[:1], 8, before_s, start_s - 1200, "reclaimed", 0),
                Attempt(2, row.kind, on, row.gpus, start_s, NEVER_S, "", 0),
            )
        return JobStory(row, attempts, {"locality": "preferred:leaf:600", "preemptible": "true"})


def loans_of(running: Sequence[JobRow]) -> list[LoanRow]:
    loans = [
        LoanRow(row.job, row.project, row.accelerator, row.gpus, row.start_at_s)
        for row in running
        if row.kind == "loan"
    ]
    return [replace(loans[0], lender="p-2026-1-0003", due_at_s=NOW_S + 400), *loans[1:]]


def reclaims_of(loans: Sequence[LoanRow]) -> list[ReclaimRow]:
    asked_s = NOW_S - 9000
    return [
        ReclaimRow("p-2026-1-0003", "j100020", loans[0].job, 64, NOW_S - 200, NOW_S + 400,
                   NEVER_S, NEVER_S, NEVER_S, "open"),
        ReclaimRow("naver-cloud", "j100044", "j099100", 128, asked_s, asked_s + 600,
                   asked_s + 240, asked_s + 250, asked_s + 270, "returned"),
    ]  # fmt: skip


def founding_view(seed: int = 4711) -> PoolView:
    """Return the founding pool at the end of its first three months."""
    rng = np.random.default_rng(seed)
    nodes = nodes_of(CLUSTERS)
    state, device_job, running, on = jobs_on(nodes, rng)
    waiting, ended = waiting_rows(64, rng), ended_rows(40, rng)
    rows = [*running, *waiting, *ended]
    kinds, answers, loans = kinds_of(state), Answers(rows, on), loans_of(running)
    return PoolView(
        name="founding",
        title=Name("창립 풀", "Founding pool"),
        imagined=True,
        seq=1,
        now_s=NOW_S,
        from_s=FROM_S,
        speed=3600,
        policy="dure",
        gpus=len(state),
        public_gpus=int(nodes.is_public.sum()) * GPUS_A_NODE,
        kinds_milli=kinds,
        kinds_gpu_s=tuple(milli // 1000 * (NOW_S - FROM_S) for milli in kinds),
        waiting_jobs=len(waiting),
        waiting_gpus=sum(row.gpus for row in waiting),
        running_jobs=len(running),
        done_jobs=48_211,
        supply=supply_of(nodes, state),
        nodes=nodes,
        device_state=state,
        device_job=device_job,
        closed_by=np.zeros(len(nodes.ids), dtype=np.uint8),
        jobs=columns_of(rows),
        loans=loans,
        reclaims=reclaims_of(loans),
        lending=Lending(600, 3_411_000 * 3600, 402_000 * 3600, 1_284, 1_203, 74, 0, 41, 512, 598),
        history=history_of(kinds, rng),
        why=answers.why,
        story=answers.story,
    )
