"""DSPy programs through Kafka: a user's own app, and bridgepool.dspy as it comes. The language model is a stub on loopback."""
import collections
import json
import sys

import pytest
from conftest import ROOT, eventually

sys.path.append(str(ROOT / "tests" / "python"))
from openai_stub import Stub  # noqa: E402

APP = '''
import os
import dspy
from bridgepool import App
app = App(version="1.0")

@app.startup
def load():
    lm = dspy.LM("openai/stub", api_base=os.environ["MODEL_AT"], api_key=os.environ["MODEL_KEY"], cache=False, num_retries=0)
    dspy.configure(lm=lm, track_usage=True)
    app.short = dspy.Predict("question -> answer")
    app.long = dspy.ChainOfThought("question -> answer, score: float")

@app.command
async def ask(session, question: str, *, ctx) -> dict:
    prediction = await app.short.acall(question=question)
    for numbers in prediction.get_lm_usage().values():
        ctx.usage({"total_tokens": numbers["total_tokens"]})
    session.setdefault("asked", []).append(question)
    return {"answer": prediction.answer, "asked": session["asked"]}

@app.command
async def tell(question: str, *, ctx) -> dict:
    listeners = [dspy.streaming.StreamListener(signature_field_name="answer")]
    async for piece in dspy.streamify(app.short, stream_listeners=listeners)(question=question):
        if isinstance(piece, dspy.streaming.StreamResponse):
            ctx.partial(piece.chunk)
        elif isinstance(piece, dspy.Prediction):
            prediction = piece
    return {"answer": prediction.answer}

@app.command
async def think(question: str) -> dict:
    return (await app.long.acall(question=question)).toDict()
'''

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
        {"name": "owner", "type": "object", "fields": {"name": "str", "home": {"type": "object", "fields": [{"name": "city", "type": "str"}]}}},
        {"name": "note", "type": "str", "optional": True},
    ],
}
DSPY = f'command = [ "{sys.executable}", "-m", "bridgepool.worker", "bridgepool.dspy:app" ]; start_timeout = "2m"; size = 2; start_batch = 2;'


@pytest.fixture
def stub():
    with Stub() as server:
        yield server


def ok(result):
    assert result["status"] == "OK", result
    return result["result"]


def failed(result):
    assert result["status"] == "ERROR", result
    return result["error"]


def said(parts):
    """What the parts of one attempt hold, one after the other."""
    assert [(p["part"], p["final"], p["status"], p["attempts"]) for p in parts] == [(i, False, "OK", 1) for i in range(len(parts))]
    return [piece for p in parts for piece in p["result"]]


def fields(parts):
    """Field -> the text that its pieces make."""
    texts = collections.defaultdict(str)
    for piece in said(parts):
        texts[piece["field"]] += piece["text"]
    return texts


def test_a_users_app_runs_predict_and_chain_of_thought(site, stub):
    command = f'command = [ "{sys.executable}", "-m", "bridgepool.worker", "app:app" ];'
    s = site(command + ' size = 1; start_timeout = "2m"; pass_environment = [ "MODEL_*" ];')
    (s.directory / "app.py").write_text(APP)
    s.start(MODEL_AT=stub.base_url, MODEL_KEY="a key of the operator", OTHER_SECRET="stays")
    first = s.ask("s1", "ask", question="how far is it?")
    assert ok(first) == {"answer": "echo: how far is it?", "asked": ["how far is it?"]}
    assert first["session_new"] and first["usage"]["total_tokens"] > 0 and first["worker_version"] == "1.0"
    second = s.ask("s1", "ask", question="and back?")
    assert ok(second)["asked"] == ["how far is it?", "and back?"] and not second["session_new"]
    assert second["session_epoch"] == first["session_epoch"]
    assert ok(s.ask("s2", "think", question="why is it so")) == {"reasoning": "Thinking about why is it so", "answer": "echo: why is it so", "score": 2.0}
    assert [r["authorization"] for r in stub.requests] == ["Bearer a key of the operator"] * 3
    s.send(("told", "s2", "tell", {"stream": True, "args": {"question": "where do the words go"}}))
    *parts, last = s.records("told")
    assert "".join(said(parts)) == "echo: where do the words go" == ok(last)["answer"] and parts
    assert failed(s.ask("s1", "think", question="STUB_FAIL_500"))["message"]
    s.produce([("s1", json.dumps({"request_id": "late", "command": "ask", "args": {"question": "STUB_SLOW"}, "timeout_ms": 1000}))])
    after = s.ask("s1", "ask", question="still there?")  # the task was cancelled: its session goes on at once, with its state
    assert s.results_seen()[-2]["status"] == "TIMEOUT" and len(ok(after)["asked"]) == 3 and after["session_epoch"] == first["session_epoch"]
    eventually(lambda: "command ask (request 'late', session 's1') is over its time; it is here:" in s.log_text())
    assert "prediction = await app.short.acall(question=question)" in s.log_text() and "cancel scope" not in s.log_text()
    assert s.end() == [0]
    s.wait_no_workers()


