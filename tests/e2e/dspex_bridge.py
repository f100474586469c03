"""A bridge as they are written for DSPex, for tests: frames of {packet, 4} with JSON, one request at a time, errors that are texts.

It knows nothing of bridgepool: no capabilities, no meta, no IDs but to repeat them. Its programs repeat what they are given.

    dspex_bridge.py --mode pool-worker --worker-id ID
"""
import argparse
import json
import struct
import sys
import time


class Bridge:
    def __init__(self, mode, worker_id):
        self.mode, self.worker_id = mode, worker_id
        self.sessions, self.session, self.lm = {}, None, None
        self.began, self.handled = time.time(), 0
        self.handlers = {name: getattr(self, name) for name in (
            "ping", "configure_lm", "create_program", "execute_program", "list_programs", "get_program_info", "delete_program", "get_stats",
            "cleanup_session", "sleep", "shutdown")}

    # ---- frames ----

    def read(self):
        """A request, or None at the end of the input."""
        head = sys.stdin.buffer.read(4)
        if len(head) < 4:
            return None
        return json.loads(sys.stdin.buffer.read(struct.unpack(">I", head)[0]))  # what is no JSON ends the bridge

    def write(self, response):
        body = json.dumps(response).encode()
        sys.stdout.buffer.write(struct.pack(">I", len(body)) + body)
        sys.stdout.buffer.flush()

    def run(self):
        self.log("starting")
        while (request := self.read()) is not None:
            self.write(self.handle(request))
        self.log("the input has ended")

    def handle(self, request):
        name, args = request.get("command"), request.get("args", {})
        self.log(f"command {name}")
        try:
            if name not in self.handlers:
                raise ValueError("Unknown command")
            self.handled += 1
            return {"id": request["id"], "success": True, "result": self.handlers[name](args), "timestamp": time.time()}
        except Exception as error:
            return {"id": request["id"], "success": False, "error": str(error), "timestamp": time.time()}

    def log(self, text):
        print(f"[{self.worker_id}] {text}", file=sys.stderr, flush=True)

    # ---- commands ----

    def programs(self, args):
        if "session_id" not in args:
            raise ValueError("Session ID required in pool-worker mode")
        self.session = args["session_id"]
        return self.sessions.setdefault(self.session, {})

    def program(self, args):
        found = self.programs(args).get(args["program_id"])
        if found is None:
            raise ValueError(f"Program not found in session {args['session_id']}: {args['program_id']}")
        return found

    def ping(self, args):
        return {"status": "ok", "timestamp": time.time(), "dspy_available": False, "uptime": time.time() - self.began, "mode": self.mode,
                "worker_id": self.worker_id, "current_session": self.session}

    def configure_lm(self, args):
        self.lm = args["model"]
        return {"status": "configured"}

    def create_program(self, args):
        programs = self.programs(args)
        if args["id"] in programs:
            raise ValueError(f"Program with ID '{args['id']}' already exists in session {args['session_id']}")
        programs[args["id"]] = {"signature": args["signature"], "program_type": args.get("program_type", "predict"), "execution_count": 0}
        return {"program_id": args["id"], "status": "created", "signature": args["signature"], "program_type": programs[args["id"]]["program_type"]}

    def execute_program(self, args):
        program = self.program(args) if self.lm else None
        if program is None:
            raise ValueError("No LM is loaded.")
        program["execution_count"] += 1
        outputs = [field["name"] for field in program["signature"]["outputs"]]
        return {"program_id": args["program_id"], "outputs": {name: f"mock {name}" for name in outputs}, "execution_time": 0.0}

    def list_programs(self, args):
        rows = [{"id": name, "session_id": args["session_id"], **program} for name, program in self.programs(args).items()]
        return {"programs": rows, "total_count": len(rows)}

    def get_program_info(self, args):
        return {"program_id": args["program_id"], **self.program(args)}

    def delete_program(self, args):
        self.program(args)
        del self.programs(args)[args["program_id"]]
        return {"program_id": args["program_id"], "status": "deleted"}

    def get_stats(self, args):
        if self.mode == "pool-worker":
            raise AttributeError("programs are not counted in pool-worker mode")
        return {"command_count": self.handled}

    def cleanup_session(self, args):
        self.sessions.pop(args["session_id"], None)
        self.session = None
        return {"status": "cleaned"}

    def sleep(self, args):
        time.sleep(args["ms"] / 1000)
        return {"slept_ms": args["ms"]}

    def shutdown(self, args):
        return {}  # it ends when its input does


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", default="standalone")
    parser.add_argument("--worker-id", default="unknown")
    options = parser.parse_args()
    Bridge(options.mode, options.worker_id).run()
