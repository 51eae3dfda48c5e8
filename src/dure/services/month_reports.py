"""What goes into a month's report, and for whom; ``reports.documents`` writes it."""

from collections.abc import Sequence
from dataclasses import asdict
from enum import Enum

from dure.core.calendar import moment_s
from dure.reports.documents import Report, ReportTable, table_of
from dure.services.access import Actor, may
from dure.services.desks import Services
from dure.services.programme_views import MonthUse
from dure.services.views import SupplyRow

USE = ("entitled_gpu_s", "own_gpu_s", "loan_gpu_s", "scavenge_gpu_s", "lent_gpu_s", "lost_gpu_s")


class ReportKind(Enum):
    """The reports there are. PUBLIC names no project and is for everybody."""

    MONTHLY = "monthly"
    PROVIDER = "provider"
    PROGRAMME = "programme"
    PUBLIC = "public"


def month_report(actor: Actor, services: Services, kind: ReportKind, month: str) -> Report:
    """Gather a report as ``actor`` may read it: a provider's operator gets the provider's rows.

    Args:
        month: ``2026-03``, checked.
    """
    if kind is ReportKind.MONTHLY:
        tables: tuple[ReportTable, ...] = (_use_table(services, _own_use(actor, services, month)),)
    elif kind is ReportKind.PROVIDER:
        tables = (_provider_table(actor, services, month),)
    elif kind is ReportKind.PROGRAMME:
        tables = (
            _rounds(services),
            _waiting(services),
            _checks(services, month),
            _recalls(services, month),
        )
    else:
        tables = (
            _supply(services),
            _use_sum(services, month),
            _rounds(services),
            _waiting(services),
        )
    programme_now_s = services.programme.now_s()
    head = {
        "unit": "GPU-seconds",
        "as_of_s": programme_now_s,
        "is_complete": moment_s(f"{_next(month)}-01") <= programme_now_s,
        "is_synthetic": any(desk.view().imagined for desk in services.pools.values()),
    }
    return Report(kind.value, month, head, tables)


def providers_of(services: Services) -> dict[str, SupplyRow]:
    """Return the providers of all pools; the first pool that knows one tells its size."""
    found: dict[str, SupplyRow] = {}
    for desk in services.pools.values():
        for row in desk.view().supply:
            if not row.cluster:
                found.setdefault(row.provider, row)
    return found


def _own_use(actor: Actor, services: Services, month: str) -> list[MonthUse]:
    rows = services.programme.use(month)
    return [row for row in rows if may(actor, "report.read", owner=row.who)]


def _use_table(services: Services, rows: Sequence[MonthUse]) -> ReportTable:
    providers = providers_of(services)
    shown = [
        {"kind": "provider" if row.who in providers else "project", **asdict(row)} for row in rows
    ]
    shown.sort(key=lambda row: (row["kind"] == "project", row["who"]))
    return table_of("use", shown, ("month", "kind", "who"), USE)


def _provider_table(actor: Actor, services: Services, month: str) -> ReportTable:
    use = {row.who: row for row in services.programme.use(month)}
    rows = []
    for provider, row in sorted(providers_of(services).items()):
        if not may(actor, "report.read", owner=provider):
            continue
        used = asdict(use[provider]) if provider in use else dict.fromkeys(USE)
        rows.append(
            {
                **used,
                "month": month,
                "provider": provider,
                "nodes": row.nodes,
                "gpus": row.gpus,
                "public_gpus": row.public_gpus,
            }
        )
    return table_of(
        "providers", rows, ("month", "provider"), ("nodes", "gpus", "public_gpus", *USE)
    )


def _supply(services: Services) -> ReportTable:
    rows = [
        {"pool": name, "gpus": view.gpus, "public_gpus": view.public_gpus}
        for name, view in ((name, desk.view()) for name, desk in services.pools.items())
    ]
    return table_of("pools", rows, ("pool",), ("gpus", "public_gpus"))


def _use_sum(services: Services, month: str) -> ReportTable:
    """Sum the projects' use of a month, so that nobody is named."""
    providers = providers_of(services)
    rows = [row for row in services.programme.use(month) if row.who not in providers]
    total = {name: sum(getattr(row, name) for row in rows) for name in USE}
    return table_of(
        "use", [{"month": month, **total, "projects": len(rows)}], ("month",), ("projects", *USE)
    )


def _rounds(services: Services) -> ReportTable:
    rows = [
        {"call": call.call, **asdict(one)}
        for call in services.programme.calls()
        for one in call.rounds
    ]
    figures = ("applications", "gpus_asked", "selected", "waitlisted", "gpus_awarded")
    return table_of("rounds", rows, ("call", "round"), ("status", *figures))


def _waiting(services: Services) -> ReportTable:
    sums: dict[tuple[str, str], list[int]] = {}
    for row in services.programme.waitlist():
        line = sums.setdefault((row.call, row.accelerator), [0, 0])
        line[0] += 1
        line[1] += row.gpus
    rows = [
        {"call": call, "accelerator": accelerator, "waiting": line[0], "gpus": line[1]}
        for (call, accelerator), line in sorted(sums.items())
    ]
    return table_of("waitlist", rows, ("call", "accelerator"), ("waiting", "gpus"))


def _checks(services: Services, month: str) -> ReportTable:
    rows = [asdict(row) for row in services.programme.checks() if row.month == month]
    figures = ("status", "used_percent", "threshold_percent", "at_s")
    return table_of("checks", rows, ("project",), figures)


def _recalls(services: Services, month: str) -> ReportTable:
    from_s, to_s = moment_s(f"{month}-01"), moment_s(f"{_next(month)}-01")
    rows = [
        asdict(row) for row in services.programme.recalls() if from_s <= row.noticed_at_s < to_s
    ]
    figures = ("project", "accelerator", "gpus", "status", "noticed_at_s", "handed_to")
    return table_of("recalls", rows, ("recall",), figures)


def _next(month: str) -> str:
    year, number = (int(part) for part in month.split("-"))
    return f"{year + number // 12}-{number % 12 + 1:02d}"
