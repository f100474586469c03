"""The stub server as a program, the way other tests start it."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path


def test_it_prints_its_port_serves_and_ends_with_its_input():
    stub = subprocess.Popen([sys.executable, str(Path(__file__).parent / "openai_stub.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        url = f"http://127.0.0.1:{int(stub.stdout.readline())}/v1"
        system = "Your input fields are:\n1. `question` (str):\nYour output fields are:\n1. `answer` (str):\nAll interactions will be structured"
        user = "[[ ## question ## ]]\nhow far\n\nRespond with the corresponding output fields"
        body = {"model": "m", "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}]}
        request = urllib.request.Request(f"{url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
            answer = json.load(response)
        assert answer["choices"][0]["message"]["content"].startswith("[[ ## answer ## ]]\necho: how far\n")
        assert answer["usage"]["total_tokens"] > 0
        stub.stdin.close()
        assert stub.wait(timeout=60) == 0
    finally:
        if stub.poll() is None:
            stub.kill()
            stub.wait()
        stub.stdout.close()
