"""CAsyncSocket beside its peers, all in one run.

    python benchmarks/run.py [--quick] [--scenes NAME ...] [--servers NAME ...] [--rounds N] [--seconds S]
                             [--markdown FILE] [--json FILE] [--svg FILE]

Starts servers that do the same on different foundations, loads one after the other, and prints tables of ratios. The
load, and one of the servers, are in C and compiled on the spot, so a C compiler is needed; strace for the system calls;
`pip install -e '.[bench]'` for the peers that are not installed. What is missing is left out, and the report says so.

Where the machine has two processors for it, all servers are on one of them (those that are not loaded sleep) and the
load is on the other. In every round each measurement is taken of one server right after the other, in another order
each time, so that what else the machine does hits all of them alike; a ratio is always between two of the same round.
Before each measurement it waits for a quiet machine, and what was disturbed is repeated, within --patience.

The whole takes about half an hour, --quick two minutes. The exit status is 1 where a measurement failed, and unless
CAsyncSocket beats Twisted's own Protocol in the echo over 100 connections, and in processor time over one.
"""

from __future__ import annotations

import sys

from sidebyside.command import main

if __name__ == "__main__":
    assert __doc__ is not None
    sys.exit(main(__doc__))
