"""What the Python package promises to programs, through Kafka: Retry, usage, time limits that reach what runs, traces."""
import json
import subprocess
import time

import pytest
from conftest import BRIDGEPOOL, PYTHON, Site, eventually

APP = '''
import asyncio, pathlib, time
from bridgepool import App, Retry
app = App()
tries, ended, napping = {}, [], set()

@app.command
async def flaky(good_at: int, *, ctx) -> list:
    seen = tries.setdefault(ctx.request_id, [])
    seen.append(time.monotonic())
    ctx.usage({"some/model": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 15}, "other/model": {"cost": 0.5}})
    if ctx.attempt < good_at:
        raise Retry("rate_limited", "too fast", after=0.7)
    return [later - earlier for earlier, later in zip(seen, seen[1:])]

async def waits_for_the_model():
    try:
        await asyncio.sleep(600)
    finally:
        ended.append(time.monotonic())

@app.command
async def slow(session): await waits_for_the_model()

@app.command
def block(session, seconds: float): time.sleep(seconds)

@app.command
async def what(session): return ended

@app.command
async def nap(session) -> int:
    napping.add(session.id)
    await asyncio.sleep(1)
    while len(napping) < 32 or not pathlib.Path(__file__).with_name("wake").exists():  # none leaves before all are here
        await asyncio.sleep(0.02)
    return len(napping)

@app.command
async def tell(session, words: int, then_wait: bool = False, *, ctx) -> str:
    for i in range(words):
        await ctx.partial({"word": i})
    if then_wait:
        await waits_for_the_model()
    return "done"

@app.command
async def tell_and_fail(*, ctx) -> str:
    await ctx.partial({"word": ctx.attempt})
    if ctx.attempt == 1:
        raise Retry("again")
    return "done"

@app.command
async def trace(*, ctx): return [ctx.traceparent, ctx.headers]
'''


@pytest.fixture(scope="module")
def site(brokers, tmp_path_factory):
    directory = tmp_path_factory.mktemp("python")
    (directory / "app.py").write_text(APP)
    s = Site(brokers, directory, PYTHON + " size = 2; start_batch = 2;", 'delivery = { retry_backoff = "10ms"; };', partitions=1)
    s.start()
    s.wait_joined()
    yield s
    assert s.end() == [0]
    s.wait_no_workers()


def results(site, *names):
    """The final results of these requests, in order of arrival."""
    of = lambda seen: [r for r in map(json.loads, (m.value() for m in seen)) if r["request_id"] in names]  # noqa: E731
    site.read_results(lambda seen: len(of(seen)) >= len(names), 60)
    return of(site.seen)


def samples(site, name):
    """What /metrics says of that name: {labels: value}."""
    lines = [line for line in site.get("/metrics")[1].splitlines() if line.startswith(name)]
    return {line[len(name) : line.rindex(" ")]: float(line.rsplit(" ", 1)[1]) for line in lines}


def test_retry_waits_as_long_as_it_asks_and_ends_with_its_error(site):
    site.send(("again", "s1", "flaky", {"args": {"good_at": 2}}), ("never", "s2", "flaky", {"args": {"good_at": 9}}))
    told = {r["request_id"]: r for r in results(site, "again", "never")}
    again, never = told["again"], told["never"]
    assert again["status"] == "OK" and again["attempts"] == 2 and again["timings"]["retry_wait_us"] >= 700_000
    [pause] = again["result"]
    assert 0.69 <= pause < 5
    assert never["status"] == "ERROR" and never["attempts"] == 3
    assert never["error"] == {"code": "rate_limited", "message": "too fast", "retriable": True, "retry_after_ms": 700, "details": None}
    [dead] = site.read_all(site.dead)
    assert json.loads(dead.value())["request_id"] == "never" and dict(dead.headers())["bridgepool.attempts"] == b"3"
    # usage: of the last run in the result, of all runs in the metrics
    assert again["usage"] == never["usage"] == {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 15, "cost": 0.5}
    assert samples(site, "bridgepool_tokens_total") == {f'{{pool="default",kind="{kind}"}}': n for kind, n in (("input", 50), ("output", 10), ("other", 15))}
    assert samples(site, "bridgepool_cost_dollars_total") == {'{pool="default"}': 2.5}
    assert site.status()["pools"][0]["usage"] == {"tokens": {"input": 50.0, "output": 10.0, "other": 15.0}, "cost_dollars": 2.5}
    checked = subprocess.run(["promtool", "check", "metrics"], input=site.get("/metrics")[1], capture_output=True, text=True)
    assert checked.returncode == 0 and not checked.stdout and not checked.stderr, checked


def test_a_time_limit_reaches_an_asynchronous_command_and_shows_where_it_was(site):
    began = time.monotonic()
    site.send(("slow-one", "s3", "slow", {"timeout_ms": 1000}), ("after", "s3", "what", {}))
    first, after = results(site, "slow-one", "after")
    assert first["status"] == "TIMEOUT" and after["status"] == "OK" and len(after["result"]) == 1
    assert 1 <= after["result"][0] - began < 10  # the same clock, on the same machine
    eventually(lambda: "command slow (request 'slow-one', session 's3') is over its time; it is here:" in site.log_text())
    assert "in waits_for_the_model" in site.log_text()


