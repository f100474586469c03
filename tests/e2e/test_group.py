"""Three daemons on three brokers join and leave under load: nothing is lost, order holds, new state is told."""
import collections
import json
import signal
import threading

import pytest
from confluent_kafka import Producer
from conftest import BRIDGEPOOL, MOCK, Cluster, Site, decode, eventually

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


def lived_on(results, change):
    """The (session, epoch) that have results from before a member joined, and from when it had joined."""
    begin, end = change
    return {(r["session_id"], r["session_epoch"]) for r in results[:begin]} & {(r["session_id"], r["session_epoch"]) for r in results[end:]}


@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
def test_three_daemons_join_and_leave_under_load(group, three, static):
    s, members = group, Members(group, static)
    load = Load(s)
    try:
        joins = []
        for name in ("a", "b", "c"):
            before = len(s.seen)
            members.join(name)
            joins.append((before, len(s.seen)))
            members.more(1000)
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
    if static:  # a share of the partitions stays where it is, and with them their sessions
        assert all(len(lived_on(results, change)) >= SESSIONS / 8 for change in joins[1:])
    repeated = len(results) - load.sent
    print(f"{load.sent} requests, {repeated} results repeated")
    assert repeated < load.sent / 3


def test_two_daemons_of_one_name_do_not_take_turns(site):
    s = site(MOCK + " size = 1;", 'health = { heartbeat = "0"; };')
    first = s.start("one")
    s.wait_joined()
    second = s.start("one")
    assert first.wait(60) == 78  # which systemd does not start again
    assert " fenced " in s.log_text()
    s.wait_joined()
    s.ask("s1", "count")
    second.terminate()
    assert second.wait(30) == 0


def test_what_runs_longer_than_the_drain_of_a_rebalance_goes_on_where_its_partition_stays(site):
    """Two sessions of each of four partitions run something when another member joins: two partitions stay, with what runs there."""
    s = site(MOCK + " size = 1;", 'drain = { revoke = "200ms"; };')
    s.start("a")
    sessions = [f"s{i}" for i in range(32)]
    s.send(*((f"first-{n}", n, "count", {}) for n in sessions))
    s.read_results(lambda seen: len(seen) == 32, 60)
    first = {r["session_id"]: r for r in s.results_seen()}
    places = {n: first[n]["source"]["partition"] for n in sessions}
    by_place = {p: [n for n in sessions if places[n] == p][:2] for p in set(places.values())}
    assert {len(two) for two in by_place.values()} == {2} and len(by_place) == 4
    chosen = [n for two in by_place.values() for n in two]
    s.send(*((f"long-{n}", n, "sleep", {"args": {"ms": 6000}}) for n in chosen))
    eventually(lambda: s.status()["pools"][0]["places_used"] == 8)
    s.start("b")
    s.wait_joined()
    assert len(s.seen) == 32  # all of them run still
    s.read_results(lambda seen: len(seen) == 40, 60)
    ends = {r["session_id"]: r for r in s.results_seen()[32:]}
    assert set(ends) == set(chosen) and {r["status"] for r in ends.values()} == {"OK"}
    stayed = {places[n] for n, r in ends.items() if r["instance_id"] == "a"}
    assert len(stayed) == 2
    for n, r in ends.items():
        if places[n] in stayed:
            assert (r["session_epoch"], r["worker_id"], r["session_new"], r["attempts"]) == (first[n]["session_epoch"], first[n]["worker_id"], False, 1)
        else:
            assert r["instance_id"] == "b" and r["session_new"]
    s.send(*((f"after-{n}", n, "count", {}) for n in chosen))
    s.read_results(lambda seen: len(seen) == 48, 60)
    counts = {r["session_id"]: r["result"]["count"] for r in s.results_seen()[40:]}
    assert counts == {n: 2 if places[n] in stayed else 1 for n in chosen}
    assert s.end() == [0, 0]
