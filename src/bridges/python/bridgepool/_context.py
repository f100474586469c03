"""What a command is told about its request (Context) and its session (Session)."""

from __future__ import annotations

import math
import time
from typing import Any, Callable, Dict, Mapping, Optional


class Session(dict):
    """A session's state: a dict that lives as long as the session lives on this worker.

    ``id`` is the session's ID, ``epoch`` the token of this stretch of its life, ``new`` says that nothing ran in it before. In a
    pool whose ``state`` is "none" it lives for one request: always empty and new, without an epoch, and no hook hears of it.
    """

    __slots__ = ("id", "epoch", "new", "_used")

    def __init__(self, id: str = "", epoch: Optional[str] = None, new: bool = True) -> None:
        super().__init__()
        self.id = id
        self.epoch = epoch
        self.new = new
        self._used = False  # a request ran in it

    def __repr__(self) -> str:
        return f"<Session {self.id!r} {dict.__repr__(self)}>"

    __hash__ = None  # type: ignore[assignment]


class _Done:
    """Awaiting it takes no time; not awaiting it (in a plain command) is fine too."""

    __slots__ = ()

    def __await__(self):
        return iter(())


_DONE = _Done()


class Waiting:
    """Awaiting it takes until there is room; who does not is not held."""

    __slots__ = ("_room",)

    def __init__(self, room: Callable[[], Any]) -> None:
        self._room = room

    def __await__(self):
        return self._room().__await__()


class Context:
    """One request, as its command sees it. Ask for it with a keyword-only parameter named ``ctx``.

    request_id  its name, as the client gave it or the daemon made it
    attempt     1 the first time; more when the request is run again
    command     the command's name
    headers     those of the record that go to workers, such as ``tracestate``: a dict of strings
    traceparent the one that names the client's span, or None
    attributes  the client's own words, repeated in the result: a dict of strings
    source      where the record stood: ``topic``, ``partition``, ``offset``
    session     its Session, or None
    deadline    on the clock of ``time.monotonic()``; None: no limit. See ``remaining``
    streaming   the client wants partial answers
    cancelled   True once nobody waits any more. A plain command should look now and then, and give up; an async one gets a
                CancelledError at its next await
    """

    __slots__ = ("request_id", "attempt", "command", "headers", "attributes", "source", "session", "deadline", "streaming", "cancelled", "_usage", "_emit", "_logger")

    def __init__(self, meta: Optional[Mapping[str, Any]] = None, *, command: str = "", deadline: Optional[float] = None, emit: Optional[Callable[[Any], Any]] = None) -> None:
        meta = meta or {}
        self.request_id: Optional[str] = meta.get("request_id")
        self.attempt: int = meta.get("attempt") or 1
        self.command = command
        self.headers: Dict[str, str] = meta.get("headers") or {}
        self.attributes: Dict[str, str] = meta.get("attributes") or {}
        self.source: Dict[str, Any] = meta.get("source") or {}
        self.session: Optional[Session] = None
        self.deadline = deadline
        self.streaming: bool = bool(meta.get("stream"))
        self.cancelled = False
        self._usage: Optional[Dict[str, float]] = None
        self._emit = emit
        self._logger: Any = None

    @property
    def remaining(self) -> Optional[float]:
        """Seconds until the deadline, 0 when it is over, None when there is none."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def partial(self, value: Any) -> Any:
        """Send a part of the answer ahead: ``await ctx.partial({"token": "..."})``. Dropped unless the request says stream.

        It is sent when this is called; the await holds a command that is faster than who takes it. In a plain (threaded)
        command, or what else runs in a thread, call it without: there the call itself holds. value is anything that could be a
        result; raises InvalidResult, a CommandError, for what is no JSON.
        """
        if self._emit is None or not self.streaming:
            return _DONE
        return self._emit(value) or _DONE

    def usage(self, numbers: Optional[Mapping[str, Any]] = None, **more: float) -> None:
        """Add to what this request has used up: ``ctx.usage(tokens=120)``; it goes into the result, also into an error's.

        Any names are good. These are also counted in the daemon's metrics: ``prompt_tokens`` or ``input_tokens``,
        ``completion_tokens`` or ``output_tokens``, ``total_tokens`` or ``tokens``, and ``cost`` (US dollars).

        Numbers by model, as DSPy's ``prediction.get_lm_usage()`` gives them, are summed over the models: so is every mapping
        that holds nothing but mappings. Else nested mappings become dotted names. Repeats add up; what is no finite number is
        left out.
        """
        if self._usage is None:
            self._usage = {}
        if numbers and all(isinstance(value, Mapping) for value in numbers.values()):
            for of_model in numbers.values():
                _add_numbers(self._usage, of_model, "")
        elif numbers:
            _add_numbers(self._usage, numbers, "")
        if more:
            _add_numbers(self._usage, more, "")

    @property
    def traceparent(self) -> Optional[str]:
        """The request's header of that name (W3C Trace Context), for what does not know OpenTelemetry; see the package's README."""
        return self.headers.get("traceparent")

    @property
    def logger(self) -> Any:
        """A logging.LoggerAdapter that names the request; the daemon logs what it writes."""
        if self._logger is None:
            self._logger = _request_logger(self)
        return self._logger


def _add_numbers(into: Dict[str, float], numbers: Mapping[str, Any], prefix: str) -> None:
    for name, value in numbers.items():
        if isinstance(value, Mapping):
            _add_numbers(into, value, f"{prefix}{name}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            into[f"{prefix}{name}"] = into.get(f"{prefix}{name}", 0) + value


def _request_logger(ctx: Context) -> Any:
    import logging

    class Named(logging.LoggerAdapter):
        def process(self, msg: Any, kwargs: Any) -> Any:
            named = " ".join(f"{k}={v}" for k, v in (self.extra or {}).items() if v)
            return (f"{msg} [{named}]" if named else msg), kwargs

    session = ctx.session.id if ctx.session is not None else None
    return Named(logging.getLogger(f"bridgepool.{ctx.command or 'command'}"), {"request": ctx.request_id, "session": session})
