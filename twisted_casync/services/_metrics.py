"""The numbers of a service as Prometheus reads them, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from twisted.application import strports
from twisted.application.service import IService
from twisted.web.resource import EncodingResourceWrapper, Resource
from twisted.web.server import GzipEncoderFactory, Site

from twisted_casync.services._counters import Counters

__all__ = ["CountersCollector", "MetricsSite", "metricsService"]

# Each socket's class has its own: a forwarder's two sides, say, are two classes.
_LABELS = ("service", "socket")


class CountersCollector(Collector):
    """Makes metrics of what was counted, whenever they are asked for."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        """All metrics; the samples of a class are there from its first socket on."""
        rows = list(self._counters.byClass().items())

        def one(kind: type, name: str, text: str, number: str) -> Any:
            family = kind(name, text, labels=_LABELS)
            for socket, counts in rows:
                family.add_metric((self._counters.service, socket), getattr(counts, number))
            return family

        def several(name: str, text: str, labels: tuple[str, ...], numbers: str) -> Any:
            family = CounterMetricFamily(name, text, labels=(*_LABELS, *labels))
            for socket, counts in rows:
                for label, value in getattr(counts, numbers).items():
                    named = label if isinstance(label, tuple) else (label,)
                    family.add_metric((self._counters.service, socket, *named), value)
            return family

        counter, gauge = CounterMetricFamily, GaugeMetricFamily
        yield one(counter, "casync_accepted", "Connections accepted.", "accepted")
        yield one(gauge, "casync_active", "Accepted connections that are open.", "active")
        yield several("casync_limited", "Connections turned away or ended by a limit.", ("limit",), "limited")
        yield one(counter, "casync_received_bytes", "Bytes received.", "bytesIn")
        yield one(counter, "casync_sent_bytes", "Bytes sent.", "bytesOut")
        yield one(counter, "casync_receives", "Calls that received something.", "receives")
        yield one(counter, "casync_handler_failures", "Handlers left by an exception.", "failures")
        yield several("casync_notifications", "Notifications, by handler.", ("handler",), "notifications")
        yield several("casync_would_block", "Calls that would have blocked.", ("member",), "wouldBlock")
        yield several("casync_errors", "Errors of calls and of notifications.", ("member", "code"), "errors")


class _Metrics(Resource):
    """The page. That of prometheus_client's own asks a peer for its host, which one at a UNIX socket has not."""

    isLeaf = True

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._registry = registry

    def render_GET(self, request: Any) -> bytes:
        """Answer in the newest format that is asked for."""
        encoder, contentType = choose_encoder(request.getHeader("accept") or "")
        request.setHeader("content-type", contentType)
        return encoder(self._registry)


class MetricsSite(Site):
    """The site, which writes no line in the log each time that somebody looks."""

    def log(self, request: Any) -> None:
        """Nothing."""


def metricsService(counters: Counters, where: str) -> IService:
    """Make a service that answers GET /metrics.

    @param counters: what to tell of, beside what the process uses.
    @param where: a server description of Twisted's; the place is opened when the service is started, as the other
        services' are, and twisted.internet.error.CannotListenError is raised when it can't be.
    """
    registry = CollectorRegistry()
    registry.register(CountersCollector(counters))
    ProcessCollector(registry=registry)
    root = Resource()
    page = EncodingResourceWrapper(_Metrics(registry), [GzipEncoderFactory()])
    root.putChild(b"metrics", page)
    site = MetricsSite(root)  # type: ignore[no-untyped-call]
    site.noisy = False
    service: IService = strports.service(where, site)
    return service
