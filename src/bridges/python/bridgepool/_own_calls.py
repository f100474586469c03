"""What the daemon asks a worker for itself: ping, shutdown, cancel, and when sessions begin and end."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from ._context import Session
from ._eager import start_now
from ._errors import CommandError, meant
from ._results import encode_result
from ._trace import log_exception
from ._version import __version__

if TYPE_CHECKING:
    from ._serve import Server

PROTOCOL = 1
CAPABILITIES = ["partial", "cancel", "ping_busy", "sessions"]


class OwnCalls:
    """By name, beside the commands of the App. Each is called with id, args and meta, and is answered like a request."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._started_at = time.time()
        self.by_name = {
            "ping": self._ping,
            "shutdown": self._shutdown,
            "open_session": self._open_session,
            "cleanup_session": self._cleanup_session,
            "cancel": self._cancel,
        }

    def _hello(self) -> dict:
        return {
            "protocol": PROTOCOL,
            "version": self._server.app.version,
            "concurrency": self._server.app._inside.places,
            "commands": sorted(self._server.app.commands),
            "capabilities": [c for c in CAPABILITIES if c != "sessions" or self._server.uses_sessions],
        }

    def _ping(self, call_id: int, args: dict, meta: dict) -> None:
        result = {"status": "ok", "timestamp": time.time(), "uptime": time.time() - self._started_at, "running": len(self._server.running), "sessions": len(self._server.sessions)}
        result.update(self._hello())
        result.update(python=sys.version.split()[0], sdk=__version__, worker_id=os.environ.get("BRIDGEPOOL_WORKER_ID"))
        self._server.answer(call_id, result)

    def _shutdown(self, call_id: int, args: dict, meta: dict) -> None:
        self._server.closing = True
        self._server.answer(call_id, {"status": "shutting_down", "running": len(self._server.running)})

    def _cancel(self, call_id: int, args: dict, meta: dict) -> None:
        """Answered after the answer of the call that it ends, so its answer means: it does not run any more."""
        target = args.get("id")
        run = self._server.running.get(target) if type(target) is int else None
        if run is None:
            self._server.answer(call_id, {"found": False})
            return
        run.waiting.append(encode_result(call_id, {"found": True}, None))
        self._server.stop(run, "TIMEOUT" if args.get("reason") == "timeout" else "CANCELLED")

    def _open_session(self, call_id: int, args: dict, meta: dict) -> None:
        info = _session_info(meta)
        session_id = _session_id(args, info)
        session = Session(session_id, info.get("epoch"), True)
        if self._server.sessions.begin(session):
            self._server.answer(call_id, {"session_id": session_id, "opened": True})
            return
        self._hook_task(call_id, self._server.sessions.start(session), {"session_id": session_id, "opened": True}, f"session_start of session {session_id!r}")

    def _cleanup_session(self, call_id: int, args: dict, meta: dict) -> None:
        info = _session_info(meta)
        session_id = _session_id(args, info)
        session = self._server.sessions.take_out(session_id)
        result = {"session_id": session_id, "status": "cleaned" if session is not None else "not_found"}
        if session is None or not self._server.sessions.have_end_hooks:
            self._server.answer(call_id, result)
            return
        self._hook_task(call_id, self._server.sessions.end(session, str(args.get("reason") or "ended")), result)

    def _hook_task(self, call_id: int, coroutine: Any, result: dict, what: str = "") -> None:
        """``what``: for a sentence of the log; of what ends sessions that has told its errors itself."""

        async def hook() -> None:
            try:
                await coroutine
                self._server.answer(call_id, result)
            except BaseException as error:
                if self._server.closing and isinstance(error, asyncio.CancelledError):
                    return  # as of a request
                if what and not isinstance(meant(error), CommandError):
                    log_exception(f"{what} failed", error)
                self._server.send(self._server.fitting_error(call_id, error))

        self._server.keep(start_now(self._server.loop, hook()))


def _session_info(meta: dict) -> dict:
    info = meta.get("session")
    return info if type(info) is dict else {}


def _session_id(args: dict, info: dict) -> str:
    session_id = args.get("session_id") or info.get("id")
    if type(session_id) is not str:
        raise CommandError("INVALID_ARGUMENTS", "session_id: missing")
    return session_id
