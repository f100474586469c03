"""What is seen of a request beside its answer: the stack of one that is over its time, what it used up, its span."""

import re
import sys
import time

import pytest

STUCK = """
    import asyncio, time
    from bridgepool import App
    app = App(threads=1)
    async def inner():
        await asyncio.sleep(600)  # the inner one
    async def outer(): await inner()
    @app.command
    async def direct(): await outer()
    @app.command
    async def gathered(): await asyncio.gather(outer(), asyncio.sleep(600), outer())
    @app.command
    async def awaited(): await asyncio.create_task(outer(), name="the other")
    async def numbers():
        yield 1
        await inner()
    @app.command
    async def iterated():
        async for number in numbers(): pass
    @app.command
    async def quick(seconds: float): await asyncio.sleep(seconds); return "in time"
    @app.command
    def plain(*, ctx):
        def turn():
            while not ctx.cancelled: time.sleep(0.005)
        turn()
        raise RuntimeError("gave up")
    def left(n, ctx):
        if n: return right(n - 1, ctx)
        while not ctx.cancelled: time.sleep(0.005)
    def right(n, ctx): return left(n, ctx)
    @app.command
    def deep(n: int, *, ctx): left(n, ctx)
    @app.command
    async def blocks(seconds: float): time.sleep(seconds)
"""


def stack(worker, command):
    """The report of that command's stack, without what others said."""
    worker.wait_stderr(f"command {command} (")
    return re.findall(rf"^bridgepool: command {command} \(.*?\) is over its time.*\n(?:  .*\n)*", worker.stderr(), re.M)


@pytest.mark.parametrize("command, shown", [
    ("direct", ["in direct\n", "in outer\n", "in inner\n", "await asyncio.sleep(600)  # the inner one"]),
    ("gathered", ["in gathered\n", "which waits for Task-", "in outer\n", "in inner\n", "in sleep\n"]),
    ("awaited", ["in awaited\n", "which waits for the other:", "in inner\n"]),
    ("iterated", ["in iterated\n", "in numbers\n", "in inner\n"]),
    ("plain", ["in plain\n", "in turn\n"]),
])
def test_a_command_over_its_time_shows_where_it_is(start, command, shown):
    worker = start(STUCK)
    assert worker.error(command, request_id="r-7", session="s", remaining_ms=100)["code"] == "TIMEOUT"
    [text] = stack(worker, command)
    assert text.startswith(f"bridgepool: command {command} (request 'r-7'") and "it is here:\n" in text
    places = [text.index(words) for words in shown]
    assert places == sorted(places), text
    assert "_serve.py" not in text and "threading.py" not in text and "_threads.py" not in text


def test_the_daemons_word_shows_it_too_and_only_once(start):
    worker = start(STUCK)
    for command in ("direct", "plain"):
        target = worker.send(command, request_id="r", remaining_ms=600_000)
        for _ in range(2):
            worker.send("cancel", {"id": target, "reason": "timeout"})
        assert worker.answer(target)["error"]["code"] == "TIMEOUT"
        assert len(stack(worker, command)) == 1


def test_a_client_that_has_changed_its_mind_is_no_reason_for_a_stack(start):
    worker = start(STUCK)
    target = worker.send("direct", request_id="r")
    worker.send("cancel", {"id": target, "reason": "client"})
    assert worker.answer(target)["error"]["code"] == "CANCELLED"
    assert worker.result("quick", {"seconds": 0}, remaining_ms=60_000) == "in time"
    assert worker.stderr() == ""


def test_a_deep_stack_shows_both_of_its_ends(start):
    worker = start(STUCK)
    worker.call("deep", {"n": 300}, request_id="r", remaining_ms=100)
    [text] = stack(worker, "deep")
    assert "frames are left out" in text and text.count("\n  File ") == 24 and len(text) < 8000
    assert "while not ctx.cancelled" in text.splitlines()[-1]


def test_a_command_that_never_began_says_so(start):
    worker = start(STUCK)
    running = worker.send("plain", request_id="first")
    waiting = worker.send("plain", request_id="second", remaining_ms=50)
    worker.wait_stderr("command plain (request 'second') is over its time; it waits for a free thread")
    worker.send("cancel", {"id": running})
    assert worker.answer(waiting)["error"]["code"] == "TIMEOUT"


def test_a_storm_of_timeouts_does_not_fill_the_log(start):
    worker = start("    import bridgepool._overdue\n    bridgepool._overdue.STACKS_TIME = 2.0\n" + STUCK)
    targets = [worker.send("direct", request_id=f"r{i}", remaining_ms=50) for i in range(30)]
    for target in targets:
        assert worker.answer(target)["error"]["code"] == "TIMEOUT"
    log = worker.stderr()
    assert log.count("is over its time; it is here:") == 5 and log.count("are left out, after 5 in 2 s") == 1 and len(log.splitlines()) < 100
    time.sleep(2)  # the limit's own time
    worker.error("plain", request_id="later", remaining_ms=50)
    worker.wait_stderr("command plain (request 'later') is over its time; it is here:")
    assert "bridgepool: 24 more requests were over their time\n" in worker.stderr()


