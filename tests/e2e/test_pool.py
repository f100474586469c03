"""A pool that keeps its promises: spare workers, workers that are replaced, limits of memory, on the daemon as it runs."""
import json
import os
import re
import signal

from conftest import BRIDGEPOOL, MOCK, eventually


def workers(site, role=None):
    found = site.status()["pools"][0]["workers"]
    return [w for w in found if role in (None, w["role"])]


def test_a_spare_worker_takes_a_dead_ones_place(site):
    s = site(MOCK + " size = 1; spare = 1;")
    s.start()
    s.wait_joined()
    eventually(lambda: len([w for w in workers(s) if w["state"] == "READY"]) == 2)
    first = s.ask("a", "count")
    [spare] = workers(s, "spare")
    os.kill(first["result"]["worker"], signal.SIGKILL)
    eventually(lambda: workers(s, "serving")[0]["worker_id"] == spare["worker_id"])
    again = s.ask("a", "count")
    assert again["worker_id"] == spare["worker_id"] and again["session_new"] and again["result"]["count"] == 1
    eventually(lambda: [w["state"] for w in workers(s, "spare")] == ["READY"])


def test_workers_are_replaced_by_runs(site):
    """Never inside a run, their successor first; sessions stay for recycle_grace and are cleaned up then."""
    s = site(f'command = [ "{BRIDGEPOOL}", "mock-worker", "--concurrency", "16", "--delay", "5" ]; size = 2; recycle_requests = 50; recycle_grace = "50ms";')
    daemon = s.start()
    s.wait_joined()
    s.produce([(f"s{i % 7}", json.dumps({"request_id": f"r{i}", "command": "count"})) for i in range(700)])
    s.read_results(lambda seen: len(seen) >= 700, 60)
    counts = {}
    for result in s.results_seen():
        assert result["status"] == "OK"
        session = result["session_id"]
        counts[session] = 1 if result["session_new"] else counts[session] + 1
        assert result["result"]["count"] == counts[session], result
    eventually(lambda: s.status()["pools"][0]["exits"]["recycled"] >= 4)
    pool = s.status()["pools"][0]
    assert sum(pool["exits"].values()) == pool["exits"]["recycled"]
    assert pool["sessions"]["lost"] == 0 and pool["sessions"]["ended"]["recycle"] > 0
    daemon.terminate()
    assert daemon.wait(30) == 0


def test_all_workers_are_replaced_when_sigusr1_asks_for_it(site):
    """Under load: nothing is lost, each session goes on in order, in its state or in a new one that is told."""
    s = site(MOCK + ' size = 2; recycle_grace = "50ms";')
    daemon = s.start()
    s.wait_joined()
    eventually(lambda: [w["state"] for w in workers(s)] == ["READY"] * 2)
    before = {w["worker_id"] for w in workers(s)}
    s.send(*((f"r{i}", f"s{i % 20}", "count", {}) for i in range(3000)))
    s.read_results(lambda seen: len(seen) > 100, 60)
    daemon.send_signal(signal.SIGUSR1)
    sent = 3000
    while before & {w["worker_id"] for w in workers(s)}:  # there is always something to run meanwhile
        s.send(*((f"r{sent + i}", f"s{i % 20}", "count", {}) for i in range(200)))
        sent += 200
        s.read_results(lambda seen: len(seen) >= sent - 400, 60)
    s.read_results(lambda seen: len(seen) >= sent, 60)
    counts, offsets = {}, {}
    for r in s.results_seen():
        session = r["session_id"]
        assert r["status"] == "OK" and r["attempts"] == 1 and r["source"]["offset"] > offsets.get(session, -1), r
        counts[session], offsets[session] = 1 if r["session_new"] else counts[session] + 1, r["source"]["offset"]
        assert r["result"]["count"] == counts[session], r
    assert {r["request_id"] for r in s.results_seen()} == {f"r{i}" for i in range(sent)} and len(s.seen) == sent
    pool = s.status()["pools"][0]
    assert pool["sessions"]["lost"] == 0 and pool["exits"]["recycled"] == sum(pool["exits"].values()) == 2
    assert s.ask("s0", "count")["worker_id"] in {w["worker_id"] for w in workers(s)}


def test_a_worker_that_holds_too_much_is_ended_alone(site):
    s = site(MOCK + ' size = 2; resident_limit = "40MiB"; kill_grace = "20s";')
    s.start()
    s.wait_joined()
    eventually(lambda: all(w["resident_bytes"] > 0 for w in workers(s)))
    assert s.status()["pools"][0]["resident_limit"] == 40 << 20
    told = re.findall(r'^bridgepool_worker_resident_memory_bytes{pool="default",slot="(.)"} (\d+)$', s.get("/metrics")[1], re.M)
    assert [slot for slot, _ in told] == ["0", "1"] and all(0 < int(held) < 40 << 20 for _, held in told), told
    s.produce([(f"s{i % 2}", json.dumps({"request_id": f"r{i}", "command": "echo", "args": {"mock": {"fault": "leak"}}})) for i in range(120)])
    s.read_results(lambda seen: len(seen) >= 120, 60)
    eventually(lambda: s.status()["pools"][0]["exits"]["memory"] >= 1)
    assert "memory_limit" not in s.log_text() and "resident_limit is 40 MiB" in s.log_text()
    assert s.ask("s0", "count")["status"] == "OK"
