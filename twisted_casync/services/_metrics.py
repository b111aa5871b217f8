"""The numbers of a service as Prometheus reads them, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from twisted.application import strports
from twisted.application.service import IService
from twisted.web.resource import Resource
from twisted.web.server import Site

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


class MetricsSite(Site):
    """The site, which writes no line in the log each time that somebody looks."""

    def log(self, request: Any) -> None:
        """Nothing."""


def metricsService(counters: Counters, where: str) -> IService:
    """Make a service that answers GET /metrics.

    counters: what to tell of, beside what the process uses.
    where: a server description of Twisted's; the place is opened when the service is started, as the other
        services' are, and twisted.internet.error.CannotListenError is raised when it can't be.
    """
    # It looks for the reactor when it is imported.
    from prometheus_client.twisted import MetricsResource

    registry = CollectorRegistry()
    registry.register(CountersCollector(counters))
    ProcessCollector(registry=registry)
    root = Resource()
    root.putChild(b"metrics", MetricsResource(registry))  # type: ignore[no-untyped-call]
    site = MetricsSite(root)  # type: ignore[no-untyped-call]
    site.noisy = False
    service: IService = strports.service(where, site)
    return service
