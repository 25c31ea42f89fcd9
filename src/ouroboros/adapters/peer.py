"""Who is at the other end of a loopback connection: the OS user that owns the peer's socket.

The kernel is asked for exactly the peer's socket (sock_diag(7)). Only one that is established and
still belongs to a process counts: of an orphaned socket the kernel may say user 0.
"""

import errno
import socket
import struct

Address = tuple[str, int]

_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_ESTABLISHED = 1
_ANY_COOKIE = b"\xff" * 8
_HEADER = struct.Struct("=IHHII")
_TAIL = struct.Struct("=IIIII")
_TAIL_AT = _HEADER.size + 4 + 48
_TIME_LIMIT_S = 1.0


def owner_of_peer(own: Address, peer: Address) -> int | None:
    """The user id that owns the peer's end of an IPv4 connection; None when nobody can say.

    `own` and `peer` are the addresses of our end and of the other.
    """
    try:
        answer = _ask(_question(own, peer))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EPROTONOSUPPORT, None):
            return None
        raise
    if len(answer) < _TAIL_AT + _TAIL.size:
        return None
    _, kind, *_ = _HEADER.unpack_from(answer)
    state = answer[_HEADER.size + 1]
    _, _, _, uid, inode = _TAIL.unpack_from(answer, _TAIL_AT)
    if kind != _SOCK_DIAG_BY_FAMILY or state != _ESTABLISHED or inode == 0:
        return None
    return int(uid)


def _question(own: Address, peer: Address) -> bytes:
    ports = struct.pack("!HH", peer[1], own[1])
    ends = socket.inet_aton(peer[0]) + bytes(12) + socket.inet_aton(own[0]) + bytes(12)
    identity = ports + ends + bytes(4) + _ANY_COOKIE
    body = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0xFFFFFFFF) + identity
    return _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0) + body


def _ask(question: bytes) -> bytes:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as asking:
        asking.settimeout(_TIME_LIMIT_S)
        asking.send(question)
        return asking.recv(8192)
