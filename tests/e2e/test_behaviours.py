"""What a pool of workers and its sessions are promised: twenty behaviours, each in three layers (a mock adapter inside the daemon, the
mock worker over the real protocol, the Python bridge with DSPy) and two modes (four workers, one worker).

    BUILD_DIR=build python -m pytest tests/e2e/test_behaviours.py --collect-only -q     lists them

Every test has a pool name, topics and a group of its own.
"""
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid

import pytest
from conftest import BRIDGEPOOL, ROOT, eventually

sys.path.append(str(ROOT / "tests" / "python"))
from openai_stub import Stub  # noqa: E402

PLACES = 4  # calls in flight per worker

# What a test may ask of any worker, beside programs: sleep {ms}, and break_protocol. Here also: block {ms}, and the file `told`.
APP = """
import asyncio, fcntl, os, time
from bridgepool.dspy import app

def tell(line):
    with open("told", "a") as file:
        print(line, file=file)

@app.session_end
async def ended(session, reason):
    tell(f"end of {session.id} with {len(session['programs'])} programs: {reason}")

@app.command
async def sleep(ms: int) -> dict:
    await asyncio.sleep(ms / 1000)
    tell(f"slept {ms}")
    return {"slept_ms": ms}

@app.command
async def block(ms: int) -> dict:
    time.sleep(ms / 1000)
    return {}

@app.command
async def break_protocol() -> dict:
    "Announces a frame of 4 GB, past everything that the package does to prevent it."
    fds = [int(n) for n in os.listdir("/proc/self/fd")]
    pipes = {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in fds if os.path.exists(f"/proc/self/fd/{fd}")}
    [frames] = {fd for fd, name in pipes.items() if name.startswith("pipe:") and name != pipes[2] and fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_WRONLY}
    os.write(frames, bytes([255] * 64))
    return {}
"""

COMPLEX = {
    "instructions": "Sort a mail.",
    "inputs": [
        {"name": "subject", "type": "str", "description": "the mail's subject line"},
        {"name": "people", "type": {"type": "list", "items": {"type": "object", "name": "person", "fields": [
            {"name": "name", "type": "str"}, {"name": "age", "type": "int", "optional": True}]}}},
        {"name": "tags", "type": "list[str]", "optional": True},
    ],
    "outputs": [
        {"name": "category", "enum": ["work", "private"], "description": "where it belongs"},
        {"name": "score", "type": "float"},
        {"name": "urgent", "type": "bool"},
        {"name": "words", "type": "list[str]"},
        {"name": "note", "type": "str", "optional": True},
    ],
}


