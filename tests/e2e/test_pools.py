"""Several topics and pools in one daemon: who may ask what, and that a pool in trouble holds its own topic only."""
import json
import re

from conftest import BRIDGEPOOL, MOCK, PYTHON, eventually

APP = """
import os
from bridgepool import App
app = App(version="1.0", concurrency=1)

@app.command
async def step(session, n: int) -> dict:
    if os.path.exists("broken"):
        os._exit(9)
    return {"n": n}
"""
FAST = ' backoff_min = "10ms"; backoff_max = "50ms";'


def told(s, name):
    return next(((r["status"], r["error"] and r["error"]["code"]) for r in s.results_seen() if r["request_id"] == name), None)


def wait_for(s, *names, seconds=60):
    s.read_results(lambda seen: {json.loads(m.value())["request_id"] for m in seen} >= set(names), seconds)


def pool(s, name):
    [found] = [p for p in s.status()["pools"] if p["pool"] == name]
    return found


def test_each_topic_has_a_pool_and_commands_of_its_own(site):
    s = site(MOCK + ' name = "counts"; size = 1;', source='pool = "counts"; commands = [ "count" ];',
             more=[('pool = "words"; commands = [ "echo", "st*" ];', MOCK + ' name = "words"; size = 1;')])
    s.start()
    one, two = s.topics
    s.send(("count-1", "s1", "count", {}), ("echo-1", "s1", "echo", {}), ("words-1", "s1", "count", {"pool": "words"}), topic=one)
    s.send(("count-2", "s1", "count", {}), ("echo-2", "s1", "echo", {}), ("state-2", "s1", "state", {}), topic=two)
    wait_for(s, "count-1", "echo-1", "words-1", "count-2", "echo-2", "state-2")
    by = {r["request_id"]: r for r in s.results_seen()}
    assert {name: (r["status"], r["error"] and r["error"]["code"]) for name, r in by.items()} == {
        "count-1": ("OK", None), "echo-1": ("REJECTED", "COMMAND_NOT_ALLOWED"), "words-1": ("REJECTED", "POOL_NOT_ALLOWED"),
        "count-2": ("REJECTED", "COMMAND_NOT_ALLOWED"), "echo-2": ("OK", None), "state-2": ("OK", None)}
    assert by["count-1"]["pool"] == "counts" and by["count-1"]["source"]["topic"] == one
    assert by["echo-2"]["pool"] == "words" and by["echo-2"]["source"]["topic"] == two
    # The same session ID in two pools: two sessions, each with a worker and a state of its own.
    assert by["count-1"]["worker_id"].startswith("counts") and by["echo-2"]["worker_id"].startswith("words")
    assert by["count-1"]["session_epoch"] != by["echo-2"]["session_epoch"] and by["state-2"]["result"]["count"] == 0
    shown = json.loads(s.get("/status?session=s1")[1])["pools"]
    assert {p["pool"]: p["worker_id"] for p in shown} == {"counts": by["count-1"]["worker_id"], "words": by["echo-2"]["worker_id"]}
    assert s.read_all(s.dead) == [] and s.end() == [0]


def test_a_pool_that_fails_or_is_slow_holds_its_own_topic_only(site):
    """One pool's circuit is open, another has more waiting than its share of the memory: the third's requests are answered meanwhile."""
    worker = f'command = [ "{BRIDGEPOOL}", "mock-worker" ]; size = 1;'
    s = site(worker + ' name = "fails"; circuit_failures = 1; circuit_pause = "10m";' + FAST, source='pool = "fails";', partitions=1,
             more=[('pool = "slow";', worker + ' name = "slow"; request_timeout = "1h";'), ('pool = "well";', MOCK + ' name = "well"; size = 1;')],
             extra='limits = { memory = "6MiB"; request = "256KiB"; result = "256KiB"; }; drain = { shutdown = "100ms"; };')
    s.start()
    s.wait_joined()
    fails, slow, well = s.topics
    s.send(("crash", "a", "crash", {}), topic=fails)
    eventually(lambda: pool(s, "fails")["circuit"] == "open")
    body = "x" * 20000
    for topic in (fails, slow):
        s.produce([(f"s{i % 8}", json.dumps({"command": "sleep", "args": {"ms": 600000, "body": body}})) for i in range(600)], topic)
    eventually(lambda: {p["topic"] for p in s.status()["partitions"] if p["held"]} == {fails, slow})
    s.send(*((f"w{i}", f"s{i % 8}", "count", {}) for i in range(1000)), topic=well)
    wait_for(s, *(f"w{i}" for i in range(1000)))
    assert {(r["status"], r["pool"]) for r in s.results_seen()} == {("OK", "well")} and len(s.seen) == 1000
    assert pool(s, "fails")["circuit"] == "open" and pool(s, "slow")["circuit"] == pool(s, "well")["circuit"] == "closed"
    assert not [p for p in s.status()["partitions"] if p["topic"] == well and p["held"]]
    assert s.get("/readyz")[0] == 503 and "fails" in s.get("/readyz")[1]


