"""The service itself: signing in, health, metrics."""

from collections.abc import Iterator
from typing import Any

from litestar import Request, Response, get, post
from litestar.params import JSONBody
from prometheus_client.core import (
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from dure.api.caller import services_of
from dure.api.problems import ProblemError, documented
from dure.api.schemas import Health, LoginIn, LoginOut
from dure.services.desks import Services
from dure.services.people import SignInRefusal
from dure.services.views import DEVICE_STATES

AnyRequest = Request[Any, Any, Any]


@post(
    "/login",
    opt={"action": "session.open"},
    status_code=200,
    responses=documented(400, 401, 422, 429),
    sync_to_thread=True,
)
def login(request: AnyRequest, data: JSONBody[LoginIn]) -> LoginOut:
    """Exchange a password for an API token, which is shown this once."""
    people = services_of(request).people
    address = request.client.host if request.client else ""
    answer = people.check(data.user, data.password, address=address)
    if isinstance(answer, SignInRefusal):
        if answer is SignInRefusal.HELD:
            raise ProblemError(429, "held", "Too many wrong passwords; wait a little.")
        raise ProblemError(401, "wrong-password", "The name or the password is wrong.")
    text, token = people.issue_token(
        answer.user, label=data.label, days=data.days, by=answer.user, makes_room=True
    )
    roles = sorted(role.value for role in answer.roles)
    return LoginOut(text, token.token, answer.user, roles, token.expires_at_s)


@get("/healthz", opt={"action": "service.read"}, sync_to_thread=False)
def healthz(request: AnyRequest) -> Health:
    """Say that the service answers, and how far each pool has come."""
    services = services_of(request)
    seen = {name: desk.view().seq for name, desk in services.pools.items()}
    return Health("ok", services.version, seen)


@get(
    "/metrics",
    opt={"action": "service.read"},
    media_type=CONTENT_TYPE_LATEST,
    include_in_schema=False,
    sync_to_thread=False,
)
def metrics(request: AnyRequest) -> Response[bytes]:
    """Give the public figures in Prometheus' text format; no user, project or job is named."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(PoolFigures(services_of(request)))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class PoolFigures(Collector):
    """Reads the pools' newest views when asked; keeps nothing."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def collect(self) -> Iterator[Metric]:
        """Yield every family of series."""
        gpus = GaugeMetricFamily(
            "dure_gpus", "GPUs by what they do now", labels=["pool", "provider", "cluster", "kind"]
        )
        spent = CounterMetricFamily(
            "dure_gpu_seconds", "GPU-seconds by kind of use", labels=["pool", "kind"]
        )
        waiting = GaugeMetricFamily("dure_pending_jobs", "Jobs that wait", labels=["pool"])
        waited = GaugeMetricFamily("dure_pending_gpus", "GPUs waited for", labels=["pool"])
        running = GaugeMetricFamily("dure_running_jobs", "Jobs that run", labels=["pool"])
        done = CounterMetricFamily("dure_jobs_done", "Jobs that ended", labels=["pool"])
        now = GaugeMetricFamily("dure_pool_clock_seconds", "The pool's clock", labels=["pool"])
        seq = CounterMetricFamily("dure_views", "Views published", labels=["pool"])
        reclaims = CounterMetricFamily(
            "dure_reclaims", "GPUs called back, by outcome", labels=["pool", "outcome"]
        )
        times = GaugeMetricFamily(
            "dure_return_seconds", "From asking to start", labels=["pool", "quantile"]
        )
        for name, desk in self.services.pools.items():
            view = desk.view()
            for row in view.supply:
                if row.cluster:
                    for kind, milli in zip(DEVICE_STATES, row.kinds_milli, strict=True):
                        gpus.add_metric([name, row.provider, row.cluster, kind], milli / 1000)
            for kind, gpu_s in zip(DEVICE_STATES, view.kinds_gpu_s, strict=True):
                spent.add_metric([name, kind], gpu_s)
            waiting.add_metric([name], view.waiting_jobs)
            waited.add_metric([name], view.waiting_gpus)
            running.add_metric([name], view.running_jobs)
            done.add_metric([name], view.done_jobs)
            now.add_metric([name], view.now_s)
            seq.add_metric([name], view.seq)
            lending = view.lending
            for outcome in ("returned", "withdrawn", "late"):
                reclaims.add_metric([name, outcome], getattr(lending, outcome))
            times.add_metric([name, "0.5"], lending.return_s_p50)
            times.add_metric([name, "0.99"], lending.return_s_p99)
        yield from (gpus, spent, waiting, waited, running, done, now, seq, reclaims, times)
        yield from self._of_loans()
        yield from self._of_engines()
        yield from self._of_measuring()

    def _of_engines(self) -> Iterator[Metric]:
        turns = SummaryMetricFamily("dure_turn_seconds", "Turns of the engine", labels=["pool"])
        longest = GaugeMetricFamily("dure_turn_seconds_max", "The longest turn", labels=["pool"])
        failures = CounterMetricFamily("dure_turn_failures", "Turns that failed", labels=["pool"])
        head = GaugeMetricFamily("dure_ledger_head", "The newest record", labels=["pool"])
        troubles = GaugeMetricFamily(
            "dure_backend_troubles", "Attempts that cannot be moved on now", labels=["pool"]
        )
        for name, ask in self.services.engines.items():
            found = ask()
            turns.add_metric([name], count_value=found.turns, sum_value=found.turn_s_sum)
            longest.add_metric([name], found.turn_s_max)
            failures.add_metric([name], found.failures)
            head.add_metric([name], found.ledger_head)
            troubles.add_metric([name], found.backend_troubles)
        yield from (turns, longest, failures, head, troubles)

    def _of_loans(self) -> Iterator[Metric]:
        loans = GaugeMetricFamily("dure_loans", "Loans open now", labels=["pool"])
        lent = GaugeMetricFamily("dure_loaned_gpus", "GPUs on loan now", labels=["pool"])
        open_ = GaugeMetricFamily("dure_reclaims_open", "Reclaims under way", labels=["pool"])
        age = GaugeMetricFamily(
            "dure_reclaim_age_seconds", "Of the oldest reclaim under way", labels=["pool"]
        )
        for name, desk in self.services.pools.items():
            view = desk.view()
            asked = [row.asked_at_s for row in view.reclaims if row.outcome == "open"]
            loans.add_metric([name], len(view.loans))
            lent.add_metric([name], sum(row.gpus for row in view.loans))
            open_.add_metric([name], len(asked))
            age.add_metric([name], view.now_s - min(asked, default=view.now_s))
        yield from (loans, lent, open_, age)

    def _of_measuring(self) -> Iterator[Metric]:
        lag = GaugeMetricFamily("dure_telemetry_lag_seconds", "Not read yet", labels=["pool"])
        taken = CounterMetricFamily("dure_telemetry_samples", "Samples taken", labels=["pool"])
        aside = CounterMetricFamily(
            "dure_telemetry_set_aside", "Bad records, by reason", labels=["pool", "reason"]
        )
        trouble = CounterMetricFamily(
            "dure_telemetry_troubles", "Failures of meter or disk", labels=["pool"]
        )
        lost = CounterMetricFamily(
            "dure_telemetry_lost", "Samples dropped, files found torn", labels=["pool", "what"]
        )
        tickets = GaugeMetricFamily("dure_tickets", "Repairs asked for", labels=["pool", "state"])
        cases = GaugeMetricFamily(
            "dure_idle_notices", "Jobs told that they hold GPUs idle", labels=["pool", "state"]
        )
        for name, desk in self.services.care.items():
            found = desk.figures()
            lag.add_metric([name], found.lag_s)
            taken.add_metric([name], found.samples)
            for reason, count in sorted(found.set_aside.items()):
                aside.add_metric([name, reason], count)
            trouble.add_metric([name], found.troubles)
            lost.add_metric([name, "samples"], found.lost)
            lost.add_metric([name, "files"], found.torn)
            for family, counts in ((tickets, found.tickets), (cases, found.idle_cases)):
                for state, count in counts.items():
                    family.add_metric([name, state], count)
        yield from (lag, taken, aside, trouble, lost, tickets, cases)


ROUTES = (login,)
PLAIN_ROUTES = (healthz, metrics)
