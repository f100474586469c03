"""The end of a daemon: asked once, asked twice, with work in flight, with the broker away; and what the next one finds."""
import collections
import json
import signal
import time

from conftest import PYTHON, eventually, by_request

APP = '''
import asyncio, os
from bridgepool import App
app = App(version="1.0")
runs = os.open("runs", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

@app.command
async def step(session, n: int, seconds: float) -> dict:
    os.write(runs, f"{n}\\\\n".encode())
    await asyncio.sleep(seconds)
    os.write(runs, f"{n} done\\\\n".encode())
    return {"n": n}
'''.replace("\\\\", "\\")


def prepare(site, extra):
    s = site(PYTHON + ' size = 2; stop_grace = "500ms";', extra)
    (s.directory / "app.py").write_text(APP)
    return s


def runs(s):
    """Request -> how often it began."""
    return collections.Counter(int(line) for line in (s.directory / "runs").read_text().splitlines() if line.isdigit())


def send(s, requests, sessions, seconds):
    s.produce([(f"s{i % sessions}", json.dumps({"request_id": f"r{i}", "command": "step", "args": {"n": i, "seconds": seconds}})) for i in range(requests)])


def send_slow(s):
    """Five that run for a quarter of a minute, unless the program is changed; returns when one of them runs."""
    s.produce([(f"slow{i}", json.dumps({"request_id": f"r{2000 + i}", "command": "step", "args": {"n": 2000 + i, "seconds": 15}})) for i in range(5)])
    eventually(lambda: (s.directory / "runs").exists() and any(runs(s)[2000 + i] for i in range(5)))


def hasten(s):
    """For the workers that are started from now on."""
    (s.directory / "app.py").write_text(APP.replace("asyncio.sleep(seconds)", "asyncio.sleep(0)"))


def end(daemon, number=signal.SIGTERM):
    """Its exit code, and the seconds until it was gone."""
    began = time.monotonic()
    daemon.send_signal(number)
    return daemon.wait(60), time.monotonic() - began


def test_sigterm_under_load_and_a_restart_that_runs_nothing_twice(site):
    requests = 4000
    s = prepare(site, 'drain = { shutdown = "5s"; };')
    daemon = s.start()
    send(s, requests, 150, 0.05)
    for _ in range(3):
        before = len(s.seen)
        s.read_results(lambda seen: len(seen) > before + 300, 60)
        assert len(s.seen) < requests
        code, seconds = end(daemon)
        assert code == 0 and seconds < 5, (code, seconds)
        s.wait_no_workers(1)
        daemon = s.start()
        s.wait_joined()
    s.read_results(lambda seen: len(seen) >= requests, 60)
    assert end(daemon)[0] == 0
    results = by_request(s.seen)
    assert len(results) == requests and all(len(many) == 1 and many[0]["status"] == "OK" for many in results.values())
    assert runs(s) == collections.Counter(range(requests))  # each one once


def test_sigterm_waits_for_what_runs_as_long_as_it_may_and_puts_back_the_rest(site):
    s = prepare(site, 'drain = { shutdown = "3s"; };')
    daemon = s.start()
    send(s, 4, 4, 2.0)
    s.produce([("long", json.dumps({"request_id": "r9", "command": "step", "args": {"n": 9, "seconds": 20}})),
               ("long", json.dumps({"request_id": "r10", "command": "step", "args": {"n": 10, "seconds": 0}}))])
    eventually(lambda: (s.directory / "runs").exists() and len(runs(s)) == 5)
    code, seconds = end(daemon)
    assert code == 0 and 3 <= seconds < 6, (code, seconds)
    s.wait_no_workers(1)
    s.read_results(lambda seen: len(seen) == 4, 10)
    assert {r["status"] for r in s.results_seen()} == {"OK"}
    hasten(s)
    daemon = s.start()
    s.read_results(lambda seen: len(seen) == 6, 60)
    assert [r["request_id"] for r in s.results_seen()[4:]] == ["r9", "r10"] and s.results_seen()[4]["session_new"]
    assert runs(s) == {0: 1, 1: 1, 2: 1, 3: 1, 9: 2, 10: 1}  # only what could not finish ran again
    assert end(daemon, signal.SIGINT)[0] == 0


def test_a_second_sigterm_stops_at_once_and_nothing_is_lost(site):
    requests = 1900
    s = prepare(site, 'drain = { shutdown = "30s"; };')
    daemon = s.start()
    send(s, requests, 100, 0.05)
    send_slow(s)
    s.read_results(lambda seen: len(seen) > 600, 60)
    daemon.send_signal(signal.SIGTERM)
    eventually(lambda: "to=DRAINING" in s.log_text())
    code, seconds = end(daemon)
    assert code == 70 and seconds < 5, (code, seconds)
    s.wait_no_workers(5)
    began = runs(s)
    hasten(s)
    daemon = s.start()
    found = s.read_results(lambda seen: len(by_request(seen)) == requests + 5, 60)
    assert all(r["status"] == "OK" for many in by_request(found).values() for r in many)
    again = runs(s) - collections.Counter(set(runs(s)))
    assert sum(again.values()) <= 5 + 64 + 2 * 200  # in flight; answered since the last commit (each 200), and on the way of that
    assert all(began[n] for n in again) and end(daemon)[0] == 0


def test_the_end_while_the_broker_is_away(site, cluster):
    requests = 500
    s = prepare(site, 'drain = { shutdown = "2s"; };')
    daemon = s.start()
    send(s, requests, 50, 0.05)
    send_slow(s)
    s.read_results(lambda seen: len(seen) > 50, 60)
    cluster.act("freeze")
    try:
        daemon.send_signal(signal.SIGTERM)
        eventually(lambda: "to=DRAINING" in s.log_text())
        code, seconds = end(daemon)
        assert code == 70 and seconds < 5, (code, seconds)
        s.wait_no_workers(5)
        hasten(s)
        waiting = s.start()
        eventually(lambda: s.log_text().count(" start ") == 2)
        code, seconds = end(waiting)
        assert code == 0 and seconds < 5, (code, seconds)
    finally:
        cluster.act("thaw")
    daemon = s.start()
    eventually(lambda: s.log_text().count(" joined ") == 2)  # all results may be there before: the first one had sent them off
    s.read_results(lambda seen: len(by_request(seen)) == requests + 5, 90)
    assert end(daemon)[0] == 0
    s.wait_no_workers()
