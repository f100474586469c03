"""What runs again, what does not, and who is told: several requests on one worker that dies, or that we end for another's sake."""
import json

from conftest import BRIDGEPOOL, MOCK, eventually

FAST = ' backoff_min = "10ms"; backoff_max = "50ms";'
RETRY = 'delivery = { retry_backoff = "10ms"; };'


def request(session, name, command="count", **args):
    return session, json.dumps({"request_id": name, "command": command, "args": args})


def fault(session, name, kind):
    return request(session, name, mock={"fault": kind})


def outcomes(s):
    return {r["request_id"]: (r["status"], r["error"] and r["error"]["code"], r["attempts"]) for r in s.results_seen()}


def dead(s):
    return [json.loads(m.value())["request_id"] for m in s.read_all(s.dead)]


def test_several_in_flight_when_a_worker_dies_run_again_one_at_a_time(site):
    s = site(MOCK.replace("16", "4") + " size = 1;" + FAST, RETRY, partitions=1)
    s.start()
    s.produce([request(f"s{i}", f"by{i}", "sleep", ms=300) for i in range(3)] + [fault("s9", "bad", "crash")])
    s.read_results(lambda seen: len(seen) == 4, 60)
    told = outcomes(s)
    assert told.pop("bad") == ("WORKER_LOST", "POISON", 3)  # once with others, when nobody is blamed; then twice alone
    assert set(told.values()) == {("OK", None, 2)}
    assert dead(s) == ["bad"] and s.end() == [0]


def test_who_shares_a_worker_with_a_run_that_does_not_end_loses_no_attempt(site):
    s = site(MOCK.replace("16", "4") + ' size = 1; request_timeout = "2s"; kill_grace = "300ms"; stop_grace = "200ms";' + FAST, RETRY, partitions=1)
    s.start()
    again = json.dumps({"request_id": "by", "command": "sleep", "args": {"ms": 1900}, "idempotent": True})  # runs when the worker is ended
    s.produce([fault("s9", "hangs", "hang"), request("s1", "before", "sleep", ms=500), ("s1", again)])
    s.read_results(lambda seen: len(seen) == 3, 60)
    assert outcomes(s) == {"hangs": ("TIMEOUT", "TIMEOUT", 1), "before": ("OK", None, 1), "by": ("OK", None, 1)}
    assert s.results_seen()[-1]["session_new"] and s.results_seen()[-1]["timings"]["run_us"] > 2500000  # both of its runs
    assert dead(s) == []
    assert s.end() == [0]


def test_a_session_that_lost_its_state_is_told_as_configured(site):
    for policy in ("run", "fail"):
        s = site(MOCK + f' size = 1; on_session_loss = "{policy}";' + FAST, RETRY)
        s.start()
        assert s.ask("s1", "count")["result"]["count"] == 1
        epoch = s.results_seen()[0]["session_epoch"]
        s.produce([fault("s1", "bad", "crash")] + [request("s1", f"behind{i}") for i in range(3)] + [request("s2", "other")])
        s.read_results(lambda seen: len(seen) == 6, 60)
        told = outcomes(s)
        assert told["bad"] == ("WORKER_LOST", "WORKER_LOST", 1) and told["other"][0] == "OK"
        behind = [r for r in s.results_seen() if r["request_id"].startswith("behind")]
        if policy == "run":
            assert [r["result"]["count"] for r in behind] == [1, 2, 3] and [r["session_new"] for r in behind] == [True, False, False]
        else:
            assert [r["status"] for r in behind] == ["SESSION_LOST"] * 3 and [r["attempts"] for r in behind] == [0] * 3
        s.produce([("s1", json.dumps({"request_id": "stale", "command": "count", "session_epoch": epoch}))])
        s.read_results(lambda seen: len(seen) == 7, 60)
        assert outcomes(s)["stale"][0] == "SESSION_LOST"
        after = s.ask("s1", "count")
        assert (after["session_new"], after["result"]["count"]) == ((False, 4) if policy == "run" else (True, 1))
        assert dead(s) == [] and s.end() == [0]


def test_a_pool_takes_so_many_sessions_and_no_more(site):
    s = site(f'command = [ "{BRIDGEPOOL}", "mock-worker", "--concurrency", "4" ]; size = 1; max_sessions = 2;', partitions=1)
    s.start()
    s.produce([request("s1", "one", "sleep", ms=1000), request("s2", "two", "sleep", ms=1000), request("s3", "three"), request("", "nobody")])
    s.read_results(lambda seen: len(seen) == 4, 60)
    assert outcomes(s) == {"one": ("OK", None, 1), "two": ("OK", None, 1), "three": ("REJECTED", "SESSION_LIMIT", 0), "nobody": ("ERROR", "INVALID_ARGUMENTS", 1)}
    assert s.ask("s3", "count")["session_new"]  # the longest idle one made room
    assert not s.ask("s2", "count")["session_new"] and s.ask("s1", "count")["session_new"]
    assert dead(s) == [] and s.end() == [0]


