"""Real workers on pipes: what a daemon would say is written by the tests, frame by frame."""

import json
import os
import select
import struct
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "bridges" / "python"
sys.path.insert(0, str(PACKAGE))
sys.path.insert(0, str(Path(__file__).resolve().parent))

PATIENCE = 60  # seconds after which a worker that says nothing has failed the test


def frame(body):
    return struct.pack(">I", len(body)) + body


class Worker:
    """A worker process, and the daemon's side of its pipes."""

    def __init__(self, target, directory, env=None, python=sys.executable, stdin=subprocess.PIPE):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("BRIDGEPOOL_")}
        environment.update(PYTHONPATH=str(PACKAGE), **(env or {}))
        self.stderr_path = Path(directory) / "stderr.log"
        self.stderr_file = open(self.stderr_path, "ab")
        self.process = subprocess.Popen(
            [python, "-m", "bridgepool.worker", target], cwd=directory, env=environment, stdin=stdin, stdout=subprocess.PIPE, stderr=self.stderr_file, bufsize=0
        )
        self.buffer = b""
        self.last_id = 0
        self.kept = []  # frames that were read while waiting for others

    # ---- out ----

    def write(self, data):
        self.process.stdin.write(data)

    def send(self, command, args=None, **meta):
        """One call; returns its id. session= may be a name or the whole member."""
        self.last_id += 1
        args = dict(args or {})
        session = meta.pop("session", None)
        if isinstance(session, str):
            session = {"id": session, "epoch": "e1", "new": False}
        if session:
            meta["session"] = session
            args["session_id"] = session["id"]
        call = {"id": self.last_id, "command": command, "args": args, "timestamp": "2026-01-01T00:00:00Z", "meta": meta}
        self.write(frame(json.dumps(call).encode()))
        return self.last_id

    # ---- in ----

    def next_frame(self, patience=PATIENCE):
        """The next frame, or None when the worker closed its output."""
        until = time.monotonic() + patience
        while True:
            if len(self.buffer) >= 4:
                (size,) = struct.unpack(">I", self.buffer[:4])
                assert size < 1 << 30, f"not a frame: {self.buffer[:64]!r}"
                if len(self.buffer) >= 4 + size:
                    body, self.buffer = self.buffer[4 : 4 + size], self.buffer[4 + size :]
                    return json.loads(body, parse_constant=lambda word: pytest.fail(f"{word} in a frame"))
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, until - time.monotonic()))
            assert ready, f"no frame within {patience} s; stderr:\n{self.stderr()}"
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            if not data:
                assert not self.buffer, f"the output ended inside a frame: {self.buffer!r}"
                return None
            self.buffer += data

    def answer(self, call_id, partials=None):
        """The answer to that id; frames for others are kept, its parts go to `partials`."""
        for i, message in enumerate(self.kept):
            if message["id"] == call_id:
                return self.kept.pop(i)
        while True:
            message = self.next_frame()
            assert message is not None, f"the worker ended without an answer to {call_id}; stderr:\n{self.stderr()}"
            if message["id"] != call_id:
                self.kept.append(message)
            elif "partial" in message:
                assert partials is not None, f"a part that nobody asked for: {message}"
                partials.append(message["partial"])
            else:
                return message

    def call(self, command, args=None, **meta):
        return self.answer(self.send(command, args, **meta))

    def result(self, command, args=None, **meta):
        answer = self.call(command, args, **meta)
        assert answer["success"] is True, answer
        return answer["result"]

    def error(self, command, args=None, **meta):
        answer = self.call(command, args, **meta)
        assert answer["success"] is False, answer
        return answer["error"]

    def stderr(self):
        return self.stderr_path.read_text(errors="replace")

    def wait_stderr(self, text, patience=PATIENCE):
        until = time.monotonic() + patience
        while text not in self.stderr():
            assert time.monotonic() < until, f"{text!r} never came on stderr:\n{self.stderr()}"
            time.sleep(0.01)

    # ---- end ----

    def wait(self):
        return self.process.wait(timeout=PATIENCE)

    def close(self):
        """Closes its input, reads what it still says, returns its exit code."""
        self.process.stdin.close()
        while True:
            message = self.next_frame()
            if message is None:
                break
            self.kept.append(message)
        return self.wait()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.stderr_file):
            if stream:
                stream.close()


@pytest.fixture
def start(tmp_path):
    """start(source) -> Worker with that app.py, past its first ping."""
    workers = []

    def begin(source=None, target="app:app", ping=True, **options):
        if source is not None:
            (tmp_path / "app.py").write_text(textwrap.dedent(source))
        worker = Worker(target, tmp_path, **options)
        workers.append(worker)
        if ping:
            worker.hello = worker.result("ping", {"initialization": True})
        return worker

    yield begin
    for worker in workers:
        worker.kill()
