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

import pyte
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
    """A program on a pseudo terminal, and what a person sees on it.

    TERM is what the emulator knows best; LINES and COLUMNS, as some shells export them, are not this terminal's and must not count.
    `raw` is all that was sent since the start.
    """

    def __init__(self, command, cwd, rows=24, columns=150, term="linux"):
        self.raw, self.screen = b"", pyte.Screen(columns, rows)
        self.emulator = pyte.ByteStream(self.screen)
        size = struct.pack("HHHH", rows, columns, 0, 0)
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            fcntl.ioctl(0, termios.TIOCSWINSZ, size)
            os.execve(command[0], command, dict(os.environ, TERM=term, LINES="30", COLUMNS="100"))

    def resize(self, rows, columns):
        """It is told by SIGWINCH, and draws all anew."""
        self.read()
        self.screen.resize(rows, columns)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        """What is on the screen now."""
        while select.select([self.fd], [], [], 0.05)[0]:
            try:
                sent = os.read(self.fd, 65536)
            except OSError:  # it has ended
                break
            self.raw += sent
            self.emulator.feed(sent)
        return "\n".join(self.screen.display)

    def wait(self, *shown, hidden=(), seconds=30):
        """Until all of `shown` is there at once, and nothing of `hidden`."""

        def there():
            seen = self.read()
            return all(text in seen for text in shown) and not any(text in seen for text in hidden)

        try:
            eventually(there, seconds)
        except AssertionError:
            raise AssertionError(f"not {shown} without {hidden} within {seconds} s, but:\n{self.read()}") from None

    def type(self, keys):
        os.write(self.fd, keys)

    def end(self):
        """Its exit code, once it has ended by itself."""
        end = time.monotonic() + 20
        while not (done := os.waitpid(self.pid, os.WNOHANG))[0]:
            self.read()
            assert time.monotonic() < end
        self.pid = None
        self.read()
        return os.waitstatus_to_exitcode(done[1])

    def close(self):
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture
def terminal(embedded, tmp_path):
    """Makes a terminal with a command on it, beside the embedded broker."""
    made = []

    def on(command, **more):
        made.append(Terminal(command, tmp_path, **more))
        return made[-1]

    yield on
    for one in made:
        one.close()


WATCH = [str(BRIDGEPOOL), "watch"]


def test_the_group_on_a_terminal_through_a_pipe_and_once(embedded, terminal, tmp_path):
    nobody = embedded.once("--timeout", "200ms")
    assert nobody.returncode == 75 and "nothing was heard yet" in nobody.stdout
    assert nobody.stderr == "bridgepool watch: no heartbeat within 0.2 s on bridgepool.health\n"

    screen = terminal(WATCH)
    screen.wait("nothing was heard yet")
    piped = embedded.run("watch", name="piped")
    first, second = embedded.daemon("first"), embedded.daemon("second")
    screen.wait("first")
    screen.wait("second")
    eventually(lambda: len(re.findall(r"INFO  (?:first|second) HEARTBEAT READY workers=2 ready=2 ", (tmp_path / "piped.out").read_text())) > 4)

    once = embedded.once()
    assert once.returncode == 0 and "\033" not in once.stdout
    assert re.search(r"^first +READY .*\n^second +READY ", once.stdout, re.M)
    assert re.search(r"^mocks +READY +4 +0 +0 +0 +0 +0/64 ", once.stdout, re.M)

    second.send_signal(signal.SIGKILL)
    screen.wait("no heartbeat for")
    eventually(lambda: "second is not heard any more: no heartbeat for" in (tmp_path / "piped.out").read_text())
    assert "no heartbeat for" in embedded.once().stdout
    first.send_signal(signal.SIGTERM)
    screen.wait("STOPPED")

    screen.type(b"q")
    assert screen.end() == 0
    piped.send_signal(signal.SIGTERM)
    assert piped.wait(20) == 0
    lines = (tmp_path / "piped.out").read_text().splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d (INFO |WARN |ERROR) (first|second) ", line) for line in lines), lines


def test_small_terminals_show_what_matters(embedded, terminal):
    embedded.daemon("first")
    screen = terminal(WATCH, rows=24, columns=80)
    screen.wait("INSTANCE", "BACKLOG", "FAILED/S", "SESSIONS", "mocks", "EVENTS", hidden=("MEMORY", "P95<"))
    screen.resize(24, 150)
    screen.wait("INSTANCE", "MEMORY", "P95<", "mocks", "EVENTS")
    screen.resize(3, 20)  # the title, and the table's head
    screen.wait("bridgepool", "INSTANCE", hidden=("mocks", "health at"))
    screen.type(b"\033[B" * 5)  # down
    screen.wait("mocks", hidden=("INSTANCE",))
    screen.type(b"\033[5~" * 4 + b"\033[C")  # up again, and to the right
    screen.wait("health at", hidden=("bridgepool", "mocks"))
    screen.resize(3, 21)
    screen.wait("gepool.health at", hidden=("INSTANCE",))
    screen.type(b"\033[D")
    screen.resize(3, 22)
    screen.wait("bridgepool: bridgep...", "INSTANCE", hidden=("health at",))
    screen.type(b"q")
    assert screen.end() == 0


def test_the_screen_is_given_back(terminal):
    screen = terminal(WATCH, term="xterm-256color")
    screen.wait("nothing was heard yet")
    screen.type(b"q")
    assert screen.end() == 0
    assert screen.raw.index(b"\033[?1049h") < screen.raw.index(b"\033[?1049l")


def test_a_terminal_that_cannot_be_drawn_on_gets_lines(terminal):
    screen = terminal(["/usr/bin/env", "TERM=no-such-terminal", *WATCH])
    screen.wait("(TERM=no-such-terminal) cannot be drawn on")
    screen.type(b"\x03")
    assert screen.end() == 0


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
