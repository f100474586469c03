"""Bridges written for DSPex run as they are: JSON over {packet, 4}, one request at a time, errors that are texts, an end when stdin is
closed. `mock-worker --dspex` behaves like one. Both get the same requests and must give the same answers."""
import json
import subprocess
import sys
import time

import pytest
from conftest import BRIDGEPOOL, HERE, eventually

SIGNATURE = {"inputs": [{"name": "question", "type": "str"}], "outputs": [{"name": "answer", "type": "str"}]}
BRIDGES = {
    "bridge": [sys.executable, str(HERE / "dspex_bridge.py"), "--mode", "pool-worker", "--worker-id", "w1"],
    "mock-worker": [str(BRIDGEPOOL), "mock-worker", "--dspex", "--mode", "pool-worker", "--worker-id", "w1"],
}
TEXT = {"code": "PROGRAM_ERROR", "retriable": False, "retry_after_ms": None, "details": None}

# (session, command, arguments) -> the result, or the text of the error
SCRIPT = [
    ("s1", "create_program", {"id": "qa", "signature": SIGNATURE}, {"program_id": "qa", "status": "created", "signature": SIGNATURE, "program_type": "predict"}),
    ("s1", "create_program", {"id": "qa", "signature": SIGNATURE}, "Program with ID 'qa' already exists in session s1"),
    ("s1", "execute_program", {"program_id": "qa", "inputs": {"question": "?"}}, "No LM is loaded."),
    ("s1", "configure_lm", {"model": "any", "api_key": "none"}, {"status": "configured"}),
    ("s1", "execute_program", {"program_id": "nope", "inputs": {}}, "Program not found in session s1: nope"),
    ("s1", "execute_program", {"program_id": "qa", "inputs": {"question": "?"}}, {"program_id": "qa", "outputs": {"answer": "mock answer"}, "execution_time": 0.0}),
    ("s2", "list_programs", {}, {"programs": [], "total_count": 0}),
    ("s2", "execute_program", {"program_id": "qa", "inputs": {}}, "Program not found in session s2: qa"),
    ("s1", "get_stats", {}, "programs are not counted in pool-worker mode"),
    ("s1", "no_such_command", {}, "Unknown command"),
    ("s1", "delete_program", {"program_id": "qa"}, {"program_id": "qa", "status": "deleted"}),
]


@pytest.mark.parametrize("kind", BRIDGES)
def test_a_bridge_written_for_dspex_runs_as_it_is(site, kind):
    command = ", ".join(json.dumps(word) for word in BRIDGES[kind])
    s = site(f'command = [ {command} ]; size = 1; ping_interval = "200ms"; ping_timeout = "400ms";', partitions=1)
    s.start()
    for session, name, args, wanted in SCRIPT:
        result = s.ask(session, name, **args)
        if isinstance(wanted, str):
            assert result["status"] == "ERROR" and result["error"] == {**TEXT, "message": wanted}, result
        else:
            assert result["status"] == "OK" and result["result"] == wanted, result
        assert result["attempts"] == 1 and result["worker_version"] is None
    [worker] = s.status()["pools"][0]["workers"]
    assert worker["concurrency"] == 1 and worker["sessions"] == 2
    # a session's end reaches it, and begins a new state
    s.ask("s1", "create_program", id="kept", signature=SIGNATURE)
    assert s.ask("s1", "end_session")["result"] == {"status": "cleaned"}
    again = s.ask("s1", "list_programs")
    assert again["result"]["total_count"] == 0 and again["session_new"]
    # one request at a time, and a busy one is not asked how it is
    began = time.monotonic()
    s.produce([(f"b{i}", json.dumps({"request_id": f"b{i}", "command": "sleep", "args": {"ms": 700}})) for i in range(2)])
    s.read_results(lambda seen: {json.loads(m.value())["request_id"] for m in seen[-2:]} == {"b0", "b1"}, 60)
    assert time.monotonic() - began >= 1.4 and {r["worker_id"] for r in s.results_seen()} == {"default/0.1"}
    # what it writes for people is in the log
    eventually(lambda: "command sleep" in s.log_text())
    # a time limit cannot reach it: its place is held until it answers
    s.produce([("s1", json.dumps({"request_id": "slow", "command": "sleep", "args": {"ms": 900}, "timeout_ms": 300}))])
    after = s.ask("s1", "list_programs")
    assert [r["status"] for r in s.results_seen()[-2:]] == ["TIMEOUT", "OK"] and after["worker_id"] == "default/0.1" and not after["session_new"]
    # it is asked to end, and ends with its input
    assert s.end() == [0]
    s.wait_no_workers()
    events = subprocess.run([BRIDGEPOOL, "tail", "health", "-c", s.config, "--until-end"], check=True, capture_output=True, text=True, timeout=60).stdout
    [exit] = [e for e in map(json.loads, events.splitlines()) if e["kind"] == "WORKER_EXIT"]
    assert exit["reason"] == "stopped for shutdown: exit 0" and "command shutdown" in s.log_text()


@pytest.mark.parametrize("kind", BRIDGES)
def test_a_bridge_written_for_dspex_ends_on_what_is_no_json_and_on_the_end_of_its_input(kind):
    for said, code in ((b"", 0), (b"\0\0\0\x03{]}", 1)):
        done = subprocess.run(BRIDGES[kind], input=said, capture_output=True, timeout=60)
        assert done.returncode == code and done.stdout == b"", done
