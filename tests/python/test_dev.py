"""`bridgepool dev`: an application on an embedded broker, with new code at each save. BUILD_DIR names the build."""

import json
import os
import queue
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from test_program import BUILD, PATIENCE, PROGRAM, left_in, run, wait_gone

pytestmark = pytest.mark.skipif(not BUILD, reason="BUILD_DIR is not set")

APP = """
import asyncio
from bridgepool import App
app = App()
TEXT = "first"

@app.command
async def ask(session, name: str, tags: list = ()) -> dict:
    "Answers."
    session["asked"] = session.get("asked", 0) + 1
    print("asked by", name)
    return {"text": TEXT, "asked": session["asked"]}

@app.command
async def slow(ms: int):
    print("slow begins")
    await asyncio.sleep(ms / 1000)
    return TEXT
"""


class Dev:
    """A running `bridgepool dev`, and what it has printed."""

    def __init__(self, directory, *options, app="app:app", text=APP):
        self.directory = directory
        if text is not None:
            self.save("app.py", text)
        environment = {**os.environ, "TMPDIR": str(directory.parent)}
        self.process = subprocess.Popen([PROGRAM, "dev", app, "--python", sys.executable, *options], cwd=directory, env=environment,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.printed, self.lines = "", queue.Queue()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.seen = 0

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def wait(self, text):
        """Until it prints that, after what was waited for before; returns what came."""
        until, start = time.monotonic() + PATIENCE, self.seen
        while text not in self.printed[start:]:
            line = self.lines.get(timeout=max(0.01, until - time.monotonic()))
            assert line is not None, f"it ended before {text!r}: {self.printed}"
            self.printed += line
        self.seen = self.printed.index(text, start) + len(text)
        return self.printed[start : self.seen]

    def wait_without(self, text, seconds):
        """So long it does not print that; returns what it does."""
        until, start = time.monotonic() + seconds, self.seen
        while time.monotonic() < until:
            try:
                line = self.lines.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                break
            assert line is not None, f"it ended: {self.printed}"
            self.printed += line
        assert text not in self.printed[start:], self.printed[start:]
        self.seen = len(self.printed)
        return self.printed[start:]

    def save(self, name, text):
        """As editors do: a new file takes the old one's name."""
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        beside = path.with_name(path.name + "~")
        beside.write_text(text)
        beside.replace(path)

    @property
    def brokers(self):
        return self.printed.split(" -b ", 1)[1].split()[0]

    def ask(self, command="ask", words=("name=me",), session="s1"):
        done = run("submit", "-b", self.brokers, *(["--session", session] if session else []), command, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)["result"]

    def finish(self, number=signal.SIGINT):
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self.reader.join()
        return code


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """One that several tests share; starting one takes three seconds."""
    directory = tmp_path_factory.mktemp("dev")
    (directory / "application").mkdir()
    d = Dev(directory / "application", "--watch", "*.txt")
    d.wait("is served")
    d.wait("metrics")
    yield d
    try:
        assert d.finish(signal.SIGTERM) == 0
    finally:
        d.process.kill()
        d.process.wait()
        wait_gone(directory)


@pytest.fixture
def served(running):
    """The same, with the code of the beginning."""
    if running.ask(session=None, command="slow", words=["ms=0"]) != "first":
        running.save("app.py", APP)
        running.wait("The new code serves")
    return running


@pytest.fixture
def dev(tmp_path):
    """dev(..) -> a running one."""
    made = []

    def begin(*options, **more):
        directory = tmp_path / "application"
        directory.mkdir()
        made.append(Dev(directory, *options, **more))
        return made[-1]

    yield begin
    for one in made:
        one.process.kill()
        one.process.wait()
        wait_gone(tmp_path)


def test_an_application_is_served_and_what_is_printed_can_be_typed(dev, tmp_path):
    d = dev()
    d.wait("app:app is served")
    d.wait("metrics")
    typed = next(line for line in d.printed.splitlines() if " ask " in line).split("#")[0]
    assert shlex.split(typed)[-2:] == ["ask", "name=text"] and "# Answers." in d.printed
    done = subprocess.run(shlex.split(typed), stdout=subprocess.PIPE, text=True, timeout=PATIENCE)
    assert json.loads(done.stdout)["result"] == {"text": "first", "asked": 1}
    d.wait("  | asked by text")
    typed = next(line for line in d.printed.splitlines() if " tail " in line).split("#")[0]
    done = subprocess.run([*shlex.split(typed), "--until-end"], stdout=subprocess.PIPE, text=True, timeout=PATIENCE)
    assert json.loads(done.stdout)["result"]["text"] == "first"
    assert d.finish() == 0
    wait_gone(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["application"]
    assert [p.name for p in d.directory.iterdir()] == ["app.py"]  # nothing was left among the files that are looked at


def test_a_save_brings_new_code_and_what_runs_ends_on_the_old(served):
    d = served
    slow = subprocess.Popen([PROGRAM, "submit", "-b", d.brokers, "slow", "ms=2000"], stdout=subprocess.PIPE, text=True)
    d.wait("slow begins")
    assert d.ask()["text"] == "first"
    d.save("app.py", APP.replace('"first"', '"second"').replace("async def slow(ms: int)", "async def slow(ms: int, more: bool)"))
    told = d.wait("The new code serves")
    assert "app.py was saved." in told
    assert d.ask() == {"text": "second", "asked": 1} and slow.poll() is None
    out, _ = slow.communicate(timeout=PATIENCE)
    assert json.loads(out)["result"] == "first"
    d.wait("slow ms=1 more=true")  # the commands are told again when they are others
    d.save("app.py", APP.replace('"first"', '"third"'))
    d.wait("The new code serves")
    assert d.ask()["text"] == "third"


def test_code_that_cannot_be_loaded_changes_nothing(served):
    d = served
    assert d.ask(session="s2")["asked"] == 1
    d.save("app.py", APP + "def broken(:\n")
    told = d.wait("the one before goes on serving")
    assert "SyntaxError" in told and "def broken(:" in told and "app.py" in told
    assert d.ask(session="s2") == {"text": "first", "asked": 2}  # the same worker, the same state
    d.save("app.py", APP + "import no_such_module\n")
    told = d.wait("the one before goes on serving")
    assert "Traceback" in told and "No module named 'no_such_module'" in told
    d.save("app.py", APP.replace('"first"', '"mended"'))
    d.wait("The new code serves")
    assert d.ask(session="s2") == {"text": "mended", "asked": 1}


STARTING = """
@app.startup
def load():
    import os, time
    print("it starts")
    while not os.path.exists("go"): time.sleep(0.01)
"""


def test_of_two_saves_the_newest_is_told_as_what_serves(served):
    d = served
    d.save("app.py", APP.replace('"first"', '"hasty"') + STARTING)
    d.wait("it starts")
    d.save("app.py", APP.replace('"first"', '"settled"').replace("async def slow(ms: int)", "async def slow(ms: int, hasty: bool = False)"))
    d.wait("app.py was saved.")
    (d.directory / "go").touch()  # the first one's worker comes up, whether or not the second was tried already
    d.wait("The new code serves")
    assert d.ask()["text"] == "settled"
    (d.directory / "go").unlink()


def test_code_whose_start_fails_leaves_the_one_before(served):
    d = served
    assert d.ask(session="s3")["asked"] == 1
    d.save("app.py", APP.replace('"first"', '"failing"') + "\n@app.startup\ndef load(): raise RuntimeError('no key of the model')\n")
    told = d.wait("does not start; the code before goes on serving")
    assert "no key of the model" in told
    assert d.ask(session="s3") == {"text": "first", "asked": 2}
    told = d.wait_without("no key of the model", 2)  # it is tried again and again meanwhile
    assert "asked by me" in told and "does not start" not in told
    d.save("app.py", APP.replace('"first"', '"failing"') + "\n@app.startup\ndef load(): raise RuntimeError('no model')\n")
    told = d.wait("does not start; the code before goes on serving")
    assert "RuntimeError: no model" in told and "no key" not in told
    d.save("app.py", APP.replace('"first"', '"mended again"'))
    d.wait("The new code serves")
    assert d.ask(session="s3") == {"text": "mended again", "asked": 1}


def test_helpers_in_new_directories_count(served):
    d = served
    text = APP.replace('TEXT = "first"', 'from pathlib import Path\nfrom helpers.words import TEXT\nTEXT += Path("helpers/more.txt").read_text()')
    d.save("helpers/words.py", 'TEXT = "helped"')
    d.save("helpers/more.txt", "")
    d.save("helpers/data.json", "{}")
    d.save("app.py", text)
    d.wait("The new code serves")
    d.save("helpers/words.py", 'TEXT = "changed"')
    assert "words.py was saved" in d.wait("The new code serves")
    assert d.ask()["text"] == "changed"
    d.save("helpers/data.json", '{"not": "looked at"}')
    d.save("helpers/more.txt", " too")
    assert "more.txt was saved" in d.wait("The new code serves")
    assert d.ask()["text"] == "changed too" and "data.json" not in d.printed
    d.process.send_signal(signal.SIGSTOP)  # it sees what happened when the new directory is there
    shutil.rmtree(d.directory / "helpers")
    d.save("helpers/more.txt", "")
    d.save("helpers/words.py", 'TEXT = "made again"')
    d.process.send_signal(signal.SIGCONT)
    d.wait("The new code serves")
    d.save("helpers/words.py", 'TEXT = "and changed"')
    assert "words.py was saved" in d.wait("The new code serves")
    assert d.ask()["text"] == "and changed"


def test_directories_of_the_applications_own_are_no_save(served):
    """It makes some when it is loaded, and some while it runs; what is saved in them counts."""
    d = served
    d.save("app.py", APP.replace('TEXT = "first"', """
import os, shutil, time
TEXT = "makes"
os.makedirs(f"runs/{time.time_ns()}/deep")

@app.command
async def make(session):
    shutil.rmtree("data", ignore_errors=True)
    os.makedirs("data/" + session.id)
    with open("data/" + session.id + "/state.json", "w") as file: file.write("{}")
"""))
    told = d.wait("The new code serves")
    assert told.count("was saved.") == 1, told
    assert d.ask()["asked"] == 1
    for i in range(3):
        d.ask("make", [], session=f"m{i}")
    assert d.ask(session=None, command="slow", words=["ms=500"]) == "makes"  # longer than it takes to see a save
    assert d.ask() == {"text": "makes", "asked": 2}
    (d.directory / "made").mkdir()
    (d.directory / "made" / "words.py").write_text("")
    told = d.wait("The new code serves")
    assert told.count("was saved.") == 1 and ("words.py was saved" in told or "made was saved" in told), told
    for name in ("runs", "data", "made"):
        shutil.rmtree(d.directory / name)


def test_an_application_that_is_broken_at_the_start_is_waited_for(dev, tmp_path):
    d = dev(text="import no_such_module\n")
    assert "no_such_module" in d.wait("Mend it and save")
    d.save("app.py", APP.replace('TEXT = "first"', "@app.startup\ndef load(): raise RuntimeError('no key of the model')\nTEXT = 'x'"))
    told = d.wait("A worker with this code does not start. Mend it and save")
    assert "no key of the model" in told
    told = d.wait_without("no key of the model", 6)  # by then the daemon has given up
    assert "!" not in told and "Mend it" not in told, told
    d.save("app.py", APP)
    d.wait("is served")
    d.wait("metrics")
    assert d.ask()["text"] == "first"
    running = subprocess.Popen([PROGRAM, "submit", "-b", d.brokers, "slow", "ms=600000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    d.wait("slow begins")
    d.process.kill()
    d.process.wait()
    running.kill()
    running.wait()
    wait_gone(tmp_path)  # kill -9 leaves nothing, and what runs is not waited for: nobody could be told


def test_no_request_is_lost_over_many_saves(served):
    d = served
    lines = "".join(json.dumps({"request_id": f"r{i}", "session_id": f"s{i % 7}", "command": "ask" if i % 3 else "slow", "args": {"name": "n"} if i % 3 else {"ms": 40}}) + "\n" for i in range(800))
    requests = subprocess.Popen([PROGRAM, "submit", "-b", d.brokers, "-f", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    answers = {}
    reading = threading.Thread(target=lambda: answers.update(out=requests.communicate(lines, timeout=PATIENCE)[0]))
    reading.start()
    for i in range(3):
        d.save("app.py", APP.replace('"first"', f'"code {i}"'))
        d.wait("The new code serves")
    reading.join()
    results = [json.loads(line) for line in answers["out"].splitlines()]
    assert len(results) == len({r["request_id"] for r in results}) == 800 and {r["status"] for r in results} == {"OK"}
    assert requests.returncode == 0


@pytest.mark.parametrize("words, says", [((), "name one application"), (("a", "b"), "name one application"), (("no/such/dir/app.py",), "No such file")])
def test_wrong_words(words, says, tmp_path):
    done = run("dev", *words, cwd=tmp_path)
    assert says in done.stderr and done.returncode == 64


@pytest.mark.parametrize("app, says", [
    ("appp:app", "there is no module 'appp' in "),
    ("app:appp", "app has no 'appp'; did you mean app:app?\n"),
    ("nofile.py:app", "there is no file "),
    ("app:app --python /no/such/python", "cannot run /no/such/python: no such file or directory; name a Python with --python\n"),
])
def test_what_is_not_there_is_no_matter_of_saving(app, says, tmp_path):
    (tmp_path / "app.py").write_text(APP)
    done = run("dev", "--python", sys.executable, *app.split(), cwd=tmp_path, env={**os.environ, "TMPDIR": str(tmp_path)})
    assert done.returncode == 64 and done.stderr.startswith("bridgepool dev: " + says), done.stderr
    assert "pools[]" not in done.stderr and "save" not in done.stdout + done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["app.py"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_leaves_no_directory(dev, tmp_path, number):
    d = dev()
    d.wait("is served")
    d.wait("metrics")
    running = subprocess.Popen([PROGRAM, "submit", "-b", d.brokers, "slow", "ms=600000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    d.wait("slow begins")
    d.process.send_signal(number)
    d.wait("What runs may finish")
    assert d.finish(number) == -number
    running.kill()
    running.wait()
    wait_gone(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["application"]
