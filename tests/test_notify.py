"""
The rules of C{WSAAsyncSelect}, one sentence a test.
"""

from __future__ import annotations

import pytest

from twisted_casync._notify import (
    ACCEPT,
    ALL,
    CLOSE,
    CONNECT,
    OOB,
    READ,
    REENABLED_BY,
    WRITE,
    Notifications,
    Phase,
)

NAMES = {
    "FD_CONNECT": CONNECT,
    "FD_ACCEPT": ACCEPT,
    "FD_READ": READ,
    "FD_OOB": OOB,
    "FD_WRITE": WRITE,
    "FD_CLOSE": CLOSE,
}
"""In the order in which they are told when they hold at the same moment."""


class Socket:
    """
    A socket of which the test says in what phase it is, and what is ready.
    """

    def __init__(self, phase: Phase, selected: int = ALL, ready: int = 0) -> None:
        self.rules = Notifications(selected)
        self.rules.enter(phase)
        self.ready = ready

    def told(self) -> list[str]:
        """
        @return: what is told from now on, until there are no more news.
        """
        told: list[str] = []
        while event := self.rules.news(self.ready):
            self.rules.tell(event)
            assert len(told) < len(NAMES), "an event that was told is told again"
            told += [name for name, bit in NAMES.items() if bit == event]
        return told

    def call(self, function: str) -> None:
        """
        Call a re-enabling function.
        """
        self.rules.reenable(REENABLED_BY[function])

    def select(self, events: int = ALL) -> None:
        self.rules.select(events)

    def enter(self, phase: Phase) -> None:
        self.rules.enter(phase)


def connected(selected: int = ALL, ready: int = 0) -> Socket:
    """
    A connected socket that was told that it can send.
    """
    socket = Socket(Phase.CONNECTED, selected, WRITE)
    assert socket.told() == (["FD_WRITE"] if selected & WRITE else [])
    socket.ready = ready
    return socket


# -- accepting


def test_a_client_that_connects_is_told_once() -> None:
    socket = Socket(Phase.LISTENING)
    assert socket.told() == []
    socket.ready = ACCEPT
    assert socket.told() == ["FD_ACCEPT"]
    # A second client, before the first was accepted.
    assert socket.told() == []


def test_accept_tells_of_the_next_client_that_waits() -> None:
    socket = Socket(Phase.LISTENING, ready=ACCEPT)
    assert socket.told() == ["FD_ACCEPT"]
    socket.call("Accept")
    assert socket.told() == ["FD_ACCEPT"]
    socket.call("Accept")
    socket.ready = 0
    assert socket.told() == []
    socket.ready = ACCEPT
    assert socket.told() == ["FD_ACCEPT"]


@pytest.mark.parametrize("masks", [[ALL], [0, ALL], [ACCEPT], [ALL & ~ACCEPT, ALL]])
def test_select_tells_again_of_a_client_that_waits(masks: list[int]) -> None:
    socket = Socket(Phase.LISTENING, ready=ACCEPT)
    assert socket.told() == ["FD_ACCEPT"]
    for mask in masks:
        socket.select(mask)
    assert socket.told() == ["FD_ACCEPT"]


def test_a_listener_is_told_of_clients_alone() -> None:
    assert Socket(Phase.LISTENING, ready=ALL).told() == ["FD_ACCEPT"]


def test_a_client_that_connects_while_FD_ACCEPT_is_not_selected_is_told_when_it_is() -> None:
    socket = Socket(Phase.LISTENING, ALL & ~ACCEPT, ACCEPT)
    assert socket.told() == []
    socket.select()
    assert socket.told() == ["FD_ACCEPT"]


def test_a_client_that_was_accepted_before_FD_ACCEPT_was_selected_is_not_told() -> None:
    socket = Socket(Phase.LISTENING, 0, ACCEPT)
    socket.call("Accept")
    socket.ready = 0
    socket.select()
    assert socket.told() == []


