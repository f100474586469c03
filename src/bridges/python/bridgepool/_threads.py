"""A few threads for plain (not async) functions. Daemon threads: a function that hangs must not keep the process alive."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections import deque
from typing import Any, Callable


class Threads:
    """Runs jobs in at most ``limit`` threads, started when needed; what they have to say goes to the loop in one wake-up."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int, name: str = "bridgepool") -> None:
        self._loop = loop
        self._limit = limit
        self._name = name
        self._jobs: "queue.SimpleQueue[Any]" = queue.SimpleQueue()
        self._outstanding = 0
        self._started = 0
        self._posts: deque = deque()
        self._posted = False

    def run(self, job: Callable[[], None]) -> None:
        """Called by the loop's thread. The job runs in a copy of the current context, and must not raise."""
        self._outstanding += 1
        if self._outstanding > self._started and self._started < self._limit:
            self._started += 1
            threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
        self._jobs.put((contextvars.copy_context(), job))

    def post(self, function: Callable[..., None], *args: Any) -> None:
        """Called by any thread: runs function in the loop's thread, in the order of the posts."""
        self._posts.append((function, args))
        if not self._posted:
            self._posted = True
            try:
                self._loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the loop is closed: nobody listens any more
                pass

    def _deliver(self) -> None:
        self._posted = False
        while self._posts:
            function, args = self._posts.popleft()
            function(*args)

    def _work(self) -> None:
        while True:
            context, job = self._jobs.get()
            context.run(job)
            self.post(self._finished)
            del context, job  # or the idle thread keeps the last request alive

    def _finished(self) -> None:
        self._outstanding -= 1

    async def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Runs function(*args) in a thread and waits for it."""
        future = self._loop.create_future()

        def job() -> None:
            try:
                value, error = function(*args), None
            except BaseException as caught:
                value, error = None, caught
            self.post(settle, value, error)

        def settle(value: Any, error: Any) -> None:
            if future.done():  # cancelled meanwhile
                return
            if error is None:
                future.set_result(value)
            elif isinstance(error, (StopIteration, SystemExit, KeyboardInterrupt)):  # a future cannot carry these
                future.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))
            else:
                future.set_exception(error)

        self.run(job)
        return await future
