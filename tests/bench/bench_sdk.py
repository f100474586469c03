"""What the SDK costs: CPU per request of an async command, above json.loads and json.dumps of the same bytes; and its start.

    python tests/python/bench_sdk.py [--requests 20000] [--rounds 5] [--max-us 20]

The worker is a real process on pipes; its CPU time is its own (user and system), read from its rusage at the end of a run of
N requests and of a run of none. --max-us makes it exit with 1 when the median is above.
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
async def echo(session, text: str, n: int = 0, *, ctx) -> dict:
    return {"text": text, "n": n}
@app.command
async def bare(text: str, n: int = 0) -> dict:
    return {"text": text, "n": n}
@app.command
def plain(text: str, n: int = 0) -> dict:
    return {"text": text, "n": n}
@app.command
async def waits(text: str, n: int = 0) -> dict:
    import asyncio
    await asyncio.sleep(0)
    return {"text": text, "n": n}
"""
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
    parser.add_argument("--max-us", type=float)
    options = parser.parse_args()
    worst = 0.0
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "app.py"), "w") as file:
            file.write(APP)
        for command in ("bare", "echo", "waits", "plain"):
            requests = frames(options.requests, command)
            above, rates = [], []
            for _ in range(options.rounds):
                empty, _ = run(directory, [], command, options.depth)
                cpu, took = run(directory, requests, command, options.depth)
                above.append((cpu - empty - json_floor(requests)) / options.requests * 1e6)
                rates.append(options.requests / took)
            floor = json_floor(requests) / options.requests * 1e6
            cost = statistics.median(above)
            print(f"{command:6} json {floor:5.1f} us, SDK above it {cost:5.1f} us ({(floor + cost) / floor:.1f} times json), {statistics.median(rates):7.0f} requests/s at depth {options.depth}", flush=True)
            if command in ("bare", "echo"):
                worst = max(worst, cost)
        starts = sorted(run(directory, frames(1, "bare"), "bare", 1)[1] for _ in range(max(3, options.rounds)))
        print(f"start to first answer {starts[len(starts) // 2] * 1000:.0f} ms")
    if options.max_us is not None and worst > options.max_us:
        print(f"over the budget of {options.max_us} us for an async command that never waits", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
