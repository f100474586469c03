"""The stack of a request whose time is over, in the log."""

from __future__ import annotations

import time
from collections import deque
from typing import Deque

from . import _stacks
from ._run import Run
from ._trace import say

STACKS_MAX, STACKS_TIME = 5, 10.0  # stacks in the log within so many seconds: a storm of timeouts has one cause, seldom five


class Overdue:
    """Shows stacks, few at a time."""

    def __init__(self) -> None:
        self._stacks: Deque[float] = deque(maxlen=STACKS_MAX)  # when the last ones were shown
        self._hidden = 0  # others since then

    def show(self, run: Run) -> None:
        """What it was at when its time was over: what else would tell?"""
        name, now = str(run), time.monotonic()
        if len(self._stacks) == STACKS_MAX and now - self._stacks[0] < STACKS_TIME:
            self._hidden += 1
            if self._hidden == 1:
                say(f"bridgepool: {name} is over its time; its stack, and those of others for a while, are left out, after {STACKS_MAX} in {STACKS_TIME:.0f} s")
            return
        if self._hidden > 1:
            say(f"bridgepool: {self._hidden - 1} more requests were over their time")
        self._hidden = 0
        self._stacks.append(now)
        where = _where(run)
        say(f"bridgepool: {name} is over its time; it is here:\n{where}" if where else f"bridgepool: {name} is over its time; it waits for a free thread")


def _where(run: Run) -> str:
    if run.task is not None:
        return _stacks.of_task(run.task)
    thread = run.thread
    where = _stacks.of_thread(thread) if thread is not None else ""
    return where if run.thread == thread else "  its last line\n"  # if it has come to its end meanwhile, this is another's stack
