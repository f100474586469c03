"""One request at work."""

from __future__ import annotations

import asyncio
import threading
from typing import List, Optional

from ._app import Command
from ._context import Context, Session

ENDING = "ENDING"  # the worker ends, whatever the request is at


class Run:
    """A request that is being worked on."""

    __slots__ = ("id", "command", "args", "meta", "ctx", "session", "task", "thread", "claim", "unwritten", "timer", "ended", "waiting")

    def __init__(self, call_id: int, command: Command, args: dict, meta: dict) -> None:
        self.id = call_id
        self.command = command
        self.args = args
        self.meta = meta
        self.ctx: Optional[Context] = None
        self.session: Optional[Session] = None
        self.task: Optional[asyncio.Task] = None
        self.thread: Optional[int] = None      # that runs it, while it does
        self.claim: Optional[threading.Lock] = None  # of one that waits for a thread: who acquires it, thread or _stop, answers
        self.unwritten = 0                     # bytes of parts that a thread has sent since it was held last
        self.timer: Optional[asyncio.TimerHandle] = None
        self.ended = ""                        # why it was told to stop: TIMEOUT, CANCELLED or ENDING
        self.waiting: List[bytes] = []         # answers to calls that asked for its end

    def __str__(self) -> str:
        """For a sentence of the log."""
        session = self.session.id if self.session is not None else None
        parts = [f"{word} {value!r}" for word, value in (("request", self.meta.get("request_id")), ("session", session)) if value]
        return f"command {self.command.name}" + (f" ({', '.join(parts)})" if parts else "")

    def remaining(self) -> Optional[float]:
        """Seconds that it may take, None for no limit. What is no number of milliseconds, or of ages, is no limit."""
        milliseconds = self.meta.get("remaining_ms")
        return milliseconds / 1000 if type(milliseconds) is int and milliseconds < 1 << 53 else None
