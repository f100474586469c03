"""The program at a terminal: help, usage, progress, interrupts, closed outputs, the demo in good and bad places. BUILD_DIR names the
directory where it was built."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from conftest import PACKAGE

BUILD = os.environ.get("BUILD_DIR", "")
PROGRAM = str(Path(BUILD).resolve() / "bridgepool")
COMMANDS = ["run", "demo", "dev", "check", "submit", "tail", "topics", "mock-worker", "broker", "version", "help", "man"]
PATIENCE = 60

pytestmark = pytest.mark.skipif(not BUILD, reason="BUILD_DIR is not set")


def run(*arguments, **options):
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": PATIENCE, "text": True, **options}
    return subprocess.run([PROGRAM, *arguments], **options)


def left_in(directory):
    """The processes that work in a directory or name it, whatever they are."""
    mine = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                words = (entry / "cmdline").read_bytes().decode(errors="replace")
                if str(directory) in words or os.readlink(entry / "cwd").startswith(str(directory)):
                    mine.add(f"{entry.name} {words!r}")
        except OSError:  # it has ended meanwhile
            pass
    return mine


def wait_gone(directory):
    until = time.monotonic() + PATIENCE
    while left_in(directory):
        assert time.monotonic() < until, f"still there: {left_in(directory)}"
        time.sleep(0.02)


def at_terminal(slave):
    """In the child: what a shell prepares for a program in the foreground. Tests in the background may ignore these signals."""
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *arguments, columns=80, **options):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        options = {"stdin": slave, "stdout": slave, "stderr": slave, **options}
        self.process = subprocess.Popen([PROGRAM, *arguments], start_new_session=True, preexec_fn=lambda: at_terminal(slave), **options)
        os.close(slave)
        self.text = ""

    def read_until(self, text):
        until = time.monotonic() + PATIENCE
        while text not in self.text:
            ready, _, _ = select.select([self.master], [], [], max(0, until - time.monotonic()))
            assert ready, f"{text!r} never came: {self.text}"
            try:
                self.text += os.read(self.master, 4096).decode(errors="replace")
            except OSError:  # everybody has left the terminal
                raise AssertionError(f"it ended before {text!r} came: {self.text}") from None

    def interrupt(self):
        os.write(self.master, b"\x03")

    def finish(self):
        while True:
            try:
                data = os.read(self.master, 4096)
            except OSError:
                data = b""
            if not data:
                break
            self.text += data.decode(errors="replace")
        os.close(self.master)
        return self.process.wait(timeout=PATIENCE)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A configuration with a broker and a daemon of mock-workers behind it."""
    directory = tmp_path_factory.mktemp("service")
    broker = subprocess.Popen([PROGRAM, "broker"], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    address = broker.stdout.readline().strip()
    config = directory / "bridgepool.cfg"
    config.write_text(
        f'kafka = {{ brokers = "{address}"; consumer_properties = [ "fetch.wait.max.ms=5" ]; }};\n'
        f'pools = ( {{ name = "default"; command = [ "{PROGRAM}", "mock-worker" ]; size = 2; }} );\n'
    )
    with open(directory / "log", "w") as log:
        daemon = subprocess.Popen([PROGRAM, "run"], cwd=directory, stderr=log)
    try:
        until = time.monotonic() + PATIENCE
        while " joined " not in (directory / "log").read_text():
            assert daemon.poll() is None and time.monotonic() < until, (directory / "log").read_text()
            time.sleep(0.02)
        yield config
        daemon.terminate()
        assert daemon.wait(timeout=PATIENCE) == 0
    finally:
        daemon.kill()
        broker.terminate()
        assert broker.wait(timeout=PATIENCE) == 0
        broker.stdout.close()
    wait_gone(directory)


# ---- words ----


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command):
    done = run(command, "--help")
    assert done.returncode == 0 and done.stdout.startswith(("Usage: bridgepool ", "bridgepool runs")) and not done.stderr
    assert "  -h, --help" in done.stdout or command in ("help", "mock-worker")


def test_help_of_all():
    for words in (["help"], ["--help"], ["-h"]):
        done = run(*words)
        assert done.returncode == 0
        for command in COMMANDS[:-1]:
            assert re.search(rf"^  {command} +[A-Z]", done.stdout, re.M), command


