"""
The interfaces: they declare what the reference has, their words name the errors that its tables list, and what says
that it provides them does.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.interfaces import IReadDescriptor, IWriteDescriptor
from twisted.plugin import IPlugin
from zope.interface.verify import verifyObject

from twisted_casync import (
    CAsyncSocket,
    GetLastError,
    IAsyncSocket,
    IAsyncSocketNotifications,
    IAsyncSocketService,
    interfaces,
)
from twisted_casync import __all__ as PUBLIC
from twisted_casync.services import SHIPPED
from twisted_casync.testing import RecordingSocket

HANDLERS = ("OnAccept", "OnClose", "OnConnect", "OnOutOfBandData", "OnReceive", "OnSend")
"""The reference's protected members."""

MEMBERS = (
    "Accept",
    "AsyncSelect",
    "Attach",
    "Bind",
    "BindEx",
    "Close",
    "Connect",
    "ConnectEx",
    "Create",
    "CreateEx",
    "Detach",
    "FromHandle",
    "GetLastError",
    "GetPeerName",
    "GetPeerNameEx",
    "GetSockName",
    "GetSockNameEx",
    "GetSockOpt",
    "IOCtl",
    "Listen",
    "Receive",
    "ReceiveFrom",
    "ReceiveFromEx",
    "Send",
    "SendTo",
    "SendToEx",
    "SetSockOpt",
    "ShutDown",
    "Socket",
)
"""Its public ones, and two that only the header afxsock.h has."""

PYTHON_NAMES = {"operator =": "Assign", "operator SOCKET": "__int__", "m_hSocket": "m_hSocket"}
"""Its operators, and its public data."""

OF_EVERY_MEMBER = {"WSANOTINITIALISED", "WSAENETDOWN", "WSAEINPROGRESS", "WSAENOTSOCK"}
"""What the words of the module say of all members at once."""

ERRORS: dict[str, list[str]] = json.loads((Path(__file__).parent / "reference_errors.json").read_text())["members"]

IMPLEMENTATIONS = (CAsyncSocket, RecordingSocket)

# zope.interface has no types for what an interface says of itself.
SOCKET: Any = IAsyncSocket
NOTIFICATIONS: Any = IAsyncSocketNotifications


def words(interface: Any, name: str) -> str:
    """
    The docstring of a member, and those of the members whose errors it refers to.
    """
    text: str = interface[name].getDoc()
    for other in re.findall(r"those of (\w+)\.", text) + re.findall(r"those of (\w+) that", text):
        text += words(interface, other)
    return text


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("interface", [IAsyncSocket, IAsyncSocketNotifications, IReadDescriptor, IWriteDescriptor])
def test_a_socket_is_what_it_says(implementation: type, interface: Any) -> None:
    assert verifyObject(interface, implementation())


@pytest.mark.parametrize("service", SHIPPED, ids=lambda service: service.name)
def test_a_service_is_what_it_says(service: object) -> None:
    assert verifyObject(IAsyncSocketService, service)
    assert verifyObject(IPlugin, service)


def test_every_member_of_the_reference_is_declared() -> None:
    declared = {name for name, _ in SOCKET.namesAndDescriptions(all=True)}
    assert declared >= {*HANDLERS, *MEMBERS, *PYTHON_NAMES.values()}
    assert declared >= {"receives", "sends", "both"}
    assert {name for name, _ in IAsyncSocketNotifications.namesAndDescriptions()} == set(HANDLERS)


@pytest.mark.parametrize("name", [*HANDLERS, *MEMBERS, *PYTHON_NAMES])
def test_a_member_names_its_section_of_the_reference(name: str) -> None:
    member = SOCKET[PYTHON_NAMES.get(name, name)]
    if callable(getattr(CAsyncSocket, member.getName(), None)):
        assert re.search(rf"@see: CAsyncSocket::{re.escape(name)}(?!\w)", member.getDoc())
    else:
        assert member.getDoc()


@pytest.mark.parametrize("name", ERRORS)
def test_a_member_names_the_errors_that_its_section_of_the_reference_lists(name: str) -> None:
    listed = set(ERRORS[name])
    if name in HANDLERS:
        # Their 0 is no error; WSAENETDOWN can be given to each.
        common = {"NO_ERROR", "WSAENETDOWN"}
        assert "WSAENETDOWN" in NOTIFICATIONS.getDoc()
    else:
        common = OF_EVERY_MEMBER
        assert interfaces.__doc__ is not None
        assert set(re.findall(r"WSA\w+", interfaces.__doc__)) >= OF_EVERY_MEMBER
    assert set(re.findall(r"WSA\w+", words(SOCKET, name))) >= listed - common


def test_the_table_of_errors_is_of_members_that_there_are() -> None:
    assert set(ERRORS) <= {*HANDLERS, *MEMBERS}
    codes = {code for listed in ERRORS.values() for code in listed}
    assert codes - {"NO_ERROR"} <= set(PUBLIC)


@pytest.mark.parametrize("name", [*HANDLERS, *MEMBERS, "Assign"])
def test_the_words_of_a_member_are_those_of_its_interface(name: str) -> None:
    if name == "GetLastError":
        # The function of the same name, which has words of its own.
        assert CAsyncSocket.GetLastError is GetLastError
        return
    assert inspect.getdoc(getattr(CAsyncSocket, name)) == inspect.cleandoc(SOCKET[name].getDoc())


@pytest.mark.parametrize("name", [*HANDLERS, *MEMBERS, "Assign"])
def test_a_member_is_called_as_its_interface_says(name: str) -> None:
    """The same parameters by the same names with the same defaults, where a default of either says something."""
    declared = SOCKET[name].getSignatureInfo()
    signature = inspect.signature(getattr(CAsyncSocket, name)).parameters
    parameters = {key: value for key, value in signature.items() if key != "self"}
    assert [key for key, value in parameters.items() if value.kind is not value.KEYWORD_ONLY] == list(
        declared["positional"]
    )
    given = {
        key: value.default
        for key, value in parameters.items()
        if value.default is not value.empty and value.kind is not value.KEYWORD_ONLY
    }
    assert given == declared["optional"]


def test_what_is_asked_by_name_alone_is_asked_so_of_the_socket_too() -> None:
    """zope.interface tells nothing of parameters behind a C{*}."""
    for name in ("ReceiveFrom", "ReceiveFromEx"):
        parameter = inspect.signature(getattr(CAsyncSocket, name)).parameters["lpSockAddrLen"]
        assert parameter.kind is parameter.KEYWORD_ONLY
        assert parameter.default is None
        assert "@param lpSockAddrLen" in words(SOCKET, "ReceiveFrom")


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_says_what_its_parameters_are(name: str) -> None:
    declared: list[Any] = list(SOCKET[name].getSignatureInfo()["positional"])
    described = words(SOCKET, name)
    same = re.search(r"[Pp]arameters as for (\w+)", described)
    if same is not None:
        described += words(SOCKET, same[1])
    for parameter in declared:
        assert re.search(rf"\b{parameter}\b", described), parameter


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_says_what_it_returns(name: str) -> None:
    if name != "Close":
        assert "@return: " in SOCKET[name].getDoc()


@pytest.mark.parametrize("interface", [getattr(interfaces, name) for name in interfaces.__all__])
def test_all_that_is_declared_is_described(interface: Any) -> None:
    assert interface.getDoc().strip()
    for name, member in interface.namesAndDescriptions():
        assert member.getDoc().strip(), name
