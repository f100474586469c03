"""One daemon looked at from outside: every page, and every figure that an operator would put on a wall."""
import json
import os
import re
import signal
import subprocess
import time

from conftest import BRIDGEPOOL, MOCK, ROOT, eventually

LABELS = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def request(request_id, command, args=None, **more):
    return json.dumps({"request_id": request_id, "command": command, "args": args or {}, **more})


def samples(s):
    """name -> [(labels, value)]"""
    found = {}
    for line in s.get("/metrics")[1].splitlines():
        if not line.startswith("#"):
            name, labels, value = re.fullmatch(r"(\w+)(?:{(.*)})? (\S+)", line).groups()
            found.setdefault(name.removeprefix("bridgepool_"), []).append((dict(LABELS.findall(labels or "")), float(value)))
    return found


def families(text):
    """name -> type, as /metrics says it"""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))


def documented():
    """name -> (type, labels), as the README says it"""
    rows = re.findall(r"^\| `(\w+)` \| (counter|gauge|histogram) \|([^|]*)\|", (ROOT / "README.md").read_text(), re.M)
    assert len(rows) == len({name for name, *_ in rows})
    return {name: (kind, set(labels.replace(",", "").split())) for name, kind, labels in rows}


def alerts():
    """The expressions that the README proposes; a line that is indented further goes on."""
    block = re.search(r"^Alerts to begin with:\n\n((?: {4}.*\n)+)", (ROOT / "README.md").read_text(), re.M)[1]
    return re.sub(r"\n {5,}", " ", re.sub(r" *#.*", "", block)).split("\n    ")


def value(found, name, **labels):
    """The one sample with these labels, and more."""
    [one] = [v for known, v in found[name] if labels.items() <= known.items()]
    return one


