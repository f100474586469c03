"""The worker process over its pipes: protocol, life, sessions, deadlines. No DSPy."""

import json
import os
import signal
import struct
import subprocess
import sys
import time

import pytest
from conftest import PACKAGE, frame

HELLO = """
from bridgepool import App
app = App(version="3.2.1")

@app.command
async def greet(name: str) -> dict:
    return {"text": "hello " + name}
"""


def test_first_ping_says_what_the_daemon_reads(start):
    worker = start(HELLO)
    hello = worker.hello
    assert hello["protocol"] == 1
    assert hello["version"] == "3.2.1"
    assert hello["concurrency"] == 32
    assert hello["commands"] == ["greet"]
    assert hello["capabilities"] == ["partial", "cancel", "ping_busy"]  # no session interests it
    assert worker.result("greet", {"name": "Ada"}) == {"text": "hello Ada"}


def test_concurrency_follows_the_kind_of_commands(start):
    worker = start("""
        from bridgepool import App
        app = App(threads=5)
        @app.command
        def plain(session): return 1
        """)
    assert worker.hello["concurrency"] == 5
    assert "sessions" in worker.hello["capabilities"]


def test_unknown_command_names_the_known_ones(start):
    error = start(HELLO).error("gret")
    assert error["code"] == "UNKNOWN_COMMAND"
    assert error["details"] == {"commands": ["greet"]}
    assert error["retriable"] is False


def test_unknown_members_are_ignored(start):
    worker = start(HELLO)
    worker.write(frame(b'{"x": [1], "id": 77, "command": "greet", "args": {"name": "a"}, "meta": {"later": {}}, "more": null}'))
    assert worker.answer(77)["result"] == {"text": "hello a"}


def test_frames_in_pieces_and_many_at_once(start):
    worker = start(HELLO)
    names = [f"n{i}" * (i * 40) for i in range(60)]
    stream = b"".join(frame(json.dumps({"id": 1000 + i, "command": "greet", "args": {"name": n}}).encode()) for i, n in enumerate(names))
    for cut in range(0, 400, 7):  # the first ones in small pieces
        worker.write(stream[cut : cut + 7])
    worker.write(stream[cut + 7 :])
    for i, name in enumerate(names):
        message = worker.next_frame()
        assert message == {"id": 1000 + i, "success": True, "result": {"text": "hello " + name}}


def test_large_arguments_and_results(start):
    worker = start(HELLO)
    name = "ü" * 3_000_000
    assert worker.result("greet", {"name": name}) == {"text": "hello " + name}


def test_a_slow_reader_holds_up_nobody_else(start):
    """Answers that nobody takes wait in the worker; it goes on, and loses none."""
    worker = start("""
        from bridgepool import App
        app = App()
        @app.command
        async def big(n: int): return "x" * n
        """)
    ids = [worker.send("big", {"n": 300_000}) for _ in range(20)]  # 6 MB, nothing read meanwhile
    for call_id in ids:
        assert len(worker.answer(call_id)["result"]) == 300_000


@pytest.mark.parametrize("body", [b"{", b"[]", b"nonsense", b'{"id": "x"}', b"\xff\xfe", b"", b'{"command": "greet"}'])
def test_a_frame_that_is_no_call_costs_nothing_else(start, body):
    worker = start(HELLO)
    worker.write(frame(body))
    assert worker.result("greet", {"name": "b"}) == {"text": "hello b"}
    assert worker.process.poll() is None


def test_a_broken_call_with_an_id_is_answered(start):
    worker = start(HELLO)
    worker.write(frame(b'{"id": 55, "command": "greet", "args": {"name": '))
    assert worker.answer(55)["error"]["code"] == "INVALID_CALL"
    worker.write(frame(b'{"id":56,"command":"greet","args":' + b"[" * 200_000 + b"]" * 200_000 + b"}"))
    assert worker.answer(56)["error"]["code"] == "INVALID_CALL"
    worker.write(frame(b'{"id":57,"command":"greet","args":[]}'))
    assert worker.answer(57)["error"]["code"] == "INVALID_ARGUMENTS"


def test_an_odd_call_costs_no_other_its_answer(start):
    """They come in one write, so mostly in one read."""
    worker = start(HELLO)
    odd = [
        {"command": "cancel", "args": {"id": [1]}},
        {"command": "cleanup_session", "args": {"session_id": {}}},
        {"command": "open_session", "args": {}, "meta": {"session": 7}},
        {"command": "greet", "args": {"name": "x"}, "meta": {"remaining_ms": 10**400}},
        {"command": "greet", "args": {"name": "x"}, "meta": {"remaining_ms": "soon", "session": {"id": []}, "headers": None}},
        {"command": ["greet"]},
        {"command": "greet", "args": {"\ud800": 1}},
        {"command": "greet", "args": {"name": "x"}},
    ]
    worker.write(b"".join(frame(json.dumps({"id": i, **call}).encode()) for i, call in enumerate(odd, 100)))
    good = [worker.answer(i)["success"] for i in range(100, 100 + len(odd))]
    assert good == [True, False, False, True, True, False, False, True]


def test_a_length_over_the_limit_ends_the_worker(start):
    worker = start(HELLO, env={"BRIDGEPOOL_MAX_FRAME_BYTES": "100000"})
    worker.write(struct.pack(">I", 1 << 30))
    assert worker.next_frame() is None
    assert worker.wait() == 76
    assert "1073741824" in worker.stderr()


# ---- what the application prints ----


def test_prints_never_reach_the_frames(start):
    worker = start("""
        import ctypes, os, subprocess, sys
        print("print at import")
        os.write(1, b"descriptor one at import\\n")
        from bridgepool import App
        app = App()
        @app.startup
        def load(): print("print at startup")
        @app.command
        async def noisy(session):
            print("print in command")
            os.write(1, b"descriptor one\\n")
            sys.__stdout__.write("dunder stdout\\n")
            subprocess.run([sys.executable, "-c", "print('child process')"])
            libc = ctypes.CDLL(None)
            libc.puts(b"from C")
            libc.fflush(None)
            return {"stdin": sys.stdin.read(), "child": subprocess.run(["cat"], stdout=subprocess.PIPE).stdout.decode()}
        """)
    assert worker.result("noisy", session="s") == {"stdin": "", "child": ""}
    for text in ("print at import", "descriptor one at import", "print at startup", "print in command", "descriptor one\n", "dunder stdout", "child process", "from C"):
        worker.wait_stderr(text)


