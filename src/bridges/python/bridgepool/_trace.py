"""Tracebacks on standard error, from the application's first frame on; the daemon logs them line by line."""

from __future__ import annotations

import os
import sys
import traceback
from types import TracebackType
from typing import List, Optional

_HERE = os.path.dirname(os.path.abspath(__file__))


def _is_ours(trace: TracebackType) -> bool:
    name = trace.tb_frame.f_code.co_filename
    return name.startswith("<frozen importlib") or os.path.dirname(name) in (_HERE, os.path.dirname(os.__file__) + "/importlib")


def _lines(error: BaseException, without: Optional[TracebackType]) -> List[str]:
    """`without`: the trace to show if every frame is ours."""
    trace: Optional[TracebackType] = error.__traceback__
    while trace is not None and _is_ours(trace):
        trace = trace.tb_next
    try:
        return traceback.format_exception(type(error), error, trace or without)
    except Exception:  # an exception that cannot even be printed
        return [f"{type(error).__name__}\n"]


def print_exception(error: BaseException) -> None:
    """The exception alone; its last line is the reason."""
    print("".join(_lines(error, None)), end="", file=sys.stderr, flush=True)


def log_exception(what: str, error: BaseException) -> None:
    print(f"bridgepool: {what}\n{''.join(_lines(error, error.__traceback__))}", end="", file=sys.stderr, flush=True)