class Rig:
    """One pool on one layer."""

    def __init__(self, site, layer, mode, stub):
        self.make, self.layer, self.stub = site, layer, stub
        self.size = {"pooled": 4, "single": 1}[mode]
        self.pool = "p" + uuid.uuid4().hex[:8]

    def command(self, slow_start):
        if self.layer == "mock":
            delay = "start_delay=1000;" if slow_start else ""
            return f'adapter = "mock"; script = "{delay}sessions=1;concurrency={PLACES};unknown_id=break_protocol;version=mock-adapter";'
        if self.layer == "bridge-mock":
            delay = '"--start-delay", "1000", ' if slow_start else ""
            return f'command = [ "{BRIDGEPOOL}", "mock-worker", {delay}"--concurrency", "{PLACES}", "--unknown-id", "break_protocol", "--version", "mock-worker" ];'
        return f'command = [ "{sys.executable}", "-m", "bridgepool.worker", "app:app" ]; concurrency = {PLACES}; pass_environment = [ "OPENAI_*" ];'

    def start(self, pool="", extra="", slow_start=False, ready=True):
        """A daemon whose pool is READY."""
        options = f'name = "{self.pool}"; size = {self.size}; start_timeout = "2m"; {self.command(slow_start)} {pool}'
        environment = [f"PYTHONPATH={ROOT / 'src' / 'bridges' / 'python'}", "BRIDGEPOOL_DSPY_LM=openai/stub", f"BRIDGEPOOL_DSPY_API_BASE={self.stub.base_url}"]
        self.site = self.make(options, extra, environment=environment)
        (self.site.directory / "app.py").write_text(APP)
        self.daemon = self.site.start(OPENAI_API_KEY="any")
        if ready:
            eventually(lambda: self.site.get("/readyz")[0] == 200, 120)
        return self.site

    def ask(self, session, command, **args):
        return self.site.ask(session, command, **args)

    def send(self, *requests):
        """(session, command, args).. at once; returns their IDs."""
        ids = [uuid.uuid4().hex for _ in requests]
        self.site.produce([(s, json.dumps({"request_id": i, "command": c, "args": a})) for i, (s, c, a) in zip(ids, requests)])
        return ids

    def answers(self, ids, seconds=60):
        """The results of these requests, in order of arrival."""
        wanted = set(ids)
        of = lambda seen: [r for r in map(json.loads, (m.value() for m in seen)) if r["request_id"] in wanted]  # noqa: E731
        self.site.read_results(lambda seen: len(of(seen)) >= len(ids), seconds)
        return of(self.site.seen)

    def pool_status(self):
        [pool] = self.site.status()["pools"]
        assert pool["pool"] == self.pool
        return pool

    def workers(self):
        return {w["worker_id"]: w for w in self.pool_status()["workers"]}

    def session(self, name):
        """What the daemon knows of a session, or None."""
        status, text = self.site.get(f"/status?session={name}")
        return json.loads(text)["pools"][0] if status == 200 else None

    def metrics(self):
        """name{labels} -> value, of this pool."""
        lines = self.site.get("/metrics")[1].splitlines()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if f'pool="{self.pool}"' in line}

    def events(self, kind):
        return self.site.events(kind)


@pytest.fixture(scope="module")
def stub():
    with Stub() as server:
        yield server


@pytest.fixture(params=[(layer, mode) for layer in ("mock", "bridge-mock", "full") for mode in ("pooled", "single")], ids="-".join)
def rig(request, site, stub):
    return Rig(site, *request.param, stub)


def ok(result):
    assert result["status"] == "OK", result
    return result["result"]


def failed(result, code):
    assert result["status"] == "ERROR" and result["error"]["code"] == code, result
    return result["error"]


# ---- worker ----


def test_init_worker(rig):
    s = rig.start(slow_start=True, ready=False)
    seen, states = eventually(lambda: rig.workers()), set()
    while any(w["state"] != "READY" for w in rig.workers().values()):
        states |= {w["state"] for w in seen.values()}
        for w in seen.values():
            assert w["state"] in ("INITIALIZING", "READY", "TERMINATED") and w["in_flight"] == 0 and w["sessions"] == 0
            assert (w["state"] == "READY") == (w["version"] is not None and w["ready_ms"] is not None)
        assert s.get("/readyz")[0] == 503 or all(w["state"] == "READY" for w in rig.workers().values())
        seen = rig.workers()
        time.sleep(0.02)
    assert "INITIALIZING" in states
    assert len(rig.workers()) == rig.size and all(w["concurrency"] == PLACES for w in rig.workers().values())
    processes = {w["pid"] for w in rig.workers().values()}
    assert processes == {None} if rig.layer == "mock" else len(processes) == rig.size and processes <= set(s.workers())
    eventually(lambda: s.get("/readyz")[0] == 200)
    by_worker = {}
    for e in rig.events("WORKER_STATE"):
        by_worker.setdefault(e["worker_id"], []).append((e["from_state"], e["to_state"]))
    assert by_worker == {w: [("TERMINATED", "INITIALIZING"), ("INITIALIZING", "READY")] for w in rig.workers()}


def test_checkout_binds_worker_to_session(rig):
    rig.start()
    assert rig.session("s1") is None
    first = rig.ask("s1", "create_program", id="a", signature="question -> answer")
    assert first["session_new"] and first["worker_id"] in rig.workers()
    bound = rig.session("s1")
    assert bound["alive"] and bound["worker_id"] == first["worker_id"] and bound["session_epoch"] == first["session_epoch"]
    assert rig.workers()[first["worker_id"]]["sessions"] == 1


