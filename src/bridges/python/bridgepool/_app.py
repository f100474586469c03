"""App: the commands and hooks of one bridge worker."""

from __future__ import annotations

import inspect
from typing import Any, Callable, Dict, List, Optional, TypeVar, Union, overload

from ._arguments import Signature
from ._errors import LoadError

F = TypeVar("F", bound=Callable[..., Any])

RESERVED = frozenset(("ping", "shutdown", "open_session", "cleanup_session", "cancel", "end_session"))


HOOK_ARGUMENTS = {"startup": (), "shutdown": (), "session_start": ("session",), "session_end": ("session", "reason")}


def _check_hook(kind: str, hook: Callable) -> None:
    wanted = HOOK_ARGUMENTS[kind]
    try:
        inspect.signature(hook).bind(*wanted)
    except TypeError as error:
        name = getattr(hook, "__name__", repr(hook))
        raise LoadError(f"the {kind} hook {name!r} must be callable as {name}({', '.join(wanted)}): {error}") from None


def is_async(function: Callable) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))


class Command:
    """A function and what it wants. Its signature is read when the worker starts, so that it may name what comes later in the file."""

    __slots__ = ("name", "function", "is_async", "signature", "bind", "wants_session", "needs_session", "wants_context")

    def __init__(self, name: str, function: Callable) -> None:
        self.name = name
        self.function = function
        self.is_async = is_async(function)
        self.signature: Signature = None  # type: ignore[assignment]

    def prepare(self) -> None:
        signature = Signature(self.name, self.function)
        self.signature = signature
        self.bind = signature.bind
        self.wants_session = signature.wants_session
        self.needs_session = signature.needs_session
        self.wants_context = signature.wants_context


class App:
    """The commands of one bridge worker. Attributes of your own may be set on it: ``app.qa = ...``.

    version      goes into every result as ``worker_version``
    concurrency  how many async commands the daemon may send at once
    threads      how many plain commands run at once, each in a thread
    """

    def __init__(self, *, version: Optional[str] = None, concurrency: int = 32, threads: int = 8) -> None:
        for name, value in (("concurrency", concurrency), ("threads", threads)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"App({name}={value!r}): must be a whole number of at least 1")
        self.version = None if version is None else str(version)
        self.concurrency = concurrency
        self.threads = threads
        self._commands: Dict[str, Command] = {}
        self._hooks: Dict[str, List[Callable]] = {"startup": [], "shutdown": [], "session_start": [], "session_end": []}

    # ---- decorators ----

    def startup(self, function: F) -> F:
        """Runs before the worker is ready; plain ones in the main thread, which makes it the place for ``dspy.configure``."""
        return self._hook("startup", function)

    def shutdown(self, function: F) -> F:
        """Runs when the worker is about to end in an orderly way."""
        return self._hook("shutdown", function)

    def session_start(self, function: F) -> F:
        """``session_start(session)`` runs when a session begins on this worker, before its first command."""
        return self._hook("session_start", function)

    def session_end(self, function: F) -> F:
        """``session_end(session, reason)`` runs when it ends here. Never after a crash."""
        return self._hook("session_end", function)

    @overload
    def command(self, function: F) -> F: ...
    @overload
    def command(self, *, name: Optional[str] = None) -> Callable[[F], F]: ...
    def command(self, function: Optional[F] = None, *, name: Optional[str] = None) -> Union[F, Callable[[F], F]]:
        """Makes a function a command. The function itself stays as it is, so tests can call it."""
        if function is None:
            return lambda f: self._add(f, name)
        return self._add(function, name)

    # ---- for the worker ----

    @property
    def commands(self) -> Dict[str, Command]:
        return self._commands

    def hooks(self, kind: str) -> List[Callable]:
        return self._hooks[kind]

    def prepare(self) -> None:
        """Reads all signatures; raises LoadError for what cannot be served."""
        for command in self._commands.values():
            command.prepare()
        for kind, hooks in self._hooks.items():
            for hook in hooks:
                _check_hook(kind, hook)
        if not self._commands:
            raise LoadError("the app has no commands; put @app.command above a function")

    @property
    def uses_sessions(self) -> bool:
        """Whether it cares when sessions begin and end."""
        return bool(self._hooks["session_start"] or self._hooks["session_end"]) or any(c.wants_session for c in self._commands.values())

    @property
    def places(self) -> int:
        """How many requests the daemon should send at once."""
        plain = 0 if all(c.is_async for c in self._commands.values()) else self.threads
        quick = self.concurrency if any(c.is_async for c in self._commands.values()) else 0
        return max(plain, quick, 1)

    def _hook(self, kind: str, function: F) -> F:
        if not callable(function):
            raise TypeError(f"@app.{kind} goes above a function, without parentheses")
        self._hooks[kind].append(function)
        return function

    def _add(self, function: F, name: Optional[str]) -> F:
        if not callable(function):
            raise TypeError('@app.command goes above a function; give another name with @app.command(name="...")')
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            raise TypeError(f"command {function.__name__!r} is a generator; return the result, and send parts with ctx.partial()")
        word = name or getattr(function, "__name__", None)
        if not word:
            raise TypeError(f"{function!r} has no name of its own; give one with @app.command(name=\"...\")")
        if word in RESERVED:
            raise ValueError(f"command {word!r}: this name belongs to the worker protocol; give another with @app.command(name=\"...\")")
        if word in self._commands:
            raise ValueError(f"command {word!r} is there twice")
        self._commands[word] = Command(word, function)
        return function
