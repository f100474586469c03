"""``bridgepool.dspy:app``: DSPy programs as a bridge worker, with the commands of DSPex.

    command = [ "python3", "-m", "bridgepool.worker", "bridgepool.dspy:app" ]

Programs and the language model belong to a session. Environment:

    BRIDGEPOOL_DSPY_LM              the model for sessions that configure none, such as openai/gpt-4o-mini
    BRIDGEPOOL_DSPY_API_BASE        where that model is served
    BRIDGEPOOL_DSPY_ALLOW_LM_ARGS   1: configure_lm takes api_key and base_url from its arguments
    BRIDGEPOOL_DSPY_CACHE           none (default), memory or disk; DSPY_CACHEDIR alone means disk
    BRIDGEPOOL_DSPY_CONCURRENCY     how many requests at once (32)

Keys come from the variables that DSPy's providers read, such as OPENAI_API_KEY.
"""

from __future__ import annotations

import asyncio
import functools
import os
import time
from typing import Any, Dict, Optional

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # no price list from the network at start

from .._app import App
from .._context import Context, Session
from .._errors import CommandError, LoadError
from .._version import __version__

try:
    import dspy
except ImportError as missing:
    raise LoadError(f"bridgepool.dspy needs DSPy ({missing}); install it with: pip install 'bridgepool[dspy]'") from None

from ._lm import default_lm, lm_failure, make_lm, metered, warm_up
from ._programs import Program, program_kind
from ._stream import stream

PROGRAMS_MAX = 1000  # in one session


def _places() -> int:
    text = os.environ.get("BRIDGEPOOL_DSPY_CONCURRENCY", "32")
    if not text.isdigit() or int(text) < 1:
        raise LoadError(f"BRIDGEPOOL_DSPY_CONCURRENCY={text!r}: must be a whole number of at least 1")
    return int(text)


app = App(version=f"bridgepool {__version__}, dspy {dspy.__version__}", concurrency=_places())


class _Stats:
    """Counts since the worker started."""

    started = time.time()
    commands = 0
    errors = 0
    programs = 0


def _command(function: Any) -> Any:
    """A command that is counted."""

    @app.command
    @functools.wraps(function)
    async def counted(*args: Any, **kwargs: Any) -> Any:
        _Stats.commands += 1
        try:
            return await function(*args, **kwargs)
        except Exception:
            _Stats.errors += 1
            raise

    return function


def _configure_cache() -> None:
    """DSPy's cache ignores who asks and grows without telling, so it is off unless the operator wants it."""
    word = os.environ.get("BRIDGEPOOL_DSPY_CACHE") or ("disk" if os.environ.get("DSPY_CACHEDIR") else "none")
    if word not in ("none", "memory", "disk"):
        raise LoadError(f"BRIDGEPOOL_DSPY_CACHE={word!r}: must be none, memory or disk")
    options: Dict[str, Any] = {} if word == "none" else {"memory_max_entries": 10_000}
    dspy.configure_cache(enable_disk_cache=word == "disk", enable_memory_cache=word != "none", **options)


_configure_cache()


@app.startup
def _configure() -> None:
    dspy.configure(track_usage=True, disable_history=True)
    lm = default_lm()
    if lm is not None:
        dspy.configure(lm=lm)
        warm_up(lm)


def _programs(session: Session) -> Dict[str, Program]:
    return session.setdefault("programs", {})


def _program(session: Session, program_id: str) -> Program:
    program = _programs(session).get(program_id)
    if program is None:
        raise CommandError("program_not_found", f"Program not found in session {session.id}: {program_id}", details={"program_id": program_id})
    return program


@app.session_end
async def _forget(session: Session, reason: str) -> None:
    _Stats.programs -= len(session.get("programs", ()))


@_command
async def create_program(session: Session, id: str, signature: Any, program_type: str = "predict", **ignored: Any) -> dict:
    """Makes a program from a signature: "question -> answer", or {name, instructions, inputs: [...], outputs: [...]}."""
    programs = _programs(session)
    if not id:
        raise CommandError("INVALID_ARGUMENTS", "id: must not be empty", details={"field": "id"})
    if id in programs:
        raise CommandError("program_exists", f"Program with ID '{id}' already exists in session {session.id}", details={"program_id": id})
    if len(programs) >= PROGRAMS_MAX:
        raise CommandError("too_many_programs", f"a session may have {PROGRAMS_MAX} programs; delete one first")
    program = Program(id, program_kind(program_type), signature)
    programs[id] = program
    _Stats.programs += 1
    return {"program_id": id, "status": "created", "signature": signature, "program_type": program.kind}


