"""A broker that goes away, or refuses: named, waited for without spinning, nothing lost."""
import contextlib
import json
import os
import signal

import pytest
from confluent_kafka.admin import AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AdminClient, NewTopic, ResourcePatternType, ResourceType
from conftest import MOCK, by_request, eventually


def count(i):
    return f"s{i % 40}", json.dumps({"request_id": f"r{i}", "command": "count"})


def cpu_seconds(daemon):
    fields = open(f"/proc/{daemon.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def check_counts(s, requests):
    """Nothing lost, and each session's state went on under each of its epochs."""
    results = by_request(s.seen)
    assert len(results) == requests
    last = {}
    for r in s.results_seen():
        assert r["status"] == "OK"
        key = r["session_id"], r["session_epoch"]
        assert r["result"]["count"] == last.get(key, 0) + 1 and r["session_new"] == (key not in last), r
        last[key] = r["result"]["count"]


def test_a_broker_that_goes_away_under_load_and_comes_back(site, cluster):
    s = site(MOCK + " size = 2;", 'health = { heartbeat = "0"; };')
    daemon = s.start("one")
    s.produce([count(i) for i in range(2000)])
    s.read_results(lambda seen: len(seen) > 200, 60)
    cluster.act("kill")
    eventually(lambda: "to=UNAVAILABLE" in s.log_text())
    before, lines = cpu_seconds(daemon), s.log_text().count("\n")
    cluster.act("restart")  # takes seconds
    assert cpu_seconds(daemon) - before < 1.0
    s.produce([count(i) for i in range(2000, 2400)])
    s.read_results(lambda seen: len(by_request(seen)) == 2400, 90)
    eventually(lambda: "from=UNAVAILABLE to=READY" in s.log_text())
    assert s.log_text().count("\n") - lines < 60
    check_counts(s, 2400)
    assert s.end() == [0]
    s.wait_no_workers()


@contextlib.contextmanager
def forbidden(s, topic, operation):
    """While it lasts nobody may do that with the topic."""
    admin = AdminClient({"bootstrap.servers": s.brokers})

    def rule(permission, operation):
        return AclBinding(ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", operation, permission)

    def act(futures):
        for future in futures.values():
            future.result(30)

    act(admin.create_acls([rule(AclPermissionType.ALLOW, AclOperation.ALL), rule(AclPermissionType.DENY, operation)]))
    try:
        yield
    finally:
        act(admin.delete_acls([AclBindingFilter(ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, None, None, AclOperation.ANY, AclPermissionType.ANY)]))


def test_results_that_may_not_be_written_wait(site):
    s = site(MOCK + " size = 1;", 'health = { heartbeat = "0"; };')
    daemon = s.start("one")
    s.produce([count(i) for i in range(100)])
    s.read_results(lambda seen: len(seen) == 100, 60)
    with forbidden(s, s.results, AclOperation.WRITE):
        s.produce([count(i) for i in range(100, 500)])
        eventually(lambda: "delivery_refused" in s.log_text())
        assert "forbidden" in s.log_text() and s.results in s.log_text() and "--print" in s.log_text()
        before, lines = cpu_seconds(daemon), s.log_text().count("\n")
        with pytest.raises(AssertionError, match="100 results"):
            s.read_results(lambda seen: len(seen) > 100, 5)
        assert cpu_seconds(daemon) - before < 1.0 and s.log_text().count("\n") - lines < 40
    s.read_results(lambda seen: len(by_request(seen)) == 500, 90)
    check_counts(s, 500)
    assert s.end() == [0]


def test_requests_that_may_not_be_read_are_named_and_waited_for(site):
    s = site(MOCK + " size = 1;")
    s.produce([count(i) for i in range(50)])
    with forbidden(s, s.requests, AclOperation.READ):
        s.start("one")
        eventually(lambda: " forbidden " in s.log_text())
        assert s.requests in [line for line in s.log_text().splitlines() if " forbidden " in line][0]
    s.read_results(lambda seen: len(by_request(seen)) == 50, 90)
    check_counts(s, 50)
    assert s.end() == [0]


def test_a_topic_that_may_not_be_seen_ends_the_start(site):
    s = site(MOCK + " size = 1;")
    with forbidden(s, s.results, AclOperation.DESCRIBE):
        daemon = s.start()
        assert daemon.wait(60) == 78
    [line] = [line for line in s.log_text().splitlines() if " error preflight " in line]
    assert s.results in line and "is forbidden" in line and "--print" in line


def test_a_topic_that_disappears_is_named_and_waited_for(site):
    s = site(MOCK + " size = 1;", 'health = { heartbeat = "0"; };')
    s.start("one")
    assert s.ask("s0", "count")["status"] == "OK"
    admin = AdminClient({"bootstrap.servers": s.brokers})
    admin.delete_topics([s.dead])[s.dead].result(30)
    s.produce([("s1", b"nonsense"), ("s1", json.dumps({"command": "count"}))])
    s.read_results(lambda seen: len(seen) == 3, 60)  # results do not wait for dead letters
    eventually(lambda: "delivery_refused" in s.log_text() and s.dead in s.log_text())
    admin.create_topics([NewTopic(s.dead, 1, 1)])[s.dead].result(30)
    [letter] = eventually(lambda: s.read_all(s.dead))
    assert letter.value() == b"nonsense"
    assert s.end() == [0]


def test_a_request_topic_that_is_made_anew_is_read_from_its_beginning(site):
    s = site(MOCK + " size = 1;", partitions=1)
    s.start("one")
    s.produce([count(i) for i in range(200)])
    s.read_results(lambda seen: len(seen) == 200, 60)
    s.produce([("slow", json.dumps({"request_id": "old", "command": "sleep", "args": {"ms": 5000}}))])  # ends when the new one is there
    admin = AdminClient({"bootstrap.servers": s.brokers})
    admin.delete_topics([s.requests])[s.requests].result(30)
    eventually(lambda: "topic_missing" in s.log_text())
    admin.create_topics([NewTopic(s.requests, 1, 1)])[s.requests].result(30)
    s.produce([count(i) for i in range(1000, 1500)])  # further than the former one had come
    s.read_results(lambda seen: len(by_request(seen)) >= 700, 60)
    assert all(len(by_request(s.seen)[f"r{i}"]) == 1 for i in range(1000, 1500))
    assert "topic_remade" in s.log_text()
    assert s.end() == [0]


def test_an_end_after_a_topic_was_out_of_sight_is_prompt(site):
    s = site(MOCK + " size = 1;", partitions=1, kafka='properties = [ "topic.metadata.refresh.interval.ms=500" ];')
    daemon = s.start("one")
    assert s.ask("s0", "count")["session_new"]
    with forbidden(s, s.requests, AclOperation.DESCRIBE):
        eventually(lambda: " forbidden " in s.log_text())
    after = s.ask("s0", "count")
    assert not after["session_new"] and after["result"]["count"] == 2
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(20) == 0  # also where librdkafka cannot destroy its client