def test_the_dspy_bridge_keeps_programs_in_a_session(site, stub):
    s = site(DSPY + ' state = "memory"; on_session_loss = "fail"; pass_environment = [ "OPENAI_*" ];',
             environment=["BRIDGEPOOL_DSPY_LM=openai/stub", f"BRIDGEPOOL_DSPY_API_BASE={stub.base_url}"])
    s.start(OPENAI_API_KEY="the operator's")
    made = s.ask("s1", "create_program", id="qa", signature="question -> answer")
    assert ok(made)["status"] == "created" and made["session_new"]
    assert ok(s.ask("s1", "create_program", id="sort", signature=COMPLEX, program_type="chain_of_thought"))["program_type"] == "chain_of_thought"
    simple = s.ask("s1", "execute_program", program_id="qa", inputs={"question": "how far is it?"})
    assert ok(simple)["outputs"] == {"answer": "echo: how far is it?"} and simple["usage"]["total_tokens"] > 0
    inputs = {"subject": "lunch today", "people": [{"name": "Ada", "age": 36}, {"name": "Bob"}]}
    outputs = ok(s.ask("s1", "execute_program", program_id="sort", inputs=inputs))["outputs"]
    assert outputs["category"] == "work" and outputs["urgent"] is True and outputs["words"] == ["lunch", "today"]
    assert outputs["owner"] == {"name": "lunch", "home": {"city": "lunch"}} and outputs["reasoning"].startswith("Thinking about lunch today")
    wrong = failed(s.ask("s1", "execute_program", program_id="sort", inputs={"people": [{"name": "Ada", "age": "old"}]}))
    assert wrong["code"] == "INVALID_ARGUMENTS" and {p["field"] for p in wrong["details"]["problems"]} == {"inputs.subject", "inputs.people[0].age"}
    assert [p["id"] for p in ok(s.ask("s1", "list_programs"))["programs"]] == ["qa", "sort"]
    info = ok(s.ask("s1", "get_program_info", program_id="qa"))
    assert info["execution_count"] == 1 and [f["name"] for f in info["outputs"]] == ["answer"]
    stats = ok(s.ask("s1", "get_stats"))
    assert stats["session_programs"] == 2 and stats["lm_configured"] and stats["model"] == "openai/stub"
    assert failed(s.ask("s2", "execute_program", program_id="qa", inputs={"question": "?"}))["code"] == "program_not_found"
    refused = failed(s.ask("s1", "configure_lm", model="openai/other", api_key="mine"))
    assert refused["code"] == "lm_args_not_allowed" and refused["details"] == {"field": "api_key"}
    assert ok(s.ask("s1", "delete_program", program_id="qa"))["status"] == "deleted"
    assert failed(s.ask("s1", "execute_program", program_id="qa", inputs={"question": "?"}))["code"] == "program_not_found"
    mine = [r for r in s.results_seen() if r["session_id"] == "s1"]
    assert len({r["session_epoch"] for r in mine}) == 1 and len({r["worker_id"] for r in mine}) == 1 and [r["session_new"] for r in mine].count(True) == 1
    assert {r["authorization"] for r in stub.requests} == {"Bearer the operator's"}
    assert s.end() == [0]
    s.wait_no_workers()


def test_a_session_chooses_its_model_where_the_operator_allows_it(site, stub):
    s = site(DSPY.replace("size = 2", "size = 1"), environment=["BRIDGEPOOL_DSPY_ALLOW_LM_ARGS=1"])
    s.start()
    for session in ("a", "b"):
        ok(s.ask(session, "create_program", id="qa", signature="question -> answer"))
    assert failed(s.ask("a", "execute_program", program_id="qa", inputs={"question": "x"}))["code"] == "lm_not_configured"
    for session in ("a", "b"):
        configured = s.ask(session, "configure_lm", model=f"openai/model-{session}", api_key=f"key-{session}", base_url=stub.base_url, temperature=0.3)
        assert ok(configured)["temperature"] == 0.3
        assert ok(s.ask(session, "execute_program", program_id="qa", inputs={"question": session}))["outputs"] == {"answer": f"echo: {session}"}
    assert [(r["authorization"], r["body"]["model"]) for r in stub.requests] == [("Bearer key-a", "model-a"), ("Bearer key-b", "model-b")]
    assert "key-a" not in s.tail() and s.end() == [0]


