"""`bridgepool watch`: on a pseudo terminal, through a pipe, and once; on the embedded broker and on Apache Kafka."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest
from confluent_kafka import Producer
from conftest import BRIDGEPOOL, MOCK, eventually


class Embedded:
    """The embedded broker with daemons that beat every half second."""

    def __init__(self, where):
        self.where, self.running = where, []
        broker = self.run("broker", name="broker")
        self.brokers = eventually(lambda: (where / "broker.out").read_text().split("\n")[0], 20)
        assert broker.poll() is None
        (where / "bridgepool.cfg").write_text(f"""
kafka = {{ brokers = "{self.brokers}"; consumer_properties = [ "session.timeout.ms=6000", "fetch.wait.max.ms=5" ]; }};
pools = ( {{ name = "mocks"; {MOCK} size = 2; }} );
health = {{ heartbeat = "500ms"; }};
http = {{ listen = ""; }};
""")

    def run(self, *arguments, name):
        with open(self.where / (name + ".out"), "wb") as out:
            process = subprocess.Popen([BRIDGEPOOL, *arguments], cwd=self.where, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.running.append(process)
        return process

    def daemon(self, instance):
        return self.run("run", "--set", f"instance.id={instance}", name=instance)

    def once(self, *more):
        return subprocess.run([BRIDGEPOOL, "watch", "--once", *more], cwd=self.where, capture_output=True, text=True, timeout=60)

    def end(self):
        for process in self.running:
            process.kill()
            process.wait()


@pytest.fixture
def embedded(tmp_path):
    one = Embedded(tmp_path)
    yield one
    one.end()


class Terminal:
    """A program on a pseudo terminal of 24 lines and 150 columns, and all that it drew."""

    def __init__(self, command, cwd):
        self.drawn = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execve(command[0], command, dict(os.environ, TERM="xterm-256color"))
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 150, 0, 0))

    def read(self):
        while select.select([self.fd], [], [], 0.05)[0]:
            try:
                self.drawn += os.read(self.fd, 65536).decode(errors="replace")
            except OSError:  # it has ended
                break
        return self.drawn

    def wait(self, text, seconds=30):
        eventually(lambda: text in self.read(), seconds)

    def type(self, keys):
        os.write(self.fd, keys)

    def end(self):
        """Its exit code."""
        end = time.monotonic() + 20
        while not (done := os.waitpid(self.pid, os.WNOHANG))[0]:
            self.read()
            assert time.monotonic() < end
        self.read()
        os.close(self.fd)
        return os.waitstatus_to_exitcode(done[1])


def test_the_group_on_a_terminal_through_a_pipe_and_once(embedded, tmp_path):
    nobody = embedded.once("--timeout", "200ms")
    assert nobody.returncode == 75 and "nothing was heard yet" in nobody.stdout

    terminal = Terminal([str(BRIDGEPOOL), "watch"], tmp_path)
    terminal.wait("nothing was heard yet")
    piped = embedded.run("watch", name="piped")
    first, second = embedded.daemon("first"), embedded.daemon("second")
    terminal.wait("first")
    terminal.wait("second")
    eventually(lambda: len(re.findall(r"INFO  (?:first|second) HEARTBEAT READY workers=2 ready=2 ", (tmp_path / "piped.out").read_text())) > 4)

    once = embedded.once()
    assert once.returncode == 0 and "\033" not in once.stdout
    assert re.search(r"^first +READY .*\n^second +READY ", once.stdout, re.M)
    assert re.search(r"^mocks +READY +4 +0 +0 +0 +0 +0/64 ", once.stdout, re.M)

    second.send_signal(signal.SIGKILL)
    terminal.wait("no heartbeat for")
    eventually(lambda: "second is not heard any more: no heartbeat for" in (tmp_path / "piped.out").read_text())
    assert "no heartbeat for" in embedded.once().stdout
    first.send_signal(signal.SIGTERM)
    terminal.wait("STOPPED")

    terminal.type(b"q")
    assert terminal.end() == 0
    assert "\033[?1049h" in terminal.drawn and "\033[?1049l" in terminal.drawn  # it gave the screen back
    piped.send_signal(signal.SIGTERM)
    assert piped.wait(20) == 0
    lines = (tmp_path / "piped.out").read_text().splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d (INFO |WARN |ERROR) (first|second) ", line) for line in lines), lines


def test_a_terminal_that_cannot_be_drawn_on_gets_lines(embedded, tmp_path):
    command = ["/usr/bin/env", "TERM=no-such-terminal", str(BRIDGEPOOL), "watch"]
    terminal = Terminal(command, tmp_path)
    terminal.wait("(TERM=no-such-terminal) cannot be drawn on")
    terminal.type(b"\x03")
    assert terminal.end() == 0


def test_it_starts_at_a_time(site, tmp_path):
    s = site(MOCK + " size = 1;", extra='health = { heartbeat = "500ms"; };')
    ancient = json.dumps({"event_id": "1", "instance_id": "ancient", "kind": "INSTANCE_STATE", "to_state": "READY"})
    producer = Producer({"bootstrap.servers": s.brokers})
    producer.produce(s.health, ancient, "ancient", timestamp=int((time.time() - 3600) * 1000))
    assert producer.flush(30) == 0
    s.start(instance="one")
    eventually(lambda: " joined " in s.log_text())

    def heard(*since):
        with subprocess.Popen([BRIDGEPOOL, "watch", "-c", s.config, *since], stdout=subprocess.PIPE, text=True) as watch:
            lines = [watch.stdout.readline()]
            while not re.search(r" one HEARTBEAT READY .*partitions=4", lines[-1]):
                lines.append(watch.stdout.readline())
            watch.send_signal(signal.SIGTERM)
        return "".join(lines)

    assert " ancient INSTANCE_STATE READY" in heard("--since", "2h")
    assert "ancient" not in heard()
