"""Unix sockets at paths of any length.

A socket's address holds 107 bytes (unix(7)) and a state directory may be deeper than that, so
the directory is opened and the socket named through /proc/self/fd. Sockets are made with mode
0600 from the start: whoever may connect may end previews.
"""

import os
import socket
from pathlib import Path


def listen_unix(path: Path, backlog: int = 64) -> socket.socket:
    """Bind a 0600 stream socket at a path that must not exist, and listen."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    mask = os.umask(0o177)
    try:
        listener.bind(f"/proc/self/fd/{directory}/{path.name}")
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(mask)
        os.close(directory)
    listener.listen(backlog)
    return listener


def connect_unix(path: Path, time_limit_s: float | None = None) -> socket.socket:
    """Connect to the stream socket at a path; raises OSError when nobody listens."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(time_limit_s)
        directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            connection.connect(f"/proc/self/fd/{directory}/{path.name}")
        finally:
            os.close(directory)
    except BaseException:
        connection.close()
        raise
    return connection
