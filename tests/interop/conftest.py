"""Our codec (wire_convert) and Apache Avro for Java, each behind lines of text. BUILD_DIR names the build directory."""

import os
import pathlib
import subprocess

import java_program
import pytest

HERE = pathlib.Path(__file__).resolve().parent
SCHEMAS = HERE.parent.parent / "schemas"


class Lines:
    """A process that answers each line with one line."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")

    def ask(self, *words):
        self.process.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer.endswith("\n"), f"{self.process.args[0]} ended with {self.process.wait()}"
        return answer[:-1]

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=20) == 0


def build_dir():
    if "BUILD_DIR" not in os.environ:
        pytest.exit("BUILD_DIR is not set: name the build directory that holds tests/interop/wire_convert", returncode=2)
    return pathlib.Path(os.environ["BUILD_DIR"]).resolve()


def find_convert():
    path = build_dir() / "tests" / "interop" / "wire_convert"
    if not path.exists():
        pytest.exit(f"{path} is missing: build the target wire_convert", returncode=2)
    return str(path)


@pytest.fixture(scope="session")
def ours():
    lines = Lines([find_convert()])
    yield lines
    lines.close()


@pytest.fixture
def ours_with(tmp_path):
    """Our codec with a directory of further writer schemas."""
    running = []

    def start():
        running.append(Lines([find_convert(), str(tmp_path)]))
        return running[-1]

    start.dir = tmp_path
    yield start
    for lines in running:
        lines.close()


@pytest.fixture(scope="session")
def java():
    lines = Lines(java_program.build(HERE / "java" / "Peer.java", build_dir() / "tests" / "interop" / "java"))
    yield lines
    lines.close()
