"""Figures for Prometheus: gauges read from the database at each scrape, counters of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics

from agent_runtime.core.approval import Kind
from agent_runtime.core.duration import SECOND
from agent_runtime.operations.cancel import ENDED
from agent_runtime.operations.resolve import DECISION
from agent_runtime.operations.tokens import Scope
from agent_runtime.store.database import Database
from agent_runtime.store.figures import SIZES, Figures
from agent_runtime.store.gauges import ALIVE, MOST_OVERDUE, OLDEST_PENDING, OPEN, PENDING_BY_KIND
from agent_runtime.store.outbox import DEAD_DELIVERIES, UNDELIVERED
from agent_runtime.store.serving import WORKER_HORIZON
from agent_runtime.store.statement import Q
from agent_runtime.store.switches import SWITCHES
from agent_runtime.store.webhooks import DEAD_WEBHOOKS, WAITING_WEBHOOKS
from agent_runtime.web.authentication import DATABASE, Identity
from agent_runtime.web.connections import CONNECTIONS, Connections
from agent_runtime.web.endpoint import Endpoint, nothing

Calls = Callable[[], Mapping[tuple[str, str, str], int]]
"""How often surfaces called their services: by surface, method and outcome."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Bounds of the histogram: up to the longest wait that a request may ask for."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """The counters of one served application; each has its own registry, so that several live in a process."""

    registry: CollectorRegistry
    requests: Counter
    seconds: Histogram

    @classmethod
    def new(cls) -> Metrics:
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        return cls(
            registry,
            Counter(
                "countersign_http_requests",
                "HTTP requests that were answered.",
                ["method", "route", "status"],
                registry=registry,
            ),
            Histogram(
                "countersign_http_request_duration_seconds",
                "How long HTTP requests took; long polls and streams as long as they were held.",
                ["method", "route"],
                registry=registry,
                buckets=_SECONDS,
            ),
        )

    def answered(self, request: web.Request, status: int, seconds: float) -> None:
        """Counts a request by its route, never by its path: that is the client's to choose."""
        resource = request.match_info.route.resource
        method = request.method if request.method in hdrs.METH_ALL else "other"
        route = resource.canonical if resource is not None else "none"
        self.requests.labels(method, route, str(status)).inc()
        self.seconds.labels(method, route).observe(seconds)


METRICS = web.AppKey("metrics", Metrics)
CALLS: web.AppKey[Calls] = web.AppKey("calls")


@dataclass(frozen=True, slots=True)
class Gathered:
    """Everything that one scrape shows."""

    registry: CollectorRegistry
    families: list[Metric] = field(default_factory=list)

    def collect(self) -> Iterable[Metric]:
        """As the library's encoders ask for it."""
        yield from self.families
        yield from self.registry.collect()


async def scraped(request: web.Request, identity: Identity, _: None) -> web.StreamResponse:
    """The text format of Prometheus, or OpenMetrics where the client asks for it."""
    database = request.app[DATABASE]
    families = [*await _gauges(database), *_counters(database.figures), _calls(request.app[CALLS]())]
    families.append(_turned_away(request.app[CONNECTIONS]))
    gathered = Gathered(request.app[METRICS].registry, families)
    if "application/openmetrics-text" in request.headers.get("Accept", ""):
        body = openmetrics.generate_latest(gathered)  # type: ignore[no-untyped-call]
        content_type = openmetrics.CONTENT_TYPE_LATEST
    else:
        body, content_type = generate_latest(gathered), CONTENT_TYPE_PLAIN_0_0_4
    return web.Response(body=body, headers={"Content-Type": content_type})


