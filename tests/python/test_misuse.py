"""What applications do to their worker: forks, closed descriptors, blocked loops, errors that cannot be shown. None of it may cost
another request its answer, and the log says what to mend."""

import os
import signal
import sys

import pytest

# ---- forks ----

FORKS = """
    import multiprocessing, os, sys
    from concurrent.futures import ProcessPoolExecutor
    from bridgepool import App
    app = App(threads=2)
    def square(n):
        print("squared in", os.getpid())
        return n * n
    def fork(how):
        pid = os.fork()
        if pid == 0:
            if how == "exit": sys.exit(7)
            if how == "raise": raise ValueError("in the child")
            return "the child's answer"
        return os.WEXITSTATUS(os.waitpid(pid, 0)[1])
    @app.command
    async def in_loop(how: str): return fork(how)
    @app.command
    def in_thread(how: str): return fork(how)
    @app.command
    def pool(kind: str):
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(kind)) as pool:
            return list(pool.map(square, range(4)))
    @app.command
    def stays():
        pid = os.fork()
        if pid == 0: os.execvp("sleep", ["sleep", "600"])
        return pid
    @app.command
    def holds():
        pid = os.fork()
        while pid == 0: signal.pause()
        return pid
    import signal
"""


@pytest.mark.parametrize("where", ["in_loop", "in_thread"])
def test_a_forked_child_that_returns_answers_nobody(start, where):
    worker = start(FORKS)
    assert worker.result(where, {"how": "exit"}) == 7
    assert "os.fork()" not in worker.stderr()
    assert worker.result(where, {"how": "return"}) == 1
    worker.wait_stderr(f"bridgepool: command {where} called os.fork(), and its child returned from it; the child should end with os._exit()")
    assert worker.result(where, {"how": "raise"}) == 1
    worker.wait_stderr("ValueError: in the child")
    assert worker.result("ping")["running"] == 0
    assert worker.close() == 0 and not worker.kept  # no second answer


@pytest.mark.parametrize("kind", ["fork", "spawn", "forkserver"])
def test_multiprocessing_works(start, kind):
    worker = start(FORKS)
    assert worker.result("pool", {"kind": kind}) == [0, 1, 4, 9]
    worker.wait_stderr("squared in")
    assert worker.close() == 0


@pytest.mark.parametrize("command", ["stays", "holds"])
def test_a_forked_child_does_not_hold_the_pipes(start, command):
    worker = start(FORKS)
    pid = worker.result(command)
    try:
        assert worker.close() == 0  # which reads to the end of the output
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_fork_at_import_does_not_hold_the_pipes(start):
    worker = start("""
        import os, signal
        from bridgepool import App
        app = App()
        pid = os.fork()
        while pid == 0: signal.pause()
        @app.command
        async def child(): return pid
        """)
    pid = worker.result("child")
    try:
        assert worker.close() == 0
    finally:
        os.kill(pid, signal.SIGKILL)


ENDED = """
    import multiprocessing, os, signal, time
    from bridgepool import App
    app = App()
    def waits():
        while True: time.sleep(0.01)  # Python runs a handler when such a call begins or ends, and a signal may come just before it blocks
    def terminate():
        child = multiprocessing.get_context("fork").Process(target=waits)
        child.start()
        child.terminate()
        child.join(30)
        if child.exitcode is None: child.kill()
        return child.exitcode
    def at_once():
        codes = []
        for _ in range(100):
            pid = os.fork()
            if pid == 0:
                waits()
                os._exit(0)
            os.kill(pid, signal.SIGTERM)
            for _ in range(3000):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended: break
                time.sleep(0.001)
            else:
                os.kill(pid, signal.SIGKILL)
                status = os.waitpid(pid, 0)[1]
            codes.append(os.WTERMSIG(status))
        return sorted(set(codes))
    def interrupt():
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(write, b"x")
                waits()
            except KeyboardInterrupt: os._exit(9)
            os._exit(0)
        os.read(read, 1)
        os.kill(pid, signal.SIGINT)
        return os.WEXITSTATUS(os.waitpid(pid, 0)[1])
    def handled():
        signal.signal(signal.SIGTERM, lambda *_: os._exit(5))
        pid = os.fork()
        if pid == 0:
            waits()
            os._exit(0)
        os.kill(pid, signal.SIGTERM)
        return os.WEXITSTATUS(os.waitpid(pid, 0)[1])
    def square(n): return n * n
    def pool():
        with multiprocessing.get_context("fork").Pool(2) as pool:  # whose end is SIGTERM to its processes
            return pool.map(square, range(4))
    DO = {"terminate": terminate, "at_once": at_once, "interrupt": interrupt, "handled": handled, "pool": pool}
    @app.command
    async def in_loop(do: str): return DO[do]()
    @app.command
    def in_thread(do: str): return DO[do]()
    @app.command
    async def lives(session): return session.setdefault("n", 0)
"""


