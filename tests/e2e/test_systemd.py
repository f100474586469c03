"""What systemd is told, over a socket as systemd gives one; and what it says of the unit."""
import os
import pathlib
import re
import signal
import socket
import subprocess

from conftest import BRIDGEPOOL, BUILD, MOCK, eventually


class Supervisor:
    """The receiving end of sd_notify()."""

    def __init__(self, directory):
        self.path = str(directory / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)
        self.heard = []

    def listen(self):
        """All that was said so far."""
        try:
            while True:
                self.heard += self.socket.recv(4096).decode().splitlines()
        except BlockingIOError:
            return self.heard

    def wait(self, word):
        eventually(lambda: word in self.listen(), 30)

    def close(self):
        self.socket.close()


def test_the_supervisor_is_told(site, tmp_path):
    supervisor = Supervisor(tmp_path)
    s = site(MOCK + " size = 1;", 'drain = { shutdown = "10m"; };')
    daemon = s.start(NOTIFY_SOCKET=supervisor.path, WATCHDOG_USEC="400000")
    supervisor.wait("READY=1")
    assert " joined " in s.log_text()
    assert "STATUS=STARTING" in supervisor.heard[0]
    before = supervisor.listen().count("WATCHDOG=1")
    eventually(lambda: supervisor.listen().count("WATCHDOG=1") >= before + 3, 10)
    daemon.send_signal(signal.SIGHUP)
    eventually(lambda: supervisor.listen().count("READY=1") == 2, 10)
    daemon.send_signal(signal.SIGTERM)
    supervisor.wait("STOPPING=1")
    assert daemon.wait(30) == 0
    said = [line for line in supervisor.listen() if line != "WATCHDOG=1"]
    reload = said.index("RELOADING=1")
    assert re.fullmatch(r"MONOTONIC_USEC=\d{6,}", said[reload + 1]) and said[reload + 2] == "READY=1"
    granted = re.fullmatch(r"EXTEND_TIMEOUT_USEC=(\d+)", said[said.index("STOPPING=1") + 1])
    assert 640 <= int(granted[1]) / 1e6 <= 670  # drain.shutdown, hooks of sessions and half a minute, whatever the unit's TimeoutStopSec
    states = [re.match(r"STATUS=(\w+)", line).group(1) for line in said if line.startswith("STATUS=")]
    assert states == ["STARTING", "READY", "DRAINING", "STOPPED"] and said.count("READY=1") == 2
    supervisor.close()


def test_workers_do_not_hear_of_the_supervisor(site, tmp_path):
    supervisor = Supervisor(tmp_path)
    s = site(MOCK + " size = 1;")
    s.start(NOTIFY_SOCKET=supervisor.path)
    supervisor.wait("READY=1")
    for pid in s.workers():
        with open(f"/proc/{pid}/environ", "rb") as file:
            assert b"NOTIFY_SOCKET" not in file.read()
    supervisor.close()


def installed(prefix, **variables):
    subprocess.run(["cmake", "--install", BUILD, "--prefix", prefix], check=True, stdout=subprocess.DEVNULL, env={**os.environ, **variables})
    return (pathlib.Path(variables.get("DESTDIR", "/")) / str(prefix).lstrip("/") / "lib/systemd/system/bridgepool.service").read_text()


def programs(unit):
    return re.findall(r"^Exec\w+=.*$", unit, re.M)


def test_the_unit_runs_what_was_installed_with_it(tmp_path):
    here = tmp_path / "here"
    assert programs(installed(here)) == [f"ExecStart={here}/bin/bridgepool run -c /etc/bridgepool/bridgepool.cfg",
                                         f"ExecReload={here}/bin/bridgepool reload --pid $MAINPID"]
    assert (here / "bin/bridgepool").exists()
    staged = installed("/opt/there", DESTDIR=str(tmp_path / "image"))
    assert programs(staged)[0].startswith("ExecStart=/opt/there/bin/bridgepool run")


def test_systemd_is_content_with_the_unit(tmp_path):
    unit = installed(tmp_path)
    promised = {  # what would only be missed on the day it is needed
        "Type=notify",
        "WatchdogSec=30",
        "KillMode=mixed",  # SIGTERM to the daemon alone
        "OOMPolicy=continue",  # one worker out of memory is not the end of the service
        "Restart=on-failure",
        "RestartPreventExitStatus=64 78",
        "TimeoutStartSec=infinity",
    }
    assert not promised - set(unit.splitlines())
    here = tmp_path / "bridgepool.service"
    here.write_text(re.sub(r"^(Exec\w+)=\S+", rf"\1={os.path.realpath(BRIDGEPOOL)}", unit, flags=re.M))
    said = subprocess.run(["systemd-analyze", "verify", "--man=no", here], capture_output=True, text=True, timeout=60)
    ours = [line for line in said.stderr.splitlines() if "bridgepool" in line]
    assert not ours and said.returncode == 0, said.stderr