# -- connecting


@pytest.mark.parametrize("phase", [Phase.CLOSED, Phase.NEW, Phase.BOUND])
def test_a_stream_that_is_not_connected_is_told_nothing(phase: Phase) -> None:
    """Whatever the platform says is ready, and however often it is selected."""
    socket = Socket(phase, ready=ALL)
    assert socket.told() == []
    socket.select()
    assert socket.told() == []


def test_a_connection_is_told_and_then_that_it_can_send() -> None:
    socket = Socket(Phase.BOUND)
    socket.enter(Phase.CONNECTING)
    assert socket.told() == []
    socket.enter(Phase.CONNECTED)
    socket.ready = CONNECT | WRITE
    assert socket.told() == ["FD_CONNECT", "FD_WRITE"]


def test_nothing_but_its_result_is_told_while_a_connection_is_made() -> None:
    socket = Socket(Phase.CONNECTING, ready=ALL & ~CONNECT)
    assert socket.told() == []


def test_a_connection_that_failed_is_told_without_FD_WRITE_and_FD_CLOSE() -> None:
    socket = Socket(Phase.CONNECTING)
    socket.enter(Phase.BOUND)
    socket.ready = CONNECT | WRITE | CLOSE
    assert socket.told() == ["FD_CONNECT"]
    # And another attempt on the same socket.
    socket.enter(Phase.CONNECTING)
    socket.enter(Phase.CONNECTED)
    assert socket.told() == ["FD_CONNECT", "FD_WRITE", "FD_CLOSE"]


def test_select_never_repeats_FD_CONNECT() -> None:
    socket = Socket(Phase.CONNECTING)
    socket.enter(Phase.CONNECTED)
    socket.ready = CONNECT | WRITE
    assert socket.told() == ["FD_CONNECT", "FD_WRITE"]
    for mask in (0, ALL):
        socket.select(mask)
    assert socket.told() == ["FD_WRITE"]


def test_select_keeps_an_FD_CONNECT_that_is_still_to_be_told() -> None:
    socket = Socket(Phase.CONNECTING)
    socket.enter(Phase.CONNECTED)
    socket.select(CONNECT | READ)
    socket.ready = CONNECT | WRITE
    assert socket.told() == ["FD_CONNECT"]


def test_a_connection_made_while_FD_CONNECT_is_not_selected_is_never_told() -> None:
    socket = Socket(Phase.CONNECTING, ALL & ~CONNECT)
    socket.enter(Phase.CONNECTED)
    socket.ready = CONNECT | WRITE
    assert socket.told() == ["FD_WRITE"]
    socket.select()
    assert socket.told() == ["FD_WRITE"]


def test_a_connection_made_by_another_is_told_as_FD_WRITE() -> None:
    """By whoever had the descriptor before, or by the peer: the accepted socket."""
    assert Socket(Phase.CONNECTED, ready=CONNECT | WRITE).told() == ["FD_WRITE"]


def test_a_socket_that_was_closed_is_not_told_how_its_connection_ended() -> None:
    socket = Socket(Phase.CONNECTING)
    socket.enter(Phase.CLOSED)
    socket.enter(Phase.NEW)
    socket.ready = CONNECT
    assert socket.told() == []


# -- datagrams


@pytest.mark.parametrize("phase", [Phase.UNNAMED, Phase.DATAGRAM])
def test_a_datagram_socket_can_send_at_once(phase: Phase) -> None:
    socket = Socket(phase, ready=WRITE)
    assert socket.told() == ["FD_WRITE"]
    assert socket.told() == []


@pytest.mark.parametrize("phase", [Phase.UNNAMED, Phase.DATAGRAM])
def test_a_datagram_socket_is_told_of_no_connection_no_end_and_no_urgent_data(phase: Phase) -> None:
    socket = Socket(phase, ready=ALL)
    assert socket.told() == ["FD_READ", "FD_WRITE"]
    socket.select()
    assert socket.told() == ["FD_READ", "FD_WRITE"]