def test_a_blocked_loop_names_the_request(start):
    worker = start(STUCK)
    worker.result("blocks", {"seconds": 5}, request_id="r-9")
    assert "s in command blocks (request 'r-9'), and nothing else" in worker.stderr()


def test_a_plain_command_keeps_its_thread_until_it_returns(start):
    worker = start("""
        import time
        from bridgepool import App
        app = App(threads=1)
        @app.command
        def block(seconds: float): time.sleep(seconds); return time.monotonic()
        """)
    began = time.monotonic()
    first = worker.send("block", {"seconds": 0.5}, remaining_ms=100)
    second = worker.send("block", {"seconds": 0})
    assert worker.next_frame()["id"] == first
    assert worker.answer(second)["result"] - began >= 0.5


# ---- parts ----

FLOOD = """
    import sys
    from bridgepool import App
    app = App()
    def tell(i): print("part", i, file=sys.stderr, flush=True)
    @app.command
    def plain(n: int, *, ctx):
        for i in range(n): tell(i); ctx.partial("x" * 65536)
        return "done"
    @app.command
    async def quick(n: int, *, ctx):
        for i in range(n): tell(i); await ctx.partial("x" * 65536)
        return "done"
    @app.command
    def unwanted(n: int, *, ctx):
        for i in range(n): ctx.partial(object())
        return "done"
"""


@pytest.mark.parametrize("command", ["plain", "quick"])
def test_parts_that_nobody_reads_hold_up_who_sends_them(start, command):
    worker = start(FLOOD)
    call_id = worker.send(command, {"n": 200}, stream=True)
    worker.wait_stderr("part 15\n")
    seen = None
    while seen != (seen := worker.stderr().count("part")):  # until it stands still
        time.sleep(0.3)
    assert seen < 60  # a MiB or two on their way, not all 13
    parts = []
    assert worker.answer(call_id, parts)["result"] == "done" and len(parts) == 200


def test_a_flood_of_parts_ends_with_its_request(start):
    worker = start(FLOOD)
    call_id = worker.send("plain", {"n": 200}, stream=True, remaining_ms=700)
    worker.wait_stderr("is over its time")
    assert worker.answer(call_id, [])["id"] == call_id


def test_parts_that_nobody_wants_are_not_even_looked_at(start):
    worker = start(FLOOD)
    began = time.monotonic()
    assert worker.result("unwanted", {"n": 200_000}) == "done"  # an object() is no JSON
    assert time.monotonic() - began < 5


# ---- what was used up ----


def test_usage_is_summed_over_calls_and_models(start):
    worker = start("""
        from bridgepool import App, CommandError
        app = App()
        BY_MODEL = {"openai/a": {"prompt_tokens": 10, "completion_tokens": 4, "details": {"cached": 3}, "flag": True, "none": None},
                    "openai/b": {"prompt_tokens": 1, "cost": 0.5}}
        @app.command
        async def ask(how: str, *, ctx):
            if how == "models": ctx.usage(BY_MODEL); ctx.usage(BY_MODEL)
            if how == "nothing": ctx.usage({}); ctx.usage(None)
            if how == "odd": ctx.usage({"prompt_tokens": float("nan"), "name": "m", "pages": 2})
            if how == "fails": ctx.usage(tokens=3); raise CommandError("no")
        """)
    assert worker.call("ask", {"how": "models"})["usage"] == {"prompt_tokens": 22, "completion_tokens": 8, "details.cached": 6, "cost": 1.0}
    assert "usage" not in worker.call("ask", {"how": "nothing"})
    assert worker.call("ask", {"how": "odd"})["usage"] == {"pages": 2}
    assert worker.call("ask", {"how": "fails"})["usage"] == {"tokens": 3}


