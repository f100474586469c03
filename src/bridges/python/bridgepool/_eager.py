"""Tasks that begin at once."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

if sys.version_info >= (3, 12):

    def start_now(loop: asyncio.AbstractEventLoop, coroutine: Any) -> asyncio.Task:
        """A task that runs up to its first wait before this returns."""
        return asyncio.Task(coroutine, loop=loop, eager_start=True)

else:

    def start_now(loop: asyncio.AbstractEventLoop, coroutine: Any) -> asyncio.Task:
        """A task that runs up to its first wait before this returns.

        Below 3.12 asyncio has no eager tasks, but an ordinary task's first step is the last thing in the loop's queue
        right after its creation: taken out and run here, by a callback of the loop, it is the same step, only earlier.
        So current_task(), timeouts and cancel scopes see nothing unusual.
        """
        task = asyncio.Task(coroutine, loop=loop)
        if asyncio.current_task(loop) is not None:  # called from a task: it has to wait its turn
            return task
        ready = getattr(loop, "_ready", None)
        if ready and getattr(getattr(ready[-1], "_callback", None), "__self__", None) is task:
            ready.pop()._run()
        return task