def test_no_child_holds_the_pipes(start):
    """A child process that outlives a command must not keep the daemon waiting for the end of the output."""
    worker = start("""
        import subprocess
        from bridgepool import App
        app = App()
        child = None
        @app.command
        async def fork():
            global child
            child = subprocess.Popen(["sleep", "600"], close_fds=False)
            return child.pid
        """)
    pid = worker.result("fork")
    try:
        assert worker.close() == 0
    finally:
        os.kill(pid, signal.SIGKILL)


# ---- starting and ending ----


@pytest.mark.parametrize(
    "source, last",
    [
        ("import not_there_at_all\n", "bridgepool: app:app cannot be loaded: ModuleNotFoundError: No module named 'not_there_at_all' (APP, line 1)"),
        ("def broken(:\n", "bridgepool: app:app cannot be loaded: SyntaxError: invalid syntax (APP, line 1)"),
        ("raise RuntimeError('no key')\n", "bridgepool: app:app cannot be loaded: RuntimeError: no key (APP, line 1)"),
        ("import json\njson.loads('{')\n", "bridgepool: app:app cannot be loaded: JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1) (APP, line 2)"),
        ("import sys\nsys.exit('giving up')\n", "bridgepool: app:app cannot be loaded: SystemExit: giving up (APP, line 2)"),
        ("raise RuntimeError()\n", "bridgepool: app:app cannot be loaded: RuntimeError (APP, line 1)"),
        ("from bridgepool import App\nother = App()\n@other.command\ndef f(): pass\n", "bridgepool: app has no 'app'; did you mean app:other?"),
        ("app = 5\n", "bridgepool: app has a int, not an App, named 'app'; make one with app = bridgepool.App()"),
        ("from bridgepool import App\napp = App()\n", "bridgepool: the app has no commands; put @app.command above a function"),
    ],
)
def test_what_cannot_be_loaded_exits_78_with_the_reason_last(start, tmp_path, source, last):
    worker = start(source, ping=False)
    assert worker.next_frame() is None
    assert worker.wait() == 78
    assert worker.stderr().rstrip("\n").splitlines()[-1] == last.replace("APP", str(tmp_path / "app.py"))


def test_a_module_that_is_not_there_is_no_traceback(start, tmp_path):
    worker = start("", target="nowhere.deep:app", ping=False)
    assert worker.wait() == 78
    assert worker.stderr().startswith(f"bridgepool: there is no module 'nowhere' in {tmp_path} or elsewhere") and worker.stderr().count("\n") == 1


def test_an_annotation_that_cannot_be_checked_is_named(start):
    worker = start(
        """
        from bridgepool import App
        app = App()
        class Odd: pass
        @app.command
        def f(session, what: Odd): pass
        """,
        ping=False,
    )
    assert worker.wait() == 78
    last = worker.stderr().splitlines()[-1]
    assert "command 'f'" in last and "'what'" in last and "Odd" in last


def test_no_traceback_of_the_sdk_in_front_of_the_users(start):
    worker = start("import not_there_at_all\n", ping=False)
    assert worker.wait() == 78
    assert "_loading.py" not in worker.stderr() and "importlib" not in worker.stderr()
    assert "app.py" in worker.stderr()


def test_a_failing_startup_exits_1_with_its_reason(start):
    worker = start(HELLO + "\n@app.startup\nasync def load(): raise OSError('no database')\n", ping=False)
    worker.send("ping", {"initialization": True})
    assert worker.next_frame() is None
    assert worker.wait() == 1
    assert worker.stderr().rstrip().splitlines()[-1].startswith("bridgepool: the app's startup failed: OSError: no database (")


def test_startup_runs_before_the_first_answer(start):
    worker = start("""
        import asyncio, threading
        from bridgepool import App
        app = App()
        seen = []
        @app.startup
        def plain(): seen.append(threading.current_thread() is threading.main_thread())
        @app.startup
        async def later():
            await asyncio.sleep(0.05)
            seen.append("async")
        @app.command
        async def what(): return seen
        """)
    assert worker.result("what") == [True, "async"]


def test_a_file_path_names_the_app_too(start, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "beside.py").write_text("word = 'beside'\n")
    (tmp_path / "deep" / "my_app.py").write_text("import beside\nfrom bridgepool import App\nmine = App()\n@mine.command\nasync def f(): return beside.word\n")
    assert start(target="deep/my_app.py:mine").result("f") == "beside"


ENDINGS = """
    import asyncio, pathlib
    from bridgepool import App
    app = App()
    log = open("log", "a", buffering=1)
    @app.session_end
    async def bye(session, reason): print("session", session.id, reason, file=log)
    @app.shutdown
    def down(): print("down", file=log)
    @app.command
    async def slow(session, seconds: float):
        print("began", file=log)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            print("cancelled", file=log)
            raise
        return "slept"
"""


def wait_log(tmp_path, text, patience=30):
    until = time.monotonic() + patience
    while not (tmp_path / "log").exists() or text not in (tmp_path / "log").read_text():
        assert time.monotonic() < until, f"{text!r} never came"
        time.sleep(0.01)


def test_the_end_of_input_lets_running_commands_finish(start, tmp_path):
    worker = start(ENDINGS)
    call_id = worker.send("slow", {"seconds": 0.3}, session="s")
    assert worker.result("shutdown")["status"] == "shutting_down"
    assert worker.error("slow", {"seconds": 0}, session="s")["code"] == "SHUTTING_DOWN"
    assert worker.close() == 0
    assert worker.answer(call_id)["result"] == "slept"
    assert (tmp_path / "log").read_text().splitlines() == ["began", "session s shutdown", "down"]


def test_sigterm_ends_in_order(start, tmp_path):
    worker = start(ENDINGS)
    call_id = worker.send("slow", {"seconds": 0.3}, session="s")
    wait_log(tmp_path, "began")
    worker.process.send_signal(signal.SIGTERM)
    assert worker.answer(call_id)["result"] == "slept"
    assert worker.next_frame() is None
    assert worker.wait() == 0
    assert (tmp_path / "log").read_text().splitlines() == ["began", "session s shutdown", "down"]