# ---- spans ----

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACED = """
    import asyncio
    from bridgepool import App, CommandError
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    app = App()
    kept = InMemorySpanExporter()
    @app.startup
    def load():
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(kept))
        trace.set_tracer_provider(provider)
    @app.command
    async def ask(session, how: str, *, ctx):
        ctx.usage(tokens=3)
        with trace.get_tracer("app").start_as_current_span("inner"): await asyncio.sleep(0)
        if how == "no": raise CommandError("NO_SUCH_THING", "there is none")
        if how == "bug": raise ValueError("a bug")
        if how == "slow": await asyncio.sleep(600)
        if how == "group": raise ExceptionGroup("of one", [CommandError("NO_SUCH_THING", "there is none")])
        return ctx.traceparent
    @app.command
    def plain():
        with trace.get_tracer("app").start_as_current_span("inner"): return "done"
    @app.command
    async def spans():
        found = [dict(name=s.name, kind=s.kind.name, trace=format(s.context.trace_id, "032x"), id=format(s.context.span_id, "016x"),
                      parent=s.parent and format(s.parent.span_id, "016x"), status=s.status.status_code.name, said=s.status.description,
                      events=[e.name for e in s.events], attributes=dict(s.attributes)) for s in kept.get_finished_spans()]
        kept.clear()
        return found
"""


def spans(worker):
    return {span["name"]: span for span in worker.result("spans")}


def test_each_command_is_a_span_of_its_clients_trace(start):
    worker = start(TRACED, env={"BRIDGEPOOL_POOL": "p", "BRIDGEPOOL_WORKER_ID": "p/0.1"})
    spans(worker)
    meta = dict(headers={"traceparent": PARENT}, request_id="r1", attempt=2, source={"topic": "t", "partition": 3, "offset": 41}, session="s1")
    assert worker.result("ask", {"how": "well"}, **meta) == PARENT
    found = spans(worker)
    span, inner = found["ask"], found["inner"]
    assert (span["trace"], span["parent"], span["kind"], span["status"]) == (PARENT[3:35], PARENT[36:52], "CONSUMER", "UNSET")
    assert (inner["trace"], inner["parent"]) == (span["trace"], span["id"])
    assert span["attributes"] == {
        "messaging.system": "kafka", "messaging.operation.type": "process", "messaging.operation.name": "process",
        "messaging.destination.name": "t", "messaging.destination.partition.id": "3", "messaging.kafka.offset": 41, "bridgepool.command": "ask",
        "bridgepool.request_id": "r1", "bridgepool.session_id": "s1", "bridgepool.attempt": 2, "bridgepool.pool": "p",
        "bridgepool.worker_id": "p/0.1", "bridgepool.usage.tokens": 3}
    assert worker.result("plain", headers={"traceparent": PARENT}) == "done"
    found = spans(worker)
    assert found["plain"]["parent"] == PARENT[36:52] and found["inner"]["parent"] == found["plain"]["id"]


@pytest.mark.parametrize("how, code, said, events", [
    ("no", "NO_SUCH_THING", "there is none", []), ("bug", "ValueError", "a bug", ["exception"]), ("slow", "TIMEOUT", "TIMEOUT", [])])
def test_a_span_tells_how_its_command_failed(start, how, code, said, events):
    worker = start(TRACED)
    assert worker.error("ask", {"how": how}, session="s", remaining_ms=100 if how == "slow" else 60_000)["code"] == code
    span = spans(worker)["ask"]
    assert (span["status"], span["said"], span["attributes"]["error.type"], span["events"]) == ("ERROR", said, code, events)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with 3.11")
def test_a_span_of_an_error_alone_in_a_group_tells_that_one(start):
    worker = start(TRACED)
    assert worker.error("ask", {"how": "group"}, session="s")["code"] == "NO_SUCH_THING"
    span = spans(worker)["ask"]
    assert (span["said"], span["attributes"]["error.type"], span["events"]) == ("there is none", "NO_SUCH_THING", [])


def test_a_request_without_a_trace_begins_one(start):
    worker = start(TRACED)
    for headers in ({}, {"traceparent": "nonsense"}, ["odd"]):
        worker.result("plain", headers=headers)
        span = spans(worker)["plain"]
        assert span["parent"] is None and int(span["trace"], 16) != 0


def test_sessions_side_by_side_keep_their_traces_apart(start):
    worker = start(TRACED)
    ids = [worker.send("ask", {"how": "well"}, session=f"s{i}", headers={"traceparent": f"00-{i:032x}-{i:016x}-01"}) for i in range(1, 9)]
    for call_id in ids:
        assert worker.answer(call_id)["success"]
    found = worker.result("spans")
    asked = {s["id"]: s for s in found if s["name"] == "ask"}
    assert {s["trace"] for s in asked.values()} == {f"{i:032x}" for i in range(1, 9)}
    assert all(s["trace"] == asked[s["parent"]]["trace"] for s in found if s["name"] == "inner")


def test_without_opentelemetry_nothing_of_it_is_loaded(start):
    worker = start("""
        import sys
        from bridgepool import App
        app = App()
        @app.command
        async def ask(*, ctx): return [ctx.traceparent, [m for m in sys.modules if m.startswith("opentelemetry")]]
        """)
    assert worker.result("ask", headers={"traceparent": PARENT}) == [PARENT, []]
    assert worker.result("ask") == [None, []]
