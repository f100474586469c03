"""The demo's commands: open this file, change it, run the demo again."""

import os

from bridgepool import App

app = App(version="1.0.0")


@app.command
async def remember(session, what: str) -> dict:
    """Keeps something. `session` is a dict that lives as long as the session lives on this worker."""
    session.setdefault("notes", []).append(what)
    return {"kept": what}


@app.command
async def recall(session) -> dict:
    """All that this session was told, in its order: no other session's notes, and none lost between requests."""
    return {"notes": session.get("notes", [])}


@app.command
async def count(session, by: int = 1) -> dict:
    """Counts. {"by": "two"} is refused for you: the annotation says int."""
    session["count"] = session.get("count", 0) + by
    return {"count": session["count"], "worker": os.getpid()}


@app.command
def fail(why: str = "on purpose") -> dict:
    """An exception becomes an error result, with its type and text; the traceback goes to the log."""
    raise ValueError(f"this command fails {why}")


@app.command
def crash() -> dict:
    """Takes the whole worker down. Its sessions' state is gone, and their clients are told so."""
    os._exit(1)
