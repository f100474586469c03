"""Tells when an async command holds up the event loop: nothing else is answered meanwhile, not even the daemon's pings."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from types import FrameType
from typing import Callable, Optional

from . import _stacks
from ._trace import say

PATIENCE = 2.0  # seconds; well below the 10 that the daemon gives a ping


class Watch(threading.Thread):
    """Asks the loop for a sign of life every few seconds while it has work."""

    def __init__(self, loop: asyncio.AbstractEventLoop, is_busy: Callable[[], bool], name_of: Callable[[Optional[FrameType]], str], patience: float = PATIENCE) -> None:
        super().__init__(name="bridgepool-watch", daemon=True)
        self._loop = loop
        self._is_busy = is_busy
        self._name_of = name_of
        self._patience = patience
        self._sign = threading.Event()
        self._loop_thread = threading.get_ident()

    def run(self) -> None:
        try:
            while True:
                time.sleep(self._patience)
                if self._is_busy():
                    self._ask()
        except RuntimeError:  # the loop is closed
            pass

    def _ask(self) -> None:
        self._sign.clear()
        asked = time.monotonic()
        self._loop.call_soon_threadsafe(self._sign.set)
        if self._sign.wait(self._patience):
            return
        frame = sys._current_frames().get(self._loop_thread)
        say(
            f"bridgepool: the event loop has been held up for {time.monotonic() - asked:.0f} s{self._name_of(frame)}, and nothing else is answered "
            f"meanwhile: an async command must await what takes time; make it a plain def to run it in a thread. It is here:\n{_stacks.of_frame(frame)}"
        )
        del frame
        self._sign.wait()
        say(f"bridgepool: the event loop goes on after {time.monotonic() - asked:.0f} s")