@pytest.mark.parametrize("where", ["in_loop", "in_thread"])
def test_a_signal_to_a_forked_child_is_not_the_workers(start, where):
    worker = start(ENDED)
    for do, result in (("pool", [0, 1, 4, 9]), ("terminate", -signal.SIGTERM), ("at_once", [signal.SIGTERM]), ("interrupt", 9)):
        assert worker.result(where, {"do": do}) == result
        assert worker.result("lives", session="s") == 0
    assert "most recent call first" not in worker.stderr()  # the stacks of a worker that is told to end
    worker.process.send_signal(signal.SIGTERM)  # its own are still heard
    assert worker.next_frame() is None and worker.wait() == 0


def test_a_forked_child_keeps_the_applications_signal_handlers(start):
    worker = start(ENDED)
    assert worker.result("in_loop", {"do": "handled"}) == 5
    assert worker.result("lives", session="s") == 0


# ---- descriptors and streams ----

STREAMS = """
    import os, sys, threading
    from bridgepool import App
    app = App()
    class Bad:
        def write(self, text): raise RuntimeError("no stream")
        flush = write
    @app.command
    async def close(what: str):
        if what == "fd 0": os.close(0)
        if what == "fd 1": os.close(1)
        if what == "fd 2": os.close(2)
        if what == "stdout": sys.stdout.close()
        if what == "stderr": sys.stderr.close()
        if what == "none": sys.stdout = sys.stderr = None
        if what == "bad": sys.stdout = sys.stderr = Bad()
    @app.command
    async def opened():
        with open("file", "w") as file: return file.fileno()
    @app.command
    async def noisy():
        print("said")
        return "done"
    @app.command
    async def fail(): raise ValueError("it is wrong")
    @app.command
    async def ok(): return 1
    @app.command
    def threads():
        many = [threading.Thread(target=lambda i=i: print("thread", i, "said " + "x" * 300)) for i in range(50)]
        for thread in many: thread.start()
        for thread in many: thread.join()
    @app.command
    async def prompt(): return input("a question: ")
"""


@pytest.mark.parametrize("what", ["fd 0", "fd 1", "fd 2", "stdout", "stderr", "none", "bad"])
def test_an_application_that_closes_its_streams_still_answers(start, what):
    worker = start(STREAMS)
    assert worker.result("close", {"what": what}) is None
    assert worker.result("opened") >= 0  # which may now be a standard descriptor
    worker.call("noisy")  # may fail, may not: but is answered
    assert worker.error("fail") == {"code": "ValueError", "message": "it is wrong", "retriable": False}
    assert worker.result("ok") == 1
    worker.process.stdin.close()
    assert worker.next_frame() is None
    assert worker.wait() in (0, 120)  # 120: Python could not flush what the application had closed


def test_threads_print_beside_frames(start):
    worker = start(STREAMS)
    calls = [worker.send("threads") for _ in range(10)] + [worker.send("ok") for _ in range(200)]
    for call_id in calls:
        assert worker.answer(call_id)["success"]
    worker.wait_stderr("thread 49 said")


def test_a_question_to_the_terminal_is_an_error(start):
    assert start(STREAMS).error("prompt")["code"] == "EOFError"


def test_signal_handlers_of_the_application(start):
    """Its SIGTERM handler from import time gives way to the worker's, one from later stays; neither disturbs answers."""
    worker = start("""
        import signal
        from bridgepool import App
        app = App()
        seen = []
        signal.signal(signal.SIGTERM, lambda *_: seen.append("import"))
        signal.signal(signal.SIGUSR1, lambda *_: seen.append("usr1"))
        @app.command
        async def raise_it(): signal.raise_signal(signal.SIGUSR1)
        @app.command
        async def what(): return seen
        """)
    worker.result("raise_it")
    assert worker.result("what") == ["usr1"]
    worker.process.send_signal(signal.SIGTERM)
    assert worker.next_frame() is None and worker.wait() == 0


# ---- the event loop ----

