"""Three daemons on three brokers join and leave under load: nothing is lost, order holds, new state is told."""
import collections
import json
import signal
import threading

import pytest
from confluent_kafka import Producer
from conftest import BRIDGEPOOL, Cluster, Site, decode

SESSIONS, AHEAD = 300, 1500
WORKER = f'command = [ "{BRIDGEPOOL}", "mock-worker", "--concurrency", "8", "--delay", "20" ]; size = 2;'


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    brokers = Cluster(tmp_path_factory.mktemp("kafka3"), 3)
    yield brokers
    brokers.stop()


@pytest.fixture
def group(three, tmp_path):
    s = Site(three.bootstrap, tmp_path, WORKER, partitions=12, replication=3)
    yield s
    s.end()


class Load(threading.Thread):
    """Sends requests of all sessions in turn, always some ahead of the results, until it is told to stop."""

    def __init__(self, s):
        super().__init__()
        self.site, self.sent, self.stopping, self.failed = s, 0, threading.Event(), None
        self.start()

    def run(self):
        producer = Producer({"bootstrap.servers": self.site.brokers, "partitioner": "murmur2_random", "enable.idempotence": True, "linger.ms": 5})

        def delivered(error, message):
            self.failed = self.failed or error

        while not self.stopping.wait(0.01):
            while self.sent < len(self.site.seen) + AHEAD:
                value = json.dumps({"request_id": f"r{self.sent}", "command": "count"})
                producer.produce(self.site.requests, key=f"s{self.sent % SESSIONS}", value=value, on_delivery=delivered)
                producer.poll(0)
                self.sent += 1
        if producer.flush(60) > 0:
            self.failed = "flush"

    def stop(self):
        self.stopping.set()
        self.join()
        assert self.failed is None, self.failed


class Members:
    def __init__(self, s, static):
        self.site, self.static, self.known, self.daemons = s, static, set(), {}

    def more(self, results):
        """So many more results come in."""
        wanted = len(self.site.seen) + results
        self.site.read_results(lambda seen: len(seen) >= wanted, 60)

    def join(self, name):
        """Starts a daemon and waits until it has answered something."""
        before = len(self.site.seen)
        self.daemons[name] = self.site.start(name if self.static else None)

        def answered(seen):
            fresh = {decode(m.value())["instance_id"] for m in seen[before:]}
            return name in fresh if self.static else fresh - self.known

        self.site.read_results(answered, 90)
        self.known |= {r["instance_id"] for r in self.site.results_seen()}

    def leave(self, name):
        daemon = self.daemons.pop(name)
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(60) == 0

    def kill(self, name):
        daemon = self.daemons.pop(name)
        daemon.kill()
        daemon.wait()


def check(results, sent):
    """Every request has its result. In every life of a session: the first result says so, offsets rise, and the worker counts on."""
    assert {r["request_id"] for r in results} == {f"r{i}" for i in range(sent)}
    assert {r["status"] for r in results} == {"OK"}
    lives = collections.defaultdict(list)
    for r in results:
        lives[r["session_id"], r["session_epoch"]].append(r)
    for (session, epoch), life in lives.items():
        offsets = [r["source"]["offset"] for r in life]
        assert [r["session_new"] for r in life] == [True] + [False] * (len(life) - 1), (session, epoch)
        assert offsets == sorted(set(offsets)), (session, epoch, offsets)
        assert [r["result"]["count"] for r in life] == list(range(1, len(life) + 1)), (session, epoch)
        assert len({(r["instance_id"], r["worker_id"], r["result"]["worker"]) for r in life}) == 1, (session, epoch)
    assert len({session for session, _ in lives}) == SESSIONS


@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
def test_three_daemons_join_and_leave_under_load(group, three, static):
    s, members = group, Members(group, static)
    load = Load(s)
    try:
        for name in ("a", "b", "c"):
            members.join(name)
            members.more(300)
        three.act("kill", 2)
        members.more(600)
        members.leave("b")
        members.more(300)
        three.act("restart", 2)
        members.join("b")
        members.more(300)
        members.kill("c")
        members.more(300)
        members.join("c")
        members.leave("a")
        members.more(300)
    finally:
        load.stop()
    missing = {f"r{i}" for i in range(load.sent)}

    def complete(seen):
        nonlocal checked
        missing.difference_update(decode(m.value())["request_id"] for m in seen[checked:])
        checked = len(seen)
        return not missing

    checked = 0
    s.read_results(complete, 90)
    for name in ("b", "c"):
        members.leave(name)
    s.wait_no_workers()
    results = s.results_seen()
    check(results, load.sent)
    repeated = len(results) - load.sent
    print(f"{load.sent} requests, {repeated} results repeated")
    assert repeated < load.sent / 3