# -- sending


@pytest.mark.parametrize("masks", [[ALL], [ALL, ALL], [READ, ALL], [0, WRITE]])
def test_select_tells_again_that_a_socket_can_send(masks: list[int]) -> None:
    socket = connected(ready=WRITE)
    for mask in masks[:-1]:
        socket.select(mask)
        socket.told()
    socket.select(masks[-1])
    assert socket.told() == ["FD_WRITE"]


def test_a_send_that_succeeds_brings_no_FD_WRITE() -> None:
    socket = connected(ready=WRITE)
    assert socket.told() == []


def test_only_a_send_that_would_have_blocked_makes_room_news() -> None:
    socket = connected()
    socket.call("Send that would have blocked")
    assert socket.told() == []
    socket.ready = WRITE
    assert socket.told() == ["FD_WRITE"]
    assert socket.told() == []


def test_room_to_send_that_was_never_told_stays_due() -> None:
    socket = Socket(Phase.CONNECTED, ready=0)
    assert socket.told() == []
    socket.ready = WRITE
    assert socket.told() == ["FD_WRITE"]


@pytest.mark.parametrize("function", ["Receive", "Receive of urgent data", "Accept"])
def test_no_other_call_brings_FD_WRITE(function: str) -> None:
    socket = connected(ready=WRITE)
    socket.call(function)
    assert socket.told() == []


# -- receiving


def test_data_is_told_once_until_it_is_received() -> None:
    socket = connected(ready=READ)
    assert socket.told() == ["FD_READ"]
    # More data.
    assert socket.told() == []
    socket.call("Receive")
    assert socket.told() == ["FD_READ"]
    socket.call("Receive")
    socket.ready = 0
    assert socket.told() == []
    socket.ready = READ
    assert socket.told() == ["FD_READ"]


def test_data_is_told_again_after_each_receive_that_leaves_some() -> None:
    socket = connected(ready=READ)
    told = socket.told()
    for left in range(7, -1, -1):
        socket.call("Receive")
        socket.ready = READ if left else 0
        told += socket.told()
    assert told == ["FD_READ"] * 8


def test_a_receive_that_finds_nothing_counts_as_one() -> None:
    socket = connected(ready=READ)
    assert socket.told() == ["FD_READ"]
    socket.ready = 0
    socket.call("Receive")
    assert socket.told() == []
    socket.ready = READ
    assert socket.told() == ["FD_READ"]


def test_select_tells_again_of_data_that_waits() -> None:
    socket = connected(ready=READ)
    assert socket.told() == ["FD_READ"]
    socket.select(READ)
    assert socket.told() == ["FD_READ"]


def test_data_that_came_while_nothing_was_selected_is_told_when_FD_READ_is() -> None:
    socket = connected(0, READ)
    assert socket.told() == []
    socket.select()
    assert socket.told() == ["FD_READ"]


def test_data_is_told_before_room_to_send() -> None:
    socket = connected()
    socket.select(READ | WRITE)
    socket.ready = READ | WRITE
    assert socket.told() == ["FD_READ", "FD_WRITE"]


@pytest.mark.parametrize("function", REENABLED_BY)
def test_no_call_makes_news_of_what_is_not_selected(function: str) -> None:
    socket = connected(0, ALL)
    socket.call(function)
    assert socket.told() == []


@pytest.mark.parametrize("function", REENABLED_BY)
@pytest.mark.parametrize("phase", [Phase.NEW, Phase.BOUND, Phase.CONNECTING])
def test_no_call_makes_news_of_what_can_not_happen(function: str, phase: Phase) -> None:
    socket = Socket(phase, ready=ALL & ~CONNECT)
    socket.call(function)
    assert socket.told() == []


