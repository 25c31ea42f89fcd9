"""What goes on in a thread beside a test, from the beginning of a `with` block to its end."""

import threading
from typing import Self


class Beside:
    """Runs `_go_on` in a thread until the block has ended: then `_end` is set, and waited for."""

    def __init__(self) -> None:
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._go_on)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _go_on(self) -> None:
        raise NotImplementedError
