"""Tracebacks on standard error, from the application's first frame on; the daemon logs them line by line."""

from __future__ import annotations

import os
import sys
import traceback
from types import TracebackType
from typing import List, Optional

from ._errors import text_of

_REASON_MAX = 500  # characters
_HERE = os.path.dirname(os.path.abspath(__file__))


def _is_ours(trace: TracebackType) -> bool:
    name = trace.tb_frame.f_code.co_filename
    return name.startswith("<frozen importlib") or os.path.dirname(name) in (_HERE, os.path.dirname(os.__file__) + "/importlib")


def _is_library(trace: TracebackType) -> bool:
    name = trace.tb_frame.f_code.co_filename
    return "site-packages" in name or name.startswith(("<", os.path.dirname(os.__file__)))


def _lines(error: BaseException, without: Optional[TracebackType]) -> List[str]:
    """`without`: the trace to show if every frame is ours."""
    trace: Optional[TracebackType] = error.__traceback__
    while trace is not None and _is_ours(trace):
        trace = trace.tb_next
    try:
        return traceback.format_exception(type(error), error, trace or without)
    except BaseException:  # an exception that cannot even be printed
        return [f"{type(error).__name__}\n"]


def say(text: str) -> None:
    """A line for the daemon's log. An application that has closed or replaced standard error gets no error for it."""
    try:
        print(text.rstrip("\n"), file=sys.stderr, flush=True)
    except Exception:  # OSError, ValueError, or whatever a replacement raises
        pass


def print_exception(error: BaseException) -> None:
    """The exception alone; its last line is the reason."""
    say("".join(_lines(error, None)))


def log_exception(what: str, error: BaseException) -> None:
    say(f"bridgepool: {what}\n{''.join(_lines(error, error.__traceback__))}")


def reason_of(error: BaseException) -> str:
    """The exception in a line, with the place in the application where it came from."""
    name = type(error).__name__
    if isinstance(error, SyntaxError):  # its place is not where it was raised
        return f"{name}: {error.msg} ({error.filename}, line {error.lineno})"
    trace, place, first = error.__traceback__, "", ""
    while trace is not None:
        where = f" ({trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno})"
        if not _is_ours(trace):
            first = first or where
            place = place if _is_library(trace) else where
        trace = trace.tb_next
    text = " ".join(text_of(error).split())[:_REASON_MAX]
    return (f"{name}: {text}" if text else name) + (place or first)
