"""The bridge worker: ``python -m bridgepool.worker app:app``, started by the daemon.

Frames come on standard input and go to standard output. Both are moved to descriptors of the worker's own at once, and
standard output then leads to standard error: what the application, its C extensions and its child processes print ends up
in the daemon's log and never among the frames.

Environment: BRIDGEPOOL_MAX_FRAME_BYTES (the longest answer; the daemon sets it to the pool's max_frame_bytes),
BRIDGEPOOL_STOP_GRACE (10 seconds; the daemon sets it to the pool's stop_grace), BRIDGEPOOL_LOG_LEVEL (DEBUG, INFO, WARNING,
ERROR). When the input ends, running commands get that grace, and so do the hooks of sessions and app after them; after SIGTERM
they get half of it each: with the next step of the daemon, SIGTERM or SIGKILL, it is over. Commands that are not done by then are
cancelled, and have no answer unless they give one all the same: the daemon knows which of them may run again. A second signal ends
the worker at once. SIGTERM to a worker that was not asked to end shows where all its threads are. Exit codes: 0 ended in order, 1 a
startup hook failed, 64 usage, 76 the protocol was broken, 78 the application cannot be loaded, 143 a second SIGTERM.
"""

from __future__ import annotations

import os
import sys
from typing import List, Optional, Tuple

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_PROTOCOL, EXIT_CONFIG = 0, 1, 64, 76, 78
LAST_STEP = 0.9  # of the time for hooks: the rest is for what they leave to be done
CALL_ROOM = 8  # a call's headers and attributes grow when they are escaped; a longer frame than so many times the limit is no call


def take_stdio() -> Tuple[int, int]:
    """Moves the protocol away from descriptors 0 and 1; returns where it is now."""
    read_fd, write_fd = os.dup(0), os.dup(1)  # not inherited by child processes
    sys.stdout.flush()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    return read_fd, write_fd


def _setting(name: str, default: float) -> float:
    from ._errors import LoadError

    text = os.environ.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1
    if not 0 < value < float("inf"):
        raise LoadError(f"{name}={text!r}: must be a number above 0; leave it out for {default:g}")
    return value


def main(argv: Optional[List[str]] = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -m bridgepool.worker MODULE:APP | PATH/TO/FILE.py:APP", file=sys.stderr)
        return EXIT_USAGE
    if os.isatty(0):
        print(f"This is a bridge worker; the daemon starts it and talks to it. To try your commands: python -m bridgepool call {arguments[0]} COMMAND name=value", file=sys.stderr)
        return EXIT_USAGE
    read_fd, write_fd = take_stdio()
    show_stacks(True)
    from ._errors import LoadError
    from ._forks import on_fork
    from ._loading import load_app
    from ._trace import print_exception, reason_of, say

    on_fork(read_fd, write_fd, lambda: show_stacks(False))  # a child that is terminated is no news
    try:
        max_frame = int(_setting("BRIDGEPOOL_MAX_FRAME_BYTES", 64 << 20))
        grace = _setting("BRIDGEPOOL_STOP_GRACE", 10.0)
        app = load_app(arguments[0], "pools[].directory, or PYTHONPATH")
    except LoadError as error:
        say(f"bridgepool: {error}")
        return EXIT_CONFIG
    except BaseException as error:  # a sys.exit() in the user's module included
        print_exception(error)
        say(f"bridgepool: {arguments[0]} cannot be loaded: {reason_of(error)}")
        return EXIT_CONFIG
    return serve(app, read_fd, write_fd, max_frame, grace)


def show_stacks(on: bool) -> None:
    """At SIGTERM, and before whatever else it does; also when a call holds the interpreter and no Python code can run."""
    import faulthandler
    import signal

    faulthandler.unregister(signal.SIGTERM)
    if on:
        faulthandler.register(signal.SIGTERM, file=2, all_threads=True, chain=True)


def serve(app, read_fd: int, write_fd: int, max_frame: int, grace: float) -> int:
    """Runs the loop until the input ends or a signal says so."""
    import asyncio
    import logging

    # Without a word from the operator: our own lines and ctx.logger from INFO on, libraries from WARNING on, as Python does.
    told = getattr(logging, os.environ.get("BRIDGEPOOL_LOG_LEVEL", "").upper(), None)
    logging.basicConfig(stream=sys.stderr, level=told or logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("bridgepool").setLevel(told or logging.INFO)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(_serve(app, loop, read_fd, write_fd, max_frame, grace))
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def _serve(app, loop, read_fd: int, write_fd: int, max_frame: int, grace: float) -> int:
    import gc
    import signal

    from ._channel import Channel
    from ._serve import Server
    from ._trace import log_exception, reason_of, say
    from ._watch import Watch

    channel = Channel(loop, read_fd, write_fd, max_frame * CALL_ROOM)
    server = Server(app, loop, channel.send, max_frame)
    server.connect(channel)
    over = loop.create_future()
    signals: List[int] = []

    def end(why: Optional[Exception]) -> None:
        show_stacks(False)
        if not over.done():
            over.set_result(why)

    def on_signal(number: int) -> None:
        signals.append(number)
        if len(signals) > 1:
            os._exit(128 + number)
        channel.stop_reading()
        server.hurry()  # the input had ended before
        end(None)

    try:
        await server.startup()
    except BaseException as error:
        log_exception("startup failed", error)
        say(f"bridgepool: the app's startup failed: {reason_of(error)}")
        # The daemon shows the last line; a startup that failed may work the next time, so it is no wrong configuration.
        return EXIT_FAILED
    Watch(loop, lambda: server.is_busy, server.name_of).start()
    gc.freeze()  # what was loaded stays: not looked at again by every full collection
    show_stacks(False)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    show_stacks(True)  # on top
    channel.on_bodies = server.take_bodies
    channel.on_end = end
    channel.start()
    why = await over
    if why is not None and not channel.broken:
        say(f"bridgepool: the daemon's end of the protocol: {type(why).__name__}: {why}")
    step = grace / 2 if signals else grace
    await server.finish(0.0 if channel.broken else step, step * LAST_STEP)
    await channel.close(timeout=2.0)
    return EXIT_OK if why is None or channel.broken else EXIT_PROTOCOL


if __name__ == "__main__":
    sys.exit(main())