def test_checkout_keeps_affinity(rig):
    rig.start()
    sessions = [f"s{i}" for i in range(6 * PLACES)]  # more than there are places: each has the choice to wait or to go elsewhere
    ids = rig.send(*((s, "sleep", {"ms": 10 + 10 * (i % 5)}) for _ in range(5) for i, s in enumerate(sessions)))
    by = {}
    for r in rig.answers(ids):
        ok(r)
        by.setdefault(r["session_id"], []).append(r)
    assert set(by) == set(sessions)
    for results in by.values():
        assert len({(r["worker_id"], r["session_epoch"]) for r in results}) == 1
        assert [r["session_new"] for r in results] == [True] + [False] * 4
        assert [r["source"]["offset"] for r in results] == sorted(r["source"]["offset"] for r in results)
    assert len({r["worker_id"] for results in by.values() for r in results}) > 1 or rig.size == 1


def test_checkout_allows_anonymous_requests(rig):
    rig.start()
    full = rig.size * PLACES  # at once, on all workers
    ids = rig.send(*((None, "sleep", {"ms": 700}) for _ in range(full)))
    eventually(lambda: rig.pool_status()["places_used"] == full)
    results = rig.answers(ids)
    assert len({r["worker_id"] for r in results}) == rig.size
    for r in results:
        ok(r)
        assert r["session_id"] is None and r["session_epoch"] is None and not r["session_new"]
    assert rig.pool_status()["sessions"]["live"] == 0


def test_checkin_returns_worker_and_keeps_affinity(rig):
    rig.start()
    [running] = rig.send(("s1", "sleep", {"ms": 700}))
    at_work = eventually(lambda: [w for w in rig.workers().values() if w["in_flight"] == 1])
    [first] = rig.answers([running])
    [worker] = [w for w in rig.workers().values() if w["worker_id"] == at_work[0]["worker_id"]]
    assert worker["state"] == "READY" and worker["in_flight"] == 0 and worker["sessions"] == 1
    second = rig.ask("s1", "sleep", ms=1)
    assert (second["worker_id"], second["session_epoch"]) == (first["worker_id"], first["session_epoch"]) == (worker["worker_id"], first["session_epoch"])


def test_checkin_with_error_counts_it(rig):
    rig.start()
    first = rig.ask("s1", "sleep", ms=1)
    failed(rig.ask("s1", "execute_program", program_id="none", inputs={}), "program_not_found")
    pool = rig.pool_status()
    assert pool["requests"]["ERROR"] == 1 and pool["starts"] == rig.size and pool["state"] == "READY"
    assert rig.workers()[first["worker_id"]]["state"] == "READY"
    assert rig.ask("s1", "sleep", ms=1)["session_epoch"] == first["session_epoch"]
    # A protocol fault is the worker's: it is replaced, its session is told to be lost.
    broken = rig.ask("s1", "break_protocol")
    assert broken["status"] == "WORKER_LOST" and broken["worker_id"] == first["worker_id"]
    eventually(lambda: rig.pool_status()["exits"]["protocol"] == 1 and all(w["state"] == "READY" for w in rig.workers().values()))
    assert first["worker_id"] not in rig.workers() and rig.pool_status()["sessions"]["lost"] == 1
    [gone] = rig.events("WORKER_EXIT")
    assert gone["worker_id"] == first["worker_id"] and gone["count"] == 1
    after = rig.ask("s1", "sleep", ms=1)
    assert after["session_new"] and after["session_epoch"] != first["session_epoch"]


# ---- sessions ----


def test_tracks_new_sessions(rig):
    rig.start()
    names = [f"s{i}" for i in range(7)]
    made = {r["session_id"]: r for r in rig.answers(rig.send(*((n, "sleep", {"ms": 1}) for n in names)))}
    for name in names:
        assert made[name]["session_new"] and rig.session(name)["session_epoch"] == made[name]["session_epoch"]
    sessions = rig.pool_status()["sessions"]
    assert (sessions["live"], sessions["created"]) == (7, 7)
    assert len({r["session_epoch"] for r in made.values()}) == 7


