"""Health events as an operator reads them: `bridgepool tail health`, JSON lines."""
import collections
import json
import os
import re
import signal
import subprocess

from conftest import BRIDGEPOOL, MOCK, eventually

COUNT = json.dumps({"command": "count"})


def health(s):
    """All events so far, in their order."""
    out = subprocess.run([BRIDGEPOOL, "tail", "health", "-c", s.config, "--until-end", "--meta"], check=True, capture_output=True, text=True, timeout=60)
    return [json.loads(line) for line in out.stdout.splitlines()]


def values(s):
    return [line["value"] for line in health(s)]


def of(events, kind, **fields):
    return [e for e in events if e["kind"] == kind and all(e[k] == v for k, v in fields.items())]


def check_sequence(lines, instances):
    """Each incarnation counts from 1 without gaps; names, keys and times hold together."""
    by = {}
    for line in lines:
        e = line["value"]
        by.setdefault((e["instance_id"], e["incarnation"]), []).append(e)
        assert line["key"] == e["instance_id"] and line["headers"]["content-type"] == "avro/binary"
        assert e["host"] and e["severity"] in ("INFO", "WARN", "ERROR") and e["kind"] != "UNKNOWN"
    assert {i for i, _ in by} == instances
    for events in by.values():
        assert [e["sequence"] for e in events] == list(range(1, len(events) + 1))
        assert len({e["event_id"] for e in events}) == len(events)
        assert [e["at"] for e in events] == sorted(e["at"] for e in events)
    return by


def pool_of(beat):
    [pool] = beat["snapshot"]["pools"]
    return pool


def states(events):
    return [(e["from_state"], e["to_state"]) for e in events]