LOOP = """
    import asyncio, time
    from bridgepool import App
    app = App()
    @app.command
    async def sleeps(seconds: float): time.sleep(seconds)
    @app.command
    async def later(seconds: float):
        await asyncio.sleep(0.01)
        time.sleep(seconds)
    @app.command
    async def forgets(): asyncio.sleep(1)
    @app.command
    async def leaves():
        async def boom():
            await asyncio.sleep(0.01)
            raise RuntimeError("nobody looked")
        asyncio.get_running_loop().create_task(boom())
        return "left"
    @app.command
    async def gives(): return asyncio.sleep(0)
    @app.command
    def plain_gives(): return later(0)
    @app.command
    async def nested(): asyncio.run(asyncio.sleep(0))
    @app.command
    def own_loop(): return asyncio.run(asyncio.sleep(0, "its own"))
    @app.command
    async def cancels():
        asyncio.current_task().cancel()
        await asyncio.sleep(10)
    @app.command
    async def stubborn():
        while True:
            try:
                await asyncio.sleep(0.2)
                return "would not stop"
            except asyncio.CancelledError: pass
    @app.command
    async def collect():
        import gc
        gc.collect()
"""


@pytest.mark.parametrize("command", ["sleeps", "later"])
def test_a_blocked_loop_is_named(start, command):
    worker = start(LOOP)
    worker.result(command, {"seconds": 7})
    worker.wait_stderr("the event loop goes on after")
    log = worker.stderr()
    assert "make it a plain def" in log and f"in {command}\n" in log and "time.sleep(seconds)" in log
    assert "_serve.py" not in log and "asyncio/" not in log
    assert log.count("has been held up") == 1


def test_a_loop_that_is_not_blocked_is_not_named(start):
    worker = start("""
        import asyncio, time
        from bridgepool import App
        app = App()
        @app.command
        async def waits(): await asyncio.sleep(5)
        @app.command
        def blocks(): time.sleep(5)
        """)
    for call_id in (worker.send("waits"), worker.send("blocks")):
        assert worker.answer(call_id)["success"]
    assert worker.stderr() == ""


def test_what_is_not_awaited_is_told(start):
    worker = start(LOOP)
    worker.result("forgets")
    worker.result("collect")
    worker.wait_stderr("was never awaited")
    assert worker.result("leaves") == "left"
    worker.wait_stderr("RuntimeError: nobody looked")
    for command in ("gives", "plain_gives"):
        error = worker.error(command)
        assert error["code"] == "INVALID_RESULT" and "result is a coroutine, which was not awaited" in error["message"]


def test_loops_in_loops(start):
    worker = start(LOOP)
    assert worker.error("nested")["code"] == "RuntimeError"
    assert worker.result("own_loop") == "its own"


def test_cancelled_by_itself_and_not_to_be_cancelled(start):
    worker = start(LOOP)
    assert worker.error("cancels")["code"] == "CancelledError"
    assert worker.result("stubborn", remaining_ms=50) == "would not stop"  # late: the daemon has answered for it


# ---- errors that cannot be shown ----

ERRORS = """
    import sys
    from bridgepool import App, CommandError, Retry
    app = App()
    class Exits(Exception):
        def __str__(self): sys.exit(5)
    class NoText(Exception):
        def __str__(self): return 5
    class Bare(CommandError):
        def __init__(self): pass
    class Coded(CommandError):
        code = 17
        def __init__(self): pass
    class Repr:
        def __repr__(self): raise MemoryError("no room for it")
    class Value:
        def model_dump(self): raise KeyboardInterrupt()
    @app.command
    async def fail(how: str):
        if how == "exits": raise Exits()
        if how == "no text": raise NoText()
        if how == "bare": raise Bare()
        if how == "coded": raise Coded()
        if how == "repr": raise CommandError("X", "with details", details=Repr())
        if how == "huge": raise CommandError("X", "with details", details="z" * 1_000_000)
        if how == "nan": raise Retry("x", after=float("nan"))
        if how == "text": raise Retry("x", after="soon")
        if how == "memory": bytearray(1 << 62)
        if how == "result": return Value()
        if how == "base": raise BaseException("at the bottom")
        if how == "generator": raise GeneratorExit()
        if how == "group": raise ExceptionGroup("two", [ValueError("one"), KeyError("other")])
        if how == "chain":
            try: raise ValueError("first")
            except ValueError as error: raise KeyError("second") from error
    @app.command
    def plain(how: str): fail(how).send(None)
"""