def test_no_duplicate_tracking(rig):
    rig.start()
    results = rig.answers(rig.send(*(("one", "sleep", {"ms": 1}) for _ in range(100))))
    assert [r["session_new"] for r in results].count(True) == 1 and results[0]["session_new"]
    assert len({(r["session_epoch"], r["worker_id"]) for r in results}) == 1
    sessions = rig.pool_status()["sessions"]
    assert (sessions["live"], sessions["created"]) == (1, 1)


def test_ends_sessions(rig):
    rig.start()
    first = rig.ask("s1", "create_program", id="a", signature="question -> answer")
    # In the session's line: after what came before it, before what comes after it.
    ids = rig.send(("s1", "sleep", {"ms": 300}), ("s1", "list_programs", {}), ("s1", "end_session", {}), ("s1", "list_programs", {}), ("s1", "sleep", {"ms": 1}))
    results = rig.answers(ids)
    assert [r["request_id"] for r in results] == ids
    _, before, ended, after, _ = results
    assert ok(before)["total_count"] == 1 and before["session_epoch"] == first["session_epoch"]
    ok(ended)
    assert ok(after)["total_count"] == 0 and after["session_new"] and after["session_epoch"] != first["session_epoch"]
    sessions = rig.pool_status()["sessions"]
    assert (sessions["live"], sessions["created"], sessions["ended"]["end_session"]) == (1, 2, 1)
    if rig.layer == "full":  # the program's own hook, between what came before and after
        told = (rig.site.directory / "told").read_text().splitlines()
        assert told == ["slept 300", "end of s1 with 1 programs: end_session", "slept 1"]


def test_ending_an_unknown_session(rig):
    rig.start()
    failed(rig.ask("nobody", "end_session"), "session_not_found")
    sessions = rig.pool_status()["sessions"]
    assert (sessions["live"], sessions["created"]) == (0, 0) and rig.session("nobody") is None


def test_stale_sessions_end_by_ttl(rig):
    rig.start(pool='session_ttl = "2s";')
    used = rig.ask("used", "sleep", ms=1)
    rig.ask("stale", "create_program", id="a", signature="question -> answer")
    [running] = rig.send(("used", "sleep", {"ms": 3500}))
    eventually(lambda: rig.pool_status()["sessions"]["ended"]["ttl"] == 1)
    assert rig.session("stale") is None and rig.session("used")["state"] == "running"
    [long] = rig.answers([running])
    assert ok(long) and long["session_epoch"] == used["session_epoch"]
    # Its time counts from the end of its last request, not from when it was idle before.
    at_once = rig.ask("used", "sleep", ms=1)
    assert ok(at_once) and not at_once["session_new"] and at_once["session_epoch"] == used["session_epoch"]
    assert rig.pool_status()["sessions"]["ended"]["ttl"] == 1
    again = rig.ask("stale", "list_programs")
    assert again["session_new"] and ok(again)["total_count"] == 0


def test_status_and_metrics_follow_sessions(rig):
    s = rig.start()
    for name in ("a", "b", "c"):
        ok(rig.ask(name, "create_program", id="p", signature="question -> answer"))
    failed(rig.ask("a", "execute_program", program_id="none", inputs={}), "program_not_found")
    ok(rig.ask("b", "end_session"))
    pool, metrics, label = rig.pool_status(), rig.metrics(), f'pool="{rig.pool}"'
    assert pool["sessions"]["live"] == metrics[f"bridgepool_sessions{{{label}}}"] == 2
    assert pool["sessions"]["created"] == metrics[f"bridgepool_sessions_created_total{{{label}}}"] == 3
    assert pool["sessions"]["ended"]["end_session"] == metrics[f'bridgepool_sessions_ended_total{{{label},reason="end_session"}}'] == 1
    requests = {re.search('command="(.*?)",status="(.*?)"', k).groups(): v for k, v in metrics.items() if k.startswith("bridgepool_requests_total")}
    assert requests == {("create_program", "OK"): 3, ("execute_program", "ERROR"): 1, ("end_session", "OK"): 1}
    assert pool["requests"]["OK"] == 4 and pool["requests"]["ERROR"] == 1
    assert metrics[f'bridgepool_request_duration_seconds_count{{{label},phase="total"}}'] == 5
    assert rig.ask("c", "break_protocol")["status"] == "WORKER_LOST"
    sessions, metrics = rig.pool_status()["sessions"], rig.metrics()
    assert sessions["lost"] == metrics[f"bridgepool_sessions_lost_total{{{label}}}"] >= 1
    assert sessions["live"] == sessions["created"] - sum(sessions["ended"].values()) - sessions["lost"]
    checked = subprocess.run(["promtool", "check", "metrics"], input=s.get("/metrics")[1], capture_output=True, text=True)
    assert checked.returncode == 0 and not checked.stderr, checked.stderr