@pytest.mark.parametrize(
    "words, says",
    [
        (["walk"], 'there is no command "walk"'),
        (["help", "walk"], 'there is no command "walk"'),
        (["run", "now"], 'it takes no "now"'),
        (["run", "--walk"], "unrecognized option '--walk'"),
        (["run", "-c"], "requires an argument"),
        (["demo", "here"], 'it takes no "here"'),
        (["check", "--workers"], "unrecognized option"),
        (["check", "now"], 'it takes no "now"'),
        (["submit"], "say either a command or --file"),
        (["submit", "-b", "x", "ask", "question"], '"question" is no argument like key=value'),
        (["submit", "-b", "x", "--args", "[1]", "ask"], "no JSON object"),
        (["submit", "-b", "x", "--args", "{}", "ask", "a=1"], "either --args or key=value"),
        (["submit", "-b", "x", "--timeout", "soon", "ask"], '"soon" is no time like 90s'),
        (["submit", "-b", "x", "--encoding", "xml", "ask"], "neither json nor avro"),
        (["submit", "-b", "x", "-f", "/no/such/file"], "/no/such/file: No such file"),
        (["tail"], "name one topic"),
        (["tail", "a", "b"], "name one topic"),
        (["tail", "-n", "0", "results"], '"0" is no number above 0'),
        (["topics", "results"], 'it takes no "results"'),
        (["topics", "--partitions", "many"], '"many" is no number from 1 to 10000'),
        (["broker", "--partitions", "0"], '"0" is no number from 1 to 1000'),
        (["broker", "now"], 'it takes no "now"'),
        (["version", "now"], 'it takes no "now"'),
        (["mock-worker", "--walk"], 'there is no option "--walk"'),
        (["mock-worker", "--delay", "long"], '--delay does not take "long"'),
    ],
)
def test_wrong_usage_exits_64_and_says_where_help_is(words, says):
    done = run(*words)
    assert done.returncode == 64 and not done.stdout
    assert says in done.stderr and "--help" in done.stderr
    assert done.stderr.startswith(("bridgepool: ", f"bridgepool {words[0]}: ", "mock-worker: "))


@pytest.mark.parametrize("command", [["run"], ["check"], ["submit", "ask"], ["tail", "results"], ["topics"]])
def test_a_wrong_configuration_is_named(tmp_path, command):
    done = run(*command, "-c", str(tmp_path / "none.cfg"))
    assert done.returncode == 78 and str(tmp_path / "none.cfg") in done.stderr and "No such file" in done.stderr
    (tmp_path / "bad.cfg").write_text("kafka = { brokers = 5; };\nwalk = 1;\n")
    done = run(*command, "-c", str(tmp_path / "bad.cfg"))
    assert done.returncode == 78 and "bad.cfg:1" in done.stderr and "bad.cfg:2" in done.stderr


def test_no_configuration_at_all(tmp_path):
    if Path("/etc/bridgepool/bridgepool.cfg").exists():
        pytest.skip("this machine has a configuration of its own")
    done = run("run", cwd=tmp_path)
    assert done.returncode == 78 and "name one with -c FILE" in done.stderr


def test_the_man_page_is_well_formed(tmp_path):
    if not shutil.which("groff"):
        pytest.skip("groff is not installed")
    page = tmp_path / "bridgepool.1"
    page.write_text(run("man").stdout)
    done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", str(page)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0 and done.stderr == ""
    for word in ("bridgepool submit", "--until-end", "kafka.brokers", "pools[].command", "EXIT STATUS"):
        assert word in re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout), word


# ---- outputs that are closed or full ----


@pytest.mark.parametrize("words", [["help"], ["version"], ["man"], ["run", "--help"]])
def test_a_full_disk_is_told(words):
    with open("/dev/full", "w") as full:
        done = run(*words, stdout=full)
    assert done.returncode == 1 and done.stderr == "bridgepool: not all could be written to standard output\n"


def closed_pipe():
    read_end, write_end = os.pipe()
    os.close(read_end)
    return os.fdopen(write_end, "w")


