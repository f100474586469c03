"""Where work stands: the Python stack of a thread or a task, from the application's first frame on, bounded, for the log."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import traceback
from types import FrameType
from typing import Any, Iterator, List, Optional, Tuple

FRAMES_MAX = 24  # of one stack; what lies between the outermost and the innermost of a deeper one is left out
OUTERMOST = 4
LINE_MAX = 300  # characters of a frame's text
TASKS_MAX = 4  # tasks shown for one that waits for others

_HERE = os.path.dirname(os.path.abspath(__file__))
_AROUND = (_HERE, os.path.dirname(asyncio.__file__))  # what calls the application


def of_frame(frame: Optional[FrameType]) -> str:
    """A thread's, which is in this frame."""
    return _text(_without_callers(_walk_frames(frame)))


def of_thread(ident: int) -> str:
    return of_frame(sys._current_frames().get(ident))


def of_task(task: asyncio.Task, depth: int = 2) -> str:
    """A waiting task's, and those of the tasks that it waits for."""
    text = _text(_without_callers([(frame, frame.f_lineno) for frame in _frames_of(task.get_coro())]))
    waited = [other for other in _waited_by(task) if not other.done()]
    if depth == 0:
        return text
    for other in waited[:TASKS_MAX]:
        text += f"  which waits for {other.get_name()}:\n{of_task(other, depth - 1)}"
    if len(waited) > TASKS_MAX:
        text += f"  and for {len(waited) - TASKS_MAX} more tasks\n"
    return text


def _frames_of(awaited: Any) -> Iterator[FrameType]:
    """Of coroutines, generators and asynchronous generators that wait for each other, outermost first."""
    while awaited is not None:
        if type(awaited).__name__ in ("async_generator_asend", "async_generator_athrow"):  # they do not say whose step they are
            awaited = next((other for other in gc.get_referents(awaited) if hasattr(other, "ag_frame")), None)
        for kind, link in (("cr", "cr_await"), ("ag", "ag_await"), ("gi", "gi_yieldfrom")):
            if hasattr(awaited, f"{kind}_frame"):
                frame = getattr(awaited, f"{kind}_frame")
                if frame is not None:
                    yield frame
                awaited = getattr(awaited, link)
                break
        else:
            return


def _waited_by(task: asyncio.Task) -> List[asyncio.Task]:
    waiter = getattr(task, "_fut_waiter", None)
    if isinstance(waiter, asyncio.Task):
        return [waiter]
    return [child for child in getattr(waiter, "_children", ()) if isinstance(child, asyncio.Task)]  # of asyncio.gather()


Place = Tuple[FrameType, int]


def _walk_frames(frame: Optional[FrameType]) -> List[Place]:
    places = list(traceback.walk_stack(frame)) if frame is not None else []
    return places[::-1]


def _without_callers(places: List[Place]) -> List[Place]:
    def is_caller(place: Place) -> bool:
        name = place[0].f_code.co_filename
        return os.path.dirname(name) in _AROUND or name == threading.__file__ or name.startswith("<frozen ")

    first = next((i for i, place in enumerate(places) if not is_caller(place)), 0)
    return places[first:]


def _text(places: List[Place]) -> str:
    if len(places) <= FRAMES_MAX:
        return _lines(places)
    inner = FRAMES_MAX - OUTERMOST
    return f"{_lines(places[:OUTERMOST])}  ... {len(places) - FRAMES_MAX} frames are left out ...\n{_lines(places[-inner:])}"


def _lines(places: List[Place]) -> str:
    entries = traceback.format_list(traceback.StackSummary.extract(iter(places)))
    return "".join(entry if len(entry) <= LINE_MAX else entry[:LINE_MAX].rstrip() + "...\n" for entry in entries)