def test_data_is_no_news_after_receiving_was_shut_down() -> None:
    socket = connected(ready=READ | CLOSE)
    socket.rules.forbid(READ | OOB)
    assert socket.told() == ["FD_CLOSE"]
    socket.call("Receive")
    socket.select()
    assert socket.told() == ["FD_CLOSE"]


# -- urgent data


def test_an_urgent_byte_is_told_alone_and_again_by_select() -> None:
    socket = connected(ready=OOB)
    assert socket.told() == ["FD_OOB"]
    socket.select()
    assert socket.told() == ["FD_OOB"]


@pytest.mark.parametrize("function", ["Receive", "Receive of urgent data"])
def test_a_receive_with_or_without_MSG_OOB_tells_again_of_an_urgent_byte(function: str) -> None:
    socket = connected(ready=OOB)
    assert socket.told() == ["FD_OOB"]
    assert socket.told() == []
    socket.call(function)
    assert socket.told() == ["FD_OOB"]


def test_a_receive_with_MSG_OOB_tells_nothing_of_data() -> None:
    socket = connected(ready=READ | OOB)
    assert socket.told() == ["FD_READ", "FD_OOB"]
    socket.call("Receive of urgent data")
    socket.ready = READ
    assert socket.told() == []


def test_an_urgent_byte_that_came_while_nothing_was_selected_is_told_when_FD_OOB_is() -> None:
    socket = connected(0, OOB)
    assert socket.told() == []
    socket.select(OOB)
    assert socket.told() == ["FD_OOB"]


def test_urgent_data_in_line_is_no_news() -> None:
    socket = connected(ready=OOB)
    socket.rules.forbid(OOB)
    assert socket.told() == []
    socket.rules.allow(OOB)
    assert socket.told() == ["FD_OOB"]
    socket.call("Receive")
    assert socket.told() == ["FD_OOB"]
    socket.select()
    assert socket.told() == ["FD_OOB"]


def test_to_say_out_of_line_again_where_it_is_makes_no_news() -> None:
    socket = connected(ready=OOB)
    assert socket.told() == ["FD_OOB"]
    socket.rules.allow(OOB)
    assert socket.told() == []


def test_urgent_data_taken_out_of_line_is_no_news_to_who_did_not_select_it() -> None:
    socket = connected(ALL & ~OOB, OOB)
    socket.rules.forbid(OOB)
    socket.rules.allow(OOB)
    assert socket.told() == []


# -- the end


def test_an_end_is_told_once_and_by_nothing_again_but_select() -> None:
    socket = connected(ready=CLOSE)
    assert socket.told() == ["FD_CLOSE"]
    for function in REENABLED_BY:
        socket.call(function)
    assert socket.told() == []
    for _ in range(2):
        socket.select()
        assert socket.told() == ["FD_CLOSE"]


def test_an_end_is_not_told_to_who_did_not_select_it_until_he_does() -> None:
    socket = connected(ALL & ~CLOSE, CLOSE)
    assert socket.told() == []
    socket.select()
    assert socket.told() == ["FD_CLOSE"]


def test_an_end_is_told_after_all_else() -> None:
    socket = Socket(Phase.CONNECTED, ready=READ | OOB | WRITE | CLOSE)
    assert socket.told() == ["FD_READ", "FD_OOB", "FD_WRITE", "FD_CLOSE"]


def test_sending_goes_on_after_the_end_of_what_the_peer_sends() -> None:
    socket = connected(ready=CLOSE)
    assert socket.told() == ["FD_CLOSE"]
    socket.call("Send that would have blocked")
    socket.ready = CLOSE | WRITE
    assert socket.told() == ["FD_WRITE"]


def test_closing_tells_nothing() -> None:
    socket = connected(ready=ALL)
    socket.enter(Phase.CLOSED)
    assert socket.told() == []


def test_events_that_winsock_does_not_have_are_not_selected() -> None:
    socket = Socket(Phase.CONNECTED, 0)
    socket.select(~0)
    assert socket.rules.selected == ALL