def execute(question, program="qa", **members):
    return "execute_program", {"args": {"program_id": program, "inputs": {"question": question}}, **members}


def test_programs_stream_are_cancelled_and_time_out(site, stub):
    s = site(DSPY + ' partial_interval = "20ms"; pass_environment = [ "OPENAI_*" ];',
             environment=["BRIDGEPOOL_DSPY_LM=openai/stub", f"BRIDGEPOOL_DSPY_API_BASE={stub.base_url}"])
    s.start(OPENAI_API_KEY="any")
    made = s.ask("s1", "create_program", id="qa", signature="question -> answer")
    ok(made)
    ok(s.ask("s1", "create_program", id="why", signature="question -> answer", program_type="chain_of_thought"))

    # Predict and ChainOfThought: the parts together are what the final result says, which comes last
    question = "how many words does it take to see a stream"
    s.send(("short", "s1", *execute(question, stream=True)), ("long", "s1", *execute(question, "why", stream=True)))
    for name in ("short", "long"):
        *parts, last = s.records(name)
        assert fields(parts) == ok(last)["outputs"] and last["final"] and last["part"] == len(parts) and last["usage"]["total_tokens"] > 0
    assert set(fields(parts)) == {"reasoning", "answer"}

    # a model that stops in the middle: the client takes the request back, or its time ends
    hanging = "STUB_HALF_SLOW " + "word " * 20
    s.send(("unwanted", "s1", *execute(hanging, stream=True)))
    begun, *_ = s.records("unwanted", 1)
    assert not begun["final"]  # the program runs
    s.send(("stop", "s1", "cancel", {"args": {"request_id": "unwanted"}}))
    assert ok(s.records("stop")[0]) == {"request_id": "unwanted", "was": "running"}
    *parts, last = s.records("unwanted", seconds=20)  # the stub would have waited for longer
    assert last["status"] == "CANCELLED" and fields(parts)["answer"].startswith("echo: STUB_HALF_SLOW")
    s.send(("late", "s1", *execute(hanging, stream=True, timeout_ms=2500)))
    *parts, last = s.records("late", seconds=20)
    assert last["status"] == "TIMEOUT" and fields(parts)["answer"].startswith("echo: STUB_HALF_SLOW")
    eventually(lambda: "command execute_program (request 'late', session 's1') is over its time; it is here:" in s.log_text())
    assert "dspy/_stream.py" in s.log_text() and "cancel scope" not in s.log_text()

    # its coroutines were told: the session goes on at once, with its programs, on the worker that it had
    after = s.ask("s1", "execute_program", seconds=20, program_id="qa", inputs={"question": "still there?"})
    assert ok(after)["outputs"] == {"answer": "echo: still there?"}
    assert (after["session_epoch"], after["worker_id"], after["session_new"]) == (made["session_epoch"], made["worker_id"], False)
    [pool] = s.status()["pools"]
    assert sum(w["unanswered"] + w["in_flight"] for w in pool["workers"]) == 0 and pool["starts"] == 2 and not any(pool["exits"].values())
    assert s.end() == [0]
    s.wait_no_workers()


def test_64_sessions_wait_for_their_model_at_once_on_two_workers(site, stub):
    command = f'command = [ "{sys.executable}", "-m", "bridgepool.worker", "app:app" ];'
    s = site(command + ' size = 2; start_batch = 2; concurrency = 32; start_timeout = "2m"; pass_environment = [ "MODEL_*" ];')
    (s.directory / "app.py").write_text(APP)
    s.start(MODEL_AT=stub.base_url, MODEL_KEY="any")
    eventually(lambda: s.get("/readyz")[0] == 200)
    stub.answers_together = 64  # none before all have asked
    s.send(*[(f"ask-{i}", f"s{i}", "ask", {"args": {"question": "how far is it?"}}) for i in range(64)])
    s.read_results(lambda seen: len(seen) == 64, 60)
    assert all(ok(r)["answer"] == "echo: how far is it?" and r["session_new"] for r in s.results_seen())
    assert sorted(collections.Counter(r["worker_id"] for r in s.results_seen()).values()) == [32, 32]
    assert s.end() == [0]
