"""What the SDK costs: CPU per request of an async command, above json.loads and json.dumps of the same bytes; and its start.

    python3 tests/bench/bench_sdk.py [--requests 20000] [--rounds 5]

The worker is a real process on pipes; its CPU time is its own (user and system), read from its rusage at the end of a run of
N requests and of a run of none. Prints medians as name=value on one line: microseconds for each command of the application below,
and milliseconds from start to first answer. What lies behind them goes to standard error.
"""

import argparse
import json
import os
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

APP = """
from bridgepool import App
app = App()
@app.command
async def asynchronous(text: str, n: int = 0) -> dict:
    return {"text": text, "n": n}
@app.command
async def session(session, text: str, n: int = 0, *, ctx) -> dict:
    return {"text": text, "n": n}
@app.command
async def waiting(text: str, n: int = 0) -> dict:
    import asyncio
    await asyncio.sleep(0)
    return {"text": text, "n": n}
@app.command
def plain(text: str, n: int = 0) -> dict:
    return {"text": text, "n": n}
"""
COMMANDS = ("asynchronous", "session", "waiting", "plain")
TEXT = "x" * 180
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src" / "bridges" / "python")}


def call(i, command):
    session = {"id": f"s{i % 50}", "epoch": "e1", "new": False}
    meta = {"request_id": f"bench-0-{i}", "attempt": 1, "remaining_ms": 29950, "headers": {}, "attributes": {}, "session": session, "source": {"topic": "bridgepool.requests", "partition": 1, "offset": i}}
    return {"id": i, "command": command, "args": {"text": TEXT, "n": i, "session_id": session["id"]}, "timestamp": "2026-01-01T00:00:00Z", "meta": meta}


def frames(count, command):
    out = []
    for i in range(1, count + 1):
        body = json.dumps(call(i, command)).encode()
        out.append(struct.pack(">I", len(body)) + body)
    return out


def read_exactly(stream, count):
    data = stream.read(count)
    if len(data) != count:
        raise SystemExit("the worker's output ended early")
    return data


def run(directory, requests, command, depth):
    """CPU seconds of one worker process that answered them, with `depth` requests in flight."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    worker = subprocess.Popen([sys.executable, "-m", "bridgepool.worker", "app:app"], cwd=directory, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    room = threading.Semaphore(depth)
    batch = max(1, depth // 2)

    def feed():
        for start in range(0, len(requests), batch):
            for _ in requests[start : start + batch]:
                room.acquire()
            worker.stdin.write(b"".join(requests[start : start + batch]))

    feeder = threading.Thread(target=feed, daemon=True)
    output = os.fdopen(os.dup(worker.stdout.fileno()), "rb", 1 << 16)
    began = time.perf_counter()
    feeder.start()
    for _ in requests:
        (size,) = struct.unpack(">I", read_exactly(output, 4))
        answer = json.loads(read_exactly(output, size))
        if not answer["success"]:
            raise SystemExit(f"the worker answered {answer}")
        room.release()
    took = time.perf_counter() - began
    feeder.join()
    worker.stdin.close()
    worker.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, took


def json_floor(requests):
    """CPU seconds of loads and dumps alone."""
    began = time.process_time()
    for frame in requests:
        message = json.loads(frame[4:])
        json.dumps({"id": message["id"], "success": True, "result": {"text": message["args"]["text"], "n": message["args"]["n"]}})
    return time.process_time() - began


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--depth", type=int, default=16)
    options = parser.parse_args()
    medians = {}
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "app.py").write_text(APP)
        for command in COMMANDS:
            requests = frames(options.requests, command)
            above, rates = [], []
            for _ in range(options.rounds):
                empty, _ = run(directory, [], command, options.depth)
                cpu, took = run(directory, requests, command, options.depth)
                above.append((cpu - empty - json_floor(requests)) / options.requests * 1e6)
                rates.append(options.requests / took)
            floor = json_floor(requests) / options.requests * 1e6
            medians[f"{command}_us"] = statistics.median(above)
            print(f"{command}: json alone {floor:.1f} us, {statistics.median(rates):.0f} requests/s with {options.depth} in flight", file=sys.stderr)
        starts = [run(directory, frames(1, "asynchronous"), "asynchronous", 1)[1] for _ in range(options.rounds)]
        medians["start_ms"] = statistics.median(starts) * 1000
    print(*(f"{name}={value:.3f}" for name, value in medians.items()))


if __name__ == "__main__":
    main()
