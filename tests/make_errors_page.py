"""
Write C{docs/errors.md} from the table of errors.

    python tests/make_errors_page.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).parent.parent
if __name__ == "__main__":
    sys.path[:0] = [str(_ROOT), str(Path(__file__).parent)]

from _errors_every import ELSEWHERE, NETDOWN, UNOPENED  # noqa: E402  # found on the path that was just extended
from _errortable import Row  # noqa: E402
from error_table import FURTHER_OF, REFERENCE, SOURCE, TABLE  # noqa: E402

from twisted_casync import (  # noqa: E402
    INVALID_SOCKET,
    SOCKET_ERROR,
    WSAEINPROGRESS,
    WSAENETDOWN,
    WSAENOTSOCK,
    WSANOTINITIALISED,
)

__all__ = ["FAILURE", "PAGE", "page"]

PAGE = _ROOT / "docs" / "errors.md"

FAILURE = {
    "Accept": False,
    "Assign": False,
    "AsyncSelect": False,
    "Attach": False,
    "Bind": False,
    "BindEx": False,
    "Connect": False,
    "ConnectEx": False,
    "Create": False,
    "CreateEx": False,
    "Detach": INVALID_SOCKET,
    "GetPeerName": None,
    "GetPeerNameEx": None,
    "GetSockName": None,
    "GetSockNameEx": None,
    "GetSockOpt": None,
    "IOCtl": None,
    "Listen": False,
    "Receive": SOCKET_ERROR,
    "ReceiveFrom": SOCKET_ERROR,
    "ReceiveFromEx": SOCKET_ERROR,
    "Send": SOCKET_ERROR,
    "SendTo": SOCKET_ERROR,
    "SendToEx": SOCKET_ERROR,
    "SetSockOpt": False,
    "ShutDown": False,
    "Socket": False,
}
"""What each member returns when it fails, by its name; of a handler there is none."""

_WORDS = {
    "Accept": "`False`, or `None` when the address was asked for",
    "IOCtl": "`None`, or `False` with `FIONBIO`",
    "Detach": "`INVALID_SOCKET`",
    "ReceiveFrom": "`(SOCKET_ERROR, None)`",
    "ReceiveFromEx": "`(SOCKET_ERROR, None)`",
}

_COMMON = {WSANOTINITIALISED: ELSEWHERE, WSAENETDOWN: NETDOWN, WSAENOTSOCK: UNOPENED}
"""What is the same of nearly every member, and is said once."""

_MARK = r"\*"

_HEAD = f"""\
<!-- Written by tests/make_errors_page.py from the table that tests/test_errors.py walks; change it there. -->

# Errors

A member that fails returns `False`, `None` or `SOCKET_ERROR`, and `GetLastError()` then has the code: a `WSAError`,
which is an `int` with Winsock's number, prints as its name, and has one sentence as its `message`. After a member that
succeeds it is 0, as with Windows 7 and later; only `Close` and `FromHandle` leave it as it was.

    if self.Send(data) == SOCKET_ERROR and GetLastError() != WSAEWOULDBLOCK:
        log.error("can't send: {{code}}, {{code.message}}", code=GetLastError())
        self.Close()

**`WSAEWOULDBLOCK` is not a failure** but the usual answer of a class whose calls never wait: a handler says when to
call again. What C++ would not compile (a `str` as a buffer, a float as a port) is a `TypeError` that names the
parameter.

Below is every code that the [reference]({SOURCE}) lists
for each member, and when it comes here. For each there is a test that makes it come and looks at what it leaves behind.
Where a code is marked {_MARK}, Linux can't be brought to it at will, and the test makes the system call fail. What
can never come is listed with its reason.

## Every member

These belong to nearly every member, and are left out of its table where there is nothing more to say of them.

"""


def page() -> str:
    """
    @return: the text of the page.
    """
    return (_HEAD + "\n".join([*_common(), *_members()])).rstrip() + "\n"


def _common() -> Iterator[str]:
    yield from _table([Row("", code, "provoked", *words) for code, words in _COMMON.items()])
    reason = next(row.when for row in TABLE if row.code is WSAEINPROGRESS)
    yield f"`WSAEINPROGRESS` never comes. {reason}"
    yield ""
    yield (
        "An error of the system that no socket call is known to give is `WSASYSCALLFAILURE`. A call that a signal has "
        "interrupted is `WSAEWOULDBLOCK`, and can be repeated."
    )
    yield ""


def _members() -> Iterator[str]:
    sections: dict[str, list[str]] = {}
    for member in [*REFERENCE, *sorted(FURTHER_OF.keys() - REFERENCE.keys())]:
        # A member and its Ex are mostly the same.
        sections.setdefault("\n".join(_member(member)), []).append(member)
    for text, members in sections.items():
        yield f"## {', '.join(members)}"
        yield ""
        yield text


def _member(member: str) -> Iterator[str]:
    if member in FAILURE:
        yield f"Fails with {_WORDS.get(member, f'`{_constant(FAILURE[member])}`')}."
        yield ""
    rows = [row for row in TABLE if row.member == member]
    further = [row for row in FURTHER_OF.get(member, []) if not _isCommon(row)]
    come = [row for row in rows if row.how != "meaningless" and not _isCommon(row)]
    if come:
        yield from _table(come)
    if further:
        if rows:
            yield "Not in the reference's list, but here:"
            yield ""
        yield from _table(further)
    if not come and not further:
        yield "Only with what every member can fail with."
        yield ""
    never = [row for row in rows if row.how == "meaningless" and row.code is not WSAEINPROGRESS]
    for row in never:
        yield f"- `{row.code.name}` never comes. {row.when}"
    if never:
        yield ""


def _isCommon(row: Row) -> bool:
    return _COMMON.get(row.code) == (row.when, row.advice)


def _constant(value: object) -> str:
    return "SOCKET_ERROR" if value == SOCKET_ERROR else repr(value)


def _table(rows: list[Row]) -> Iterator[str]:
    yield "| code | when it comes | what to do |"
    yield "| --- | --- | --- |"
    for row in rows:
        name = row.code.name if row.code else "0"
        mark = f" {_MARK}" if row.how == "injected" else ""
        yield f"| `{name}`{mark} | {row.when} | {row.advice} |"
    yield ""


if __name__ == "__main__":
    PAGE.write_text(page())
