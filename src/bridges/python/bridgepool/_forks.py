"""What a forked child has of the worker, and must not keep: the daemon's pipes, and the signals of the event loop."""

from __future__ import annotations

import os
import signal
import threading
from typing import Callable

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def on_fork(read_fd: int, write_fd: int, in_child: Callable[[], None]) -> None:
    """Each child that is forked from now on lets go of the worker before anything else, then calls in_child.

    Signals wait from before the fork until then: who forks may end the child at once, and the byte that Python's handler writes
    for the loop would end the worker.
    """
    masks = threading.local()  # two threads may fork at the same time

    def hold() -> None:
        masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)

    def go_on() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.before)

    def let_go() -> None:
        in_child()
        _leave_loop()
        _leave_pipes(read_fd, write_fd)
        go_on()

    os.register_at_fork(before=hold, after_in_parent=go_on, after_in_child=let_go)


def _leave_loop() -> None:
    """The loop's handlers do nothing but write to the loop, which is the parent's. The thread that forked is the child's main one."""
    try:
        signal.set_wakeup_fd(-1)
        for number, usual in ((signal.SIGTERM, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
            if getattr(signal.getsignal(number), "__module__", None) == "asyncio.unix_events":
                signal.signal(number, usual)
    except ValueError:  # in an interpreter beside the main one, which may not
        pass


def _leave_pipes(read_fd: int, write_fd: int) -> None:
    """Neither may it speak to the daemon, nor hold the pipes when the worker is gone."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (read_fd, write_fd):
        os.dup2(null, fd, inheritable=False)
    os.close(null)