@_command
async def execute_program(session: Session, program_id: str, inputs: Dict[str, Any], *, ctx: Context, **ignored: Any) -> dict:
    """Runs a program of this session on the session's language model.

    A request that wants to stream gets the text of the outputs as it comes, in parts {"field", "text"}.
    """
    program = _program(session, program_id)
    arguments = program.inputs(inputs)
    lm = session.get("lm") or dspy.settings.lm
    if lm is None:
        raise CommandError("lm_not_configured", "No LM is loaded. Send configure_lm first, or let the operator set BRIDGEPOOL_DSPY_LM.")
    lm, costs = metered(lm)
    began = time.monotonic()
    try:
        with dspy.context(lm=lm, trace=[], disable_history=not isinstance(lm, dspy.LM)), dspy.track_usage() as used:
            try:
                prediction = await (stream(program, arguments, ctx) if ctx.streaming else program.module.acall(**arguments))
            finally:  # what a run that failed has used up was paid for too
                ctx.usage(used.get_total_tokens())
                ctx.usage({"cost": sum(costs)} if costs else None)
    except Exception as error:
        failure = lm_failure(error)
        if failure is error:
            raise
        raise failure from error
    program.executions += 1
    program.last_executed = time.time()
    return {"program_id": program_id, "outputs": program.outputs(prediction), "execution_time": round(time.monotonic() - began, 6)}


@_command
async def list_programs(session: Session, **ignored: Any) -> dict:
    """The programs of this session."""
    rows = [{"id": program.id, "session_id": session.id, **program.shown()} for program in _programs(session).values()]
    return {"programs": rows, "total_count": len(rows)}


@_command
async def get_program_info(session: Session, program_id: str, **ignored: Any) -> dict:
    """What is known about a program, with its fields and their types."""
    program = _program(session, program_id)
    fields = {"inputs": [f.shown() for f in program.spec.inputs.values()], "outputs": [f.shown() for f in program.spec.outputs.values()]}
    return {"program_id": program_id, **program.shown(), **fields}


@_command
async def delete_program(session: Session, program_id: str, **ignored: Any) -> dict:
    """Forgets a program."""
    _program(session, program_id)
    del _programs(session)[program_id]
    _Stats.programs -= 1
    return {"program_id": program_id, "status": "deleted"}


@_command
async def get_stats(session: Optional[Session] = None, **ignored: Any) -> dict:
    """Counts of this worker since it started."""
    lm = (session.get("lm") if session is not None else None) or dspy.settings.lm
    return {
        "programs_count": _Stats.programs,
        "session_programs": len(session.get("programs", ())) if session is not None else None,
        "command_count": _Stats.commands,
        "error_count": _Stats.errors,
        "uptime": time.time() - _Stats.started,
        "memory_usage": {"rss": _resident_bytes()},
        "dspy_available": True,
        "dspy_version": dspy.__version__,
        "lm_configured": lm is not None,
        "model": getattr(lm, "model", None),
    }


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


@_command
async def configure_lm(
    session: Session,
    model: str,
    provider: Optional[str] = None,
    api_key: Optional[str] = None,
    base_url: Optional[str] = None,
    temperature: Optional[float] = None,
    max_tokens: Optional[int] = None,
    top_p: Optional[float] = None,
    seed: Optional[int] = None,
    num_retries: Optional[int] = None,
    timeout: Optional[float] = None,
) -> dict:
    """The language model of this session, from now on."""
    options = dict(temperature=temperature, max_tokens=max_tokens, top_p=top_p, seed=seed, num_retries=num_retries, timeout=timeout)
    lm = make_lm(model, provider, api_key, base_url, options)
    await asyncio.to_thread(warm_up, lm)
    session["lm"] = lm
    return {"status": "configured", "model": lm.model, "provider": lm.model.split("/", 1)[0], "temperature": temperature}