def test_everything_that_can_be_seen(site, tmp_path):
    s = site(MOCK + ' size = 2; spare = 1; concurrency = 1; session_ttl = "2s"; backoff_min = "10ms"; partial_max = 2; partial_interval = 0;'
             ' recycle_memory = "500MiB"; resident_limit = "600MiB";',
             'log = { slow = "700ms"; }; health = { heartbeat = "300ms"; }; delivery = { retry_backoff = "10ms"; max_attempts = 2; };',
             source='commands = [ "[!f]*", "fail" ];')
    daemon = s.start("one")
    s.wait_joined()

    # two run, one waits for a place, one for its session
    s.produce([(f"s{i}", request(f"run{i}", "sleep", {"ms": 1500})) for i in (0, 1)])
    eventually(lambda: s.status()["pools"][0]["places_used"] == 2)
    s.produce([("s2", request("place", "sleep", {"ms": 1})), ("s0", request("line", "echo", timeout_ms=60000))])
    eventually(lambda: s.get("/status?request=line")[0] == 200 and s.get("/status?request=place")[0] == 200)
    running, place, line = (s.status("?request=" + name) for name in ("run0", "place", "line"))
    assert (running["place"], running["waits_for"]) == ("running", "the answer of its worker") and running["worker_id"].startswith("default/")
    assert (place["place"], place["waits_for"], place["worker_id"]) == ("queued", "a place on any worker", None)
    assert (line["place"], line["waits_for"]) == ("queued", "earlier requests of its session") and 0 < line["left_ms"] <= 60000
    assert all(0 <= r["since_ms"] <= r["age_ms"] < 30000 and r["source"]["topic"] == s.requests for r in (running, place, line))
    assert running["of_that_id"] == 1
    [of_session] = s.status("?session=s0")["pools"]
    assert of_session["source"] == {k: running["source"][k] for k in ("topic", "partition")}
    assert of_session["requests"] == 2 and of_session["first_request"] == "run0" and of_session["state"] == "running"
    assert of_session["waits_for"] == "the answer of its worker" and of_session["first_since_ms"] >= 0 and of_session["worker_id"] == running["worker_id"]
    assert s.get("/status?request=nobody")[0] == s.get("/status?session=nobody")[0] == s.get("/nothing")[0] == s.get("/status?session=s0%00")[0] == 404
    status, said = s.get("/status?sesion=s0")
    assert status == 400 and json.loads(said) == {"error": "there is no such argument", "found": "sesion", "arguments": ["session", "request"]}

    s.read_results(lambda seen: len(seen) == 4, 60)

    # what fails, in each way; what nobody knows; what is too talkative
    s.produce([("e", request("error", "fail")), ("w", request("again", "fail", {"retriable": True})), ("t", request("late", "sleep", {"ms": 60000}, timeout_ms=1000)),
               ("r", request("refused", "format")), ("x", b"nonsense"), ("p", request("talk", "stream", {"parts": 5}, stream=True))])
    s.produce([(None, request(f"odd{i}", f"odd{i}")) for i in range(150)])
    s.read_results(lambda seen: sum(1 for r in s.results_seen() if r["final"]) >= 160, 60)
    assert [r["part"] for r in s.results_seen() if r["request_id"] == "talk"] == [0, 1, 2]
    eventually(lambda: "partials_dropped" in s.log_text() and "partial_max after 2 parts" in s.log_text())
    os.kill(s.ask("v", "count")["result"]["worker"], signal.SIGKILL)
    eventually(lambda: s.status()["pools"][0]["exits"]["crash"] == 1)
    eventually(lambda: s.status()["pools"][0]["sessions"]["live"] == 0)  # the last are over their time to live
    eventually(lambda: all(w["resident_bytes"] and w["state"] == "READY" for w in s.status()["pools"][0]["workers"]))
    eventually(lambda: value(samples(s), "partition_backlog_requests", partition="0") == 0 and sum(v for _, v in samples(s)["records_pending"]) == 0)

    m, pool = samples(s), {"pool": "default"}
    told = {(k["command"], k["status"]): v for k, v in m["requests_total"]}
    assert told[("(unknown)", "ERROR")] == 150 and told[("(rejected)", "REJECTED")] == 2 and told[("fail", "ERROR")] == 2
    assert told[("sleep", "TIMEOUT")] == 1 and told[("sleep", "OK")] == 3 and told[("stream", "OK")] == 1 and len(told) == 8, told
    assert {k["phase"] for k, _ in m["request_duration_seconds_count"]} == {"broker", "session", "worker", "retry", "run", "total"}
    assert value(m, "request_duration_seconds_count", phase="total") == value(m, "request_duration_seconds_bucket", phase="total", le="+Inf") == 161
    assert value(m, "request_duration_seconds_sum", phase="run") > 3.3 and value(m, "request_duration_seconds_sum", phase="session") > 1
    assert {k["role"]: v for k, v in m["slots"]} == {"serving": 2, "spare": 1, "leaving": 0}
    assert {k["state"]: v for k, v in m["workers"] if v} == {"READY": 3}
    assert value(m, "worker_starts_total") == 4 and value(m, "worker_exits_total", reason="crash") == 1
    assert len(m["worker_resident_memory_bytes"]) == 3 and value(m, "pool_places") == 2 and value(m, "pool_places_used") == value(m, "pool_queued_requests") == 0
    assert value(m, "sessions_created_total") > 3 and value(m, "sessions_lost_total") >= 1 and value(m, "sessions_ended_total", reason="ttl") >= 1
    assert len(m["partition_oldest_request_seconds"]) == len(m["partition_window_offsets"]) == len(m["partition_commit_metadata_bytes"]) == 4
    assert {k["code"]: v for k, v in m["dead_letters_total"] if v} == {"worker": 1, "INVALID_ENCODING": 1}
    assert value(m, "pool_circuit_state", state="closed") == 1 and {k["kind"] for k, _ in m["memory_bytes"]} >= {"requests", "records"}
    assert value(m, "rebalances_total") >= 1 and 0 <= time.time() - value(m, "last_commit_timestamp_seconds") < 60
    assert value(m, "build_info") == 1 and re.fullmatch(r"\d+\.\d+\.\d+", m["build_info"][0][0]["librdkafka"])
    assert value(m, "result_parts_total") == 2 and value(m, "partials_dropped_total") == 3
    assert {k["kind"] for k, _ in m["tokens_total"]} == {"input", "output", "other"} and value(m, "cost_dollars_total", **pool) == 0
    known = documented()
    assert families(s.get("/metrics")[1]) == {name: kind for name, (kind, _) in known.items()}
    for name, (kind, labels) in known.items():
        seen = m[name.removeprefix("bridgepool_") + ("_count" if kind == "histogram" else "")]
        assert all(set(k) == labels for k, _ in seen), name
    checked = subprocess.run(["promtool", "check", "metrics"], input=s.get("/metrics")[1], capture_output=True, text=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    rules = {"groups": [{"name": "readme", "rules": [{"alert": f"a{i}", "expr": expression.strip()} for i, expression in enumerate(alerts())]}]}
    (tmp_path / "rules.json").write_text(json.dumps(rules))
    checked = subprocess.run(["promtool", "check", "rules", tmp_path / "rules.json"], capture_output=True, text=True)
    assert checked.returncode == 0 and "5 rules found" in checked.stdout, checked
    assert not {"session", "session_id", "request", "request_id"} & {name for known in m.values() for labels, _ in known for name in labels}
    shown = s.status()["pools"][0]
    assert (shown["recycle_memory"], shown["resident_limit"]) == (500 << 20, 600 << 20)

    # where a slow request's time went
    slow = re.findall(r'request_slow .*request (\S+) of session (\S+), command (\w+), worker (\S+): (\w+) after (\d) attempts; ms in broker \d+, behind its session (\d+), '
                      r'for a worker (\d+), between attempts (\d+), running (\d+)', s.log_text())
    slow = {row[0]: row for row in slow}
    assert slow["run0"][1:3] == ("s0", "sleep") and int(slow["run0"][9]) >= 1500 and slow["run0"][4] == "OK"
    assert int(slow["line"][6]) >= 700 and int(slow["place"][7]) >= 700 and "error" not in slow

    schemas = json.loads(s.get("/schemas")[1])
    assert {json.loads(s.get("/schemas/" + fingerprint)[1])["name"] for fingerprint in schemas.values()} == set(schemas) and len(schemas) == 4
    assert s.get("/schemas/0000000000000000")[0] == 404

    # heartbeats end, and say so, when they are turned off
    s.config.write_text(s.config.read_text().replace('heartbeat = "300ms"', 'heartbeat = "0"'))
    daemon.send_signal(signal.SIGHUP)
    eventually(lambda: " reloaded " in s.log_text())

    # while it drains it is not ready
    assert s.get("/readyz") == (200, "ok\n")
    s.produce([("s9", request("last", "sleep", {"ms": 500}))])
    eventually(lambda: s.status()["pools"][0]["places_used"] == 1)
    daemon.terminate()
    eventually(lambda: s.get("/readyz") == (503, "the instance is DRAINING\n"))

    # and each worker in the health events
    assert daemon.wait(30) == 0
    out = subprocess.run([BRIDGEPOOL, "tail", "health", "-c", s.config, "--until-end"], check=True, capture_output=True, text=True, timeout=60)
    snapshots = [e["snapshot"] for e in map(json.loads, out.stdout.splitlines()) if e["kind"] == "HEARTBEAT"]
    assert [snapshot["heartbeat_ms"] for snapshot in snapshots] == [300] * (len(snapshots) - 1) + [0]
    beats = [snapshot["pools"][0]["worker_list"] for snapshot in snapshots]
    assert any(sorted((w["state"], w["role"], w["in_flight"]) for w in beat) == [("READY", "serving", 1)] * 2 + [("READY", "spare", 0)] for beat in beats)
    assert any(all(w["resident_bytes"] > 0 for w in beat) and {w["worker_id"] for w in beat} == {w["worker_id"] for w in shown["workers"]} for beat in beats)