def test_a_time_limit_leaves_a_plain_command_its_place_until_it_returns(site):
    site.send(("blocked", "s4", "block", {"timeout_ms": 1000, "args": {"seconds": 2.5}}), ("behind", "s4", "what", {}), ("beside", "s5", "what", {}))
    told = {r["request_id"]: r for r in results(site, "blocked", "behind", "beside")}
    assert [told[name]["status"] for name in ("blocked", "behind", "beside")] == ["TIMEOUT", "OK", "OK"]
    assert told["blocked"]["timings"]["run_us"] < 1_800_000 and told["behind"]["completed_at"] - told["blocked"]["completed_at"] > 700  # ms
    assert told["behind"]["worker_id"] == told["blocked"]["worker_id"] and not told["behind"]["session_new"]
    assert told["beside"]["completed_at"] < told["behind"]["completed_at"]
    eventually(lambda: "command block (request 'blocked', session 's4') is over its time; it is here:" in site.log_text())
    assert "def block(session, seconds: float): time.sleep(seconds)" in site.log_text() and site.log_text().count("request 'blocked'") == 1


def test_64_sessions_wait_for_their_model_at_once_on_two_workers(site):
    names = [f"nap{i}" for i in range(64)]
    try:
        site.send(*[(name, name, "nap", {}) for name in names])
        eventually(lambda: site.status()["pools"][0]["places_used"] == 64)  # none ends before it is woken: nobody waits for another's end
    finally:
        (site.directory / "wake").touch()
    told = results(site, *names)
    sent = min(r["completed_at"] - sum(r["timings"].values()) / 1000 for r in told)
    assert 998 <= max(r["completed_at"] for r in told) - sent < 10_000  # ms, from the first record to the last end
    assert {(r["status"], r["result"], r["attempts"]) for r in told} == {("OK", 32, 1)}  # so many at once in each worker
    begins = [r["completed_at"] - r["timings"]["run_us"] / 1000 for r in told]
    assert max(begins) < min(r["completed_at"] for r in told)
    assert sorted([r["worker_id"] for r in told].count(w) for w in {r["worker_id"] for r in told}) == [32, 32]


def words_of(parts):
    """What the parts hold together; each is numbered, not final, and of the first attempt."""
    assert [p["part"] for p in parts] == list(range(len(parts)))
    assert {(p["status"], p["final"], p["attempts"]) for p in parts} == {("OK", False, 1)}
    return [said["word"] for p in parts for said in p["result"]]


def test_parts_come_before_the_result_merged_and_numbered(site):
    command = [BRIDGEPOOL, "submit", "-c", site.config, "--session", "s7", "--stream", "tell", "words=40"]
    lines = [json.loads(line) for line in subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()]
    *parts, last = lines
    assert words_of(parts) == list(range(40)) and len(parts) <= 5  # the first at once, then what comes within partial_interval together
    assert last["final"] and last["result"] == "done" and last["part"] == len(parts)
    site.send(("unasked", "s7", "tell", {"args": {"words": 3}}))
    [whole] = site.records("unasked", 1)
    assert whole["final"] and whole["part"] == 0 and whole["result"] == "done"


def test_a_second_attempt_tells_its_parts_from_the_beginning(site):
    site.send(("twice", "s9", "tell_and_fail", {"stream": True}))
    records = site.records("twice")
    assert [(r["final"], r["attempts"], r["part"], r["result"]) for r in records] == [
        (False, 1, 0, [{"word": 1}]), (False, 2, 0, [{"word": 2}]), (True, 2, 1, "done")]


def test_a_time_limit_and_a_cancel_reach_a_program_that_streams(site):
    site.send(("late", "s8", "tell", {"stream": True, "timeout_ms": 2000, "args": {"words": 2, "then_wait": True}}))
    *parts, last = site.records("late", 3)
    assert words_of(parts) == [0, 1] and (last["status"], last["final"], last["part"]) == ("TIMEOUT", True, len(parts))
    site.send(("unwanted", "s8", "tell", {"stream": True, "args": {"words": 2, "then_wait": True}}))
    assert words_of(site.records("unwanted", 2)) == [0, 1]  # it runs
    site.send(("stop", "s8", "cancel", {"args": {"request_id": "unwanted"}}))
    [answer] = site.records("stop", 1)
    assert answer["result"] == {"request_id": "unwanted", "was": "running"}
    last = site.records("unwanted", 3)[-1]
    assert (last["status"], last["final"]) == ("CANCELLED", True)
    site.send(("after-both", "s8", "what", {}))  # the coroutines were told: the session's line goes on
    assert results(site, "after-both")[0]["status"] == "OK"


def test_a_trace_goes_through(site):
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    site.produce([("s6", json.dumps({"request_id": "traced", "command": "trace"}), [("traceparent", parent.encode()), ("authorization", b"secret")])])
    [result] = results(site, "traced")
    assert result["result"] == [parent, {"traceparent": parent}]
    assert dict(site.seen[-1].headers())["traceparent"] == parent.encode()
