"""Errors that a command can raise, and the one shape in which every error is answered."""

from __future__ import annotations

import math
from typing import Any, Optional

MESSAGE_MAX = 8192  # characters of an error's message; the whole text is on stderr
CODE_MAX = 256
PROBLEMS_MAX = 20  # fields that an INVALID_ARGUMENTS error names: a request may hold more wrong ones than its answer has room for


class CommandError(Exception):
    """The command says no: becomes the request's error as it stands, without a traceback in the log.

    ``code`` is a stable word for programs, ``message`` a sentence for people, ``details`` anything that is JSON.
    A retriable error asks the daemon to run the request again, after ``retry_after`` seconds if given, up to
    ``delivery.max_attempts`` runs in all. Raises ValueError for a ``retry_after`` that is no finite number.
    """

    # What holds in a subclass whose __init__ does not call this one's.
    code = "ERROR"
    message = ""
    retriable = False
    details: Any = None
    retry_after: Optional[float] = None

    def __init__(
        self,
        code: str,
        message: str = "",
        retriable: bool = False,
        details: Any = None,
        retry_after: Optional[float] = None,
    ) -> None:
        super().__init__(message or code)
        if retry_after is not None and not (isinstance(retry_after, (int, float)) and math.isfinite(retry_after)):
            raise ValueError(f"retry_after={retry_after!r}: must be a number of seconds, or None")
        self.code = str(code)
        self.message = str(message or code)
        self.retriable = bool(retriable)
        self.details = details
        self.retry_after = retry_after

    def __str__(self) -> str:
        return self.message


class Retry(CommandError):
    """Ask for the request to be run again, ``after`` seconds from now: ``raise Retry("rate_limited", after=2.0)``.

    The shorter way to say CommandError(..., retriable=True). When all attempts are used up, it is the request's error.
    """

    def __init__(self, code: str, message: str = "", after: Optional[float] = None, details: Any = None) -> None:
        super().__init__(code, message, retriable=True, details=details, retry_after=after)


class Problems:
    """What does not fit: (field, what is wrong) of the first, and how many more there are."""

    def __init__(self) -> None:
        self._first: list = []
        self._more = 0

    def add(self, field: str, problem: str) -> None:
        if len(self._first) < PROBLEMS_MAX:
            self._first.append((field, problem))
        else:
            self._more += 1

    def told(self) -> list:
        return self._first + ([("", f"and {self._more} more")] if self._more else [])


class InvalidArguments(CommandError):
    """The request's arguments do not fit the command. ``problems`` is a list of (field, what is wrong)."""

    def __init__(self, command: str, problems: list) -> None:
        self.problems = problems
        text = "; ".join(f"{field}: {problem}" if field else problem for field, problem in problems)
        details = {
            "field": problems[0][0],
            "problems": [{"field": field, "problem": problem} for field, problem in problems],
        }
        super().__init__("INVALID_ARGUMENTS", f"{command}: {text}", details=details)


class InvalidResult(CommandError):
    """What the command returned cannot be written as JSON."""

    def __init__(self, message: str) -> None:
        super().__init__("INVALID_RESULT", message)


class LoadError(Exception):
    """The application cannot be used as it is written or named; the message says what to mend."""


class NotThere(LoadError):
    """There is nothing of the name that the command line has: no file, no module, or nothing of that name in it."""


def meant(error: BaseException) -> BaseException:
    """The error to answer with: of a group that holds one alone, as task groups make them, that one."""
    while any(kind.__name__ == "BaseExceptionGroup" for kind in type(error).__mro__):  # Python's since 3.11, else the backport's
        if len(error.exceptions) != 1:  # type: ignore[attr-defined]
            break
        error = error.exceptions[0]  # type: ignore[attr-defined]
    return error


def error_body(error: BaseException) -> dict:
    """The ``error`` member of an answer for any exception."""
    error = meant(error)
    if not isinstance(error, CommandError):
        code = type(error).__name__
        return {"code": code[:CODE_MAX], "message": (text_of(error) or code)[:MESSAGE_MAX], "retriable": False}
    message = str(error.message) or str(error.code)
    body = {"code": str(error.code)[:CODE_MAX], "message": message[:MESSAGE_MAX], "retriable": bool(error.retriable)}
    if error.retry_after is not None:
        body["retry_after_ms"] = max(0, round(error.retry_after * 1000))
    if error.details is not None:
        body["details"] = error.details
    return body


def text_of(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # a __str__ that fails must not hide the error itself
        return ""