async def _gauges(database: Database) -> list[Metric]:
    """What the database holds: the same from every replica."""
    now = database.clock()

    async def number(q: Q, **binds: int) -> int:
        row = await database.one(q, **binds)
        assert row is not None
        return int(row.n)

    async def seconds_since(q: Q) -> float:
        row = await database.one(q)
        return 0.0 if row is None else max(0, now - row[0]) / SECOND

    kinds = {row.kind: row.n for row in await database.all(PENDING_BY_KIND)}
    return [
        _family("info", "The version that answers.", ["version"], {(version("countersign"),): 1}),
        _family(
            "executions",
            "Executions that have not ended, by status.",
            ["status"],
            {(status,): await number(q) for status, q in OPEN.items()},
        ),
        _family(
            "approvals_pending",
            "Approvals that wait for people, by kind; in_doubt: calls whose outcome nobody knows.",
            ["kind"],
            {(kind.value,): kinds.get(kind.value, 0) for kind in Kind},
        ),
        _family(
            "approvals_oldest_pending_age_seconds",
            "How long the oldest pending approval has waited; 0 where none is.",
            [],
            {(): await seconds_since(OLDEST_PENDING)},
        ),
        _family(
            "sweep_lateness_seconds",
            "How long the next reminder, escalation or expiry is overdue; 0 where none is.",
            [],
            {(): await seconds_since(MOST_OVERDUE)},
        ),
        _family(
            "outbox_rows",
            "What is to be shown to people: waiting, or given up (dead).",
            ["state"],
            {("waiting",): await number(UNDELIVERED), ("dead",): await number(DEAD_DELIVERIES)},
        ),
        _family(
            "webhooks",
            "What is to be sent to other systems: waiting, or given up (dead).",
            ["state"],
            {("waiting",): await number(WAITING_WEBHOOKS), ("dead",): await number(DEAD_WEBHOOKS)},
        ),
        _family("stop_switches", "What is stopped.", [], {(): len(await database.all(SWITCHES))}),
        _family("workers", "Workers that are alive.", [], {(): await number(ALIVE, b_since=now - WORKER_HORIZON)}),
    ]


def _counters(figures: Figures) -> list[Metric]:
    """What this process has committed since it began."""
    decisions = CounterMetricFamily(
        "countersign_decisions", "Votes and expiries recorded here, by verdict and door.", labels=["verdict", "via"]
    )
    ended = CounterMetricFamily(
        "countersign_executions_ended", "Executions whose end was recorded here, by status.", labels=["status"]
    )
    families = {DECISION: decisions, ENDED: ended}
    for (name, *labels), n in figures.counts.items():
        families[name].add_metric(labels, n)
    sizes = HistogramMetricFamily("countersign_commit_batch_size", "Operations that shared a commit.")
    buckets, committed = [], 0
    for bound, batches in zip(SIZES, figures.batches, strict=True):
        committed += batches
        buckets.append((f"{float(bound)}", committed))
    sizes.add_metric([], [*buckets, ("+Inf", committed)], sum_value=figures.requests)
    return [decisions, ended, sizes]


def _calls(calls: Mapping[tuple[str, str, str], int]) -> Metric:
    family = CounterMetricFamily(
        "countersign_surface_calls",
        "Calls of this process to the services that show approvals (Slack), by method and outcome.",
        labels=["surface", "method", "outcome"],
    )
    for labels, n in calls.items():
        family.add_metric(labels, n)
    return family


def _turned_away(connections: Connections) -> Metric:
    family = CounterMetricFamily(
        "countersign_http_connections_turned_away",
        "Connections past the limit: refused, or dropped as the longest at rest.",
        labels=["how"],
    )
    family.add_metric(["refused"], connections.refused)
    family.add_metric(["dropped"], connections.dropped)
    return family


def _family(name: str, meaning: str, labels: list[str], values: Mapping[tuple[str, ...], float]) -> Metric:
    family = GaugeMetricFamily(f"countersign_{name}", meaning, labels=labels)
    for label, value in values.items():
        family.add_metric(label, value)
    return family


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/metrics",
        summary="Figures for Prometheus, as text or OpenMetrics",
        find=nothing,
        scope=Scope.read,
        answer=scraped,
        answers={200: "text/plain"},
        refusals=(403,),
    ),
)
