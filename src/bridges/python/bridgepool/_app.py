"""App: the commands and hooks of one bridge worker."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, TypeVar, Union, overload

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


class Inside:
    """What an App is to the other modules of this package, and what they may use of it beside its public attributes. It is no
    part of what applications may rely on, and it is one attribute of the App, so that theirs have all other names."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.commands: Dict[str, Command] = {}
        self.hooks: Dict[str, List[Callable]] = {kind: [] for kind in HOOK_ARGUMENTS}

    def prepare(self) -> None:
        """Reads all signatures; raises LoadError for what cannot be served."""
        for command in self.commands.values():
            command.prepare()
        for kind, hooks in self.hooks.items():
            for hook in hooks:
                _check_hook(kind, hook)
        if not self.commands:
            raise LoadError("the app has no commands; put @app.command above a function")

    @property
    def wants_sessions(self) -> bool:
        """Whether it cares when sessions begin and end."""
        return bool(self.hooks["session_start"] or self.hooks["session_end"]) or any(c.wants_session for c in self.commands.values())

    @property
    def places(self) -> int:
        """How many requests the daemon should send at once."""
        plain = 0 if all(c.is_async for c in self.commands.values()) else self._app.threads
        quick = self._app.concurrency if any(c.is_async for c in self.commands.values()) else 0
        return max(plain, quick, 1)


class App:
    """The commands of one bridge worker. Attributes of your own may be set on it: ``app.qa = ...``.

    version      goes into every result as ``worker_version``
    concurrency  how many async commands the daemon may send at once
    threads      how many plain commands run at once, each in a thread; of an app with both kinds further plain calls wait for one;
                 plain hooks of sessions run in as many others

    Raises ValueError for a concurrency or threads that is no whole number of at least 1. What its decorators are put on stays
    as it is, so tests can call it. A signature that cannot be served is told when the app is loaded, not at the decorator.
    """

    def __init__(self, *, version: Optional[str] = None, concurrency: int = 32, threads: int = 8) -> None:
        for name, value in (("concurrency", concurrency), ("threads", threads)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"App({name}={value!r}): must be a whole number of at least 1")
        self.version = None if version is None else str(version)
        self.concurrency = concurrency
        self.threads = threads
        self._inside = Inside(self)

    if TYPE_CHECKING:  # attributes of the user's own

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...

    # ---- decorators ----

    @overload
    def command(self, function: F) -> F: ...
    @overload
    def command(self, *, name: Optional[str] = None) -> Callable[[F], F]: ...
    def command(self, function: Optional[F] = None, *, name: Optional[str] = None) -> Union[F, Callable[[F], F]]:
        """Makes a function, async or plain, a command of its own name: ``@app.command``, or ``@app.command(name="ask")``.

        A first parameter ``session`` is the request's Session (give it a default if the command works without one), a
        parameter ``ctx`` its Context. All others are the request's arguments, by name, and are checked against their
        annotations: str, int, float, bool, list, dict, Optional, Union, Literal, an Enum, a dataclass, a TypedDict, a pydantic
        model or Any; ``**rest`` takes what has no parameter. What does not fit is an INVALID_ARGUMENTS error that names the
        field, and the command does not run. The result is any JSON value, or what becomes one: dataclasses, pydantic models,
        DSPy predictions, dates, sets. An exception becomes the request's error with its type as code; see CommandError.

        Raises ValueError for a name that is taken, here or by the worker protocol, TypeError for what is no function or is a
        generator.
        """
        if function is None:
            return lambda f: self._add(f, name)
        return self._add(function, name)

    def startup(self, function: F) -> F:
        """``startup()``, async or plain, runs once, before the worker is ready: load here what is slow to load.

        A plain one runs in the main thread, which makes it the place for ``dspy.configure``. If it raises, the worker ends.
        """
        return self._hook("startup", function)

    def shutdown(self, function: F) -> F:
        """``shutdown()`` runs when the worker ends in an orderly way, after its sessions have ended. Never after a crash."""
        return self._hook("shutdown", function)

    def session_start(self, function: F) -> F:
        """``session_start(session)`` runs when a session begins on this worker, before its first command.

        If it raises, the request that was to be the first does not run and gets the error.
        """
        return self._hook("session_start", function)

    def session_end(self, function: F) -> F:
        """``session_end(session, reason)`` runs when a session ends on this worker. Never after a crash.

        reason is "end_session" (the client said so), "ttl", "max_sessions", "partition" (it moved to another instance), "recycle" (its worker is replaced),
        "replaced" (it begins anew while an older state of it is still here) or "shutdown".
        """
        return self._hook("session_end", function)

    # ---- for the worker ----

    @property
    def commands(self) -> Dict[str, Command]:
        """The commands by name."""
        return self._inside.commands

    def _hook(self, kind: str, function: F) -> F:
        if not callable(function):
            raise TypeError(f"@app.{kind} goes above a function, without parentheses")
        self._inside.hooks[kind].append(function)
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
        if word in self._inside.commands:
            raise ValueError(f"command {word!r} is there twice")
        self._inside.commands[word] = Command(word, function)
        return function
