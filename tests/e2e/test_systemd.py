"""What systemd is told, over a socket as systemd gives one; and what it says of the unit."""
import os
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


def test_systemd_is_content_with_the_unit(tmp_path):
    unit = (BUILD / "deploy" / "bridgepool.service").read_text()
    programs = re.findall(r"^(Exec\w+=)/\S*/(bin/.*)$", unit, re.M)
    assert programs == [("ExecStart=", "bin/bridgepool run -c /etc/bridgepool/bridgepool.cfg"), ("ExecReload=", "bin/bridgepool reload --pid $MAINPID")]
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
