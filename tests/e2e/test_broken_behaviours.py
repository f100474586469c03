"""Behaviours of test_behaviours.py against a daemon that breaks them: bridgepool_mutants, in whose engine a bug can be planted (the list
is in tests/sim/CMakeLists.txt). Each behaviour has to fail, at the statement that is named here; and to hold when no bug is planted.
"""
import conftest
import pytest
import test_behaviours as behaviours
from conftest import BUILD
from test_behaviours import Rig, stub  # noqa: F401

# the planted bug, the behaviour, where it has to fail; what lets it fail fast
BROKEN = [
    (16, "checkout_keeps_affinity", 'len({(r["worker_id"], r["session_epoch"]) for r in results}) == 1', ""),
    (24, "tracks_new_sessions", 'made[name]["session_new"]', ""),
    (24, "no_duplicate_tracking", 'count(True) == 1', ""),
    (27, "stale_sessions_end_by_ttl", 'not at_once["session_new"]', ""),
    (40, "checkin_with_error_counts_it", 'broken["status"] == "WORKER_LOST"', 'request_timeout = "1s";'),
    (43, "ends_sessions", 'ok(after)["total_count"] == 0', ""),
    (43, "ending_an_unknown_session", '"session_not_found"', ""),
    (82, "graceful_shutdown", "rig.answers(running)", ""),
    (83, "graceful_shutdown", "not set(late)", 'session_hook_timeout = "1s";'),
    (84, "health_check_answers_while_all_workers_are_busy", 'not any(pool["exits"].values())', ""),
]
MODES = {"checkout_keeps_affinity": "pooled"}  # one worker is always the same
FAILS_WITHIN = 5  # seconds that a behaviour waits for what does not come, once its daemon is READY


class BrokenRig(Rig):
    def __init__(self, fast, monkeypatch, *rig):
        super().__init__(*rig)
        self.fast, self.monkeypatch = fast, monkeypatch

    def start(self, pool="", **options):
        site = super().start(pool + self.fast, **options)
        self.monkeypatch.setattr(conftest, "PATIENCE", FAILS_WITHIN)
        return site


@pytest.fixture
def planted(site, stub, monkeypatch):  # noqa: F811
    """A behaviour, called with a rig whose daemon has this bug."""
    monkeypatch.setattr(conftest.Site, "program", BUILD / "bridgepool_mutants")

    def run(bug, behaviour, layer, fast):
        monkeypatch.setenv("BRIDGEPOOL_PLANTED_BUG", str(bug))
        which = site, layer, MODES.get(behaviour, "single"), stub
        rig = BrokenRig(fast, monkeypatch, *which) if bug else Rig(*which)
        try:
            getattr(behaviours, "test_" + behaviour)(rig)
        finally:
            assert rig.daemon.poll() in (None, 0), "the daemon itself has failed"

    return run


@pytest.mark.parametrize("layer", ["mock", "bridge-mock"])
@pytest.mark.parametrize("bug, behaviour, where, fast", BROKEN, ids=[f"{bug}-{behaviour}" for bug, behaviour, _, _ in BROKEN])
def test_a_planted_bug_breaks_its_behaviour(planted, bug, behaviour, where, fast, layer):
    with pytest.raises(AssertionError) as failure:
        planted(bug, behaviour, layer, fast)
    [statement] = [str(entry.statement) for entry in failure.traceback if entry.name == "test_" + behaviour]
    assert where in statement, f"it fails elsewhere: {statement}"


@pytest.mark.parametrize("behaviour", sorted({behaviour for _, behaviour, _, _ in BROKEN}))
def test_without_a_bug_the_same_daemon_holds_it(planted, behaviour):
    planted(0, behaviour, "mock", "")
