"""Requests under fire: the daemon and its workers are killed while they work, and nothing is lost."""
import json
import os
import random
import signal
import time

from conftest import PYTHON, by_request, eventually

APP = '''
import asyncio
from bridgepool import App
app = App(version="1.0")

@app.command
async def step(session, n: int) -> dict:
    await asyncio.sleep(0.02)
    session["last"] = n
    return {"n": n}
'''


def check_sessions(messages, sessions):
    """Under one epoch the results of a session come in the order of the partition, none twice; and every epoch begins with a result
    that says session_new. (A daemon that is killed may repeat results, but only under a new epoch.)"""
    last, live, seen = {}, {}, set()
    for message in messages:
        r = json.loads(message.value())
        key, epoch, offset = r["session_id"], r["session_epoch"], r["source"]["offset"]
        seen.add(key)
        if epoch is None:
            continue
        if live.get(key) != epoch:
            assert r["session_new"], f"{key} went from {live.get(key)} to {epoch} without a word: {r}"
            live[key] = epoch
        else:
            assert offset > last[key], f"{key}: offset {offset} after {last[key]}: {r}"
        last[key] = offset
    assert len(seen) == sessions


def fire(s, requests, sessions, daemon_kills, worker_kills, seed):
    rng = random.Random(seed)
    daemon, struck, said = s.start("one"), 0, 0  # `said` before it started: so long was the log; `struck` since
    s.produce([(f"s{i % sessions}", json.dumps({"request_id": f"r{i}", "command": "step", "args": {"n": i}})) for i in range(requests)])
    strikes = sorted([(rng.randrange(requests), "daemon") for _ in range(daemon_kills)] + [(rng.randrange(requests), "worker") for _ in range(worker_kills)])
    for at, what in strikes:
        before = len(s.seen)  # there is progress between two strikes, so that each meets work
        s.read_results(lambda seen: len(seen) >= max(at * 0.9, before + 1), 120)
        if what == "daemon":
            daemon.kill()
            daemon.wait()
            s.wait_no_workers()
            struck, said = 0, len(s.log_text())
            daemon = s.start("one")
        else:
            if struck == 2:  # of a daemon that has never had a READY worker, a third start that fails is the end, as it should
                eventually(lambda: " joined " in s.log_text()[said:])
            struck += 1
            end = time.monotonic() + 30
            while not (alive := s.workers()) and time.monotonic() < end:
                time.sleep(0.05)
            os.kill(rng.choice(alive), signal.SIGKILL)
    wanted = {f"r{i}" for i in range(requests)}
    found = set()
    counted = 0

    def complete(seen):
        nonlocal counted
        found.update(json.loads(m.value())["request_id"] for m in seen[counted:])
        counted = len(seen)
        return found >= wanted

    return s.read_results(complete, 240)


def test_every_request_has_its_result_although_daemon_and_workers_are_killed(site):
    requests, sessions = 20000, 200
    s = site(PYTHON + ' size = 4; backoff_min = "50ms";')
    (s.directory / "app.py").write_text(APP)
    messages = fire(s, requests, sessions, daemon_kills=5, worker_kills=20, seed=7)
    results = by_request(messages)
    assert len(results) == requests
    statuses = {r["status"] for many in results.values() for r in many}
    assert statuses <= {"OK", "WORKER_LOST", "SESSION_LOST"}, statuses
    check_sessions(messages, sessions)
    assert s.end()[-1] == 0
    s.wait_no_workers()
