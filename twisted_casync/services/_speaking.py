"""In whose name a service logs."""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger

__all__ = ["logOf", "serviceOf"]


def serviceOf(maker: Any) -> str:
    """The name of a service.

    @param maker: its class of connections or of datagram sockets, or a function; its module has the name.
    """
    return str(maker.__module__).rpartition(".")[2]


def logOf(maker: Any) -> Logger:
    """Where a service logs: "casync." and its name, short in each line; of another package's the whole module.

    @param maker: as for serviceOf.
    """
    ours = maker.__module__.startswith("twisted_casync.")
    return Logger(f"casync.{serviceOf(maker)}" if ours else maker.__module__)
