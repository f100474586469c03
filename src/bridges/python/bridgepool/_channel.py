"""Frames on two descriptors, in an asyncio loop: many per read, many per write.

A frame is a 4-byte big-endian length and that many bytes of JSON.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from typing import Callable, List, Optional

READ_SIZE = 65536
READ_MAX = 1 << 20
PENDING_HIGH = 1 << 20  # bytes that wait to be written before senders of partial answers are held


class ProtocolError(Exception):
    """What came in cannot be followed any further."""


class FrameReader:
    """Cuts a stream into bodies, whatever pieces it comes in."""

    def __init__(self, max_body: int) -> None:
        self._rest = bytearray()
        self._need = 4  # bytes that rest must have before anything can be given out
        self._max = max_body

    @property
    def missing(self) -> int:
        return self._need - len(self._rest)

    @property
    def empty(self) -> bool:
        return not self._rest

    def feed(self, data: bytes) -> List[bytes]:
        """The bodies that are complete now. Raises ProtocolError when a length is over the limit."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._need:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        bodies = []
        position, end = 0, len(data)
        while end - position >= 4:
            size = int.from_bytes(data[position : position + 4], "big")
            if size > self._max:
                raise ProtocolError(f"a frame claims {size} bytes, more than {self._max}: {data[position:position + 32]!r}")
            if end - position - 4 < size:
                self._need = 4 + size
                break
            bodies.append(data[position + 4 : position + 4 + size])
            position += 4 + size
        else:
            self._need = 4
        if position < end:
            self._rest += data[position:] if position else data
        return bodies


class Channel:
    """The two ends of the protocol. Only the loop's thread uses it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, read_fd: int, write_fd: int, max_body: int) -> None:
        self._loop = loop
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._frames = FrameReader(max_body)
        self._out: List[bytes] = []
        self._pending = 0
        self._flush_due = False
        self._writing = False          # waiting until the descriptor takes more
        self._watching = False
        self._held: Optional[asyncio.Future] = None
        self.broken = False            # nobody reads our answers any more
        self.on_bodies: Callable[[List[bytes]], None] = lambda bodies: None
        self.on_end: Callable[[Optional[Exception]], None] = lambda why: None
        self._write_flags = fcntl.fcntl(write_fd, fcntl.F_GETFL)
        fcntl.fcntl(write_fd, fcntl.F_SETFL, self._write_flags | os.O_NONBLOCK)

    # ---- reading ----

    def start(self) -> None:
        try:
            self._loop.add_reader(self._read_fd, self._readable)
            self._watching = True
        except PermissionError:  # a plain file cannot be waited for
            threading.Thread(target=self._read_file, daemon=True).start()

    def stop_reading(self) -> None:
        if self._watching:
            self._watching = False
            self._loop.remove_reader(self._read_fd)

    def _readable(self) -> None:
        try:
            data = os.read(self._read_fd, min(max(READ_SIZE, self._frames.missing), READ_MAX))
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            return self._ended(error)
        self._take(data)

    def _take(self, data: bytes) -> None:
        if not data:
            return self._ended(None if self._frames.empty else ProtocolError("the input ended inside a frame"))
        try:
            bodies = self._frames.feed(data)
        except ProtocolError as error:
            return self._ended(error)
        except MemoryError:  # where the next frame begins is lost with it
            return self._ended(ProtocolError(f"no memory for a frame of {self._frames.missing} more bytes; raise pools[].memory or lower limits.request"))
        if bodies:
            self.on_bodies(bodies)
            self.flush()

    def _ended(self, why: Optional[Exception]) -> None:
        self.stop_reading()
        self.on_end(why)

    def _read_file(self) -> None:
        data = b"-"
        while data:
            data = os.read(self._read_fd, READ_SIZE)
            try:
                self._loop.call_soon_threadsafe(self._take, data)
            except RuntimeError:  # the loop is closed
                return

    # ---- writing ----

    def send(self, frame: bytes) -> None:
        """Written at the end of this turn of the loop, together with what else there is."""
        self._out.append(frame)
        self._pending += len(frame)
        if not self._flush_due and not self._writing:
            self._flush_due = True
            self._loop.call_soon(self._flush_soon)

    @property
    def pending(self) -> int:
        return self._pending

    def _flush_soon(self) -> None:
        self._flush_due = False
        self.flush()

    def flush(self) -> None:
        if not self._out or self._writing:
            return
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        self._write(memoryview(data))

    def _write(self, data: memoryview) -> None:
        while data and not self.broken:
            try:
                written = os.write(self._write_fd, data)
            except (BlockingIOError, InterruptedError):
                self._wait_writable(data)
                return
            except OSError as error:
                self._broke(error)
                return
            self._pending -= written
            data = data[written:]
        self._release()

    def _wait_writable(self, data: memoryview) -> None:
        def writable() -> None:
            self._loop.remove_writer(self._write_fd)
            self._writing = False
            self._write(data)
            self.flush()

        self._writing = True
        self._loop.add_writer(self._write_fd, writable)

    def _broke(self, error: OSError) -> None:
        self.broken = True
        self._out.clear()
        self._pending = 0
        self._release()
        self._ended(error)

    def _release(self) -> None:
        if self._held is not None and self._pending < PENDING_HIGH:
            self._held.set_result(None)
            self._held = None

    async def room(self) -> None:
        """Waits while too much waits to be written."""
        while self._pending >= PENDING_HIGH and not self.broken:
            if self._held is None:
                self._held = self._loop.create_future()
            await asyncio.shield(self._held)

    async def close(self, timeout: float) -> None:
        """Writes what there is, as long as somebody takes it."""
        self.stop_reading()
        self.flush()
        until = self._loop.time() + timeout
        while self._pending and not self.broken and self._loop.time() < until:
            await asyncio.sleep(0.005)
        fcntl.fcntl(self._write_fd, fcntl.F_SETFL, self._write_flags)
