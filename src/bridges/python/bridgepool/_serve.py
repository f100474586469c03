"""Runs an App's commands for whoever sends calls: the worker's pipes, or `python -m bridgepool call`.

Every call under an id gets exactly one answer; none if it does not come to its end before the worker does. A command that never
waits is answered within the read that brought it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from types import FrameType
from typing import Any, Callable, Dict, List, Optional

from ._app import App, is_async
from ._channel import PENDING_HIGH
from ._context import Context, Session, Waiting
from ._eager import start_now
from ._ending import Ending
from ._errors import CommandError, InvalidArguments, InvalidResult, error_body, meant, text_of
from ._overdue import Overdue
from ._own_calls import OwnCalls
from ._results import encode_error, encode_partial, encode_result
from ._run import ENDING, Run
from ._sessions import Sessions
from ._spans import Spans, find_spans
from ._threads import Threads
from ._trace import log_exception, say

NO_ANSWER = b""  # of what the worker's end has stopped, which is nobody's wish: the daemon knows whether it may run again
TURN = 0.002  # seconds of work after which finished answers are written, before further frames of the same read

_raw_decode = json.JSONDecoder().raw_decode

def decode(body: bytes) -> dict:
    """A call. Raises ValueError or RecursionError for what is none."""
    text = body.decode()
    call, end = _raw_decode(text)
    if end != len(text):
        call = json.loads(text)
    if type(call) is not dict:
        raise ValueError("it is no object")
    return call


class Server:
    """An App at work. ``send`` takes finished frames; everything here runs in the loop's thread. What has no underscore, the daemon's
    own calls and the ending of the worker use too."""

    def __init__(self, app: App, loop: asyncio.AbstractEventLoop, send: Callable[[bytes], None], max_frame: int = (1 << 32) - 1, session_hint: str = "send session_id, or a record key") -> None:
        self.app = app
        self._max_frame = max_frame
        self.loop = loop
        self.send = send
        self._flush: Callable[[], None] = lambda: None
        self._room: Optional[Callable[[], Any]] = None
        self._pending: Callable[[], int] = lambda: 0
        self._threads = Threads(loop, app.threads)
        self._commands = app.commands
        self.sessions = Sessions(app, self.hook_threads(), session_hint)
        self.uses_sessions = app._inside.wants_sessions
        self.running: Dict[int, Run] = {}
        self.own_tasks: set = set()
        self._own = OwnCalls(self).by_name
        self._thread = threading.get_ident()  # the loop's
        self._ending = Ending(self)
        self._overdue = Overdue()
        self._spans: Optional[Spans] = None
        self.closing = False
        self._pid = os.getpid()

    def hook_threads(self) -> Threads:
        """Not those of the commands: the daemon waits for a hook, for a short time, however long commands of other sessions run."""
        return Threads(self.loop, self.app.threads, "bridgepool-hook")

    @property
    def is_busy(self) -> bool:
        return bool(self.running or self.own_tasks)

    def connect(self, channel: Any) -> None:
        """Writes through a channel, which can say how full it is."""
        self._flush, self._room = channel.flush, channel.room
        self._pending = lambda: channel.pending

    # ---- calls ----

    def take_bodies(self, bodies: List[bytes]) -> None:
        began = time.monotonic()
        for body in bodies:
            try:
                call = decode(body)
            except (ValueError, RecursionError, MemoryError) as error:
                self._refuse(body, error)
                continue
            self.take(call)
            if len(bodies) > 1 and time.monotonic() - began > TURN:
                self._flush()
                began = time.monotonic()

    def _refuse(self, body: bytes, error: Exception) -> None:
        """Not a call. If it says whose it is, that id gets an answer; the daemon writes the id first."""
        import re

        say(f"bridgepool: a frame of {len(body)} bytes is no call: {type(error).__name__}: {error}: {body[:80]!r}")
        found = re.match(rb'\s*\{\s*"id"\s*:\s*(\d{1,19})\s*[,}]', body)
        if found:
            self.send(encode_error(int(found.group(1)), {"code": "INVALID_CALL", "message": f"the call is not valid: {error}", "retriable": False}))

    def take(self, call: dict) -> None:
        """Anything sent under an id."""
        call_id = call.get("id")
        if type(call_id) is not int:
            say(f"bridgepool: a call has no id that is a whole number: {call_id!r}")
            return
        name = call.get("command")
        args = call.get("args")
        meta = call.get("meta")
        if type(args) is not dict:
            if args is not None:
                return self._answer_error(call_id, CommandError("INVALID_ARGUMENTS", "args must be an object"))
            args = {}
        if type(meta) is not dict:
            meta = {}
        command = self._commands.get(name) if type(name) is str else None
        if command is not None:
            self._request(Run(call_id, command, args, meta))
        elif type(name) is str and name in self._own:
            try:
                self._own[name](call_id, args, meta)
            except CommandError as error:
                self._answer_error(call_id, error)
        else:
            known = ", ".join(sorted(self._commands))
            self._answer_error(call_id, CommandError("UNKNOWN_COMMAND", f"no command {name!r}; known are {known}", details={"commands": sorted(self._commands)}))

    # ---- requests ----

    def _request(self, run: Run) -> None:
        if self.closing:
            return self._answer_error(run.id, CommandError("SHUTTING_DOWN", "this worker takes nothing new any more", retriable=True))
        command, args = run.command, run.args
        try:
            run.args = command.bind(args)
            start = self.sessions.find(run, args) if self.uses_sessions else None
        except InvalidArguments as error:
            return self._answer_error(run.id, self.sessions.missed_too(run, error) if run.args is args else error)
        except CommandError as error:
            return self._answer_error(run.id, error)
        except Exception as error:  # in a checker of the application's own
            return self.send(self._failed(run, error))
        if command.wants_context:
            self._make_context(run)
        if command.is_async or start is not None:
            self.running[run.id] = run
            task = start_now(self.loop, self._drive(run, start))
            if run.id not in self.running:
                return
            if not task.done():
                run.task = task
        else:
            self.running[run.id] = run
            self._start_thread(run)
        remaining = run.remaining()
        if remaining is not None:
            run.timer = self.loop.call_later(remaining, self.stop, run, "TIMEOUT")

    def _make_context(self, run: Run) -> None:
        remaining = run.remaining()
        deadline = time.monotonic() + remaining if remaining is not None else None

        def emit(value: Any) -> Any:
            if run.id not in self.running:  # it was answered, and a partial answer comes before the answer
                return None
            frame = self._fitting(encode_partial(run.id, value), "partial")
            if threading.get_ident() != self._thread:  # also what an async command has given to a thread
                return self._emit_from_thread(run, frame)
            self.send(frame)
            return Waiting(self._room) if self._room is not None and self._pending() >= PENDING_HIGH else None

        run.ctx = Context(run.meta, command=run.command.name, deadline=deadline, emit=emit)
        run.ctx.session = run.session

    def _emit_from_thread(self, run: Run, frame: bytes) -> None:
        """Holds the thread now and then until what it has sent is on its way: a fast one must not fill the memory."""
        self._threads.post(self._emit_late, run, frame)
        run.unwritten += len(frame)
        if run.unwritten < PENDING_HIGH:
            return
        run.unwritten = 0
        written = threading.Event()
        self._threads.post(self._tell_room, written)
        while not written.wait(1.0) and not run.ended and not self.loop.is_closed():
            pass

    def _tell_room(self, written: threading.Event) -> None:
        async def wait() -> None:
            if self._room is not None:
                await self._room()
            written.set()

        self.keep(start_now(self.loop, wait()))

    def _emit_late(self, run: Run, frame: bytes) -> None:
        if run.id in self.running:
            self.send(frame)

    def _arguments(self, run: Run) -> tuple:
        """What the function is called with."""
        if run.ctx is not None:
            run.ctx.session = run.session
            run.args["ctx"] = run.ctx
        if not run.command.wants_session:
            return ()
        if run.session is None and not run.command.needs_session:
            return ()  # its default
        return (run.session,)

    async def _began(self, run: Run, session: Session) -> bool:
        """False: its start has failed, and that was the request's answer."""
        try:
            await self.sessions.start(session)
            return True
        except BaseException as error:
            frame = self._failed(run, error, f"session_start of session {session.id!r}")
        self._finish(run, frame)
        return False

    async def _drive(self, run: Run, start: Optional[Session]) -> None:
        """The task of a request. Never raises: whatever happens becomes its answer."""
        try:
            if start is not None and not await self._began(run, start):
                return
            if not run.command.is_async:
                run.task = None
                return self._start_thread(run)
            if self._spans is None:
                result = await run.command.function(*self._arguments(run), **run.args)
            else:
                with self._spans.around(run):
                    result = await run.command.function(*self._arguments(run), **run.args)
            frame = self._good(run, result)
        except BaseException as error:
            frame = self._failed(run, error)
        self._finish(run, frame)

    def _call_plain(self, run: Run) -> Any:
        if self._spans is None:
            return run.command.function(*self._arguments(run), **run.args)
        with self._spans.around(run):
            return run.command.function(*self._arguments(run), **run.args)

    def _start_thread(self, run: Run) -> None:
        claim = run.claim = threading.Lock()

        def job() -> None:
            if not claim.acquire(blocking=False):  # it was over before a thread was free, and is answered
                return
            run.thread = threading.get_ident()
            try:
                result = self._call_plain(run)
                frame = self._good(run, result)
            except BaseException as error:
                frame = self._failed(run, error)
            run.thread = None
            self._threads.post(self._finish, run, frame)

        self._threads.run(job)

    def stop(self, run: Run, why: str) -> None:
        """Tells a running command to give up. It is answered when it has; one that waits for a thread, at once."""
        if run.ended:
            return
        run.ended = why
        if why == "TIMEOUT" and run.id in self.running:
            self._show(run)
        if run.ctx is not None:
            run.ctx.cancelled = True
        if run.task is not None:
            run.task.cancel()
        elif run.claim is not None and run.claim.acquire(blocking=False):
            self._finish(run, NO_ANSWER if why == ENDING else self._failed(run, CommandError(why, "it was over before a thread was free")))

    def _show(self, run: Run) -> None:
        try:
            self._overdue.show(run)
        except Exception as error:  # odd awaitables of the application, say; it is stopped all the same
            log_exception(f"the stack of {run} cannot be shown", error)

    def name_of(self, frame: Optional[FrameType]) -> str:
        """Whose frame that is, for a sentence: " in command ask (request 'r1')"."""
        while frame is not None and frame.f_code is not Server._drive.__code__:
            frame = frame.f_back
        run = frame.f_locals.get("run") if frame is not None else None
        return f" in {run}" if isinstance(run, Run) else ""

    def _good(self, run: Run, result: Any) -> bytes:
        if os.getpid() != self._pid:
            leave_copy(run.command.name, None)
        return self._fitting(encode_result(run.id, result, run.ctx._usage if run.ctx is not None else None), "result")

    def _fitting(self, frame: bytes, what: str) -> bytes:
        """A frame over the daemon's limit would cost the worker its life, and every session its state."""
        if len(frame) - 4 > self._max_frame:
            raise CommandError("RESULT_TOO_LARGE", f"the {what} takes {len(frame) - 4} bytes; the pool allows {self._max_frame} (max_frame_bytes)")
        return frame

    def _failed(self, run: Run, error: BaseException, what: str = "") -> bytes:
        """The frame of an error answer; nothing that an exception does in its turn prevents it."""
        if os.getpid() != self._pid:
            leave_copy(run.command.name, error)
        try:
            return self._error_frame(run, error, what or str(run))
        except BaseException as second:
            code = type(error).__name__
            return encode_error(run.id, {"code": code, "message": f"{code}, which cannot be shown ({type(second).__name__})", "retriable": False})

    def _error_frame(self, run: Run, raised: BaseException, what: str) -> bytes:
        usage = run.ctx._usage if run.ctx is not None else None
        error = meant(raised)
        if run.ended == ENDING and not isinstance(error, CommandError):
            return NO_ANSWER
        if run.ended and not isinstance(error, CommandError):
            how = "stopped at its deadline" if run.ended == "TIMEOUT" else "cancelled"
            tail = "" if isinstance(error, asyncio.CancelledError) else f" ({type(error).__name__}: {text_of(error)})"
            return encode_error(run.id, {"code": run.ended, "message": f"{run.command.name} was {how}{tail}", "retriable": False}, usage)
        if isinstance(error, InvalidResult):
            say(f"bridgepool: {run}: {error}")
        elif not isinstance(error, CommandError):
            log_exception(f"{what} failed", raised)
        return self.fitting_error(run.id, error, usage)

    def fitting_error(self, call_id: int, error: BaseException, usage: Optional[Dict[str, float]] = None) -> bytes:
        """As far as it fits: its details, and then what it has used, are left out of what is over the daemon's limit."""
        body = error_body(error)
        frame = encode_error(call_id, body, usage)
        if len(frame) - 4 > self._max_frame:
            body.pop("details", None)
            body["message"] += f" (its details are left out: {len(frame) - 4} bytes, and the pool allows {self._max_frame} (max_frame_bytes))"
            frame = encode_error(call_id, body, usage)
        return frame if len(frame) - 4 <= self._max_frame else encode_error(call_id, body)

    def _finish(self, run: Run, frame: bytes) -> None:
        self.running.pop(run.id, None)
        if run.timer is not None:
            run.timer.cancel()
        if frame:
            self.send(frame)
        for answer in run.waiting:
            self.send(answer)
        if not self.running:
            self._ending.stop_waiting()

    def answer(self, call_id: int, result: Any) -> None:
        self.send(encode_result(call_id, result, None))

    def _answer_error(self, call_id: int, error: CommandError) -> None:
        self.send(self.fitting_error(call_id, error))

    def keep(self, task: asyncio.Task) -> None:
        """The loop itself holds its tasks by weak references only."""
        if not task.done():
            self.own_tasks.add(task)
            task.add_done_callback(self.own_tasks.discard)

    # ---- life ----

    async def startup(self) -> None:
        for hook in self.app._inside.hooks["startup"]:
            if is_async(hook):
                await hook()
            else:
                hook()  # in the main thread, on purpose
        self._spans = find_spans()

    async def finish(self, commands: float, hooks: float) -> None:
        """Lets what runs come to its end, then ends sessions and the app: at most so many seconds for each."""
        self.closing = True
        await self._ending.run(commands, hooks)

    def hurry(self) -> None:
        """What runs has had its time."""
        self._ending.stop_waiting()


def leave_copy(command: str, error: Optional[BaseException]) -> None:
    """Ends a forked child that comes out of its command: the answer is its parent's to give."""
    code = 1
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    else:
        say(f"bridgepool: command {command} called os.fork(), and its child returned from it; the child should end with os._exit()")
        if error is not None:
            log_exception(f"in the child of command {command}", error)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # closed by the application
            pass
    os._exit(code & 0xFF)