@pytest.mark.parametrize("words", [["help"], ["man"], ["tail", "results", "--from-beginning"], ["submit", "echo"]])
def test_a_reader_that_has_left_is_no_news(service, words):
    run("submit", "-c", str(service), "echo")
    with closed_pipe() as out:
        done = run(*words, *(["-c", str(service)] if words[0] in ("tail", "submit") else []), stdout=out)
    assert done.returncode in (-signal.SIGPIPE, 0) and done.stderr == ""


def test_tail_ends_when_nobody_reads_even_if_sigpipe_is_ignored(service):
    run("submit", "-c", str(service), "echo")
    with closed_pipe() as out:
        done = run("tail", "-c", str(service), "results", "--from-beginning", stdout=out, restore_signals=False, preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN))
    assert done.returncode == 1


# ---- submit and tail ----


def test_submit_shows_progress_on_a_terminal_only(service):
    with open(service.parent / "out", "w") as out:
        terminal = Terminal("submit", "-c", str(service), "sleep", "ms=600", stdout=out)
        assert terminal.finish() == 0
    assert re.search(r"\r\x1b\[K1 sent, 0 answered, 0 not OK, \d\.\d s", terminal.text)
    assert terminal.text.rstrip().splitlines()[-1].endswith("s") and "1 sent, 1 answered, 0 not OK" in terminal.text
    assert (service.parent / "out").read_text().count("\n") == 1
    assert run("submit", "-c", str(service), "sleep", "ms=600").stderr == ""


def test_tail(service):
    ids = [f"tail-{i}" for i in range(5)]
    for name in ids:
        assert run("submit", "-c", str(service), "--request-id", name, "--session", "tail", "echo").returncode == 0
    for topic in ("requests", "results", "bridgepool.results"):
        lines = run("tail", "-c", str(service), topic, "--until-end").stdout.splitlines()
        assert [name for line in lines for name in ids if f'"request_id":"{name}"' in line] == ids
    assert len(run("tail", "-c", str(service), "results", "--from-beginning", "-n", "3").stdout.splitlines()) == 3
    assert run("tail", "-c", str(service), "health", "--until-end").stdout.count('"kind":"WORKER_STATE"') >= 4
    assert run("tail", "-c", str(service), "dead-letters", "--until-end").stdout == ""
    line = run("tail", "-c", str(service), "requests", "--until-end", "--meta").stdout.splitlines()[0]
    assert line.startswith('{"topic":"bridgepool.requests","partition":') and '"headers":{"content-type":"application/json","kafka_correlationId":"' in line


def test_tail_shows_what_comes(service):
    tail = subprocess.Popen([PROGRAM, "tail", "-c", str(service), "results"], stdout=subprocess.PIPE, text=True)
    try:
        while not select.select([tail.stdout], [], [], 0.2)[0]:  # until it follows, what is sent is not its business
            assert run("submit", "-c", str(service), "--request-id", "live", "echo").returncode == 0
        assert '"request_id":"live"' in tail.stdout.readline()
    finally:
        tail.terminate()
        assert tail.wait(timeout=PATIENCE) == 0
        tail.stdout.close()


def test_a_client_that_cannot_be_made_is_a_wrong_configuration(tmp_path, service):
    for words in (["tail", "results"], ["submit", "echo"], ["topics"]):
        done = run(words[0], "-b", "127.0.0.1:1", "--set", "kafka.properties=[ \"no.such.property=1\" ]", *words[1:])
        assert done.returncode == 78 and "no.such.property" in done.stderr, words
    done = run("tail", "-c", str(service), "--set", f"schemas.extra={tmp_path}/nosuch", "results", "--until-end")
    assert done.returncode == 78 and f"{tmp_path}/nosuch" in done.stderr


