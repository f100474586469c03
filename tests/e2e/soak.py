"""A soak: workers are killed ten times a second while requests of many kinds run, for SOAK_SECONDS (600). Every request is answered,
once; the loss of a session is told; order holds; afterwards the daemon is what it was before: memory, descriptors, processes.

Not among the files that pytest finds by itself: `tests/run soak`.
"""
import collections
import json
import os
import random
import re
import signal
import subprocess
import time

from confluent_kafka import Producer
from conftest import BRIDGEPOOL, Site, eventually

SECONDS = int(os.environ.get("SOAK_SECONDS", "600"))
WARM_SECONDS = min(30, SECONDS)  # load and kills before the first measurement: what is allocated once is allocated then
KILLS_PER_SECOND, REQUESTS_PER_SECOND = 10, 300
SESSIONS, SESSION_LIFE = 300, 20  # so many at a time, so many seconds; then other ones
GROWTH_MOST = 1 << 20  # bytes resident, over the second half of the soak
UNANSWERED_MOST = 5000  # a client that does not run away from a machine that is slow

POOL = f"""command = [ "{BRIDGEPOOL}", "mock-worker", "--concurrency", "4", "--delay", "5", "--jitter", "40" ];
           size = 8; spare = 4; session_ttl = "5s"; backoff_max = "200ms";"""  # else those that are killed young wait for longer and longer


class Client:
    """Sends requests and keeps, of what was sent and what came, only what the verdict needs."""

    def __init__(self, site, rng):
        self.site, self.rng = site, rng
        self.producer = Producer({"bootstrap.servers": site.brokers, "partitioner": "murmur2_random"})
        self.began, self.sent = time.monotonic(), 0
        self.kind = {}  # request_id -> what was asked: (kind, epoch that was named)
        self.answers = collections.Counter()  # by request_id; final ones
        self.statuses = collections.Counter()
        self.parts = collections.Counter()  # by request_id
        self.epochs = {}  # session -> what its last answers said
        self.wrong = []
        self.lost = 0

    def send(self):
        key, value = self.one()
        self.producer.produce(self.site.requests, key=key, value=value)
        self.producer.poll(0)

    def one(self):
        """(key, value) of the next request: mostly of a session that counts on its worker."""
        number, self.sent = self.sent, self.sent + 1
        life = int((time.monotonic() - self.began) / SESSION_LIFE)
        session = f"s{life}-{self.rng.randrange(SESSIONS)}"
        kind = self.rng.choices(("count", "faithful", "idempotent", "anonymous", "stream", "end"), (60, 15, 8, 8, 8, 1))[0]
        request = {"request_id": f"r{number}", "command": "count"}
        known = self.epochs.get(session)
        if kind == "faithful" and known:
            request["session_epoch"] = known["epoch"]
        elif kind == "idempotent":
            request["idempotent"] = True
        elif kind == "anonymous":
            session, request = None, {**request, "command": "echo", "args": {"n": number}}
        elif kind == "stream":
            request = {**request, "command": "stream", "args": {"parts": 3}, "stream": True}
        elif kind == "end":
            request["command"] = "end_session"
        self.kind[request["request_id"]] = (kind, request.get("session_epoch"), number)
        return session, json.dumps(request)

    def unanswered(self):
        return self.sent - len(self.answers)

    def take(self, message):
        """Judges one record of the results."""
        r = json.loads(message.value())
        if not r["final"]:
            self.expect(r["part"] == self.parts[r["request_id"]] or r["attempts"] > 1, r, "parts are numbered")
            self.parts[r["request_id"]] += 1
            return
        self.answers[r["request_id"]] += 1
        self.statuses[r["status"]] += 1
        kind, named, number = self.kind[r["request_id"]]
        allowed = {"OK", "WORKER_LOST"} | ({"SESSION_LOST"} if named else set()) | ({"ERROR"} if kind == "end" else set())
        self.expect(r["status"] in allowed, r, "a status that its kind may have")
        self.expect(r["status"] != "OK" or named in (None, r["session_epoch"]), r, "ran under the epoch that it named")
        if kind == "anonymous":
            self.expect(r["status"] != "OK" or r["result"] == {"n": number}, r, "answers what was asked")
        elif r["session_epoch"]:
            self.of_session(r)

    def of_session(self, r):
        """Under an epoch there is one worker, one order, and a count without a gap; a new one is told."""
        place, known = r["source"]["offset"], self.epochs.get(r["session_id"])
        if known is None or known["epoch"] != r["session_epoch"]:
            self.expect(r["session_new"], r, "a new epoch is told")
            self.lost += known is not None
            known = self.epochs[r["session_id"]] = {"epoch": r["session_epoch"], "worker": r["worker_id"], "count": 0}
        else:
            self.expect(place > known["place"], r, "the order of the partition")
            self.expect(r["worker_id"] in (known["worker"], None), r, "one worker, if any ran it")
        known["place"] = place
        if r["command"] == "count" and r["status"] == "OK":
            self.expect(r["result"]["count"] == known["count"] + 1, r, f"the count after {known['count']}")
            known["count"] = r["result"]["count"]

    def expect(self, holds, result, rule):
        if not holds and len(self.wrong) < 20:
            self.wrong.append((rule, result))