def test_health_check_answers_while_all_workers_are_busy(rig):
    s = rig.start(pool='ping_interval = "200ms"; ping_timeout = "1s"; stop_grace = "200ms";')
    full = rig.size * PLACES
    ids = rig.send(*((f"s{i}", "sleep", {"ms": 3000}) for i in range(full)))
    eventually(lambda: rig.pool_status()["places_used"] == full)
    began = time.monotonic()
    assert s.get("/livez")[0] == 200 and s.get("/readyz")[0] == 200
    pool = rig.pool_status()
    assert time.monotonic() - began < 2
    assert pool["state"] == "READY" and [(w["state"], w["in_flight"]) for w in pool["workers"]] == [("READY", PLACES)] * rig.size
    while pool["places_used"]:  # longer than ping_timeout; all these workers can answer pings while they work
        time.sleep(0.1)
        pool = rig.pool_status()
        assert pool["state"] == "READY" and not any(pool["exits"].values())
    for r in rig.answers(ids):
        ok(r)
    if rig.layer == "full":  # and whoever cannot is found out
        ok(rig.ask("s0", "sleep", ms=1))
        lost = rig.ask("s0", "block", ms=60000)
        assert lost["status"] == "WORKER_LOST"
        eventually(lambda: rig.pool_status()["starts"] == rig.size + 1 and lost["worker_id"] not in rig.workers())
        assert {why: n for why, n in rig.pool_status()["exits"].items() if n} == {"silent": 1}


def test_graceful_shutdown(rig):
    s = rig.start(extra='drain = { shutdown = "20s"; };')
    running = rig.send(*((f"s{i}", "sleep", {"ms": 2500}) for i in range(rig.size * PLACES)))
    eventually(lambda: rig.pool_status()["places_used"] == rig.size * PLACES)
    late = rig.send(("waits", "sleep", {"ms": 1}))
    eventually(lambda: rig.pool_status()["queued"] == 1)
    rig.daemon.send_signal(signal.SIGTERM)
    eventually(lambda: '"SIGTERM"' in s.log_text())
    late += rig.send(*((f"t{i}", "sleep", {"ms": 1}) for i in range(rig.size)))
    for r in rig.answers(running):
        ok(r)
    assert rig.daemon.wait(30) == 0
    s.wait_no_workers()
    assert not set(late) & {json.loads(m.value())["request_id"] for m in s.read_all(s.results)}
    # What came too late was left where it was, for the next.
    rig.daemon = s.start(OPENAI_API_KEY="any")
    for r in rig.answers(late, 120):
        ok(r)
        assert r["session_new"] and r["attempts"] == 1


# ---- bridge ----


def test_the_whole_system_starts_healthy(rig):
    s = rig.start(extra='health = { heartbeat = "200ms"; };')
    ok(rig.ask("s1", "sleep", ms=1))
    assert s.status()["state"] == "READY" and rig.pool_status()["state"] == "READY"
    assert [(e["from_state"], e["to_state"]) for e in rig.events("INSTANCE_STATE")][-1] == ("STARTING", "READY")
    assert rig.events("POOL_STATE")[-1]["to_state"] == "READY"

    def of_now():  # those from its start say STARTING
        beats = rig.events("HEARTBEAT")
        return beats and beats[-1]["snapshot"]["pools"][0]["state"] == "READY" and beats[-1]

    [pool] = eventually(of_now)["snapshot"]["pools"]
    assert pool["state"] == "READY" and pool["workers"]["READY"] == rig.size
    assert not [e for kind in ("WORKER_EXIT", "SESSIONS_LOST") for e in rig.events(kind)]


