"""The end of a listening socket without a connection that nobody takes.

The kernel makes connections before anybody accepts them, and resets those that wait when the socket is closed: their
clients have a connection that is cut off. So new ones are kept from being made first, and closed is what is empty.
"""

import ctypes
import socket
import struct
from contextlib import suppress

# asm-generic/socket.h; Python has no name for it.
_SO_ATTACH_FILTER = 26
# Classic BPF (kernel.org, "Linux Socket Filtering"): code, jump if true, jump if false, operand. A packet begins with
# its TCP header here, whose flags are byte 13.
_PROGRAM = (
    (0x30, 0, 0, 13),  # load that byte
    (0x54, 0, 0, 0x12),  # of it, SYN and ACK
    (0x15, 0, 1, 0x02),  # is it SYN alone?
    (0x06, 0, 0, 0),  # then drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # else keep all of it
)


def take_no_more(listening: socket.socket) -> None:
    """Have the kernel drop requests for new connections; who sends one asks again, and is refused once it is closed.

    It is so for all processes that have the socket. A kernel that knows no such filters goes on as it did.
    """
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in _PROGRAM))
    with suppress(OSError):
        listening.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_PROGRAM), ctypes.addressof(code))
        )
