"""What the output topics take: a broker judges whole batches, and nothing that fits by itself may suffer for it."""
import json

from conftest import MOCK, decode, eventually

SMALL = 'limits = { request = "32KiB"; result = "32KiB"; };'
LIMIT = 96 * 1024  # what `check` asks for with these limits; far below a full batch


def echo_all(s, word, count, size):
    """Asks for that many results of that size at once, in sessions of their own; returns what came."""
    before = len(s.seen)
    s.produce([(f"{word}{i}", json.dumps({"request_id": f"{word}{i}", "command": "echo", "args": {"pad": "x" * size}})) for i in range(count)])
    s.read_results(lambda seen: len(seen) >= before + count, 60)
    return s.results_seen()[before:]


def test_results_that_fit_alone_are_written_although_their_batches_are_too_large(site):
    s = site(MOCK + ' size = 1;', SMALL, partitions=1)
    s.alter(s.results, "max.message.bytes", str(LIMIT))
    s.start()
    s.wait_joined()
    for word, count, size in [("small", 400, 1000), ("large", 100, 20000)]:
        results = echo_all(s, word, count, size)
        assert {r["status"] for r in results} == {"OK"}, [r["error"] for r in results]
        assert sorted(r["request_id"] for r in results) == sorted(f"{word}{i}" for i in range(count))
    assert s.log_text().count("batches_smaller") in range(1, 6)
    assert s.end() == [0]


def test_dead_letters_keep_their_bodies_although_their_batches_are_too_large(site):
    s = site(MOCK + ' size = 1;', SMALL, partitions=1)
    s.alter(s.dead, "max.message.bytes", str(LIMIT))
    s.start()
    s.wait_joined()
    s.produce([(f"k{i}", "{" + "x" * 27000) for i in range(60)])
    s.read_results(lambda seen: len(seen) >= 60, 60)
    letters = eventually(lambda: len(found := s.read_all(s.dead)) == 60 and found)
    assert all(len(m.value()) == 27001 and "bridgepool.truncated" not in dict(m.headers()) for m in letters)
    assert s.end() == [0]


def test_a_request_without_a_key_holds_up_nobody_where_results_are_compacted(site):
    s = site(MOCK + ' size = 1;', partitions=1)
    s.alter(s.results, "cleanup.policy", "compact")
    s.start()
    s.wait_joined()
    ask = {"command": "echo", "args": {}}
    s.produce([(None, json.dumps({"request_id": "keyless", **ask}))] + [(f"k{i}", json.dumps({"request_id": f"r{i}", **ask})) for i in range(20)])
    s.read_results(lambda seen: len(seen) >= 21, 60)
    assert {r["status"] for r in s.results_seen()} == {"OK"}
    [key] = [m.key() for m in s.seen if decode(m.value())["request_id"] == "keyless"]
    assert key == f"{s.requests}-0-0".encode()  # it has none; this is its place
    assert s.end() == [0]
