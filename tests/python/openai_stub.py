"""A stand-in for an OpenAI-compatible chat server on loopback, for tests: deterministic, without any model.

It reads the DSPy prompt: which output fields are wanted, of which type, and what the inputs say, and makes up values of those
types. As a program it prints its port on one line and serves until its standard input ends:

    python tests/python/openai_stub.py [--port 0] [--delay SECONDS]

Words anywhere in the last user message steer it: STUB_FAIL_429, STUB_FAIL_500, STUB_SLOW (waits --slow seconds), STUB_GARBAGE
(text that is no answer), STUB_OMIT_<field> (leaves that output out), STUB_HALF_SLOW (a stream waits in its middle).
"""

import argparse
import json
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FIELD = re.compile(r"^\d+\. `(\w+)` \(([^\n]*?)\)(?:: ?(.*))?\s*$", re.M)
SECTION = re.compile(r"\[\[ ## (\w+) ## \]\]\n(.*?)(?=\n*\[\[ ## |\n*Respond with|\Z)", re.S)
SCHEMA = re.compile(r"\{(\w+)\}\s+# note: the value you produce (.*)")


def text_of(message):
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def from_schema(schema, words, definitions=None):
    """A value that a JSON schema allows."""
    definitions = definitions or schema.get("$defs", {})
    if "$ref" in schema:
        return from_schema(definitions[schema["$ref"].rsplit("/", 1)[-1]], words, definitions)
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return from_schema(schema[choice][0], words, definitions)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {name: from_schema(sub, words, definitions) for name, sub in schema.get("properties", {}).items()} or {"words": len(words)}
    if kind == "array":
        return [from_schema(schema.get("items", {"type": "string"}), words[i:], definitions) for i in range(2)]
    return {"integer": len(words), "number": len(words) / 2, "boolean": True, "null": None}.get(kind, words[0] if words else "nothing")


def value_for(name, kind, note, inputs):
    """What the stub answers for one output field."""
    said = " ".join(v for v in inputs.values())
    words = re.findall(r"\w+", said)
    if "adhere to the JSON schema: " in note:
        made = from_schema(json.loads(note.split("adhere to the JSON schema: ", 1)[1]), words)
        return made if isinstance(made, str) else json.dumps(made)
    if "must exactly match" in note:
        return note.split(": ", 1)[1].split(";")[0].strip()
    if kind == "int" or "single int" in note:
        return str(len(words))
    if kind == "float" or "single float" in note:
        return str(len(words) / 2)
    if kind == "bool" or "True or False" in note:
        return "True"
    if name == "reasoning":
        return f"Thinking about {said.strip()[:200]}"
    return f"echo: {said.strip()[:2000]}"


def answer_for(messages):
    system = "\n".join(text_of(m) for m in messages if m["role"] in ("system", "developer"))
    user = next(text_of(m) for m in reversed(messages) if m["role"] == "user")
    inputs = {name: value for name, value in SECTION.findall(user)}
    outputs = [(name, kind) for name, kind, _ in FIELD.findall(system.split("Your output fields are:", 1)[-1].split("All interactions will be", 1)[0])]
    notes = dict(SCHEMA.findall(system))
    omitted = set(re.findall(r"STUB_OMIT_([a-z_]+)", user))
    values = {name: value_for(name, kind, notes.get(name, ""), inputs) for name, kind in outputs if name not in omitted}
    if "Respond with a JSON object" in user:
        return json.dumps({name: _parsed(value) for name, value in values.items()})
    return "\n\n".join(f"[[ ## {name} ## ]]\n{value}" for name, value in values.items()) + "\n\n[[ ## completed ## ]]"


def _parsed(value):
    try:
        return json.loads(value.lower() if value in ("True", "False") else value)
    except ValueError:
        return value


class Stub(ThreadingHTTPServer):
    """Serves /v1/chat/completions; `requests` keeps what it was asked, with the Authorization header.

    Nothing is answered before `answers_together` requests are there at one time; those that waited in vain get a 500."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port=0, delay=0.0, slow=30.0):
        super().__init__(("127.0.0.1", port), _Handler)
        self.delay = delay
        self.slow = slow
        self.requests = []
        self.answers_together = 1
        self.asking = 0
        self.gathering = threading.Condition()
        self.ending = threading.Event()
        self._thread = None

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def __enter__(self):
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self.ending.set()
        self.shutdown()
        self.server_close()
        self._thread.join()

    def gathered(self):
        with self.gathering:
            self.asking += 1
            self.gathering.notify_all()
            enough = self.gathering.wait_for(lambda: self.asking >= self.answers_together, self.slow)
            if enough and self.answers_together > 1:
                self.answers_together = 1  # the next ones are for themselves
                self.gathering.notify_all()
            self.asking -= 1
            return enough

    def handle_error(self, request, client_address):
        """A client that goes away in the middle is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._json(200, {"object": "list", "data": [{"id": "stub", "object": "model"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append({"path": self.path, "authorization": self.headers.get("Authorization"), "body": body})
        if not self.path.endswith("/chat/completions"):
            return self._json(404, {"error": {"message": f"no such path: {self.path}", "type": "not_found"}})
        user = next(text_of(m) for m in reversed(body["messages"]) if m["role"] == "user")
        if "STUB_SLOW" in user:
            self.server.ending.wait(self.server.slow)
        self.server.ending.wait(self.server.delay)
        if not self.server.gathered():
            return self._json(500, {"error": {"message": "too few asked at one time", "type": "stub", "code": "500"}})
        for word, status in (("STUB_FAIL_429", 429), ("STUB_FAIL_500", 500)):
            if word in user:
                return self._json(status, {"error": {"message": f"the stub fails with {status}", "type": "stub", "code": str(status)}})
        text = "no fields here" if "STUB_GARBAGE" in user else answer_for(body["messages"])
        usage = {"prompt_tokens": sum(len(text_of(m)) for m in body["messages"]) // 4, "completion_tokens": len(text) // 4}
        usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
        if body.get("stream"):
            return self._stream(body, text, usage)
        self._json(200, {
            "id": "stub-1", "object": "chat.completion", "created": int(time.time()), "model": body["model"], "usage": usage,
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        })

    def _stream(self, body, text, usage):
        """Server-sent events, a few characters each; STUB_HALF_SLOW waits in the middle."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        pieces = re.findall(r"\[\[|\]\]| ?##| ?\w+|\s+|[^\w\s]", text)  # as models cut it
        user = next(text_of(m) for m in reversed(body["messages"]) if m["role"] == "user")
        for i, piece in enumerate(pieces):
            if i == len(pieces) // 2 and "STUB_HALF_SLOW" in user:
                self.server.ending.wait(self.server.slow)
            self._event(body, [{"index": 0, "finish_reason": None, "delta": {"role": "assistant", "content": piece}}])
        self._event(body, [{"index": 0, "finish_reason": "stop", "delta": {}}])
        if (body.get("stream_options") or {}).get("include_usage"):
            self._event(body, [], usage=usage)
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, body, choices, **more):
        event = {"id": "stub-1", "object": "chat.completion.chunk", "created": int(time.time()), "model": body["model"], "choices": choices, **more}
        self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        self.wfile.flush()

    def _json(self, status, value):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format, *args):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--slow", type=float, default=30.0, help="seconds that STUB_SLOW waits")
    options = parser.parse_args()
    with Stub(options.port, options.delay, options.slow) as stub:
        print(stub.server_address[1], flush=True)
        sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
