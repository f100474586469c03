"""The sessions that live on this worker, and the application's hooks at their start and end."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Tuple

from ._app import App, is_async
from ._context import Session
from ._errors import InvalidArguments
from ._run import Run
from ._threads import Threads
from ._trace import log_exception


class Sessions:
    """By session ID. A session is not in here before its start has been waited for."""

    def __init__(self, app: App, threads: Threads, hint: str) -> None:
        """``hint``: how one names a session."""
        self._app = app
        self._hint = hint
        self._threads = threads
        self._live: Dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._live)

    def take_out(self, session_id: str) -> Optional[Session]:
        return self._live.pop(session_id, None)

    def take_all(self) -> List[Session]:
        all_of_them = list(self._live.values())
        self._live.clear()
        return all_of_them

    def use(self, threads: Threads) -> None:
        """Runs plain hooks in these from now on."""
        self._threads = threads

    def begin(self, session: Session) -> bool:
        """False: something is to be waited for: ``start``."""
        if session.id in self._live or self._app._inside.hooks["session_start"]:
            return False
        self._live[session.id] = session
        return True

    @property
    def have_end_hooks(self) -> bool:
        return bool(self._app._inside.hooks["session_end"])

    def _missing(self) -> Tuple[str, str]:
        return "session", f"this command needs a session; {self._hint}"

    def missed_too(self, run: Run, error: InvalidArguments) -> InvalidArguments:
        """Arguments that do not fit, and the session if that is missing as well."""
        if not run.command.needs_session or type(_told(run, run.args).get("id")) is str:
            return error
        return InvalidArguments(run.command.name, [*error.problems, self._missing()])

    def find(self, run: Run, args: dict) -> Optional[Session]:
        """Fills run.session. Returns it too if its start is still to be waited for."""
        told = type(run.meta.get("session")) is dict
        info = _told(run, args)
        session_id = info.get("id")
        if type(session_id) is not str:
            if run.command.needs_session:
                raise InvalidArguments(run.command.name, [self._missing()])
            return None
        epoch, new = info.get("epoch"), bool(info.get("new"))
        if told and epoch is None:
            run.session = Session(session_id)  # of a pool that keeps no state: nobody would say when what is kept could go
            return None
        session = self._live.get(session_id)
        if session is not None and _same_life(session, epoch, new):
            session.new = new
            session._used = True
            run.session = session
            return None
        fresh = Session(session_id, epoch, new or session is None)
        run.session = fresh
        fresh._used = True
        if session is not None or self._app._inside.hooks["session_start"]:
            return fresh
        self._live[session_id] = fresh
        return None

    async def start(self, session: Session) -> None:
        old = self._live.pop(session.id, None)
        if old is not None:
            await self.end(old, "replaced", quiet=True)
        for hook in self._app._inside.hooks["session_start"]:
            await self.call_hook(hook, session)
        self._live[session.id] = session

    async def end(self, session: Session, reason: str, quiet: bool = False) -> None:
        failure: Optional[BaseException] = None
        for hook in self._app._inside.hooks["session_end"]:
            try:
                await self.call_hook(hook, session, reason)
            except Exception as error:
                log_exception(f"session_end of session {session.id!r} failed", error)
                failure = error
        if failure is not None and not quiet:
            raise failure

    async def call_hook(self, hook: Callable, *args: Any) -> None:
        if is_async(hook):
            await hook(*args)
        else:
            await self._threads.call(hook, *args)


def _told(run: Run, args: dict) -> dict:
    """What is known of the session; ``args``: as they were sent."""
    info = run.meta.get("session")
    return info if type(info) is dict else {"id": args.get("session_id")}


def _same_life(session: Session, epoch: Optional[str], new: bool) -> bool:
    """Whether what is kept belongs to the session as the daemon knows it."""
    if epoch is not None and session.epoch is not None:
        return epoch == session.epoch
    return not (new and session._used)
