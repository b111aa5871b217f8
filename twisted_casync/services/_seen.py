"""What `twistd casync` can show of a running service: the options before its name."""

from __future__ import annotations

import os
from typing import Any

from twisted.python import usage

__all__ = ["SeenOptions"]


def _file(path: str) -> str:
    """The path that a trace is written to, whatever directory the process changes to later."""
    path = os.path.abspath(path)
    if os.path.isdir(path):
        raise usage.UsageError(f"--trace {path}: is a directory")
    there = path if os.path.exists(path) else os.path.dirname(path)
    if not os.access(there, os.W_OK):
        reason = "can't be written" if os.path.exists(there) else "does not exist"
        raise usage.UsageError(f"--trace {path}: {there} {reason}")
    return path


def _place(where: str) -> str:
    """The server description of a place that HTTP can be served at."""
    from twisted_casync.services._observed import metricsPlace

    try:
        return metricsPlace(where)
    except (ImportError, ValueError) as error:
        raise usage.UsageError(f"--metrics {error}") from None


class SeenOptions(usage.Options):
    """The options; a subclass has the rest of the command line."""

    optParameters: list[list[Any]] = [
        ["trace", None, None, "Write what the sockets do to this file; see python -m twisted_casync.trace.", _file],
        ["metrics", None, None, "Serve metrics for Prometheus there, such as tcp:9090:interface=127.0.0.1.", _place],
    ]
    optFlags: list[list[Any]] = [
        ["status", None, "Show a line on the terminal that says how the service is doing."],
    ]
