"""Bad input of every kind, each a row of a table: what its result says, whether there is a dead letter, and that all else goes on."""
import io
import json
import os
import subprocess
import time

import fastavro
import pytest
from conftest import BRIDGEPOOL, MOCK, PYTHON, ROOT, decode, place_of

REQUEST = fastavro.schema.load_schema(ROOT / "schemas" / "ProgramRequest.avsc")
FINGERPRINT = bytes.fromhex(fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(REQUEST), "CRC-64-AVRO"))
MEGABYTE = 1 << 20


def avro(**fields):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, REQUEST, fields)
    return b"\xc3\x01" + FINGERPRINT + out.getvalue()


def echo(**members):
    return json.dumps({"command": "echo", **members}).encode()


def deep(n, close=b"]"):
    return b'{"command":"echo","args":{"a":' + b"[" * n + close * n + b"}}"


class Row:
    """One bad record: `why` is its name; status, code and dead are what must come of it."""

    def __init__(self, why, value, status, code, dead=False, key="bad", headers=None, truncated=False, keyless=False):
        self.why, self.value, self.status, self.code, self.dead = why, value, status, code, dead
        self.key, self.headers, self.truncated, self.keyless = key, headers, truncated, keyless


REJECTED, OK, ERROR = "REJECTED", "OK", "ERROR"
ROWS = [
    # cannot be decoded: dead letters
    Row("text", b"hello", REJECTED, "INVALID_ENCODING", dead=True),
    Row("no bytes", b"", REJECTED, "INVALID_ENCODING", dead=True),
    Row("JSON that stops", b'{"command":"echo"', REJECTED, "INVALID_RECORD", dead=True),
    Row("NaN", b'{"command":"echo","args":{"x":NaN}}', REJECTED, "INVALID_RECORD", dead=True),
    Row("unknown fingerprint", b"\xc3\x01" + b"\x01" * 8 + b"abc", REJECTED, "UNKNOWN_SCHEMA", dead=True),
    Row("Confluent wire format", b"\0\0\0\0\x07" + avro(command="echo")[10:], REJECTED, "UNSUPPORTED_ENCODING", dead=True),
    Row("Avro that stops", avro(command="echo", request_id="x" * 100)[:60], REJECTED, "INVALID_RECORD", dead=True),
    Row("Avro with more behind it", avro(command="echo") + b"\0", REJECTED, "INVALID_RECORD", dead=True),
    Row("Avro string of 2**60 bytes", b"\xc3\x01" + FINGERPRINT + b"\x80\x80\x80\x80\x80\x80\x80\x80\x20", REJECTED, "INVALID_RECORD", dead=True),
    Row("Avro string of 1 GB", b"\xc3\x01" + FINGERPRINT + b"\x80\x80\x80\x80\x08", REJECTED, "INVALID_RECORD", dead=True),
    Row("Avro string of -1 bytes", b"\xc3\x01" + FINGERPRINT + b"\x01", REJECTED, "INVALID_RECORD", dead=True),
    Row("a million deep", deep(1000000), REJECTED, "INVALID_RECORD", dead=True, truncated=True),
    Row("a million deep, never closed", deep(1000000, b""), REJECTED, "INVALID_RECORD", dead=True),
    Row("invalid UTF-8 in request_id", b'{"command":"echo","request_id":"\xff"}', REJECTED, "INVALID_RECORD", dead=True),
    Row("invalid UTF-8 in args", b'{"command":"echo","args":{"x":"\xc3\x28"}}', REJECTED, "INVALID_RECORD", dead=True),
    Row("invalid UTF-8 in an Avro id", avro(command="echo", session_id="ABC").replace(b"ABC", b"\xff\xfe\xfd"), REJECTED, "INVALID_RECORD", dead=True),
    Row("larger than limits.request", echo(args={"x": "y" * (5 * MEGABYTE)}), REJECTED, "TOO_LARGE", dead=True, truncated=True),
    Row("100,000 headers", echo(), REJECTED, "TOO_LARGE", dead=True, headers=[(f"x-header-{i}", b"v" * 40) for i in range(100000)], truncated=True),
    Row("a key of 1 MB", echo(), REJECTED, "TOO_LARGE", dead=True, key=b"k" * 1000000),
    Row("a key that the dead letters do not take", echo(), REJECTED, "TOO_LARGE", dead=True, key=b"k" * MEGABYTE, truncated=True, keyless=True),
    Row("attributes of 1 MB", echo(attributes={"a": "v" * 900000}), REJECTED, "TOO_LARGE", dead=True),
    Row("request_id of 1 MB", echo(request_id="r" * 900000), REJECTED, "TOO_LARGE", dead=True),
    # can be decoded, but not as it must be: told, no dead letters
    Row("tombstone", None, REJECTED, "TOMBSTONE"),
    Row("no command", b'{"args":{}}', REJECTED, "INVALID_COMMAND"),
    Row("empty command", b'{"command":""}', REJECTED, "INVALID_COMMAND"),
    Row("command is a number", b'{"command":7}', REJECTED, "INVALID_FIELD"),
    Row("timeout_ms is a word", b'{"command":"echo","timeout_ms":"soon"}', REJECTED, "INVALID_FIELD"),
    Row("deadline without a zone", b'{"command":"echo","deadline":"2030-01-01T00:00:00"}', REJECTED, "INVALID_FIELD"),
    Row("attributes of numbers", b'{"command":"echo","attributes":{"a":1}}', REJECTED, "INVALID_FIELD"),
    Row("half a surrogate pair", b'{"command":"echo","request_id":"\\ud800"}', REJECTED, "INVALID_FIELD"),
    Row("args is a list", b'{"command":"echo","args":[1]}', REJECTED, "INVALID_ARGS"),
    Row("args is no JSON text", b'{"command":"echo","args":"{"}', REJECTED, "INVALID_ARGS"),
    Row("Avro args is no object", avro(command="echo", args="[1]"), REJECTED, "INVALID_ARGS"),
    Row("session_id too long", echo(session_id="s" * 257), REJECTED, "INVALID_SESSION_ID"),
    # not allowed
    Row("unknown pool", echo(pool="elsewhere"), REJECTED, "POOL_NOT_ALLOWED"),
    Row("a command that is not allowed", b'{"command":"forbidden"}', REJECTED, "COMMAND_NOT_ALLOWED"),
    Row("ping", b'{"command":"ping"}', REJECTED, "RESERVED_COMMAND"),
    Row("shutdown", b'{"command":"shutdown"}', REJECTED, "RESERVED_COMMAND"),
    Row("open_session", b'{"command":"open_session"}', REJECTED, "RESERVED_COMMAND"),
    Row("cleanup_session", b'{"command":"cleanup_session"}', REJECTED, "RESERVED_COMMAND"),
    # time and sessions
    Row("deadline in the past", echo(deadline="2020-01-01T00:00:00Z"), "EXPIRED", "EXPIRED"),
    Row("timeout_ms 0", echo(timeout_ms=0), "EXPIRED", "EXPIRED"),
    Row("its time ends while it runs", b'{"command":"sleep","args":{"ms":60000},"timeout_ms":3000}', "TIMEOUT", "TIMEOUT", key="slow"),
    Row("an epoch that never was", echo(session_epoch="0123456789abcdef"), "SESSION_LOST", "SESSION_LOST", key="never-opened"),
    Row("the end of a session that never was", b'{"command":"end_session"}', ERROR, "session_not_found", key="never-opened"),
    # results
    Row("a result over limits.result", echo(args={"x": "y" * (2 * MEGABYTE)}), ERROR, "RESULT_TOO_LARGE"),
    Row("a result that the topic does not take", echo(args={"x": "y" * (MEGABYTE - 500)}), ERROR, "RESULT_TOO_LARGE"),
    Row("an error of the program", b'{"command":"fail","args":{"code":"NOPE","message":"no"}}', ERROR, "NOPE"),
    Row("an error to be tried again, three times", b'{"command":"fail","args":{"code":"BUSY","retriable":true}}', ERROR, "BUSY", dead=True, key="retried"),
    # odd, but good
    Row("invalid UTF-8 in the key", echo(request_id="anonymous"), OK, None, key=b"\xff\xfe\x00"),
    Row("invalid UTF-8 in a header", echo(), OK, None, headers=[("x-bytes", b"\xff\x00\xfe"), ("x-none", None), ("x-trace", b"t1")]),
    Row("a thousand headers", echo(), OK, None, headers=[(f"x-{i}", b"v") for i in range(1000)]),
]


