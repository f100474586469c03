"""A daemon that reads its configuration again: SIGHUP and `bridgepool reload`, while requests are run."""
import json
import pathlib
import re
import signal
import subprocess

from conftest import BRIDGEPOOL, MOCK, eventually


def reload(site, *more):
    return subprocess.run([BRIDGEPOOL, "reload", *(more or ("-c", site.config))], capture_output=True, text=True, timeout=60)


def edit(site, before, after):
    text = site.config.read_text()
    assert before in text
    site.config.write_text(text.replace(before, after))


def told(site):
    tail = subprocess.run([BRIDGEPOOL, "tail", "health", "-c", site.config, "--until-end"], capture_output=True, text=True, check=True, timeout=60)
    events = [json.loads(line) for line in tail.stdout.splitlines()]
    return [(e["severity"], e["reason"]) for e in events if e["kind"] == "INSTANCE_STATE" and e["to_state"] is None]


def test_a_changed_configuration_is_taken_over_under_load(site):
    s = site(MOCK + " size = 2; /* more */", 'health = { heartbeat = "1h"; };')
    daemon = s.start()
    s.wait_joined()
    eventually(lambda: len(s.workers()) >= 2)
    before = {w["worker_id"] for w in s.status()["pools"][0]["workers"]}
    s.produce([(f"s{i % 20}", json.dumps({"command": "sleep", "args": {"ms": 2}})) for i in range(2000)])
    s.read_results(lambda seen: len(seen) > 100, 60)

    edit(s, "/* more */", 'request_timeout = "1m"; recycle_grace = "50ms"; open_files = 123;')
    edit(s, "consumer_properties", "linger = 0; consumer_properties")
    edit(s, '"1h"', '"100ms"')
    said = reload(s)
    assert said.returncode == 0, said
    assert said.stdout == """reloaded: 3 changed at once, 1 by replacing workers, 1 kept until a restart
  restart  kafka.linger: "5ms" -> 0
  live     pools[0].request_timeout (default): "30s" -> "1m"
  live     pools[0].recycle_grace (default): "5m" -> "50ms"
  rolls    pools[0].open_files (default): 0 -> 123
  live     health.heartbeat: "1h" -> "100ms"
"""

    def rolled():
        workers = s.status()["pools"][0]["workers"]
        return [w["state"] for w in workers] == ["READY", "READY"] and not before & {w["worker_id"] for w in workers}

    eventually(rolled)
    limits = [pathlib.Path(f"/proc/{pid}/limits").read_text() for pid in s.workers()]  # of guards too, which keep the daemon's
    assert sum(bool(re.search(r"Max open files +123 +123 ", text)) for text in limits) == 2
    s.read_results(lambda seen: len(seen) >= 2000, 60)
    assert {r["status"] for r in s.results_seen()} == {"OK"} and s.status()["pools"][0]["sessions"]["lost"] == 0
    assert " reload rolls" in s.log_text() and s.log_text().count(" reloaded ") == 1

    # more workers, and fewer again, under load
    s.produce([(f"s{i % 20}", json.dumps({"command": "count"})) for i in range(2000)])
    edit(s, "size = 2;", "size = 4; spare = 1;")
    assert reload(s).stdout.splitlines()[2:] == ["  live     pools[0].size (default): 2 -> 4", "  live     pools[0].spare (default): 0 -> 1"]
    eventually(lambda: sorted((w["role"], w["state"]) for w in s.status()["pools"][0]["workers"]) == [("serving", "READY")] * 4 + [("spare", "READY")])
    s.produce([(f"t{i % 20}", json.dumps({"command": "count"})) for i in range(2000)])
    edit(s, "size = 4; spare = 1;", "size = 2;")
    assert reload(s).returncode == 0
    eventually(rolled)
    s.read_results(lambda seen: len(seen) >= 6000, 60)
    assert {r["status"] for r in s.results_seen()} == {"OK"} and s.status()["pools"][0]["sessions"]["lost"] == 0
    counts = {}
    for r in s.results_seen():  # in order, and each session's state as it was promised; a new state may begin with any request
        if r["session_new"]:
            counts[r["session_id"]] = 0
        if "count" in r["result"]:
            counts[r["session_id"]] += 1
            assert r["result"]["count"] == counts[r["session_id"]], r

    # what is wrong is told, all of it, and changes nothing
    edit(s, "size = 2;", "size = 0;")
    edit(s, "open_files = 123", 'open_files = 77; directory = "/no/such/place"; walk = 1')
    daemon.send_signal(signal.SIGHUP)
    eventually(lambda: s.log_text().count(" reload_refused ") == 1)
    said = reload(s, "--pid", str(daemon.pid))
    assert said.returncode == 78 and "pools[0].size: found 0" in said.stderr and "walk" in said.stderr, said
    edit(s, "size = 0;", "size = 2;")
    edit(s, " walk = 1;", "")
    said = reload(s)
    assert said.returncode == 78 and "the working directory /no/such/place cannot be entered" in said.stderr, said
    assert rolled() and s.ask("again", "count")["status"] == "OK"

    health = eventually(lambda: len(told(s)) == 6 and told(s))
    assert health[0] == ("INFO", "reloaded: 3 changed at once, 1 by replacing workers, 1 kept until a restart")
    assert all(severity == "ERROR" and "nothing was changed" in reason for severity, reason in health[3:])


def test_which_daemon_is_meant(site, tmp_path):
    s = site(MOCK + " size = 1;")
    nobody = reload(s)
    assert nobody.returncode == 1 and "no daemon runs with" in nobody.stderr
    one, two = s.start("one"), s.start("two")
    s.wait_joined()
    several = reload(s)
    assert several.returncode == 1 and f"{one.pid}" in several.stderr and f"{two.pid}" in several.stderr
    assert reload(s, "--pid", str(two.pid)).stdout == "reloaded: nothing is different\n"
    two.terminate()
    assert two.wait(30) == 0
    assert reload(s).stdout == "reloaded: nothing is different\n"
    copy = tmp_path / "copy.cfg"
    copy.write_text(s.config.read_text())
    assert reload(s, "-c", str(copy)).returncode == 1