def test_what_does_not_finish_is_cancelled_after_the_grace_and_not_answered(start, tmp_path):
    """Nobody wanted its end: the daemon knows whether it may run again."""
    worker = start(ENDINGS, env={"BRIDGEPOOL_STOP_GRACE": "0.2"})
    worker.send("slow", {"seconds": 600}, session="s")
    wait_log(tmp_path, "began")
    assert worker.close() == 0
    assert worker.kept == []
    assert (tmp_path / "log").read_text().splitlines() == ["began", "cancelled", "session s shutdown", "down"]


@pytest.mark.parametrize("how, grace", [("signal", "8"), ("end of input", "4")])
def test_what_answers_although_the_end_has_cancelled_it_is_heard(start, tmp_path, how, grace):
    worker = start(
        """
        import asyncio, threading
        from bridgepool import App, CommandError
        app = App(threads=1)
        log = open("log", "a", buffering=1)
        @app.session_start
        async def hello(session):
            if session.id == "slow": await asyncio.sleep(600)
        @app.command
        async def saves():
            try: await asyncio.sleep(600)
            except asyncio.CancelledError: return "saved so far"
        @app.command
        async def says_why():
            try: await asyncio.sleep(600)
            except asyncio.CancelledError: raise CommandError("HALF_DONE") from None
        @app.command
        async def leaves(): await asyncio.sleep(600)
        @app.command
        async def fails():
            try: await asyncio.sleep(600)
            except asyncio.CancelledError: raise ValueError("by its end")
        @app.command
        async def greets(session): pass
        @app.command
        def asked(*, ctx):
            print("began", file=log)
            while not ctx.cancelled: threading.Event().wait(0.005)
            return "asked to end"
        @app.command
        def waits(): return "never"
        """,
        env={"BRIDGEPOOL_STOP_GRACE": grace},
    )
    call_ids = {name: worker.send(name) for name in ("saves", "says_why", "leaves", "fails", "asked", "waits")}
    worker.send("greets", session="slow")
    worker.send("open_session", session="slow")
    wait_log(tmp_path, "began")
    worker.result("ping")
    if how == "signal":
        worker.process.send_signal(signal.SIGTERM)
        while (message := worker.next_frame()) is not None:
            worker.kept.append(message)
        assert worker.wait() == 0
    else:
        assert worker.close() == 0
    answers = {message["id"]: message.get("result") or message["error"]["code"] for message in worker.kept}
    assert answers == {call_ids["saves"]: "saved so far", call_ids["says_why"]: "HALF_DONE", call_ids["asked"]: "asked to end"}


def test_a_second_signal_ends_at_once(start, tmp_path):
    worker = start(ENDINGS, env={"BRIDGEPOOL_STOP_GRACE": "600"})
    worker.send("slow", {"seconds": 600}, session="s")
    wait_log(tmp_path, "began")
    worker.process.send_signal(signal.SIGTERM)
    until = time.monotonic() + 30
    while worker.process.poll() is None and time.monotonic() < until:
        worker.process.send_signal(signal.SIGTERM)
        time.sleep(0.02)
    assert worker.wait() == 143


MANY_ENDS = """
    import asyncio, threading, time
    from bridgepool import App
    app = App(threads=1)
    log = open("log", "a", buffering=1)
    @app.session_end
    async def bye(session, reason):
        await asyncio.sleep(0.05)
        print("session", session.id, reason, file=log)
    @app.shutdown
    def down(): print("down", file=log)
    @app.command
    async def touch(session): pass
    @app.command
    def block(session):
        print("began", file=log)
        threading.Event().wait()
"""


def test_a_signal_after_the_end_of_the_input_leaves_the_hooks_their_time(start, tmp_path):
    """As the daemon does it: the input is closed, then comes SIGTERM, then SIGKILL, with stop_grace between."""
    worker = start(MANY_ENDS, env={"BRIDGEPOOL_STOP_GRACE": "4"})
    for i in range(60):
        worker.result("touch", session=f"s{i}")
    worker.send("block", session="stuck")
    wait_log(tmp_path, "began")
    began = time.monotonic()
    worker.process.stdin.close()
    time.sleep(0.1)  # it has seen it; should it not have, it is the signal that tells it
    worker.process.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert time.monotonic() - began < 10
    log = (tmp_path / "log").read_text().splitlines()
    assert sorted(log[1:-1]) == sorted(f"session s{i} shutdown" for i in range(60)) and log[-1] == "down"
    assert "1 of 61 sessions end without their session_end" in worker.stderr()  # not beside its command


def test_a_signal_after_the_end_of_the_input_ends_what_runs(start, tmp_path):
    worker = start(ENDINGS, env={"BRIDGEPOOL_STOP_GRACE": "14"})
    worker.send("slow", {"seconds": 600}, session="s")
    wait_log(tmp_path, "began")
    began = time.monotonic()
    worker.process.stdin.close()
    time.sleep(0.1)  # as above
    worker.process.send_signal(signal.SIGTERM)
    assert worker.next_frame() is None
    assert worker.wait() == 0
    assert time.monotonic() - began < 10  # it had had its time
    assert (tmp_path / "log").read_text().splitlines() == ["began", "cancelled", "session s shutdown", "down"]


def test_hooks_that_take_too_long_do_not_hold_the_end(start, tmp_path):
    worker = start(
        """
        import asyncio
        from bridgepool import App
        app = App()
        @app.session_end
        async def bye(session, reason): await asyncio.sleep(600)
        @app.shutdown
        def down(): open("log", "w").write("down")
        @app.command
        async def touch(session): pass
        """,
        env={"BRIDGEPOOL_STOP_GRACE": "0.4"},
    )
    worker.result("touch", session="s")
    assert worker.close() == 0
    assert (tmp_path / "log").read_text() == "down"
    assert "1 of 1 sessions end without their session_end" in worker.stderr() and "never retrieved" not in worker.stderr()


def test_a_signal_shows_what_holds_the_interpreter(start, tmp_path):
    worker = start("""
        import ctypes
        from bridgepool import App
        app = App()
        @app.command
        async def hold():
            open("log", "w").write("began")
            ctypes.PyDLL(None).sleep(600)  # a call that keeps the interpreter's lock
        """)
    worker.send("hold")
    wait_log(tmp_path, "began")
    worker.process.send_signal(signal.SIGTERM)
    worker.wait_stderr("in hold")