def circuits(s, name):
    """The states that the health topic told, one after the other."""
    return [(e["from_state"], e["to_state"]) for e in s.events("CIRCUIT") if e["pool"] == name]


def test_workers_that_crash_open_the_circuit_and_an_answer_closes_it(site):
    options = ' size = 2; circuit_failures = 2; circuit_pause = "1s";' + FAST
    s = site(PYTHON + ' name = "holds";' + options, source='pool = "holds";', extra='delivery = { retry_backoff = "500ms"; };',
             more=[('pool = "rejects";', PYTHON + ' name = "rejects"; circuit = "reject";' + options)])
    (s.directory / "app.py").write_text(APP)
    (s.directory / "broken").touch()
    s.start()
    s.wait_joined()
    holds, rejects = s.topics

    def unavailable(name):
        metrics = s.get("/metrics")[1]
        return (pool(s, name)["circuit"] == "open" and f'bridgepool_pool_circuit_state{{pool="{name}",state="open"}} 1\n' in metrics
                and s.get("/readyz")[0] == 503)

    # Two workers die of the first requests of two sessions. Then nothing is run, and what comes waits.
    first = {s_: [f"{s_}{n}" for n in range(3)] for s_ in ("a", "b")}
    s.send(*((names[0], session, "step", {"args": {"n": 0}}) for session, names in first.items()), topic=holds)
    eventually(lambda: unavailable("holds"))
    s.send(*((name, session, "step", {"args": {"n": n}}) for session, names in first.items() for n, name in enumerate(names) if n), topic=holds)
    s.send(("c0", "c", "step", {"args": {"n": 0}}), ("late", "d", "step", {"args": {"n": 0}, "timeout_ms": 200}), topic=holds)
    wait_for(s, "late")
    assert told(s, "late") == ("EXPIRED", "pool_unavailable")
    # Each try is another failure while the cause is there.
    eventually(lambda: circuits(s, "holds").count(("DEGRADED", "UNAVAILABLE")) >= 1)

    # The other pool refuses meanwhile, and says when to come again.
    s.send(("x0", "x", "step", {"args": {"n": 0}}), ("y0", "y", "step", {"args": {"n": 0}}), topic=rejects)
    eventually(lambda: unavailable("rejects"))
    s.send(("refused", "z", "step", {"args": {"n": 0}}), topic=rejects)
    wait_for(s, "refused")
    [refused] = [r for r in s.results_seen() if r["request_id"] == "refused"]
    assert told(s, "refused") == ("REJECTED", "pool_unavailable") and refused["error"]["retriable"] and 0 < refused["error"]["retry_after_ms"] <= 10000
    assert {r["request_id"] for r in s.results_seen()} == {"late", "refused"}

    # The cause is gone: one request is tried, all that waited is answered, in order.
    (s.directory / "broken").unlink()
    wait_for(s, "a0", "a1", "a2", "b0", "b1", "b2", "c0", "x0", "y0")
    done = [r for r in s.results_seen() if r["request_id"] not in ("late", "refused")]
    assert {r["status"] for r in done} == {"OK"}
    for session, names in first.items():
        assert [r["request_id"] for r in done if r["session_id"] == session] == names
    assert {r["attempts"] for r in done if r["request_id"] in ("a1", "a2", "b1", "b2", "c0")} == {1}
    eventually(lambda: s.get("/readyz")[0] == 200 and {pool(s, name)["circuit"] for name in ("holds", "rejects")} == {"closed"})
    for name in ("holds", "rejects"):
        path = eventually(lambda: (path := circuits(s, name))[-1] == ("DEGRADED", "READY") and path)
        assert path[:2] == [("READY", "UNAVAILABLE"), ("UNAVAILABLE", "DEGRADED")]
        assert all(before[1] == after[0] for before, after in zip(path, path[1:]))
    assert re.findall(r'circuit_state\{pool="(\w+)",state="closed"\} 1\n', s.get("/metrics")[1]) == ["holds", "rejects"]
    assert s.read_all(s.dead) == [] and s.end() == [0]


def test_the_daemon_stays_small_while_a_backlog_is_worked_off(site):
    """Its partitions are held and read on again and again: what is fetched ahead of each must not add up."""
    s = site(MOCK + ' size = 1; concurrency = 4;', 'limits = { memory = "16MiB"; request = "256KiB"; };', partitions=8)
    s.produce([(f"s{n}", json.dumps({"request_id": str(n), "command": "sleep", "args": {"ms": 20, "text": "x" * 150000}})) for n in range(2000)])
    daemon = s.start()
    most = 0
    while len(s.seen) < 600:
        s.read_results(lambda seen, n=len(s.seen): len(seen) > n, 60)
        resident = re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{daemon.pid}/status").read())
        most = max(most, int(resident[1]))
    assert most < 200 << 10, f"{most} KiB of a backlog of 300 MB"
