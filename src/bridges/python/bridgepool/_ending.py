"""The end of a worker: what runs comes to its end, then the sessions, then the app, each in its time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, List, Optional

from ._run import ENDING
from ._trace import log_exception, say

if TYPE_CHECKING:
    from ._serve import Server

ENDS_AT_ONCE = 32  # sessions whose hooks run at the same time


class Ending:
    """Of a Server that takes no requests any more."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._idle: Optional[asyncio.Future] = None  # done when nothing runs any more, or is not to be waited for

    async def run(self, commands: float, hooks: float) -> None:
        idle = await self._wait_idle(commands)
        until = self._server.loop.time() + hooks
        if not idle:
            for run in list(self._server.running.values()):
                self._server.stop(run, ENDING)
            await self._wait_idle(hooks / 4)
        self._server.sessions.use(self._server.hook_threads())  # hooks that never end may hold the others
        await self._end_sessions((until - self._server.loop.time()) * 3 / 4)
        await _within(until - self._server.loop.time(), [self._call_shutdown_hooks()])

    def stop_waiting(self) -> None:
        """For what runs: nothing does any more, or it has had its time."""
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    async def _wait_idle(self, seconds: float) -> bool:
        if not self._server.running:
            return True
        self._idle = self._server.loop.create_future()
        await asyncio.wait([self._idle], timeout=seconds)
        self._idle = None
        return not self._server.running

    async def _end_sessions(self, seconds: float) -> None:
        """Several at once. A session in which a plain command still runs is not touched beside it."""
        in_use = {id(run.session) for run in self._server.running.values()}
        sessions = [session for session in self._server.sessions.take_all() if self._server.sessions.have_end_hooks]
        idle = iter([session for session in sessions if id(session) not in in_use])
        ended = 0

        async def end_some() -> None:
            nonlocal ended
            for session in idle:
                await _guarded(self._server.sessions.end(session, "shutdown", quiet=True), "session_end")
                ended += 1

        await _within(seconds, [*self._server.own_tasks, *(end_some() for _ in range(min(ENDS_AT_ONCE, len(sessions))))])
        if ended < len(sessions):
            say(f"bridgepool: {len(sessions) - ended} of {len(sessions)} sessions end without their session_end: a command still runs in them, or the time is over")

    async def _call_shutdown_hooks(self) -> None:
        for hook in self._server.app._inside.hooks["shutdown"]:
            await _guarded(self._server.sessions.call_hook(hook), "shutdown")


async def _within(seconds: float, work: List[Any]) -> None:
    """What is not done by then is cancelled, and not waited for any more."""
    tasks = [asyncio.ensure_future(one) for one in work]
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=max(0.0, seconds))
        for task in late:
            task.cancel()
        await asyncio.sleep(0)  # they see it now, or never


async def _guarded(coroutine: Any, what: str) -> None:
    try:
        await coroutine
    except Exception as error:
        log_exception(f"{what} failed", error)
