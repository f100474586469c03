"""`python -m bridgepool call` and `list`: commands without Kafka and without a daemon."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PACKAGE

APP = """
from typing import List, Optional
from bridgepool import App, Retry
app = App()
print("print at import")
@app.startup
def load(): app.prefix = ">"
@app.shutdown
async def down(): print("shut down")
@app.session_start
async def open(session): session["opened"] = True
@app.command
async def ask(session, question: str, tags: List[str] = [], limit: Optional[int] = None, *, ctx) -> dict:
    '''Answers a question.

    In more words.'''
    print("print in command")
    await ctx.partial({"token": "t"})
    ctx.usage(tokens=2)
    return {"text": app.prefix + question, "tags": tags, "limit": limit, "session": session.id, "opened": session["opened"]}
@app.command
def plain(anything=None): return {"anything": anything}
@app.command
async def slow():
    import asyncio
    await asyncio.sleep(600)
@app.command
def fail(): raise Retry("later", after=1)
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "app.py").write_text(APP)

    def go(*words, **variables):
        environment = {**os.environ, "PYTHONPATH": str(PACKAGE), **variables}
        return subprocess.run([sys.executable, "-m", "bridgepool", *words], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", timeout=60)

    return go


def test_a_result_is_utf8_in_every_locale(run):
    done = run("call", "app:app", "plain", "--json", '{"anything": "\\u00e9\\u2603"}', LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert '"\u00e9\u2603"' in done.stdout


def test_call(run):
    done = run("call", "app:app", "ask", "question=12 = twelve", 'tags=["a"]', "limit=3", "--session", "s1")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"text": ">12 = twelve", "tags": ["a"], "limit": 3, "session": "s1", "opened": True}
    for line in ('partial: {"token": "t"}', 'usage: {"tokens": 2}', "print in command", "print at import", "shut down"):
        assert line in done.stderr


def test_call_with_json(run):
    done = run("call", "app.py:app", "ask", "--session", "s", "--json", '{"question": "a", "limit": 1}', "limit=2")
    assert json.loads(done.stdout)["limit"] == 2


def test_values_are_read_as_submit_reads_them(run):
    assert json.loads(run("call", "app:app", "plain", "anything=[1, 2.5, null]").stdout) == {"anything": [1, 2.5, None]}
    assert json.loads(run("call", "app:app", "plain", "anything=as text").stdout) == {"anything": "as text"}
    assert json.loads(run("call", "app:app", "plain", "anything=NaN").stdout) == {"anything": "NaN"}
    assert json.loads(run("call", "app:app", "ask", 'question="5"', "--session", "s").stdout)["text"] == ">5"
    done = run("call", "app:app", "ask", "question=5", "--session", "s")
    assert done.returncode == 1 and "expected a string, got an integer" in done.stderr


def test_errors(run):
    done = run("call", "app:app", "ask", "question=a", "limit=many", "--session", "s")
    assert done.returncode == 1 and not done.stdout
    assert '"code": "INVALID_ARGUMENTS"' in done.stderr and '"field": "limit"' in done.stderr
    assert '"retry_after_ms": 1000' in run("call", "app:app", "fail").stderr
    assert '"UNKNOWN_COMMAND"' in run("call", "app:app", "nope").stderr
    assert '"field": "session"' in run("call", "app:app", "ask", "question=a").stderr


def test_timeout(run):
    done = run("call", "app:app", "slow", "--timeout", "0.1")
    assert done.returncode == 1 and '"TIMEOUT"' in done.stderr


@pytest.mark.parametrize("text", ["inf", "nan", "0", "-1", "1e308", "soon"])
def test_a_timeout_is_a_number_of_seconds(run, text):
    done = run("call", "app:app", "plain", "--timeout", text)
    assert done.returncode == 64 and done.stderr.endswith(f"argument --timeout: {text!r} is no time; write a number of seconds above 0\n"), done.stderr


def test_a_timeout_may_be_long(run):
    assert run("call", "app:app", "plain", "--timeout", "1e300").returncode == 0


def test_usage(run):
    for words in ([], ["call"], ["call", "app:app"], ["unknown"], ["call", "app:app", "plain", "novalue"], ["call", "app:app", "plain", "--json", "[1]"], ["call", "app:app", "plain", "--json", "{"]):
        assert run(*words).returncode == 64, words


def test_usage_names_what_is_missing_and_only_that(run):
    assert "are required: call|list\n" in run().stderr
    assert "are required: APP, COMMAND\n" in run("call").stderr
    assert "are required: COMMAND\n" in run("call", "app:app").stderr


def test_a_missing_session_is_told_beside_what_else_is_missing(run):
    done = run("call", "app:app", "ask", "question=a")
    assert done.returncode == 1 and "this command needs a session; use --session ID" in done.stderr
    done = run("call", "app:app", "ask")
    error = json.loads(done.stderr[done.stderr.index("{"):])
    assert [problem["field"] for problem in error["details"]["problems"]] == ["question", "session"]
    error = run("call", "app:app", "ask", "--session", "s").stderr
    assert '"field": "question"' in error and "needs a session" not in error


def test_the_hook_that_failed_is_named(run, tmp_path):
    (tmp_path / "app.py").write_text("from bridgepool import App\napp = App()\n@app.session_start\ndef begin(session): raise OSError('no place for it')\n@app.command\ndef ask(session): pass\n")
    done = run("call", "app:app", "ask", "--session", "s1")
    assert done.returncode == 1 and "bridgepool: session_start of session 's1' failed\n" in done.stderr
    assert "command ask" not in done.stderr and '"message": "no place for it"' in done.stderr


def test_apps_that_cannot_be_loaded(run):
    done = run("call", "nowhere:app", "x")
    assert done.returncode == 78 and done.stderr.startswith("bridgepool: there is no module 'nowhere' in ")
    assert "there is no file" in run("list", "no/such.py").stderr


def test_list(run):
    done = run("list", "app:app")
    assert done.returncode == 0
    assert "ask(session, question: str, tags: List[str] = [], limit: Optional[int] = None, *, ctx) -> dict\n    Answers a question.\n" in done.stdout
    rows = json.loads(run("list", "app:app", "--json").stdout)
    assert [(row["name"], row["async"]) for row in rows] == [("ask", True), ("fail", False), ("plain", False), ("slow", True)]
    assert rows[0]["session"] is True and rows[0]["example"] == "ask question=text"


def test_the_demo_app(tmp_path):
    demo = Path(__file__).resolve().parents[2] / "deploy" / "demo" / "app.py"
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    done = subprocess.run([sys.executable, "-m", "bridgepool", "call", f"{demo}:app", "remember", "what=tea", "--session", "s"], env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    assert json.loads(done.stdout) == {"kept": "tea"}, done.stderr
