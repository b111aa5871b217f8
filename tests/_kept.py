"""
Scenarios that were random once and found a fault, without what the fault did not need: they are played with the seeds.
"""

from __future__ import annotations

__all__ = ["KEPT"]

_CONNECTION = """\
create L host=127.0.0.1
setsockopt L TCP_NODELAY 1
listen L
create C host=127.0.0.1
setsockopt C TCP_NODELAY 1
connect C 127.0.0.1 @L
pump
accept L A
pump
"""

KEPT = {
    "data-received-in-onclose-is-not-told-again": _CONNECTION
    + """\
on A OnClose: recv A 100
send C unread
pump
setsockopt C SO_LINGER 1,0
close C
pump
""",
    "shutdown-before-onconnect": """\
create L host=127.0.0.1
listen L
create C host=127.0.0.1
connect C 127.0.0.1 @L
shutdown C
accept L A
pump
""",
    "reset-behind-the-end-is-told-by-onclose": """\
create L host=127.0.0.1
listen L
create C host=127.0.0.1
connect C 127.0.0.1 @L
close C
pump
accept L A
send A drawn
shutdown A
pump
""",
    "reset-behind-the-end-is-told-by-receive": _CONNECTION
    + """\
close C
pump
send A drawn
recv A 10
pump
""",
    "reset-behind-the-end-is-told-by-a-further-onclose": _CONNECTION
    + """\
close C
pump
send A drawn
select A ALL
pump
""",
    "reset-of-who-waits-for-nothing": _CONNECTION
    + """\
select A READ|CLOSE
send C unread
pump
close C
pump
send A drawn
pump
""",
    "reset-of-who-waited-for-nothing-but-onclose": _CONNECTION
    + """\
select C CLOSE
send A unread
setsockopt A SO_LINGER 1,0
close A
pump
recv C 10
pump
""",
    "refusal-leaves-nothing-behind": """\
deadport @dead
create C host=127.0.0.1
connect C 127.0.0.1 @dead
pump
create L host=127.0.0.1 mask=ALL-CLOSE
listen L
connect C 127.0.0.1 @L
pump
accept L A
pump
send C unread
pump
setsockopt C SO_LINGER 1,0
close C
pump
select A CLOSE
pump
""",
    "datagram-refusal-is-told-again-by-a-further-select": """\
deadport @dead
create U type=dgram host=127.0.0.1
connect U 127.0.0.1 @dead
pump
send U lost
pump
select U READ
pump
recv U 10
pump
""",
    "datagram-refused-before-it-is-selected": """\
deadport @dead
create U type=dgram host=127.0.0.1 mask=NONE
connect U 127.0.0.1 @dead
send U lost
pump
on U OnReceive: recv U 10
select U READ|CLOSE
pump
""",
    "datagram-refused-twice": """\
deadport @dead
create U type=dgram host=127.0.0.1
on U OnReceive: recv U 10
connect U 127.0.0.1 @dead
pump
send U lost
pump
send U lost
pump
connect U 127.0.0.1 @dead
pump
""",
}
"""Their texts, by what they are about."""
