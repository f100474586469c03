"""Clients that we did not write send a request and read its result."""
import io
import json
import re
import subprocess
import sys
import textwrap

import fastavro
import pytest
from conftest import BUILD, MOCK, PYTHON, ROOT

sys.path.append(str(ROOT / "tests" / "interop"))
import java_program  # noqa: E402

APP = '''
from bridgepool import App
app = App(version="1.0")

@app.command
def add(session, item: str) -> dict:
    session.setdefault("items", []).append(item)
    return {"items": session["items"]}
'''


def test_kcat_sends_a_json_request_and_gets_its_json_result(site):
    s = site(MOCK + " size = 1;")
    s.start()
    subprocess.run(["kcat", "-b", s.brokers, "-P", "-t", s.requests, "-K", ":"], check=True,
                   input=b's1:{"request_id":"r1","command":"echo","args":{"n":1.10,"big":18446744073709551616}}\n')
    s.read_results(lambda seen: seen, 60)
    out = subprocess.run(["kcat", "-b", s.brokers, "-C", "-t", s.results, "-e", "-q", "-o", "beginning"], check=True, capture_output=True, timeout=30)
    result = json.loads(out.stdout)
    assert result["request_id"] == "r1" and result["status"] == "OK" and result["session_id"] == "s1"
    assert b"1.10" in out.stdout and b"18446744073709551616" in out.stdout  # byte for byte


def test_fastavro_sends_an_avro_request_and_gets_its_avro_result(site):
    s = site(MOCK + " size = 1;")
    s.start()
    request = fastavro.schema.load_schema(ROOT / "schemas" / "ProgramRequest.avsc")
    result = fastavro.schema.load_schema(ROOT / "schemas" / "ProgramResult.avsc")

    def fingerprint(schema):
        return bytes.fromhex(fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(schema), "CRC-64-AVRO"))

    body = io.BytesIO()
    fastavro.schemaless_writer(body, request, {"request_id": "r1", "command": "echo", "args": '{"n":1.10}'})
    s.produce([("s1", b"\xc3\x01" + fingerprint(request) + body.getvalue())])
    value = s.read_results(lambda seen: seen, 60)[0].value()
    assert value[:2] == b"\xc3\x01" and value[2:10] == fingerprint(result)
    read = fastavro.schemaless_reader(io.BytesIO(value[10:]), result)
    assert (read["request_id"], read["status"], read["session_id"]) == ("r1", "OK", "s1")
    assert "1.10" in read["result"]


def test_a_java_service_sends_avro_requests_and_reads_their_avro_results(site):
    client = java_program.build(ROOT / "tests" / "e2e" / "java" / "Client.java", BUILD / "tests" / "e2e" / "java")
    s = site(MOCK + " size = 2;")
    s.start()
    out = subprocess.run([*client, s.brokers, s.requests, s.results, ROOT / "schemas", "3", "4"], check=True, capture_output=True, timeout=120)
    records = [json.loads(line) for line in out.stdout.splitlines()]
    for session in ("j0", "j1", "j2"):
        mine = [r for r in records if r["key"] == session]
        assert [r["value"]["request_id"] for r in mine] == [f"{session}-{n}" for n in (1, 2, 3, 4)]
        assert [json.loads(r["value"]["result"])["count"] for r in mine] == [1, 2, 3, 4]  # the session's own state, on one worker
        assert [r["value"]["session_new"] for r in mine] == [True, False, False, False]
        assert len({(r["value"]["session_epoch"], r["value"]["worker_id"]) for r in mine}) == 1
        for r in mine:
            assert r["value"]["status"] == "OK" and r["content-type"] == "avro/binary" and r["x-trace"] == r["value"]["request_id"]


def example(s, heading):
    """The first code of the README under that heading, for this site."""
    text = (ROOT / "README.md").read_text().split(f"\n### {heading}\n", 1)[1]
    code = textwrap.dedent(re.search(r"(?:^(?: {4}.*)?\n)+", text[text.index("\n    import ") + 1:], re.M)[0])
    for word, ours in ("localhost:9092", s.brokers), ("bridgepool.requests", s.requests), ("bridgepool.results", s.results):
        assert word in code
        code = code.replace(word, ours)
    return code


def test_the_readmes_clients_get_their_results_and_give_up_without_a_daemon(site):
    client = java_program.build(ROOT / "tests" / "e2e" / "java" / "Client.java", BUILD / "tests" / "e2e" / "java")
    s = site(PYTHON + " size = 1;")
    (s.directory / "app.py").write_text(APP)
    java, python = example(s, "From Java"), example(s, "From Python")
    (s.directory / "Call.java").write_text(java)
    calls = ["java", "-cp", client[-2], "Call.java"], [sys.executable, "-c", python]

    def run(command):
        return subprocess.run(command, cwd=s.directory, check=True, capture_output=True, text=True, timeout=120).stdout

    daemon = s.start()
    s.wait_joined()
    assert json.loads(run(calls[0]))["result"] == {"items": ["milk"]}
    assert run(calls[1]) == "OK {'items': ['milk', 'milk']} None\n"
    daemon.terminate()
    assert daemon.wait(30) == 0
    (s.directory / "Call.java").write_text(java.replace("32000", "3200"))
    with pytest.raises(subprocess.CalledProcessError) as given_up:
        run(calls[0])
    assert given_up.value.stderr.startswith("no result")
    assert run([*calls[1][:2], python.replace("+ 32", "+ 3")]).startswith("no result")


def test_a_python_session_keeps_its_state_and_sigterm_ends_everything_with_exit_code_0(site):
    s = site(PYTHON + " size = 2;")
    (s.directory / "app.py").write_text(APP)
    daemon = s.start()
    s.produce([("s1", json.dumps({"request_id": f"r{i}", "command": "add", "args": {"item": i and "bread" or "milk"}})) for i in range(2)])
    seen = s.read_results(lambda seen: len(seen) == 2, 60)
    assert json.loads(seen[1].value())["result"] == {"items": ["milk", "bread"]}
    daemon.terminate()
    assert daemon.wait(30) == 0
    s.wait_no_workers()