def parent_of(pid):
    """0: it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


class Killer:
    """Kills workers by their descriptors, so that a number that the kernel gave away again is never hit."""

    def __init__(self, site, rng):
        self.site, self.rng, self.kills = site, rng, 0
        self.struck = {}  # worker or guard -> when

    def dying(self, pid):
        """It was struck, or its guard or worker was, and may still be seen: that would be a second kill for one end."""
        return pid in self.struck or parent_of(pid) in self.struck

    def strike(self):
        self.struck = {pid: at for pid, at in self.struck.items() if time.monotonic() - at < 10}
        alive = [pid for pid in self.site.workers() if not self.dying(pid)]
        if not alive:
            return
        pid = self.rng.choice(alive)
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        if pid in self.site.workers():
            try:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                self.kills += 1
                self.struck.update({process: time.monotonic() for process in (pid, parent_of(pid)) if process in alive})
            except ProcessLookupError:
                pass
        os.close(descriptor)


def fire(client, killer, seconds):
    """Requests and kills at their pace; what comes is read meanwhile. Returns how many kills were due."""
    begun, sent, strikes = time.monotonic(), 0, 0
    strike_at = 0
    while (elapsed := time.monotonic() - begun) < seconds:
        while sent < elapsed * REQUESTS_PER_SECOND:
            sent += 1
            if client.unanswered() < UNANSWERED_MOST:
                client.send()
        if elapsed >= strike_at:  # at any moment of its tenth of a second: requests shall be hit as well as pauses
            killer.strike()
            strikes += 1
            strike_at = (strikes + killer.rng.random()) / KILLS_PER_SECOND
        read(client, 0.005)
    assert client.producer.flush(60) == 0
    return strikes


def read(client, seconds):
    for message in client.site.consumer.consume(500, timeout=seconds):
        if not message.error():
            client.take(message)


def all_answered(client, seconds=120):
    end = time.monotonic() + seconds
    while client.unanswered():
        assert time.monotonic() < end, f"{client.unanswered()} of {client.sent} requests have no answer; the daemon said:\n{client.site.tail()}"
        read(client, 0.2)


def metrics(site):
    """name and labels -> value"""
    return {name: float(value) for name, value in re.findall(r"^([a-z_]\S*?(?:\{.*\})?) (\S+)$", site.get("/metrics")[1], re.M)}


def settled_resident(site):
    """What was freed goes back over five seconds: what is left once nothing more has gone for longer than that."""
    seen = [metrics(site)["process_resident_memory_bytes"]]
    while len(seen) < 8 or min(seen[-7:]) < min(seen[:-7]):
        time.sleep(1)
        seen.append(metrics(site)["process_resident_memory_bytes"])
        assert len(seen) < 60, seen
    return seen[-1]


def at_rest(site):
    """Once all sessions have ended and all workers are up: what the daemon holds."""
    def quiet():
        m = metrics(site)
        return m['bridgepool_sessions{pool="default"}'] == 0 and m["bridgepool_records_pending"] == 0 and \
            m['bridgepool_workers{pool="default",state="READY"}'] == 12 and m
    eventually(quiet, 60)
    resident = settled_resident(site)
    m = eventually(quiet, 60)
    return {"ledger": {k: v for k, v in m.items() if k.startswith("bridgepool_memory_bytes")}, "resident": resident,
            "descriptors": m["process_open_fds"], "exits": {k.split('"')[-2]: v for k, v in m.items() if k.startswith("bridgepool_worker_exits_total")},
            "lost": m['bridgepool_sessions_lost_total{pool="default"}']}


def sessions_told_lost(site):
    """As the health topic says it."""
    out = subprocess.run([BRIDGEPOOL, "tail", "health", "-c", site.config, "--until-end"], check=True, capture_output=True, text=True, timeout=120)
    return sum(event["count"] for event in map(json.loads, out.stdout.splitlines()) if event["kind"] == "SESSIONS_LOST")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(p) for p in f.read().split()]


def gone(pid):
    return not os.path.exists(f"/proc/{pid}")


def test_workers_killed_ten_times_a_second(brokers, tmp_path, capsys):
    site = Site(brokers, tmp_path, POOL)
    try:
        daemon = site.start("soak")
        site.wait_joined()
        rng = random.Random(11)
        client, killer = Client(site, rng), Killer(site, rng)
        fire(client, killer, WARM_SECONDS)
        all_answered(client)
        before = at_rest(site)
        kills = -killer.kills
        due = fire(client, killer, SECONDS / 2)
        all_answered(client)
        middle = at_rest(site)
        due += fire(client, killer, SECONDS / 2)
        kills += killer.kills
        all_answered(client)
        after = at_rest(site)
        with capsys.disabled():
            print(f"\n{client.sent} requests, {dict(client.statuses)}; {killer.kills} kills, {client.lost} sessions saw a new epoch, "
                  f"{after['lost']:.0f} lost\n{before}\n{middle}\n{after}")
        guards = children(daemon.pid)
        assert len(guards) == 12
        assert not client.wrong, json.dumps(client.wrong, indent=1)
        assert set(client.answers) == set(client.kind) and set(client.answers.values()) == {1}
        assert client.statuses["OK"] > client.sent * 0.5  # work was done, and it was no walk in the park
        assert client.lost > killer.kills and client.statuses["WORKER_LOST"] > killer.kills / 30  # runs were hit too: of a quiet machine one in fifteen kills
        assert client.statuses["SESSION_LOST"] > 0  # some named a state that was gone by then
        assert sessions_told_lost(site) == after["lost"]
        assert kills >= 0.95 * due and due >= 0.95 * SECONDS * KILLS_PER_SECOND, (kills, due)
        others = [line for line in site.log_text().splitlines() if " worker_exit " in line and "signal 9" not in line]
        assert sum(after["exits"].values()) == killer.kills, others  # no worker ended but by our hand
        assert after["ledger"] == before["ledger"] and after["descriptors"] == before["descriptors"]
        assert after["resident"] <= middle["resident"] + GROWTH_MOST
    finally:
        codes = site.end()
    assert codes == [0]
    site.wait_no_workers()
    eventually(lambda: all(gone(g) for g in guards))