def test_a_signal_shows_what_a_start_waits_for(start, tmp_path):
    worker = start("import time\nopen('log', 'w').write('began')\ntime.sleep(600)\n", ping=False)
    wait_log(tmp_path, "began")
    worker.process.send_signal(signal.SIGTERM)
    assert worker.wait() == -signal.SIGTERM
    assert "app.py\", line 3 in <module>" in worker.stderr()


def test_a_daemon_that_is_gone_ends_the_worker(start, tmp_path):
    worker = start(ENDINGS)
    worker.process.stdout.close()
    worker.send("ping")
    assert worker.wait() == 0
    assert "down" in (tmp_path / "log").read_text()


def test_an_input_that_ends_inside_a_frame_is_told(start):
    worker = start(HELLO)
    worker.write(b"\0\0\0\x20{")
    assert worker.close() == 76
    assert "inside a frame" in worker.stderr()


def test_calls_from_a_file(start, tmp_path):
    (tmp_path / "calls").write_bytes(frame(b'{"id": 1, "command": "greet", "args": {"name": "file"}}'))
    with open(tmp_path / "calls", "rb") as calls:
        worker = start(HELLO, ping=False, stdin=calls)
        assert worker.next_frame() == {"id": 1, "success": True, "result": {"text": "hello file"}}
        assert worker.next_frame() is None
        assert worker.wait() == 0


