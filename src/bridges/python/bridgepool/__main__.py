"""``python -m bridgepool call`` and ``list``: an App's commands without Kafka and without a daemon.

    python -m bridgepool list app:app
    python -m bridgepool call app:app ask question="how far?" --session s1
    python -m bridgepool call app:app ask --json '{"question": "how far?"}'

The result is printed as JSON on standard output; partial answers, errors and everything that the application prints go to
standard error. Exit codes: 0 the command answered, 1 it answered with an error, 64 usage, 78 the application cannot be loaded.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import sys
from typing import Any, Dict, List, Optional

from ._app import App, Command
from ._errors import LoadError, NotThere
from ._loading import load_app
from ._serve import Server
from ._trace import log_exception, print_exception, reason_of, say
from ._version import __version__

EXIT_OK, EXIT_ERROR, EXIT_USAGE, EXIT_CONFIG = 0, 1, 64, 78


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"{self.prog}: {message}\n")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds * 1000 < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write a number of seconds above 0")
    return seconds


def _parsers() -> Dict[str, argparse.ArgumentParser]:
    call = _Parser(prog="python -m bridgepool call", description="Run one command and print its result as JSON.")
    call.add_argument("app", metavar="APP", help="module:app or path/to/file.py:app")
    call.add_argument("command", metavar="COMMAND")
    call.add_argument("arguments", metavar="NAME=VALUE", nargs="*", default=[], help="a value that reads as JSON is JSON, anything else a string: n=3 is a number, n='\"3\"' a string")
    call.add_argument("--json", metavar="OBJECT", help="arguments as a JSON object; NAME=VALUE adds to it")
    call.add_argument("--session", metavar="ID", help="run it in a (new) session")
    call.add_argument("--timeout", metavar="SECONDS", type=_seconds, help="the command's deadline")
    show = _Parser(prog="python -m bridgepool list", description="Show the commands of an App and what they take.")
    show.add_argument("app", metavar="APP", help="module:app or path/to/file.py:app")
    show.add_argument("--json", action="store_true", help="as a JSON list")
    return {"call": call, "list": show}


def _parse(argv: List[str]) -> Any:
    """The word's own parser reads the rest, so that options may stand between NAME=VALUE words."""
    parsers = _parsers()
    top = _Parser(
        prog="python -m bridgepool",
        description="Try the commands of a bridgepool App without Kafka and without a daemon.",
        epilog="More with `python -m bridgepool call --help` and `python -m bridgepool list --help`.",
    )
    top.add_argument("--version", action="version", version=f"bridgepool {__version__}")
    top.add_argument("word", metavar="call|list", choices=sorted(parsers))
    word = top.parse_args(argv[:1]).word
    options = parsers[word].parse_intermixed_args(argv[1:])
    options.word = word
    return options


def main(argv: Optional[List[str]] = None) -> int:
    options = _parse(sys.argv[1:] if argv is None else argv)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")  # JSON is UTF-8, whatever the terminal's locale
    sys.stdout.flush()
    os.dup2(2, 1)  # what the application prints is not the result
    try:
        app = load_app(options.app)
    except LoadError as error:
        print(f"bridgepool: {error}", file=sys.stderr)
        if isinstance(error, NotThere) and options.word == "list" and options.json:  # for `bridgepool dev`
            with out:
                json.dump({"not_there": str(error)}, out)
        return EXIT_CONFIG
    except BaseException as error:
        print_exception(error)
        say(f"bridgepool: {options.app} cannot be loaded: {reason_of(error)}")
        return EXIT_CONFIG
    with out:
        if options.word == "list":
            return _list(app, options.json, out)
        return _call(app, options, out)


# ---- list ----


def _list(app: App, as_json: bool, out: Any) -> int:
    rows = [_row(command) for name, command in sorted(app.commands.items())]
    if as_json:
        json.dump(rows, out, indent=2)
        print(file=out)
        return EXIT_OK
    for row in rows:
        print(f"{row['name']}{row['signature']}", file=out)
        if row["doc"]:
            print(f"    {row['doc']}", file=out)
    return EXIT_OK


def _row(command: Command) -> Dict[str, Any]:
    return {
        "name": command.name,
        "signature": str(command.signature),
        "async": command.is_async,
        "doc": _first_line(command),
        "session": command.wants_session,
        "example": " ".join([command.name, *(f"{name}={_example(command.signature.annotations[name])}" for name in command.signature.required)]),
    }


def _example(annotation: Any) -> str:
    """A value of that type as one would type it in a shell."""
    kind = getattr(annotation, "__origin__", annotation)
    plain = {str: "text", int: "1", float: "0.5", bool: "true", list: "'[]'", dict: "'{}'"}
    return plain.get(kind, "...") if isinstance(kind, type) else "..."


def _first_line(command: Command) -> str:
    text = (getattr(command.function, "__doc__", None) or "").strip()
    return text.splitlines()[0] if text else ""


# ---- call ----


def _no_json(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _value(text: str) -> Any:
    """A word of the command line as `bridgepool submit` reads it, so that both call the command with the same."""
    try:
        return json.loads(text, parse_constant=_no_json)
    except ValueError:
        return text


def _arguments(options: Any) -> Dict[str, Any]:
    arguments: Dict[str, Any] = {}
    if options.json is not None:
        try:
            arguments = json.loads(options.json)
        except ValueError as error:
            raise ValueError(f"--json: {error}") from None
        if not isinstance(arguments, dict):
            raise ValueError("--json: must be an object, such as '{\"question\": \"hi\"}'")
    for word in options.arguments:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise ValueError(f"{word!r} is no argument; write NAME=VALUE")
        arguments[name] = _value(text)
    return arguments


def _call(app: App, options: Any, out: Any) -> int:
    try:
        arguments = _arguments(options)
    except ValueError as error:
        print(f"bridgepool: {error}", file=sys.stderr)
        return EXIT_USAGE
    meta: Dict[str, Any] = {"request_id": "call", "attempt": 1, "stream": True}
    if options.session:
        meta["session"] = {"id": options.session, "epoch": "call", "new": True}
    if options.timeout is not None:
        meta["remaining_ms"] = int(options.timeout * 1000)
    call = {"id": 1, "command": options.command, "args": arguments, "meta": meta}
    answer = asyncio.run(_answer(app, call))
    if answer is None:
        return EXIT_CONFIG
    if answer.get("usage"):
        print(f"usage: {json.dumps(answer['usage'])}", file=sys.stderr)
    if not answer["success"]:
        print(json.dumps(answer["error"], ensure_ascii=False, indent=2), file=sys.stderr)
        return EXIT_ERROR
    print(json.dumps(answer["result"], ensure_ascii=False, indent=2), file=out)
    return EXIT_OK


async def _answer(app: App, call: dict) -> Optional[dict]:
    """One call's answer, as the daemon would get it."""
    loop = asyncio.get_running_loop()
    answered = loop.create_future()

    def send(frame: bytes) -> None:
        answer = json.loads(frame[4:])
        if "partial" in answer:
            print(f"partial: {json.dumps(answer['partial'], ensure_ascii=False)}", file=sys.stderr)
        elif not answered.done():
            answered.set_result(answer)

    server = Server(app, loop, send, session_hint="use --session ID")
    try:
        await server.startup()
    except BaseException as error:
        log_exception("startup failed", error)
        return None
    server.take(call)
    answer = await answered
    await server.finish(5.0, 5.0)
    return answer


if __name__ == "__main__":
    sys.exit(main())
