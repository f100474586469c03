"""bridgepool: write the programs that a bridgepool daemon runs.

    from bridgepool import App

    app = App(version="1.0.0")

    @app.command
    async def greet(session, name: str) -> dict:
        session["greeted"] = session.get("greeted", 0) + 1
        return {"text": f"hello {name}", "times": session["greeted"]}

Run it below a daemon with ``python -m bridgepool.worker app:app``; try it without one with
``python -m bridgepool call app:app greet name=Ada --session s1``.
"""

import sys

if sys.version_info < (3, 9):
    _WHY = "bridgepool needs Python 3.9 or newer; this is %s (%s)" % (sys.version.split()[0], sys.executable)
    if sys.argv[:1] == ["-m"]:  # being run, not imported: the daemon wants its exit code for a wrong configuration
        sys.stderr.write(_WHY + "\n")
        sys.exit(78)
    raise ImportError(_WHY)

from ._app import App
from ._context import Context, Session
from ._errors import CommandError, Retry
from ._version import __version__

__all__ = ["App", "CommandError", "Context", "Retry", "Session", "__version__"]