def test_the_life_of_an_instance_is_told(site):
    s = site(MOCK + ' size = 2; backoff_min = "10ms"; backoff_max = "50ms";', 'health = { heartbeat = "200ms"; };')
    daemon = s.start("one")
    s.produce([(f"s{i % 20}", json.dumps({"command": "count"})) for i in range(100)])
    s.produce([(f"s{i}", json.dumps({"command": "fail"})) for i in range(7)] + [("bad", b"nonsense")])
    s.read_results(lambda seen: len(seen) == 108, 60)
    held = {}
    for r in s.results_seen():
        if r["worker_id"]:
            held.setdefault(r["worker_id"], set()).add(r["session_id"])
    victim = next(r["result"]["worker"] for r in s.results_seen() if r["status"] == "OK")  # a process id
    [worker_id] = {r["worker_id"] for r in s.results_seen() if r["status"] == "OK" and r["result"]["worker"] == victim}
    os.kill(victim, signal.SIGKILL)
    [session] = list(held[worker_id])[:1]
    eventually(lambda: s.ask(session, "count")["session_new"])  # the death was seen
    told = collections.Counter(r["status"] for r in s.results_seen())
    eventually(lambda: len(beats := of(values(s), "HEARTBEAT")) > 2 and (pool := pool_of(beats[-1]))["requests"] == told and pool["workers"] == {"READY": 2})
    daemon.terminate()
    assert daemon.wait(30) == 0
    [events] = check_sequence(health(s), {"one"}).values()

    assert states(of(events, "INSTANCE_STATE")) == [(None, "STARTING"), ("STARTING", "READY"), ("READY", "DRAINING"), ("DRAINING", "STOPPED")]
    assert of(events, "INSTANCE_STATE", to_state="DRAINING")[0]["reason"] == "SIGTERM"
    own = of(events, "WORKER_STATE", worker_id=worker_id)
    assert states(own)[:2] == [("TERMINATED", "INITIALIZING"), ("INITIALIZING", "READY")]
    [gone] = of(events, "WORKER_EXIT", worker_id=worker_id)
    assert gone["pool"] == "default" and gone["to_state"] == "TERMINATED" and "signal 9" in gone["reason"] and gone["severity"] == "WARN"
    [lost] = of(events, "SESSIONS_LOST")
    assert lost["count"] == gone["count"] == len(held[worker_id]) and lost["worker_id"] == worker_id and lost["severity"] == "WARN"
    assert all("exit 0" in e["reason"] and e["severity"] == "INFO" for e in of(events, "WORKER_EXIT") if e is not gone)
    assert len(of(events, "WORKER_EXIT")) == 3
    pool = states(of(events, "POOL_STATE", pool="default"))
    assert pool[0] == ("STARTING", "READY") and ("READY", "DEGRADED") in pool and ("DEGRADED", "READY") in pool and pool[-1] == ("DRAINING", "STOPPED")
    places = {f"{s.requests}[{p}]" for p in range(4)}
    assert {e["reason"].split(":")[0] for e in of(events, "PARTITIONS_ASSIGNED")} == places
    assert {e["reason"].split(":")[0] for e in of(events, "PARTITIONS_REVOKED")} <= places

    beats = [e for e in of(events, "HEARTBEAT") if e["sequence"] < of(events, "INSTANCE_STATE", to_state="DRAINING")[0]["sequence"]]
    last = beats[-1]["snapshot"]
    pool = pool_of(beats[-1])
    assert pool["requests"] == told and told["OK"] >= 101 and told["ERROR"] == 7 and told["REJECTED"] == 1
    assert sum(pool["durations"]) == told["OK"] + told["ERROR"]
    assert pool["sessions_created"] == 21 and pool["sessions_lost"] == lost["count"] and pool["sessions_ended"] == 0
    assert pool["sessions"] == 20 - lost["count"] + 1
    assert pool["slots_total"] == 32 and pool["slots_used"] == 0 and pool["workers"] == {"READY": 2} and pool["exits"] == 1 and pool["starts"] == 3
    assert last["memory_limit"] == 256 << 20 and last["state"] == "READY"
    assert sum(p["next"] for p in last["partitions"]) == sum(told.values()) and {p["partition"] for p in last["partitions"]} == {0, 1, 2, 3}
    for one, two in zip(beats, beats[1:]):  # counters only grow
        before, after = pool_of(one), pool_of(two)
        assert all(after["requests"].get(k, 0) >= v for k, v in before["requests"].items()) and after["starts"] >= before["starts"]


def test_back_pressure_is_told_once_and_taken_back(site):
    s = site(f'command = [ "{BRIDGEPOOL}", "mock-worker" ]; size = 2;',
             'limits = { memory = "1MiB"; request = "256KiB"; result = "256KiB"; }; health = { heartbeat = "0"; };')
    s.start("one")
    body = "x" * 20000
    s.produce([(f"s{i % 8}", json.dumps({"command": "sleep", "args": {"ms": 20, "body": body}})) for i in range(300)])
    s.read_results(lambda seen: len(seen) == 300, 90)
    assert s.ask("s1", "echo")["status"] == "OK"

    eventually(lambda: len(of(values(s), "BACKPRESSURE")) == 2)
    told = of(values(s), "BACKPRESSURE")
    assert states(told) == [("READY", "DEGRADED"), ("DEGRADED", "READY")]
    assert [e["severity"] for e in told] == ["WARN", "INFO"]
    assert s.end() == [0]


def test_each_start_is_an_incarnation_of_its_own(site):
    s = site(MOCK + " size = 1;", 'encoding = { health = "json"; }; health = { heartbeat = "0"; };')
    for _ in range(2):
        daemon = s.start("one")
        assert s.ask("s1", "echo")["status"] == "OK"
        daemon.terminate()
        assert daemon.wait(30) == 0
    lines = health(s)
    assert all(line["headers"]["content-type"] == "application/json" for line in lines)
    assert len({line["value"]["incarnation"] for line in lines}) == 2
    assert re.fullmatch(r"one-.*-1", lines[0]["value"]["event_id"])