def test_what_waits_is_bounded_as_configured(site):
    """One request waits for each: by session, by sessions, by pool; what is over a bound is told at once, in its own words."""
    s = site(f'command = [ "{BRIDGEPOOL}", "mock-worker" ]; size = 1; max_queued_per_session = 2; max_sessions = 3; max_queued = 4;', partitions=1)
    s.start()
    s.produce([request("s1", "runs", "sleep", ms=1500)])
    eventually(lambda: s.status("?request=runs").get("place") == "running")
    s.produce([request("s1", "behind"), request("s1", "third"), request("s2", "two"), request("s3", "three"), request("s4", "four"),
               request("", "nobody", "echo"), request("", "full", "echo")])
    s.read_results(lambda seen: len(seen) == 8, 60)
    told = outcomes(s)
    assert {name: told.pop(name) for name in ("third", "four", "full")} == {
        "third": ("REJECTED", "SESSION_QUEUE_FULL", 0), "four": ("REJECTED", "SESSION_LIMIT", 0), "full": ("REJECTED", "POOL_QUEUE_FULL", 0)}
    assert set(told) == {"runs", "behind", "two", "three", "nobody"} and set(told.values()) == {("OK", None, 1)}
    assert {r["request_id"] for r in s.results_seen()[:3]} == {"third", "four", "full"}
    assert s.ask("s4", "count")["status"] == "OK" and dead(s) == [] and s.end() == [0]


def test_poison_is_counted_by_the_next_daemon_too(site):
    """Its first kill is in the commit; the daemon is killed; the next one lets it kill once more, alone, and ends it."""
    s = site(MOCK + " size = 1;" + FAST, 'delivery = { retry_backoff = "30s"; };', partitions=1)
    daemon = s.start("one")
    s.produce([fault("s1", "bad", "crash")])
    eventually(lambda: s.committed()[0].metadata)  # nothing is done: it can only hold the kill
    assert s.status()["pools"][0]["exits"]["crash"] == 1
    s.produce([request("s2", "good")])
    s.read_results(lambda seen: len(seen) == 1, 60)
    daemon.kill()
    daemon.wait()
    s.wait_no_workers()
    s.config.write_text(s.config.read_text().replace('"30s"', '"10ms"'))
    s.start("one")
    s.read_results(lambda seen: "bad" in outcomes(s), 60)
    assert outcomes(s)["bad"][:2] == ("WORKER_LOST", "POISON") and outcomes(s)["good"] == ("OK", None, 1)
    assert s.ask("s3", "count")["status"] == "OK"
    assert s.status()["pools"][0]["exits"]["crash"] == 1 and dead(s) == ["bad"]
    assert [r["request_id"] for r in s.results_seen()].count("bad") == 1 and s.end()[-1] == 0


def test_a_session_ends_when_its_client_says_so(site):
    s = site(MOCK + " size = 1;")
    s.start()
    assert [s.ask("s1", "count")["result"]["count"] for _ in range(2)] == [1, 2]
    assert s.ask("s1", "end_session")["status"] == "OK"
    again = s.ask("s1", "count")
    assert again["result"]["count"] == 1 and again["session_new"]
    assert s.end() == [0]


def test_a_client_cancels_what_waits_and_what_runs(site):
    s = site(MOCK + " size = 1;", partitions=1)
    s.start()
    s.wait_joined()
    s.produce([request("a", "long", "hang"), request("a", "next")] + [request("a", f"cancel-{r}", "cancel", request_id=r) for r in ("next", "long", "never")])
    s.read_results(lambda seen: len(seen) == 5, 30)
    told = {r["request_id"]: r for r in s.results_seen()}
    assert [told[r]["status"] for r in ("long", "next")] == ["CANCELLED", "CANCELLED"]
    assert told["cancel-next"]["result"] == {"request_id": "next", "was": "queued"}
    assert told["cancel-long"]["result"] == {"request_id": "long", "was": "running"}
    assert told["cancel-never"]["error"]["code"] == "request_not_found"
    assert s.ask("a", "count")["status"] == "OK"  # the worker has answered the cancel: its place is free