def test_usage(tmp_path):
    for arguments in ([], ["--help"], ["a:app", "b:app"]):
        done = subprocess.run([sys.executable, "-m", "bridgepool.worker", *arguments], env={**os.environ, "PYTHONPATH": str(PACKAGE)}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        assert done.returncode == 64 and b"usage:" in done.stderr and not done.stdout


def test_a_worker_imports_nothing_it_does_not_need(start):
    worker = start("""
        import sys
        before = set(sys.modules)
        from bridgepool import App
        app = App()
        @app.command
        async def modules(): return sorted(m.split(".")[0] for m in sys.modules)
        """)
    loaded = worker.result("modules")
    for heavy in ("dspy", "argparse", "pydantic", "email", "urllib", "http", "multiprocessing", "unittest"):
        assert heavy not in loaded


# ---- sessions ----

SESSIONS = """
    from bridgepool import App, CommandError
    app = App()
    log = []
    @app.session_start
    async def open(session):
        log.append(["start", session.id, session.epoch, session.new])
        if session.id == "bad": raise CommandError("NO_ROOM", "full")
        session["notes"] = []
    @app.session_end
    def close(session, reason): log.append(["end", session.id, session.epoch, reason])
    @app.command
    async def add(session, note: str):
        session["notes"].append(note)
        return {"notes": session["notes"], "id": session.id, "epoch": session.epoch, "new": session.new}
    @app.command
    def plain(session): return session["notes"]
    @app.command
    async def maybe(session=None): return None if session is None else session.id
    @app.command
    async def history(): return log
"""


def session(name, epoch="e1", new=False):
    return {"id": name, "epoch": epoch, "new": new}


def test_a_session_keeps_its_state(start):
    worker = start(SESSIONS)
    assert worker.result("open_session", session=session("a", new=True)) == {"session_id": "a", "opened": True}
    first = worker.result("add", {"note": "1"}, session=session("a", new=True))
    assert first == {"notes": ["1"], "id": "a", "epoch": "e1", "new": True}
    assert worker.result("add", {"note": "x"}, session=session("b", new=True))["notes"] == ["x"]
    again = worker.result("add", {"note": "2"}, session=session("a"))
    assert again == {"notes": ["1", "2"], "id": "a", "epoch": "e1", "new": False}
    assert worker.result("plain", session=session("a")) == ["1", "2"]
    assert worker.result("history") == [["start", "a", "e1", True], ["start", "b", "e1", True]]


def test_a_session_begins_at_its_first_request_if_nobody_opened_it(start):
    worker = start(SESSIONS)
    assert worker.result("plain", session=session("a", new=True)) == []
    assert worker.result("add", {"note": "1"}, session=session("a"))["notes"] == ["1"]
    assert [entry[0] for entry in worker.result("history")] == ["start"]


def test_a_new_life_drops_the_old_state(start):
    worker = start(SESSIONS)
    worker.result("add", {"note": "old"}, session=session("a", "e1", True))
    assert worker.result("add", {"note": "new"}, session=session("a", "e2", True))["notes"] == ["new"]
    assert worker.result("history") == [["start", "a", "e1", True], ["end", "a", "e1", "replaced"], ["start", "a", "e2", True]]


def test_the_end_of_a_session(start):
    worker = start(SESSIONS)
    worker.result("add", {"note": "1"}, session=session("a", new=True))
    assert worker.result("cleanup_session", {"session_id": "a", "reason": "ttl"}) == {"session_id": "a", "status": "cleaned"}
    assert worker.result("cleanup_session", {"session_id": "a", "reason": "ttl"})["status"] == "not_found"
    assert worker.result("cleanup_session", {"session_id": "never", "reason": "ttl"})["status"] == "not_found"
    assert worker.result("history")[-1] == ["end", "a", "e1", "ttl"]
    assert worker.result("add", {"note": "2"}, session=session("a", "e2", True))["notes"] == ["2"]


def test_a_session_that_cannot_start(start):
    worker = start(SESSIONS)
    assert worker.error("open_session", session=session("bad", new=True)) == {"code": "NO_ROOM", "message": "full", "retriable": False}
    assert worker.error("add", {"note": "1"}, session=session("bad", new=True))["code"] == "NO_ROOM"


def test_a_hook_of_a_session_that_raises_is_named_once(start):
    worker = start("""
from bridgepool import App
app = App()
@app.session_start
def begin(session):
    if session.id != "good": raise OSError("no place for it")
@app.session_end
def end(session, reason): raise OSError("no place left")
@app.command
def ask(session): pass
""")
    assert worker.error("open_session", session=session("one", new=True))["code"] == "OSError"
    assert worker.error("ask", session=session("two", new=True))["code"] == "OSError"
    worker.result("ask", session=session("good", new=True))
    assert worker.error("cleanup_session", {"session_id": "good", "reason": "ttl"})["code"] == "OSError"
    worker.wait_stderr("no place left")
    for what in ("session_start of session 'one'", "session_start of session 'two'", "session_end of session 'good'"):
        assert worker.stderr().count(f"bridgepool: {what} failed\n") == 1, worker.stderr()
    assert worker.stderr().count("bridgepool: ") == 3


def test_a_command_that_needs_a_session_says_so(start):
    worker = start(SESSIONS)
    error = worker.error("add", {"note": "1"})
    assert error["code"] == "INVALID_ARGUMENTS" and error["details"]["field"] == "session"
    assert worker.result("maybe") is None
    assert worker.result("maybe", session=session("a", new=True)) == "a"


def test_a_session_without_an_epoch_lives_for_one_request(start):
    """As pools with state = "none" send them: nobody would say when what is kept of it could go."""
    worker = start("""
        from bridgepool import App
        app = App()
        log = []
        @app.session_start
        def opened(session): log.append("start")
        @app.session_end
        def ended(session, reason): log.append(reason)
        @app.command
        async def add(session): session["n"] = session.get("n", 0) + 1; return [session["n"], session.id, session.epoch, session.new]
        @app.command
        def plain(session): session["n"] = session.get("n", 0) + 1; return session["n"]
        @app.command
        async def history(): return log
        """)
    brief = {"id": "s", "new": False}
    for _ in range(3):
        assert worker.result("add", session=brief) == [1, "s", None, True]
        assert worker.result("plain", session=brief) == 1
    assert worker.result("ping")["sessions"] == 0 and worker.result("history") == []
    assert [worker.result("add", session=session("s"))[0], worker.result("add", session=brief)[0], worker.result("add", session=session("s"))[0]] == [1, 1, 2]
    assert worker.result("ping")["sessions"] == 1 and worker.result("history") == ["start"]


def test_callers_without_meta_name_the_session_in_args(start):
    worker = start(SESSIONS)
    assert worker.result("add", {"note": "1", "session_id": "s"})["notes"] == ["1"]
    assert worker.result("add", {"note": "2", "session_id": "s"})["notes"] == ["1", "2"]


def test_session_calls_without_hooks_or_state(start):
    worker = start(HELLO)
    assert worker.result("open_session", {"session_id": "s"})["opened"] is True
    assert worker.result("greet", {"name": "a"}, session="s") == {"text": "hello a"}
    assert worker.result("cleanup_session", {"session_id": "s", "reason": "ended"})["status"] == "cleaned"
    assert worker.error("open_session")["code"] == "INVALID_ARGUMENTS"


# ---- deadlines, cancel, busy ----

SLOW = """
    import asyncio, threading, time
    from bridgepool import App
    app = App(threads=2)
    stopped = []
    @app.command
    async def sleep(seconds: float, *, ctx):
        try:
            await asyncio.sleep(seconds)
        finally:
            stopped.append(ctx.cancelled)
        return {"remaining": ctx.remaining}
    @app.command
    def spin(*, ctx):
        while not ctx.cancelled: time.sleep(0.005)
        raise RuntimeError("gave up")
    @app.command
    def block(seconds: float): time.sleep(seconds); return "done"
    @app.command
    async def current():
        before = asyncio.current_task()
        await asyncio.sleep(0)
        return [before is asyncio.current_task(), isinstance(before, asyncio.Task)]
    @app.command
    async def limited():
        try:
            await asyncio.wait_for(asyncio.sleep(60), 0.05)
        except asyncio.TimeoutError:
            return "timed out"
    @app.command
    async def what(): return stopped
"""


def test_the_deadline_cancels_an_async_command(start):
    worker = start(SLOW)
    began = time.monotonic()
    error = worker.error("sleep", {"seconds": 600}, remaining_ms=100)
    assert error == {"code": "TIMEOUT", "message": "sleep was stopped at its deadline", "retriable": False}
    assert 0.1 <= time.monotonic() - began < 30
    assert worker.result("what") == [True]


def test_the_context_knows_what_remains(start):
    worker = start(SLOW)
    assert 0 < worker.result("sleep", {"seconds": 0.01}, remaining_ms=30_000)["remaining"] < 30
    assert worker.result("sleep", {"seconds": 0.01})["remaining"] is None


def test_cancel_ends_an_async_command_and_is_answered_after_it(start):
    worker = start(SLOW)
    target = worker.send("sleep", {"seconds": 600})
    cancel = worker.send("cancel", {"id": target, "reason": "client"})
    assert worker.next_frame() == {"id": target, "success": False, "error": {"code": "CANCELLED", "message": "sleep was cancelled", "retriable": False}}
    assert worker.next_frame() == {"id": cancel, "success": True, "result": {"found": True}}
    assert worker.result("cancel", {"id": target}) == {"found": False}
    assert worker.result("cancel", {"id": 999}) == {"found": False}


def test_a_plain_command_is_asked_to_give_up(start):
    worker = start(SLOW)
    target = worker.send("spin")
    cancel = worker.send("cancel", {"id": target})
    assert worker.answer(target)["error"]["code"] == "CANCELLED"
    assert worker.answer(cancel)["result"] == {"found": True}
    assert worker.error("spin", remaining_ms=50)["code"] == "TIMEOUT"


def test_a_plain_command_that_waits_for_a_thread_can_be_cancelled(start):
    worker = start(SLOW)
    spinning = [worker.send("spin"), worker.send("spin")]
    waiting = worker.send("block", {"seconds": 0})
    cancelled = worker.send("cancel", {"id": waiting})
    for target in spinning:
        worker.send("cancel", {"id": target})
    assert worker.answer(waiting)["error"]["code"] == "CANCELLED"
    assert worker.answer(cancelled)["result"] == {"found": True}
    assert worker.result("block", {"seconds": 0}) == "done"


def test_what_waits_for_a_thread_is_answered_when_its_time_is_over(start):
    """The daemon sends as many as the asynchronous commands may be; that no thread is free is no fault of the worker."""
    worker = start("""
        import time
        from bridgepool import App
        app = App(threads=1)
        ran = []
        @app.session_start
        def opened(session): pass
        @app.command
        def spin(*, ctx):
            while not ctx.cancelled: time.sleep(0.005)
        @app.command
        def touch(name: str, *, ctx): ran.append(name)
        @app.command
        async def what(): return ran
        """)
    spinning = worker.send("spin")
    late = worker.send("touch", {"name": "late"}, remaining_ms=100, request_id="r9")
    unwanted = worker.send("touch", {"name": "unwanted"})
    cancel = worker.send("cancel", {"id": unwanted})
    assert worker.answer(unwanted)["error"] == {"code": "CANCELLED", "message": "it was over before a thread was free", "retriable": False}
    assert worker.answer(cancel)["result"] == {"found": True}
    assert worker.answer(late)["error"]["code"] == "TIMEOUT"
    worker.wait_stderr("command touch (request 'r9') is over its time; it waits for a free thread")
    assert worker.result("ping")["running"] == 1  # the first still has the thread
    worker.result("cancel", {"id": spinning})
    assert worker.result("touch", {"name": "next"}) is None and worker.result("what") == ["next"]
    assert all(message["id"] == spinning for message in worker.kept)


def test_plain_hooks_do_not_wait_for_plain_commands(start):
    """All threads are at work for others: the daemon waits for a hook only as long as a hook may take."""
    worker = start("""
        import time
        from bridgepool import App
        app = App(threads=2)
        log = []
        @app.session_start
        def begin(session): log.append("begin " + session.id)
        @app.session_end
        def end(session, reason): log.append(f"end {session.id} {reason}")
        @app.command
        def spin(session, *, ctx):
            while not ctx.cancelled: time.sleep(0.005)
        @app.command
        async def what(): return log
        """)
    spinning = [worker.send("spin", session="a"), worker.send("spin", session="b")]
    assert worker.result("open_session", {"session_id": "c"}) == {"session_id": "c", "opened": True}
    assert worker.result("cleanup_session", {"session_id": "c", "reason": "ttl"})["status"] == "cleaned"
    assert sorted(worker.result("what")) == ["begin a", "begin b", "begin c", "end c ttl"]
    assert worker.result("ping")["running"] == 2  # they still have the threads
    for target in spinning:
        worker.send("cancel", {"id": target})
        assert worker.answer(target)["success"]


def test_a_stack_that_cannot_be_shown_stops_no_cancel(start):
    worker = start("""
        import asyncio
        from bridgepool import App
        app = App()
        class Waits:
            def __init__(self): self.inner = asyncio.sleep(600).__await__()
            def __await__(self): return self
            def __iter__(self): return self
            def __next__(self): return next(self.inner)
            def send(self, value): return self.inner.send(value)
            def throw(self, *error): return self.inner.throw(*error)
            def __getattr__(self, name): raise RuntimeError("an odd awaitable")
        @app.command
        async def slow(): await Waits()
        """)
    assert worker.error("slow", remaining_ms=100)["code"] == "TIMEOUT"
    worker.wait_stderr("an odd awaitable")


def test_a_busy_worker_answers_pings(start):
    worker = start(SLOW)
    targets = [worker.send("sleep", {"seconds": 600}), worker.send("spin"), worker.send("spin")]
    assert worker.result("ping")["running"] == 3
    for target in targets:
        worker.result("cancel", {"id": target})
    assert worker.result("ping")["running"] == 0


def test_commands_run_side_by_side(start):
    worker = start(SLOW)
    targets = [worker.send("sleep", {"seconds": 0.3}) for _ in range(32)]
    began = time.monotonic()
    for target in targets:
        assert worker.answer(target)["success"]
    assert time.monotonic() - began < 32 * 0.3 / 2


def test_tasks_are_ordinary_tasks(start):
    worker = start(SLOW)
    assert worker.result("current") == [True, True]
    assert worker.result("limited") == "timed out"


# ---- parts and usage ----


def test_parts_come_before_the_answer_if_asked_for(start):
    worker = start("""
        from bridgepool import App
        app = App()
        @app.command
        async def tell(session=None, *, ctx):
            for word in ("a", "b"): await ctx.partial({"word": word})
            ctx.usage({"tokens": 3, "model": "m", "nested": {"in": 1, "flag": True, "none": None}})
            ctx.usage(tokens=4)
            return "end"
        @app.command
        def plain(*, ctx):
            for word in ("a", "b"): ctx.partial({"word": word})
            ctx.usage(tokens=1)
            raise ValueError("spent, then failed")
        @app.command
        async def flood(*, ctx):
            for i in range(3000): await ctx.partial("x" * 1000)
            return "end"
        """)
    for command in ("tell", "plain"):
        parts = []
        answer = worker.answer(worker.send(command, stream=True), parts)
        assert parts == [{"word": "a"}, {"word": "b"}]
    assert answer["usage"] == {"tokens": 1} and answer["error"]["code"] == "ValueError"
    answer = worker.call("tell")  # fails on parts that were not asked for
    assert answer["usage"] == {"tokens": 7, "nested.in": 1}
    parts = []
    assert worker.answer(worker.send("flood", stream=True), parts)["result"] == "end"
    assert len(parts) == 3000


def test_parts_from_a_thread_of_an_asynchronous_command(start):
    """asyncio's debug mode tells who uses the loop from outside."""
    worker = start(
        """
        import asyncio
        from bridgepool import App
        app = App()
        @app.command
        async def tell(n: int, *, ctx):
            def work():
                for i in range(n): ctx.partial({"i": i, "text": "x" * 1000})
            await asyncio.to_thread(work)
            await ctx.partial("last")
        """,
        env={"PYTHONASYNCIODEBUG": "1"},
    )
    for n in (3, 3000):
        parts = []
        assert worker.answer(worker.send("tell", {"n": n}, stream=True), parts)["success"]
        assert [part["i"] for part in parts[:-1]] == list(range(n)) and parts[-1] == "last"


# ---- errors and results ----

ERRORS = """
    import asyncio, dataclasses, datetime, enum, sys
    from bridgepool import App, CommandError, Retry
    app = App()
    class Odd(Exception):
        def __str__(self): raise RuntimeError("no text")
    class Color(enum.Enum): RED = "red"
    @dataclasses.dataclass
    class Point: x: int; when: datetime.date
    class Model:
        def model_dump(self): return {"dumped": [1]}
    @app.command
    async def fail(how: str):
        if how == "value": raise ValueError("it is wrong")
        if how == "empty": raise KeyError()
        if how == "odd": raise Odd()
        if how == "exit": sys.exit(3)
        if how == "interrupt": raise KeyboardInterrupt()
        if how == "cancelled": raise asyncio.CancelledError()
        if how == "retry": raise Retry("rate_limited", after=2.0)
        if how == "command": raise CommandError("NOT_FOUND", "no such thing", details={"id": 4})
        if how == "details": raise CommandError("X", "y", details={"o": object})
        if how == "long": raise ValueError("z" * 100_000)
        if how == "surrogate": raise ValueError("\\ud800")
        if how == "recursion":
            def deeper(): deeper()
            deeper()
    @app.command(name="plain-fail")
    def plain(how: str): 
        if how == "stop": raise StopIteration(5)
        if how == "exit": sys.exit(3)
        raise Retry("busy")
    @app.command()
    async def give(what: str):
        if what == "nan": return {"list": [1.0, {"deep": float("nan")}]}
        if what == "inf": return float("-inf")
        if what == "object": return {"a": [object()]}
        if what == "key": return {"a": {(1, 2): 3}}
        if what == "cycle":
            a = []; a.append(a); return a
        if what == "deep":
            a = []
            for _ in range(100_000): a = [a]
            return a
        if what == "surrogate": return "\\ud800"
        if what == "none": return None
        if what == "big": return 2 ** 70
        if what == "converted": return [Point(1, datetime.date(2026, 1, 2)), Model(), Color.RED, {4}, "é\\u2028"]
"""


def test_exceptions_become_errors_with_type_and_message(start):
    worker = start(ERRORS)
    assert worker.error("fail", {"how": "value"}) == {"code": "ValueError", "message": "it is wrong", "retriable": False}
    worker.wait_stderr("ValueError: it is wrong")
    log = worker.stderr()
    assert "Traceback" in log and "app.py" in log and "_serve.py" not in log
    assert worker.error("fail", {"how": "empty"})["message"] == "KeyError"
    assert worker.error("fail", {"how": "odd"}) == {"code": "Odd", "message": "Odd", "retriable": False}
    assert worker.error("fail", {"how": "exit"})["code"] == "SystemExit"
    assert worker.error("fail", {"how": "interrupt"})["code"] == "KeyboardInterrupt"
    assert worker.error("fail", {"how": "cancelled"})["code"] == "CancelledError"
    assert worker.error("fail", {"how": "recursion"})["code"] == "RecursionError"
    assert worker.error("fail", {"how": "surrogate"})["code"] == "ValueError"
    assert len(worker.error("fail", {"how": "long"})["message"]) == 8192
    assert worker.error("plain-fail", {"how": "stop"})["code"] == "StopIteration"
    assert worker.error("plain-fail", {"how": "exit"})["code"] == "SystemExit"
    assert worker.result("give", {"what": "none"}) is None  # still alive


def test_errors_that_the_command_means(start):
    worker = start(ERRORS)
    assert worker.error("fail", {"how": "retry"}) == {"code": "rate_limited", "message": "rate_limited", "retriable": True, "retry_after_ms": 2000}
    assert worker.error("plain-fail", {"how": ""}) == {"code": "busy", "message": "busy", "retriable": True}
    assert worker.error("fail", {"how": "command"}) == {"code": "NOT_FOUND", "message": "no such thing", "retriable": False, "details": {"id": 4}}
    assert worker.error("fail", {"how": "details"})["code"] == "X"
    assert "Traceback" not in worker.stderr()


GROUPS = """
    import asyncio
    from bridgepool import App, CommandError, Retry
    app = App()
    ERRORS = {"retry": Retry("rate_limited", after=2.0), "command": CommandError("NOT_FOUND", "no such thing"), "value": ValueError("it is wrong")}
    async def fails(how): raise ERRORS[how]
    async def in_group(names):
        async with asyncio.TaskGroup() as group:
            for name in names: group.create_task(fails(name))
    @app.session_start
    async def begin(session): await in_group([session.id])
    @app.command
    async def fail(names: list): await in_group(names)
    @app.command
    async def nested(name: str):
        async with asyncio.TaskGroup() as group: group.create_task(in_group([name]))
    @app.command
    async def note(session): pass
    @app.command
    def plain(name: str): raise ExceptionGroup("of one", [ERRORS[name]])
"""


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with 3.11")
def test_an_error_alone_in_a_group_is_itself(start):
    worker = start(GROUPS)
    retry = {"code": "rate_limited", "message": "rate_limited", "retriable": True, "retry_after_ms": 2000}
    for command, args in (("fail", {"names": ["retry"]}), ("nested", {"name": "retry"}), ("plain", {"name": "retry"}), ("open_session", {"session_id": "retry"})):
        assert worker.error(command, args) == retry
    assert worker.error("note", session="command") == {"code": "NOT_FOUND", "message": "no such thing", "retriable": False}
    assert worker.stderr() == ""  # the command means it
    assert worker.error("fail", {"names": ["value"]}) == {"code": "ValueError", "message": "it is wrong", "retriable": False}
    worker.wait_stderr("ValueError: it is wrong")
    assert "ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)" in worker.stderr()  # the log has all of it
    assert worker.error("fail", {"names": ["retry", "value"]})["code"] == "ExceptionGroup"


def test_groups_of_the_backport_are_known_too():
    from bridgepool._errors import error_body

    class BaseExceptionGroup(BaseException):
        def __init__(self, *exceptions):
            self.exceptions = exceptions

    class ExceptionGroup(BaseExceptionGroup, Exception):
        pass

    class Failures(Exception):
        exceptions = (ValueError("x"),)

    assert error_body(ExceptionGroup(ExceptionGroup(ValueError("x"))))["code"] == "ValueError"
    assert error_body(ExceptionGroup(ValueError("x"), ValueError("y")))["code"] == "ExceptionGroup"
    assert error_body(Failures())["code"] == "Failures"  # what is no group only has a member of that name


@pytest.mark.parametrize(
    "what, names",
    [("nan", "result.list[1].deep is nan"), ("inf", "result is -inf"), ("object", "result.a[0] is of type object"), ("key", "result.a has a key of type tuple"),
     ("cycle", "Circular"), ("deep", "too deep"), ("surrogate", "surrogate")],
)
def test_a_result_that_is_no_json_is_an_error_that_says_where(start, what, names):
    worker = start(ERRORS)
    error = worker.error("give", {"what": what})
    assert error["code"] == "INVALID_RESULT" and names in error["message"]


def test_any_json_value_is_a_result(start):
    worker = start(ERRORS)
    assert worker.result("give", {"what": "none"}) is None
    assert worker.result("give", {"what": "big"}) == 2**70
    assert worker.result("give", {"what": "converted"}) == [{"x": 1, "when": "2026-01-02"}, {"dumped": [1]}, "red", [4], "é\u2028"]


def test_the_context_carries_what_the_daemon_said(start):
    worker = start("""
        from bridgepool import App
        app = App()
        @app.command
        async def show(session, *, ctx):
            ctx.logger.info("a line of log")
            return [ctx.request_id, ctx.attempt, ctx.headers, ctx.attributes, ctx.source, ctx.session is session, ctx.command]
        """)
    meta = dict(request_id="r1", attempt=2, headers={"traceparent": "00-1"}, attributes={"tenant": "t"}, source={"topic": "q", "partition": 1, "offset": 5})
    assert worker.result("show", session="s", **meta) == ["r1", 2, {"traceparent": "00-1"}, {"tenant": "t"}, {"topic": "q", "partition": 1, "offset": 5}, True, "show"]
    worker.wait_stderr("a line of log [request=r1 session=s]")


def test_a_result_over_the_frame_limit_is_an_error_and_costs_no_worker(start):
    worker = start(
        """
        from bridgepool import App
        app = App()
        @app.command
        async def big(n: int, *, ctx):
            if ctx.streaming: await ctx.partial("x" * n)
            return "x" * n
        @app.command
        def plain(n: int): return "x" * n
        """,
        env={"BRIDGEPOOL_MAX_FRAME_BYTES": "5000"},
    )
    for command, meta in (("big", {}), ("plain", {}), ("big", {"stream": True})):
        error = worker.error(command, {"n": 5000}, **meta)
        assert error["code"] == "RESULT_TOO_LARGE" and "5000 (max_frame_bytes)" in error["message"]
    assert len(worker.result("big", {"n": 4900})) == 4900


def test_an_error_with_too_many_details_keeps_its_usage(start):
    worker = start(
        """
        from bridgepool import App, CommandError
        app = App()
        @app.command
        async def fail(n: int, names: int = 1, *, ctx):
            ctx.usage({f"tokens{i}": 7 for i in range(names)})
            raise CommandError("BAD", "so it is", details="x" * n)
        """,
        env={"BRIDGEPOOL_MAX_FRAME_BYTES": "5000"},
    )
    answer = worker.call("fail", {"n": 5000})
    assert answer["usage"] == {"tokens0": 7} and "details" not in answer["error"] and "5000 (max_frame_bytes)" in answer["error"]["message"]
    assert "usage" not in worker.call("fail", {"n": 1, "names": 1000})  # what is too large itself costs no worker its life


def test_no_error_is_over_the_frame_limit(start):
    """Whoever says it: the command, the check of its arguments, a hook."""
    worker = start(
        """
        from bridgepool import App, CommandError
        app = App()
        @app.session_start
        async def begin(session): raise CommandError("BAD", "no", details="x" * 30000)
        @app.command
        async def ask(question: str): pass
        @app.command
        async def note(session): pass
        """,
        env={"BRIDGEPOOL_MAX_FRAME_BYTES": "20000"},
    )
    arguments = {"u" * 1000 + str(i): i for i in range(30)}  # of a request that is itself well below what calls may be
    for name, args, more in (("ask", arguments, {}), ("open_session", {"session_id": "s"}, {}), ("note", {}, {"session": "s"})):
        body = json.dumps(worker.call(name, args, **more), separators=(",", ":"))
        assert len(body) <= 20000 and "20000 (max_frame_bytes)" in body, body[:200]


def test_a_thread_that_hangs_does_not_keep_the_process(start):
    worker = start(SLOW, env={"BRIDGEPOOL_STOP_GRACE": "0.2"})
    worker.send("block", {"seconds": 600})
    assert worker.result("ping")["running"] == 1
    assert worker.close() == 0


@pytest.mark.parametrize("name, value", [("BRIDGEPOOL_MAX_FRAME_BYTES", "many"), ("BRIDGEPOOL_STOP_GRACE", "-1")])
def test_wrong_settings_are_named(start, name, value):
    worker = start(HELLO, env={name: value}, ping=False)
    assert worker.wait() == 78
    assert worker.stderr().startswith(f"bridgepool: {name}={value!r}: must be a number above 0")


def test_anyio_and_its_kind_find_an_ordinary_task(start):
    """Task groups and cancel scopes bind to the current task in a command's first step, which runs ahead of the loop."""
    pytest.importorskip("anyio")
    worker = start("""
        import anyio
        from bridgepool import App
        app = App()
        @app.command
        async def go():
            out = []
            async def one(i):
                await anyio.sleep(0.01)
                out.append(i)
            async with anyio.create_task_group() as group:
                for i in range(3): group.start_soon(one, i)
            with anyio.move_on_after(0.02) as scope: await anyio.sleep(600)
            return [sorted(out), scope.cancelled_caught, await anyio.to_thread.run_sync(lambda: "thread")]
        @app.command
        async def forever():
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep, 600)
                await anyio.sleep(600)
        """)
    assert worker.result("go") == [[0, 1, 2], True, "thread"]
    assert worker.error("forever", remaining_ms=100)["code"] == "TIMEOUT"


def test_log_lines_of_the_application(start):
    source = """
        import logging
        from bridgepool import App
        app = App()
        @app.command
        async def speak(*, ctx):
            logging.getLogger("library").info("library info")
            logging.getLogger("library").warning("library warning")
            ctx.logger.info("command info")
        """
    worker = start(source)
    worker.result("speak")
    worker.wait_stderr("INFO bridgepool.speak: command info")
    assert "WARNING library: library warning" in worker.stderr() and "library info" not in worker.stderr()
    worker = start(source, env={"BRIDGEPOOL_LOG_LEVEL": "INFO"})
    worker.result("speak")
    worker.wait_stderr("INFO library: library info")