def test_the_factory_makes_the_configured_adapter(rig):
    s = rig.start()
    versions = {w["version"] for w in rig.workers().values()}
    expected = {"mock": {"mock-adapter"}, "bridge-mock": {"mock-worker"}}.get(rig.layer)
    assert versions == expected if expected else all("dspy" in v for v in versions)
    programs = [os.readlink(f"/proc/{pid}/exe") for pid in s.workers()]
    assert len([p for p in programs if not p.endswith("bridgepool-guard")]) == (0 if rig.layer == "mock" else rig.size)
    wrong = subprocess.run([BRIDGEPOOL, "run", "-c", s.config, "--set", "pools[0].adapter=carrier-pigeon"], capture_output=True, text=True, timeout=30)
    assert wrong.returncode == 78 and "carrier-pigeon" in wrong.stderr and "pools[0].adapter" in wrong.stderr


def test_creates_programs(rig):
    rig.start()
    made = ok(rig.ask("s1", "create_program", id="qa", signature="question -> answer"))
    assert (made["program_id"], made["status"], made["program_type"]) == ("qa", "created", "predict")
    failed(rig.ask("s1", "create_program", id="qa", signature="question -> answer"), "program_exists")
    failed(rig.ask("s1", "create_program", id="bad", signature="question"), "invalid_signature")
    assert ok(rig.ask("s2", "create_program", id="qa", signature="a, b: int -> c"))["status"] == "created"


def test_complex_signatures(rig):
    rig.start()
    ok(rig.ask("s1", "create_program", id="sort", signature=COMPLEX, program_type="chain_of_thought"))
    inputs = {"subject": "lunch today", "people": [{"name": "Ada", "age": 36}, {"name": "Bob"}]}
    outputs = ok(rig.ask("s1", "execute_program", program_id="sort", inputs=inputs))["outputs"]
    assert outputs["category"] in ("work", "private") and isinstance(outputs["score"], float) and outputs["urgent"] is True
    assert isinstance(outputs["words"], list)
    wrong = {"subject": "lunch today", "people": [{"name": "Ada", "age": "old"}], "tags": "none"}
    refused = failed(rig.ask("s1", "execute_program", program_id="sort", inputs=wrong), "INVALID_ARGUMENTS")["message"]
    assert "inputs.tags" in refused
    assert "inputs.people[0].age" in refused or rig.layer != "full"  # the mocks look at the outermost level


def test_lists_programs(rig):
    rig.start()
    assert ok(rig.ask("s1", "list_programs")) == {"programs": [], "total_count": 0}
    for name in ("one", "two"):
        ok(rig.ask("s1", "create_program", id=name, signature="question -> answer"))
    ok(rig.ask("s2", "create_program", id="other", signature="question -> answer"))
    listed = ok(rig.ask("s1", "list_programs"))
    assert [p["id"] for p in listed["programs"]] == ["one", "two"] and listed["total_count"] == 2
    assert {p["session_id"] for p in listed["programs"]} == {"s1"}


def test_executes_programs(rig):
    rig.start()
    ok(rig.ask("s1", "create_program", id="sum", signature="question, n: int -> answer"))
    outputs = ok(rig.ask("s1", "execute_program", program_id="sum", inputs={"question": "how far?", "n": 2}))["outputs"]
    assert list(outputs) == ["answer"] and isinstance(outputs["answer"], str)
    missing = failed(rig.ask("s1", "execute_program", program_id="sum", inputs={"question": "how far?"}), "INVALID_ARGUMENTS")
    assert "inputs.n" in missing["message"]
    wrong = failed(rig.ask("s1", "execute_program", program_id="sum", inputs={"question": "how far?", "n": "two"}), "INVALID_ARGUMENTS")
    assert "inputs.n" in wrong["message"]
    unknown = failed(rig.ask("s1", "execute_program", program_id="sum", inputs={"question": "how far?", "n": 2, "m": 3}), "INVALID_ARGUMENTS")
    assert "inputs.m" in unknown["message"]
    failed(rig.ask("s1", "execute_program", program_id="none", inputs={}), "program_not_found")
