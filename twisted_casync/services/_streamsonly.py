"""The command line of a service that has nothing to say to datagrams."""

from __future__ import annotations

from twisted.python import usage

from twisted_casync.services._options import ServiceOptions

__all__ = ["StreamOptions"]


class StreamOptions(ServiceOptions):
    """As ServiceOptions, but a place for datagrams is an error of usage."""

    def postOptions(self) -> None:
        super().postOptions()  # type: ignore[no-untyped-call]
        for place in self["where"]:
            if place.kind != "stream":
                raise usage.UsageError(f"{place.description!r}: this service has streams only, as tcp: or unix:")