def test_submit_does_not_wait_longer_because_others_get_answers(service, tmp_path):
    """Results of others come all the time, each before a wait for the next is over."""
    (tmp_path / "slow").write_text('{"command": "sleep", "args": {"ms": 10000}, "timeout_ms": 60000}\n')
    others = subprocess.Popen([PROGRAM, "submit", "-c", str(service), "-f", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    alone = subprocess.Popen([PROGRAM, "submit", "-c", str(service), "--timeout", "1s", "-f", str(tmp_path / "slow")], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + PATIENCE
        while alone.poll() is None:
            assert time.monotonic() < until, "it still waits"
            others.stdin.write('{"command": "echo"}\n')
            others.stdin.flush()
            time.sleep(0.01)
        assert alone.returncode == 75 and "1 of 1 results did not come within --timeout" in alone.stderr.read()
    finally:
        alone.kill()
        alone.wait()
        alone.stderr.close()
        others.stdin.close()
        assert others.wait(timeout=PATIENCE) == 0


def test_a_line_with_a_nul_is_no_request(service):
    done = run("submit", "-c", str(service), "-f", "-", stdin=None, input='{"command": "echo"}\0, and more\n')
    assert done.returncode == 64 and "line 1" in done.stderr and done.stdout == ""


# ---- interrupts ----


def test_an_interrupt_ends_tail(service):
    terminal = Terminal("tail", "-c", str(service), "results", "--from-beginning")
    run("submit", "-c", str(service), "echo")
    terminal.read_until("\n")
    terminal.interrupt()
    assert terminal.finish() == 0


def test_an_interrupt_ends_submit(service):
    terminal = Terminal("submit", "-c", str(service), "sleep", "ms=3000")
    terminal.read_until("1 sent, 0 answered")
    terminal.interrupt()
    assert terminal.finish() == 130
    assert "interrupted; 1 of 1 requests are sent and not answered yet" in terminal.text


def test_an_interrupt_ends_submit_that_waits_for_input(service):
    terminal = Terminal("submit", "-c", str(service), "-f", "-")
    os.write(terminal.master, b'{"command": "echo"}\n')
    terminal.read_until("1 sent")
    terminal.interrupt()
    assert terminal.finish() == 130


def test_an_interrupt_ends_the_broker(tmp_path):
    terminal = Terminal("broker", cwd=tmp_path)
    terminal.read_until("Ctrl-C ends it")
    terminal.interrupt()
    assert terminal.finish() == 0


def test_an_interrupt_ends_the_daemon_and_its_workers(service, tmp_path):
    config = tmp_path / "own.cfg"
    config.write_text(service.read_text() + 'sources = ( { topic = "own"; } );\n')
    terminal = Terminal("run", "-c", str(config), cwd=tmp_path)
    terminal.read_until("joining the group")
    assert any("mock-worker" in line for line in left_in(tmp_path))
    terminal.interrupt()
    assert terminal.finish() == 0
    wait_gone(tmp_path)


def test_signals_that_the_caller_blocked_are_heard(service, tmp_path):
    """A supervisor may start us from a thread that has blocked them all: workers' ends and SIGTERM would never be heard of."""
    with open(tmp_path / "log", "w") as log:
        daemon = subprocess.Popen(
            [PROGRAM, "run", "-c", str(service), "--set", "kafka.group=blocked", "--set", "drain.shutdown=1s"],
            cwd=tmp_path, stderr=log, preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()),
        )
    try:
        until = time.monotonic() + PATIENCE
        while " joined " not in (tmp_path / "log").read_text():
            assert daemon.poll() is None and time.monotonic() < until, (tmp_path / "log").read_text()
            time.sleep(0.02)
        daemon.terminate()
        assert daemon.wait(timeout=PATIENCE) == 0
    finally:
        daemon.kill()
        daemon.wait()
    wait_gone(tmp_path)


def test_an_interrupt_ends_check_and_the_worker_that_it_waits_for(service, tmp_path):
    config = tmp_path / "slow.cfg"
    config.write_text(service.read_text().replace('"mock-worker"', '"mock-worker", "--start-delay", "600000"'))
    terminal = Terminal("check", "-c", str(config), cwd=tmp_path)
    terminal.read_until("bridgepool.dead-letters")
    until = time.monotonic() + PATIENCE
    while not any("600000" in line for line in left_in(tmp_path)):
        assert time.monotonic() < until
        time.sleep(0.02)
    terminal.interrupt()
    assert terminal.finish() == -signal.SIGINT
    wait_gone(tmp_path)


# ---- Python workers below the daemon ----

APP = """
import os
from bridgepool import App
app = App()

@app.command
async def big(n: int): return "x" * n

@app.command
async def pid(): return os.getpid()

@app.command
def forks():
    pid = os.fork()
    if pid == 0: return "twice?"
    return os.WEXITSTATUS(os.waitpid(pid, 0)[1])
"""


def python_pool(service, tmp_path, group, app, settings, more=""):
    """The configuration of a daemon beside the service, with one worker of this application and with a topic of its own."""
    (tmp_path / "app.py").write_text(app)
    config = tmp_path / "python.cfg"
    kafka = service.read_text().splitlines()[0].replace("kafka = {", f'kafka = {{ group = "{group}";')
    config.write_text(
        f'{kafka}\nsources = ( {{ topic = "{group}.requests"; }} );\n{more}\n'
        f'pools = ( {{ name = "default"; command = [ "{sys.executable}", "-m", "bridgepool.worker", "app:app" ]; directory = "{tmp_path}"; size = 1;\n'
        f'  environment = [ "PYTHONPATH={PACKAGE}" ]; {settings} }} );\n'
    )
    return config


def test_what_python_workers_do_costs_only_their_request(service, tmp_path):
    """The pool's frame limit reaches the SDK, and both limits are answers: the worker lives on."""
    limits = 'limits = { result = "64KiB"; request = "64KiB"; };'
    config = python_pool(service, tmp_path, "python", APP, 'max_frame_bytes = "256KiB";', limits)
    terminal = Terminal("run", "-c", str(config), cwd=tmp_path)
    terminal.read_until(" joined ")

    def ask(*words):
        done = run("submit", "-c", str(config), *words)
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    before = ask("pid")["result"]
    assert len(ask("big", "n=60000")["result"]) == 60000
    for size in (100_000, 10_000_000):
        answer = ask("big", f"n={size}")
        assert answer["status"] == "ERROR" and answer["error"]["code"] == "RESULT_TOO_LARGE"
    assert "256KiB" in answer["error"]["message"] or "262144" in answer["error"]["message"]
    assert ask("forks")["result"] == 1
    assert ask("pid")["result"] == before
    terminal.interrupt()
    assert terminal.finish() == 0
    wait_gone(tmp_path)


BESIDE = """
import asyncio, os, time
from bridgepool import App
app = App()
runs = open("runs", "a", buffering=1)

@app.command
def hangs(): time.sleep(600)

@app.command
async def beside(*, ctx):
    again = os.path.exists("began")
    print(ctx.attempt, file=runs)
    open("began", "w").close()
    if not again: await asyncio.sleep(600)
    return "done"
"""


def test_what_ran_beside_a_request_that_hangs_is_run_again_and_no_attempt_is_used(service, tmp_path):
    """Their worker is replaced: it has time to end in order, and says nothing of a request that it did not finish."""
    config = python_pool(service, tmp_path, "beside", BESIDE, 'kill_grace = "100ms"; stop_grace = "2s";')
    terminal = Terminal("run", "-c", str(config), cwd=tmp_path)
    try:
        terminal.read_until(" joined ")
        beside = subprocess.Popen([PROGRAM, "submit", "-c", str(config), "beside"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        until = time.monotonic() + PATIENCE
        while not (tmp_path / "began").exists():
            assert time.monotonic() < until
            time.sleep(0.01)
        (tmp_path / "hangs").write_text('{"command": "hangs", "timeout_ms": 2000}\n')
        done = run("submit", "-c", str(config), "-f", str(tmp_path / "hangs"))
        assert json.loads(done.stdout)["status"] == "TIMEOUT", done.stderr
        out, _ = beside.communicate(timeout=PATIENCE)
        answer = json.loads(out)
        assert (answer["status"], answer["result"]) == ("OK", "done"), answer
        assert (tmp_path / "runs").read_text().split() == ["1", "1"]
        terminal.interrupt()
        assert terminal.finish() == 0
    finally:
        terminal.process.kill()
    wait_gone(tmp_path)


def test_topics_are_made_for_the_largest_records(tmp_path):
    sizes = ["--set", "limits.request=4MiB", "--set", "limits.result=2MiB", "--set", "limits.memory=64MiB"]
    (tmp_path / "bridgepool.cfg").write_text('pools = ( { adapter = "mock"; } );\n')
    lines = {line.split(" --topic ")[1].split()[0]: line for line in run("topics", "--print", *sizes, cwd=tmp_path).stdout.splitlines() if "kafka-topics" in line}
    assert "max.message.bytes=4259840" in lines["bridgepool.requests"] and "max.message.bytes=4259840" in lines["bridgepool.dead-letters"]
    assert "max.message.bytes=2162688" in lines["bridgepool.results"] and "max.message.bytes" not in lines["bridgepool.health"]
    assert "max.message.bytes" not in run("topics", "--print", cwd=tmp_path).stdout  # the defaults fit what brokers take


def test_the_demo_names_a_program_that_the_shell_finds(tmp_path):
    directory = str(Path(PROGRAM).resolve().parent)
    for path, name in ((os.environ["PATH"].replace(directory, ""), str(Path(PROGRAM).resolve())), (directory + ":" + os.environ["PATH"], "bridgepool")):
        assert f"  {name} demo --keep leaves" in " ".join(run("demo", cwd=tmp_path, env={**os.environ, "PATH": path}).stdout.split("\n"))


# ---- the demo ----

PLAIN = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\r", "")


def test_the_demo_twice_and_on_a_terminal(tmp_path):
    done = run("demo", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "app.py is new" in done.stdout and "All went as told" in done.stdout and "\x1b" not in done.stdout
    terminal = Terminal("demo", columns=80, cwd=tmp_path)
    assert terminal.finish() == 0, terminal.text
    text = plain(terminal.text)
    assert "app.py is there already" in " ".join(text.split()) and "All went as told" in text
    for line in text.splitlines():
        assert len(line) <= 80 or str(tmp_path) in line, line
    wait_gone(tmp_path)


def test_an_edited_app_tells_its_own_story(tmp_path):
    app = tmp_path / "bridgepool-demo" / "app.py"
    app.parent.mkdir()
    source = (Path(__file__).resolve().parents[2] / "deploy" / "demo" / "app.py").read_text()
    app.write_text(source.replace('"kept": what', '"noted": what').replace('"notes": session.get("notes", [])', '"all": 1'))
    done = run("demo", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "as you edited it" in done.stdout and '{"noted":"likes tea"}' in done.stdout and "differs: " in done.stdout
    assert "Done with your app.py" in done.stdout and "NOT AS TOLD" not in done.stdout


def test_an_app_with_a_syntax_error_is_named(tmp_path):
    app = tmp_path / "bridgepool-demo" / "app.py"
    app.parent.mkdir()
    app.write_text("from bridgepool import App\n\ndef broken(:\n")
    done = run("demo", cwd=tmp_path)
    assert done.returncode == 1
    assert f"SyntaxError: invalid syntax ({app}, line 3)" in done.stdout
    wait_gone(tmp_path)


def test_a_demo_without_a_place(tmp_path):
    (tmp_path / "file").write_text("")
    for name in ("/proc/nowhere", "/sys", str(tmp_path / "file"), str(tmp_path / "not" / "there")):
        done = run("demo", "--dir", name)
        assert done.returncode == 1 and done.stderr.startswith("bridgepool demo: ") and "with --dir" in done.stderr and not done.stdout


def test_a_demo_without_python(tmp_path):
    prefix = tmp_path / "installed"
    subprocess.run(["cmake", "--install", BUILD, "--prefix", str(prefix)], check=True, stdout=subprocess.DEVNULL)
    (tmp_path / "empty").mkdir()
    done = subprocess.run([str(prefix / "bin" / "bridgepool"), "demo"], cwd=tmp_path, env={"PATH": str(tmp_path / "empty")}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    assert done.returncode == 1 and 'the command "python3" was not found in PATH' in done.stdout
    wait_gone(tmp_path)


@pytest.mark.parametrize("how", ["interrupt", "kill", "leave"])
def test_whatever_ends_the_demo_nothing_is_left(tmp_path, how):
    terminal = Terminal("demo", cwd=tmp_path)
    terminal.read_until("PARTITIONS_ASSIGNED")
    assert len(left_in(tmp_path)) >= 3  # it, the daemon, guards and workers
    if how == "interrupt":
        terminal.interrupt()
        assert terminal.finish() == 130
    elif how == "kill":
        terminal.process.kill()
        assert terminal.finish() == -signal.SIGKILL
    else:
        os.close(terminal.master)  # the terminal is closed: SIGHUP
        assert terminal.process.wait(timeout=PATIENCE) == -signal.SIGHUP
    wait_gone(tmp_path)
