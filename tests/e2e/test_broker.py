"""A broker that goes away, or refuses: named, waited for without spinning, nothing lost."""
import contextlib
import json
import os
import pathlib
import signal

import pytest
from confluent_kafka import KafkaException
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
    status, said = s.get("/readyz")
    assert status == 503 and said.startswith("the instance is UNAVAILABLE: no broker answers: ") and s.brokers in said
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
def spoilt(cluster, topic):
    """While it lasts the first gzip batch of a topic's only partition is none, as the broker gives it out."""
    with open(next(pathlib.Path(cluster.where).rglob(f"{topic}-0/*.log")), "r+b", buffering=0) as log:
        content = log.read()
        at = content.index(b"\x1f\x8b\x08") + 10

        def write(data):
            log.seek(at)
            log.write(data)

        write(bytes(b ^ 0xff for b in content[at:at + 40]))
        yield
        write(content[at:at + 40])


def test_a_partition_that_cannot_be_read_is_told_and_nothing_of_it_is_skipped(site, cluster):
    s = site(MOCK, partitions=1)
    s.produce([count(i) for i in range(3)])
    s.produce([count(i) for i in range(3, 103)], **{"compression.type": "gzip", "linger.ms": 1000})
    s.produce([count(i) for i in range(103, 106)])
    with spoilt(cluster, s.requests):
        s.start()
        eventually(lambda: "partition_unreadable" in s.log_text())
        line = next(line for line in s.log_text().splitlines() if "partition_unreadable" in line)
        assert f"{s.requests}[0] at offset 3: " in line
        told = eventually(lambda: s.events("PARTITION_STUCK"))
        assert told[0]["severity"] == "ERROR" and told[0]["reason"].startswith(f"{s.requests}[0] at offset 3: ")
        s.read_results(lambda seen: len(seen) == 3, 30)
    s.read_results(lambda seen: len(seen) == 106, 60)
    assert s.log_text().count("partition_unreadable") == 1
    check_counts(s, 106)
    assert s.end() == [0]


def test_more_health_events_at_once_than_may_be_under_way_come_all_and_in_their_order(site):
    s = site(MOCK, 'health = { heartbeat = "0"; };', partitions=300)
    s.start()
    told = eventually(lambda: len(found := s.events("PARTITIONS_ASSIGNED")) == 300 and found)
    sequence = [e["sequence"] for e in told]
    assert sequence == sorted(sequence)


@contextlib.contextmanager
def forbidden(s, name, operation, kind=ResourceType.TOPIC):
    """While it lasts nobody may do that with the topic, or the group."""
    admin = AdminClient({"bootstrap.servers": s.brokers})

    def rule(permission, operation):
        return AclBinding(kind, name, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", operation, permission)

    def act(futures):
        for future in futures.values():
            future.result(30)

    act(admin.create_acls([rule(AclPermissionType.ALLOW, AclOperation.ALL), rule(AclPermissionType.DENY, operation)]))
    try:
        yield
    finally:
        act(admin.delete_acls([AclBindingFilter(kind, name, ResourcePatternType.LITERAL, None, None, AclOperation.ANY, AclPermissionType.ANY)]))


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
        admin = AdminClient({"bootstrap.servers": s.brokers})
        eventually(lambda: s.results not in admin.list_topics(timeout=10).topics)  # the rule holds a moment after it was taken
        daemon = s.start()
        assert daemon.wait(60) == 78
    [line] = [line for line in s.log_text().splitlines() if " error preflight " in line]
    assert s.results in line and "is forbidden" in line and "--print" in line
    told = s.events("INSTANCE_STATE")[-1]
    assert told["to_state"] == "STOPPED" and s.results in told["reason"] and "is forbidden" in told["reason"]


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


def make_anew(s, topic, partitions=1):
    """Deletes a topic and makes it again within what librdkafka waits before it fetches once more: nobody is told of it."""
    admin = AdminClient({"bootstrap.servers": s.brokers})
    admin.delete_topics([topic])[topic].result(30)

    def made():
        try:
            admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(30)
        except KafkaException:  # its deletion is not over
            return False
        return True
    eventually(made)


@pytest.mark.parametrize("command,ended", [("count", 5), ("sleep", 0)])
def test_a_request_topic_that_is_made_anew_at_once_is_read_from_its_beginning(site, command, ended):
    s = site(MOCK + " size = 1;", partitions=1)
    s.start("one")
    s.send(*[(f"old{i}", f"t{i}", command, {"args": {"ms": 20000}}) for i in range(5)])
    eventually(lambda: s.committed()[0].offset == ended and s.status()["partitions"][0]["next"] == 5)
    make_anew(s, s.requests)
    s.produce([count(i) for i in range(30)])
    s.read_results(lambda seen: {f"r{i}" for i in range(30)} <= set(by_request(seen)), 60)
    assert "topic_remade" in s.log_text()
    eventually(lambda: s.committed()[0].offset == 30)
    assert s.end() == [0]


def test_who_is_not_in_the_group_any_more_is_not_ready_and_says_why(site):
    s = site(MOCK + " size = 1;", partitions=1)
    s.start()
    s.wait_joined()
    assert s.get("/readyz") == (200, "ok\n")
    with forbidden(s, s.group, AclOperation.READ, ResourceType.GROUP):
        eventually(lambda: s.get("/readyz")[0] == 503)
        eventually(lambda: "the instance is not in the group: " in (said := s.get("/readyz")[1]) and "authorization failed" in said)
    eventually(lambda: s.get("/readyz") == (200, "ok\n"))
    assert s.ask("s0", "count")["status"] == "OK"
    assert s.end() == [0]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_topic_that_is_made_anew_costs_the_others_nothing(site, at_once):
    s = site('name = "a"; ' + MOCK + " size = 1;", source='pool = "a";', more=[('pool = "b";', 'name = "b"; ' + MOCK + " size = 1;")], partitions=1)
    s.start("one")
    other = s.topics[1]
    assert s.ask("w", "count")["result"]["count"] == 1
    s.send(*[(f"old{i}", "q", "count", {}) for i in range(2)], topic=other)
    s.records("old1")
    s.ask("w", "sleep", ms=300)  # what was answered is committed
    if at_once:
        make_anew(s, other)
    else:
        admin = AdminClient({"bootstrap.servers": s.brokers})
        admin.delete_topics([other])[other].result(30)
        eventually(lambda: "topic_missing" in s.log_text())
        assert s.ask("w", "sleep", ms=2000)["session_new"] is False
        admin.create_topics([NewTopic(other, 1, 1)])[other].result(30)
    s.send(*[(f"new{i}", "q", "count", {}) for i in range(6)], topic=other)
    assert [s.records(f"new{i}")[0]["status"] for i in range(6)] == ["OK"] * 6
    after = s.ask("w", "count")
    assert after["result"]["count"] == 2 and not after["session_new"]
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
