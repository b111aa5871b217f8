"""python -m sidebyside.servers NAME SERVICE BUFFER: be one of the servers."""

from __future__ import annotations

import sys

from . import SERVERS

if __name__ == "__main__":
    name, service, buffer = sys.argv[1:]
    SERVERS[name].serve(service, int(buffer))
