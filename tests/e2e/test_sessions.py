"""Sessions that keep what they know outside when they end, and find it again wherever they begin next."""
import collections
import json
import signal

from conftest import PYTHON, eventually

APP = """
import asyncio, pathlib
from bridgepool import App

app = App(version="1")
kept, ends = pathlib.Path("kept"), pathlib.Path("ends")

@app.session_start
def begin(session):
    file = kept / session.id
    session["n"] = int(file.read_text()) if file.exists() else 0

@app.session_end
async def end(session, reason):
    await asyncio.sleep(0.1)  # as long as a database would take
    (kept / session.id).write_text(str(session["n"]))
    with ends.open("a") as file:
        file.write(reason + "\\n")

@app.command
def count(session) -> dict:
    session["n"] += 1
    return {"n": session["n"]}
"""

SESSIONS = 20


class Counting:
    """Requests that count, `rounds` for each session so far."""

    def __init__(self, site, pool=""):
        self.site = site(PYTHON + " size = 2; " + pool)
        (self.site.directory / "app.py").write_text(APP)
        (self.site.directory / "kept").mkdir()
        self.rounds = 0

    def ask(self, rounds):
        requests = [(f"s{k}", json.dumps({"request_id": f"{k}-{self.rounds + i}", "command": "count"})) for i in range(rounds) for k in range(SESSIONS)]
        self.rounds += rounds
        self.site.produce(requests)

    def wait(self):
        self.site.read_results(lambda seen: len(seen) >= self.rounds * SESSIONS, 60)

    def check(self):
        """No session has counted anything twice, left anything out, or begun again."""
        by = collections.defaultdict(list)
        for r in sorted(self.site.results_seen(), key=lambda r: r["source"]["offset"]):
            assert r["status"] == "OK", r
            by[r["session_id"]].append(r["result"]["n"])
        assert by == {f"s{k}": list(range(1, self.rounds + 1)) for k in range(SESSIONS)}
        return len({r["instance_id"] for r in self.site.results_seen()})

    def reasons(self):
        return collections.Counter((self.site.directory / "ends").read_text().split())


def test_a_shutdown_waits_for_the_end_of_its_sessions(site):
    c = Counting(site)
    daemon = c.site.start()
    c.ask(2)
    c.wait()
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(30) == 0
    assert c.reasons() == {"shutdown": SESSIONS}
    c.site.start()
    c.ask(2)
    c.wait()
    assert c.check() == 2


def test_where_a_revoke_ends_sessions_their_next_owner_finds_what_they_kept(site):
    c = Counting(site, 'on_revoke = "end";')
    for n in range(3):
        c.site.start()
        c.ask(20)
        if n == 0:
            c.wait()
        eventually(lambda: c.site.log_text().count(" joined ") == n + 1)
        c.ask(20)
    c.wait()
    assert c.check() >= 2
    assert set(c.reasons()) == {"partition"}
