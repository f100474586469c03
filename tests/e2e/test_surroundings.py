"""What surrounds a daemon: descriptors that its caller closed, a machine that stands still."""
import json
import os
import signal
import subprocess
import time

import pytest
from conftest import BRIDGEPOOL, MOCK, PYTHON, eventually


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)], ids=str)
def test_standard_descriptors_may_be_closed(site, closed):
    s = site(MOCK + " size = 1;")
    def close():
        for fd in closed:
            os.close(fd)

    daemon = subprocess.Popen([BRIDGEPOOL, "run", "-c", s.config], cwd=s.directory, stdin=subprocess.DEVNULL, stdout=s.log, stderr=s.log, preexec_fn=close)
    s.daemons.append(daemon)
    assert [s.ask("s1", "count")["result"]["count"] for _ in range(2)] == [1, 2]
    links = {fd: os.readlink(f"/proc/{daemon.pid}/fd/{fd}") for fd in closed}
    assert set(links.values()) == {"/dev/null"}, links  # no socket that our lines would go into
    assert s.end() == [0]
    assert ("end exit code 0" in s.log_text()) == (2 not in closed)


def test_output_that_is_closed_is_an_error_of_who_writes_it():
    assert subprocess.run([BRIDGEPOOL, "version"], preexec_fn=lambda: os.close(1), stderr=subprocess.PIPE).returncode == 1


APP = """
import os
from bridgepool import App
app = App(version="1.0")

@app.command
def wait(session, name: str) -> str:
    open(name + ".began", "w").close()
    with open(name + ".fifo") as fifo:  # until the test opens it too
        fifo.read()
    open(name + ".ended", "w").close()
    return name
"""


def test_a_daemon_that_stood_still_reads_answers_before_it_looks_at_the_clock(site):
    s = site(PYTHON + ' size = 1; request_timeout = "2s"; kill_grace = "100ms"; ping_interval = "100ms"; ping_timeout = "1s";')
    (s.directory / "app.py").write_text(APP)
    daemon = s.start("one")
    for name in ("one", "two", "three"):
        os.mkfifo(s.directory / f"{name}.fifo")
        s.produce([("s1", json.dumps({"command": "wait", "args": {"name": name}}))])
        eventually((s.directory / f"{name}.began").exists)
        daemon.send_signal(signal.SIGSTOP)
        open(s.directory / f"{name}.fifo", "w").close()
        eventually((s.directory / f"{name}.ended").exists)
        time.sleep(2.5)  # what is measured: a time, longer than the limit of a run, in which nobody reads the answer
        daemon.send_signal(signal.SIGCONT)
        s.read_results(lambda seen: len(seen) == ("one", "two", "three").index(name) + 1, 30)
    assert [(r["status"], r["result"], r["session_new"]) for r in s.results_seen()] == [("OK", "one", True), ("OK", "two", False), ("OK", "three", False)]
    assert s.end() == [0]


@pytest.mark.parametrize("there, here, mend", [
    ("session.timeout.ms=6000", "partition.assignment.strategy=roundrobin", "partition.assignment.strategy"),
    ("session.timeout.ms=6000", 'session.timeout.ms=3000000", "max.poll.interval.ms=4000000', "group.max.session.timeout.ms"),
], ids=["another assignor", "a session timeout that the broker does not allow"])
def test_a_group_that_does_not_take_an_instance_is_told(site, there, here, mend):
    s = site(MOCK + " size = 1;")
    s.start("one")
    s.wait_joined()
    s.config.write_text(s.config.read_text().replace(there, here))
    s.start("two")
    eventually(lambda: " error group_refused " in s.log_text(), 30)
    [line] = [line for line in s.log_text().splitlines() if " group_refused " in line]
    assert mend in line, line
    assert s.ask("s1", "count")["status"] == "OK"  # the first one goes on
    assert s.end() == [0, 0]