def check_headers(row, message):
    """What may be copied is on the result as it came; bytes that are no UTF-8 too."""
    copied = [h for h in message.headers() if h[0].startswith("x-")]
    assert copied == (row.headers or []), row.why


def check_dead_letter(row, letters, place):
    found = [m for m in letters if (int(dict(m.headers())["bridgepool.original.partition"]), int(dict(m.headers())["bridgepool.original.offset"])) == place]
    assert len(found) == row.dead, f"{row.why}: {len(found)} dead letters"
    if not found:
        return
    headers = dict(found[0].headers())
    assert headers["bridgepool.error.code"] == row.code.encode() and headers["bridgepool.error.message"], row.why
    assert ("bridgepool.truncated" in headers) == row.truncated, row.why
    assert found[0].value() == (None if row.truncated else row.value), f"{row.why}: not byte for byte"
    assert row.keyless or found[0].key() in (row.key, row.key.encode() if isinstance(row.key, str) else None), row.why


def shrink(site, topic):
    """A topic that somebody made with Kafka's default size: it does not take every record that the daemon reads."""
    site.alter(topic, "max.message.bytes", str(1048588))


def test_bad_records(site):
    s = site(MOCK + ' size = 2; max_frame_bytes = "16MiB"; kill_grace = "20s";', 'limits = { request = "4MiB"; };',
             source='commands = [ "echo", "sleep", "fail", "count" ];')
    shrink(s, s.dead)
    daemon = s.start()
    s.wait_joined()
    size = {"message.max.bytes": 20000000, "compression.type": "gzip", "linger.ms": 0}
    places = s.produce([(r.key, r.value, r.headers or []) for r in ROWS], **size)
    good = s.produce([(f"good{i % 5}", json.dumps({"request_id": f"good{i}", "command": "count"})) for i in range(200)])
    s.read_results(lambda seen: len(seen) >= len(ROWS) + len(good), 60)
    results = {}
    for message in s.seen:
        result = decode(message.value())
        assert place_of(result) not in results, f"two results: {result}"
        results[place_of(result)] = (result, message)
    letters = s.read_all(s.dead)
    for row, place in zip(ROWS, places):
        result, message = results[place]
        code = result["error"] and result["error"]["code"]
        assert (result["status"], code) == (row.status, row.code), f"{row.why}: {result}"
        assert result["request_id"] and (row.status == OK or result["error"]["message"]), row.why
        check_dead_letter(row, letters, place)
        if row.code != "TOO_LARGE":
            check_headers(row, message)
    assert [results[p][0]["status"] for p in good] == [OK] * len(good)
    assert [results[p][0]["result"]["count"] for p in good] == [i // 5 + 1 for i in range(200)]
    assert len(letters) == sum(r.dead for r in ROWS)
    daemon.terminate()
    assert daemon.wait(30) == 0


# ---- workers that do what they may not do ----


class Fault:
    """One request that its worker does not survive, or answers badly."""

    def __init__(self, fault, status, code, attempts=1, dead=False, warm=False, lost=True, **fields):
        self.fault, self.status, self.code, self.attempts, self.dead = fault, status, code, attempts, dead
        self.warm = warm  # its session has run a request before
        self.lost = lost  # the session's state goes with it
        self.fields = fields
        self.session = f"{fault}{'-warm' if warm else ''}{'-again' if fields else ''}"

    def request(self):
        return json.dumps({"request_id": self.session, "command": "count", "args": {"mock": {"fault": self.fault}}, **self.fields})


FAULTS = [
    # The first request of a session may run again; what kills its worker twice, alone, is poison.
    *(Fault(f, "WORKER_LOST", "POISON", attempts=2, dead=True) for f in ("crash", "exit", "half", "print", "garbage", "unknown-id", "oversized", "close-stdout")),
    # A session that has state on the worker: what it did may not be repeated.
    *(Fault(f, "WORKER_LOST", "WORKER_LOST", warm=True) for f in ("crash", "print", "garbage", "oversized", "unknown-id", "half")),
    Fault("exit", "WORKER_LOST", "POISON", attempts=2, dead=True, warm=True, idempotent=True),
    # Bad answers of a worker that can go on.
    Fault("bad-json", ERROR, "INVALID_RESULT", lost=False),
    Fault("bad-utf8", ERROR, "INVALID_RESULT", warm=True, lost=False),
    Fault("twice", OK, None, lost=False),
    Fault("noise", OK, None, warm=True, lost=False),
    Fault("escape", OK, None, lost=False),
    # Too late: told at once; the worker is replaced if it does not answer within kill_grace.
    Fault("late", "TIMEOUT", "TIMEOUT", lost=False),
    Fault("hang", "TIMEOUT", "TIMEOUT", warm=True),
]
SAID = {  # what the log and the health events name, besides the worker
    "print": "its first bytes were \\\"Hello from a print to stdout",
    "garbage": "no id can be read; its first bytes were \\\"\\\\x01\\\\x02 this is no JSON", "unknown-id": "which was never issued", "oversized": "\\\\xff\\\\xff\\\\xff\\\\xf0",
}


def test_workers_that_misbehave(site):
    mock = f'command = [ "{BRIDGEPOOL}", "mock-worker", "--late-by", "1500" ];'
    s = site(mock + ' size = 4; request_timeout = "1s"; kill_grace = "2s"; backoff_min = "10ms"; backoff_max = "50ms";',
             'delivery = { retry_backoff = "10ms"; }; health = { heartbeat = "0"; };')
    s.start()
    wanted = 0
    for n, f in enumerate(FAULTS):  # one after the other: a fault may cost other sessions their state
        lines = [(f.session, json.dumps({"command": "count", "request_id": f"{f.session}/before"}))] * f.warm
        lines += [(f.session, f.request()), (f.session, json.dumps({"command": "count", "request_id": f"{f.session}/after"}))]
        lines += [(f"by{i}", json.dumps({"request_id": f"by{i}-{n}", "command": "echo"})) for i in range(10)]
        s.produce(lines)
        wanted += len(lines)
        s.read_results(lambda seen: len(seen) == wanted, 30)
    results = {r["request_id"]: r for r in s.results_seen()}
    dead = [json.loads(m.value())["request_id"] for m in s.read_all(s.dead)]
    for f in FAULTS:
        result, after = results[f.session], results[f"{f.session}/after"]
        assert (result["status"], result["error"] and result["error"]["code"], result["attempts"]) == (f.status, f.code, f.attempts), f"{f.session}: {result}"
        assert after["status"] == OK and after["session_new"] == f.lost, f"{f.session}: {after}"
        assert after["result"]["count"] == (1 if f.lost else 2 + f.warm), f"{f.session}: {after}"
    assert sorted(dead) == sorted(f.session for f in FAULTS if f.dead)
    assert {results[f"by{i}-{n}"]["status"] for i in range(10) for n in range(len(FAULTS))} == {OK}
    log = (s.directory / "daemon.log").read_text()
    for fault, words in SAID.items():
        assert words in log, fault
    assert 100 <= sum("noise" in line for line in log.splitlines()) < 1000  # of two thousand lines
    assert s.end() == [0]
    s.wait_no_workers()  # also not the one that escaped


# ---- a user's Python ----

APP = '''
import os, sys
from bridgepool import App, Retry
app = App(version="1.0")

@app.command
def prints(name: str) -> dict:
    print("to stdout")
    sys.stdout.buffer.write(b"bytes to stdout\\\\n")
    sys.stdout.flush()
    os.write(1, b"straight to descriptor 1\\\\n")
    os.system("echo a child to stdout")
    return {"hello": name}

@app.command
def raises():
    raise ValueError("that is wrong")

@app.command
async def raises_late():
    raise KeyError("missing")

@app.command
def returns_an_object():
    return object()

@app.command
def returns_nan():
    return {"score": float("nan")}

@app.command
def returns_itself():
    ring = []
    ring.append(ring)
    return ring

@app.command
def returns_half_a_character():
    return {"text": "\\\\ud800"}

@app.command
def returns_much():
    return {"text": "x" * (2 << 20)}

@app.command
def leaves():
    os._exit(7)

@app.command
def exits():
    sys.exit(7)

@app.command
def recurses():
    return recurses_on(1)

def recurses_on(n):
    return recurses_on(n + 1)

@app.command
def busy():
    raise Retry("busy", "come again", after=0.01)
'''

COMMANDS = [  # command, args, status, code, attempts, dead letter
    ("prints", {"name": "you"}, OK, None, 1, False),
    ("prints", {}, ERROR, "INVALID_ARGUMENTS", 1, False),
    ("prints", {"name": 7}, ERROR, "INVALID_ARGUMENTS", 1, False),
    ("prints", {"name": "you", "nmae": "me"}, ERROR, "INVALID_ARGUMENTS", 1, False),
    ("unheard_of", {}, ERROR, "UNKNOWN_COMMAND", 1, False),
    ("raises", {}, ERROR, "ValueError", 1, False),
    ("raises_late", {}, ERROR, "KeyError", 1, False),
    ("returns_an_object", {}, ERROR, "INVALID_RESULT", 1, False),
    ("returns_nan", {}, ERROR, "INVALID_RESULT", 1, False),
    ("returns_itself", {}, ERROR, "INVALID_RESULT", 1, False),
    ("returns_half_a_character", {}, ERROR, "INVALID_RESULT", 1, False),
    ("returns_much", {}, ERROR, "RESULT_TOO_LARGE", 1, False),
    ("recurses", {}, ERROR, "RecursionError", 1, False),
    ("exits", {}, ERROR, "SystemExit", 1, False),
    ("leaves", {}, "WORKER_LOST", "POISON", 2, True),
    ("busy", {}, ERROR, "busy", 3, True),
]


def test_python_that_fails(site):
    s = site(PYTHON + ' size = 2; backoff_min = "10ms"; backoff_max = "50ms";', 'delivery = { retry_backoff = "10ms"; };')
    (s.directory / "app.py").write_text(APP.replace("\\\\", "\\"))
    s.start()
    dead = []
    for n, (command, args, status, code, attempts, letter) in enumerate(COMMANDS):
        result = s.ask(f"s{n}", command, **args)
        assert (result["status"], result["error"] and result["error"]["code"], result["attempts"]) == (status, code, attempts), f"{command} {args}: {result}"
        if letter:
            dead.append(result["request_id"])
        assert s.ask("bystander", "prints", name="me")["result"] == {"hello": "me"}
    assert [json.loads(m.value())["request_id"] for m in s.read_all(s.dead)] == dead
    by = [r for r in s.results_seen() if r["session_id"] == "s1"]
    assert by[0]["error"]["details"]["field"] == "name"
    log = (s.directory / "daemon.log").read_text()
    for words in ("to stdout", "bytes to stdout", "straight to descriptor 1", "a child to stdout", "ValueError: that is wrong", "exit 7"):
        assert words in log, words
    assert s.end() == [0]
    s.wait_no_workers()


# ---- what stands in the way of a start ----


def run_to_end(s, *options, seconds=40):
    """Runs the daemon until it ends by itself; its exit code and what it said."""
    began = time.monotonic()
    out = subprocess.run([BRIDGEPOOL, "run", "-c", s.config, *options], cwd=s.directory, capture_output=True, text=True, timeout=seconds,
                         env=dict(os.environ, PYTHONPATH=str(ROOT / "src" / "bridges" / "python")))
    s.wait_no_workers()
    return out.returncode, out.stderr, time.monotonic() - began


STARTS = [  # what app.py holds (None: there is none), command, words of the log
    ("an import that fails", "import json\nimport no_such_module\n", PYTHON, ["ModuleNotFoundError: No module named 'no_such_module'"]),
    ("a syntax error", "def f(:\n", PYTHON, ["SyntaxError: ", "app.py"]),
    ("an exception", "raise RuntimeError('no key in the safe')\n", PYTHON, ["RuntimeError: no key in the safe"]),
    ("a startup that fails", "from bridgepool import App\napp = App()\n@app.startup\ndef load():\n    raise OSError('no model here')\n@app.command\ndef ask(): pass\n", PYTHON, ["OSError: no model here"]),
    ("no app in it", "x = 1\n", PYTHON, ["app"]),
    ("no file", None, PYTHON, ["app"]),
    ("no such program", None, 'command = [ "/no/such/program", "x" ];', ["/no/such/program", "No such file or directory"]),
    ("a program that may not be run", None, 'command = [ "/etc/passwd" ];', ["/etc/passwd is not executable"]),
    ("no such directory", None, PYTHON + ' directory = "/no/such/place";', ["/no/such/place"]),
    ("a program that ends at once", None, 'command = [ "/bin/false" ];', ["exit 1"]),
    ("a program that talks otherwise", None, 'command = [ "/bin/sh", "-c", "echo Welcome; sleep 60" ];', ["Welcome"]),
]


@pytest.mark.parametrize("app, command, words", [row[1:] for row in STARTS], ids=[row[0] for row in STARTS])
def test_workers_that_cannot_start(site, app, command, words):
    s = site(command + ' size = 2; backoff_min = "10ms"; backoff_max = "50ms";')
    if app is not None:
        (s.directory / "app.py").write_text(app)
    code, said, seconds = run_to_end(s)
    assert code == 78, said
    [verdict] = [line for line in said.splitlines() if " error workers_cannot_start " in line or " error configuration " in line]
    assert all(word in verdict for word in words), verdict
    assert "joined" not in said and "Traceback" not in verdict and seconds < 20


def test_a_topic_that_is_missing_is_named(site):
    s = site(MOCK)
    for key, name in (("sources[0].topic", "no.requests"), ("kafka.results", "no.results"), ("kafka.health", "no.health"), ("kafka.dead_letters", "no.dead")):
        code, said, _ = run_to_end(s, "--set", f"{key}={name}")
        assert code == 78, said
        [line] = [line for line in said.splitlines() if " error " in line]
        assert f"topic {name} " in line and "does not exist" in line and "bridgepool topics" in line, line


def test_tail_of_a_topic_that_is_not_there_and_of_one_of_several(site):
    s = site(MOCK)
    said = subprocess.run([BRIDGEPOOL, "tail", "-c", s.config, "helth"], capture_output=True, text=True)
    assert said.returncode == 69 and "there is no topic helth at " in said.stderr, said
    assert said.stderr.endswith("; name a topic, or one of: requests, results, health, dead-letters\n"), said
    said = subprocess.run([BRIDGEPOOL, "tail", "-c", s.config, "--set", "kafka.health=no.health", "health"], capture_output=True, text=True)
    assert said.returncode == 69 and "topic no.health " in said.stderr and "`bridgepool topics` creates what is missing" in said.stderr, said
    s.config.write_text(s.config.read_text().replace("sources = (", 'sources = ( { topic = "one.more"; },'))
    said = subprocess.run([BRIDGEPOOL, "tail", "-c", s.config, "requests", "--until-end"], capture_output=True, text=True)
    assert "this is one.more, of the first of 2 sources" in said.stderr, said


def test_how_missing_topics_are_made_is_told_once(site):
    s = site(MOCK)
    missing = ["--set", "kafka.results=no.results", "--set", "kafka.health=no.health"]
    check = [BRIDGEPOOL, "check", "--no-workers", *missing]
    for options, typed in (([], "topics"), (["-c", s.config], f"topics -c {s.config}")):
        said = subprocess.run(check + options, cwd=s.directory, capture_output=True, text=True)
        assert said.returncode == 78 and said.stdout.count("does not exist") == 2, said
        assert said.stdout.count(f"-> create all topics with `bridgepool {typed}`, or") == said.stdout.count("create all") == 1, said
    code, said, _ = run_to_end(s, *missing)
    assert code == 78 and said.count("create all topics with") == said.count(f"`bridgepool topics -c {s.config}`") == 1, said


def test_a_topic_with_another_number_of_partitions_is_told_and_left(site):
    s = site(MOCK)  # with 4 partitions
    topics = [BRIDGEPOOL, "topics", "-c", s.config]
    for more, told in (
        (["--partitions", "8"], ", with 4 partitions; 8 were asked for, and sessions would move if it got more"),
        (["--partitions", "2"], ", with 4 partitions; 2 were asked for, and Kafka takes none away"),
        ([], ", with 4 partitions"),
    ):
        said = subprocess.run(topics + more, check=True, capture_output=True, text=True).stdout
        assert f"{s.requests} (requests) is there already{told}\n" in said, said
        assert f"{s.results} (results) is there already{told.replace('sessions would move', 'the results of a session would change their partition')}\n" in said, said
        assert f"{s.health} (health) is there already, with 1 partition\n" in said, said


def test_a_broker_that_is_not_there(site):
    s = site(MOCK)
    code, said, seconds = run_to_end(s, "--set", "kafka.brokers=127.0.0.1:1", "--set", "kafka.start_timeout=2s")
    assert code == 69 and 2 <= seconds < 10, said
    assert "127.0.0.1:1" in said and len(said.splitlines()) < 20, said
    assert "waiting for one for 2 s more (kafka.start_timeout)" in said and "until one does" not in said, said


def test_a_configuration_that_is_wrong_tells_all_its_errors(site):
    s = site(MOCK)
    s.config.write_text("""
kafka = { brokers = ""; grup = "x"; properties = [ "group.id=mine", "nonsense" ]; };
pools = ( { name = "Default!"; size = 0; state = "disk"; request_timeout = "soon"; },
          { name = "b"; command = [ "x" ]; max_frame_bytes = "64KiB"; } );
sources = ( { topic = "a b"; pool = "none"; } );
limits = { memory = "1MiB"; };
http = { listen = "9464"; };
""")
    code, said, _ = run_to_end(s)
    assert code == 78
    for words in ("kafka.grup", "kafka.properties", "pools[0].size", "pools[0].state", "memory, none", "pools[0].request_timeout", "http.listen",
                  "kafka.brokers", "pools[0].name", "pools[0].command", "pools[1].max_frame_bytes", "sources[0].topic", "sources[0].pool", "limits.memory"):
        assert words in said, f"{words}: {said}"
    assert all(f"bridgepool.cfg:{line}" in said for line in (2, 3, 4, 5, 6, 7)), said
    s.config.write_text("kafka = { brokers = ;\n")
    code, said, _ = run_to_end(s)
    assert code == 78 and "bridgepool.cfg:1" in said
    assert run_to_end(s, "--nonsense")[0] == 64
