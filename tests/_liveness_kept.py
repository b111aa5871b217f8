"""
Random programs that found a fault once, without what the fault did not need: they are played with the seeds.
"""

from __future__ import annotations

from typing import Final

__all__ = ["KEPT", "KEPT_FORKS"]

_LISTENING: Final = """\
create L
listen L
on L OnAccept: accept L
"""
_CONNECTED: Final = (
    _LISTENING
    + """\
create A
connect A L
pump
"""
)

KEPT: Final[dict[str, str]] = {
    # What is raised.
    **{
        f"{what}-in-{event}": f"once X0 {event}: raise {what}\n{_CONNECTED}send A 5\npump\n"
        for what in ("exit", "interrupt", "cancelled", "generator", "outcry")
        for event in ("OnReceive", "OnSend")
    },
    "exit-in-onconnect": f"once A OnConnect: raise exit\n{_CONNECTED}",
    "outcry-in-onclose": f"once X0 OnClose: raise outcry\n{_CONNECTED}close A\npump\n",
    "exit-in-the-onclose-of-an-abort": f"once A OnConnect: raise mistake\nonce A OnClose: raise exit\n{_CONNECTED}",
    "mistake-in-onaccept": f"once L OnAccept: raise mistake\n{_CONNECTED}",
    "mistake-in-onaccept-behind-accept": f"once L OnAccept: accept L; raise mistake\n{_CONNECTED}",
    "outcry-of-a-mailbox": """\
create U type=dgram
create V type=dgram
once U OnReceive: recv U 100; raise outcry
sendto V U
pump
""",
    # Turns within a handler.
    "turns-in-onaccept": f"once L OnAccept: iterate\n{_CONNECTED}",
    "turns-in-onreceive": f"once X0 OnReceive: recv X0 100; iterate\n{_CONNECTED}send A 5\npump\n",
    "turns-in-onsend": f"once X0 OnSend: iterate\n{_CONNECTED}",
    "turns-and-a-close-within": f"once X0 OnReceive: iterate; close X0\n{_CONNECTED}send A 5\npump\n",
    # Ends that nobody was told of.
    "reset-behind-the-end-of-the-stream-while-a-send-waits": f"on X0 OnSend: send X0 fill\n{_CONNECTED}"
    + """\
shutdown A sends
pump
reset A
pump
""",
    "end-behind-data-that-is-not-selected": _CONNECTED
    + """\
select X0 WRITE|CLOSE
send A 5
close A
pump
""",
    "data-is-deselected-behind-the-end": _CONNECTED
    + """\
send A 5
pump
close A
pump
select X0 CLOSE
pump
""",
    "attached-when-both-have-ended": _CONNECTED
    + """\
shutdown X0 sends
move X0 Y
close A
pump
move Y X0
pump
""",
    "attached-with-last-words-unread": _CONNECTED
    + """\
shutdown X0 sends
pump
send A 5
close A
move X0 Y
pump
""",
    "attached-when-it-was-reset": f"{_CONNECTED}reset A\nmove X0 X0\npump\n",
    "attached-again-in-onclose": f"once X0 OnClose: move X0 X0\n{_CONNECTED}shutdown X0 sends\nclose A\npump\n",
    "words-behind-an-urgent-byte-at-the-end": f"{_CONNECTED}send A urgent\nsend A 5\nclose A\npump\n",
    "data-is-left-by-the-onclose-of-a-reset": """\
create L
listen L
create A
create B
on L OnAccept: accept L
connect A L
connect B L
pump
once A OnReceive: recv A 1000; reset X1
once B OnClose: recv B 1 PEEK
send X0 1
send X1 1
pump
""",
    # Turns without end.
    "urgent-byte-of-a-connection-that-was-reset": _CONNECTED
    + """\
on X0 OnOutOfBandData: recv X0 1 OOB
send A urgent
reset A
pump
""",
    # Numbers that were another socket's.
    "number-of-one-that-failed-in-the-same-turn": """\
create L
listen L
once L OnAccept: accept L; select L WRITE|CLOSE
create A
create B
once B OnConnect: raise generator
connect A L
connect B name:nowhere
pump
""",
    "duplicate-of-one-whose-connect-fails": "create B\nconnect B dead\nassign B Z\npump\n",
    "duplicate-of-one-that-is-reset-while-a-send-waits": """\
create L
listen L
create B
once B OnConnect: send B fill
connect B L
pump
assign B Z
close L
pump
""",
    # What is connected over an endpoint says so before the endpoint does.
    "closed-in-onsend": f"once A OnSend: close A\n{_CONNECTED}",
    "reset-in-onconnect": f"once A OnConnect: reset A\n{_CONNECTED}",
}
"""Their texts, by what they are about."""

KEPT_FORKS: Final[dict[str, str]] = {
    "a-child-leaves": f"{_CONNECTED}fork leave\npump\n",
    "a-child-closes-all": f"{_CONNECTED}fork close\npump\n",
    "a-child-goes-on-beside-its-parent": f"{_CONNECTED}fork serve\npump\n",
    "a-child-goes-on-without-its-parent": f"{_CONNECTED}fork daemon\npump\n",
    "a-child-goes-on-when-its-parent-has-exited": f"{_CONNECTED}fork orphan\npump\n",
    "a-child-hears-why-a-connect-has-failed": "create B\nconnect B dead\nfork serve\npump\n",
    "a-child-of-a-handler-closes-all": f"once X0 OnReceive: recv X0 9; fork close\n{_CONNECTED}send A 5\npump\n",
}
"""The same of those that fork."""