@pytest.mark.parametrize(
    "how, code, message",
    [
        ("exits", "Exits", "Exits"),
        ("no text", "NoText", "NoText"),
        ("bare", "ERROR", "ERROR"),
        ("coded", "17", "17"),
        ("huge", "X", "with details (its details are left out: "),
        ("nan", "ValueError", "retry_after=nan: must be a number of seconds"),
        ("text", "ValueError", "retry_after='soon': must be a number of seconds"),
        ("memory", "MemoryError", "MemoryError"),
        ("result", "KeyboardInterrupt", "KeyboardInterrupt"),
        ("base", "BaseException", "at the bottom"),
        ("generator", "GeneratorExit", "GeneratorExit"),
        ("chain", "KeyError", "'second'"),
        pytest.param("group", "ExceptionGroup", "two (2 sub-exceptions)", marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="3.11 brings them")),
    ],
)
def test_every_exception_is_answered(start, how, code, message):
    worker = start(ERRORS, env={"BRIDGEPOOL_MAX_FRAME_BYTES": "100000"})
    commands = ("fail",) if how == "result" else ("fail", "plain")
    for command in commands:
        error = worker.error(command, {"how": how})
        assert error["code"] == code and error["message"].startswith(message) and error["retriable"] is False
    assert worker.result("ping")["running"] == 0


def test_details_that_cannot_be_shown_are_not_the_end(start):
    assert start(ERRORS).error("fail", {"how": "repr"})["code"] in ("X", "CommandError")


def test_no_memory_for_a_call_is_an_answer_or_an_end(start):
    """Below a limit of address space: what fits is served, what does not is refused or ends the worker with its reason; never silence."""
    worker = start("""
        import resource
        from bridgepool import App
        app = App()
        @app.startup
        def limit():
            used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), used + (64 << 20)))
        @app.command
        async def size(text: str): return len(text)
        """)
    assert worker.result("size", {"text": "x" * (1 << 20)}) == 1 << 20
    try:
        call_id = worker.send("size", {"text": "x" * (60 << 20)})
    except BrokenPipeError:
        call_id = worker.last_id
    first = worker.next_frame()
    if first is None:
        assert worker.wait() == 76 and "no memory for a frame" in worker.stderr()
    else:
        assert first["id"] == call_id and first["success"] is False


# ---- apps and commands that cannot be ----


@pytest.mark.parametrize(
    "body, reason",
    [
        ("@app.command\nasync def parts():\n    yield 1\n", "command 'parts' is a generator; return the result, and send parts with ctx.partial()"),
        ("@app.command\ndef parts():\n    yield 1\n", "command 'parts' is a generator"),
        ("import functools\napp.command(functools.partial(print, 1))\n", 'has no name of its own; give one with @app.command(name="...")'),
        ("@app.command\ndef ping(): pass\n", "command 'ping': this name belongs to the worker protocol"),
        ("@app.command\ndef f(): pass\n@app.command\ndef f(): pass\n", "command 'f' is there twice"),
        ("@app.startup()\ndef f(): pass\n", "startup"),
        ("@app.command\ndef f(*args): pass\n", "parameter '*args' cannot be filled from named arguments"),
    ],
)
def test_what_cannot_be_a_command_is_named_at_the_start(start, body, reason):
    worker = start("from bridgepool import App\napp = App()\n" + body, ping=False)
    assert worker.next_frame() is None
    assert worker.wait() == 78
    last = worker.stderr().rstrip("\n").splitlines()[-1]
    assert last.startswith("bridgepool: ") and reason in last


def test_two_apps_in_one_file(start):
    source = """
        from bridgepool import App
        first, second = App(version="1"), App(version="2")
        @first.command
        async def who(): return "first"
        @second.command
        async def who(): return "second"
        """
    assert start(source, target="app:first").result("who") == "first"
    assert start(source, target="app:second").result("who") == "second"
    worker = start(source, ping=False)
    assert worker.wait() == 78
    assert worker.stderr() == "bridgepool: app has no 'app'; did you mean app:first or app:second?\n"


# ---- sessions ----


def test_states_of_sessions_are_apart(start):
    """A hundred sessions at once, each with its own state, in the order of its own requests."""
    worker = start("""
        import asyncio
        from bridgepool import App
        app = App()
        ended = []
        @app.session_end
        def end(session, reason): ended.append([session.id, list(session["seen"]), reason])
        @app.command
        async def add(session, n: int):
            seen = session.setdefault("seen", [])
            await asyncio.sleep(0)
            seen.append(n)
            return seen
        @app.command
        async def what(): return ended
        """)
    for n in range(5):
        calls = {i: worker.send("add", {"n": n}, session=f"s{i}") for i in range(100)}
        for i, call_id in calls.items():
            assert worker.answer(call_id)["result"] == list(range(n + 1))
    assert worker.result("cleanup_session", {"session_id": "s7", "reason": "ttl"})["status"] == "cleaned"
    assert worker.result("what") == [["s7", [0, 1, 2, 3, 4], "ttl"]]
    assert worker.result("add", {"n": 9}, session="s7") == [9]
