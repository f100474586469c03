"""Finds the App that a command line names: ``module:attribute`` or ``path/to/file.py:attribute``."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import Any

from ._app import App
from ._errors import LoadError, NotThere


def load_app(target: str, setting: str = "PYTHONPATH") -> App:
    """Imports and prepares it. ``setting``: what names a directory to look in. Raises LoadError, or whatever the user's module
    raises."""
    where, _, attribute = target.partition(":")
    if not where:
        raise NotThere(f"{target!r} names no module; write module:app or path/to/file.py:app")
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    module = _import_file(where) if where.endswith(".py") or os.sep in where else _import_module(where, setting)
    app = _find(module, where, attribute or "app")
    app._inside.prepare()
    return app


def _import_module(name: str, setting: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the application's own search for another
        missing = error.name
    raise NotThere(
        f"there is no module {missing!r} in {os.getcwd()} or elsewhere on Python's path; correct the name, name the file (path/to/file.py:app), "
        f"or set the directory that it is in ({setting})"
    )


def _import_file(path: str) -> Any:
    full = os.path.abspath(path)
    if not os.path.isfile(full):
        raise NotThere(f"there is no file {full}")
    name = os.path.splitext(os.path.basename(full))[0]
    directory = os.path.dirname(full)
    if directory not in sys.path:
        sys.path.insert(0, directory)  # as `python file.py` would
    spec = importlib.util.spec_from_file_location(name, full)
    if spec is None or spec.loader is None:
        raise LoadError(f"{full} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _find(module: Any, where: str, attribute: str) -> App:
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if isinstance(found, App):
        return found
    apps = [name for name, value in vars(module).items() if isinstance(value, App)]
    hint = f"; did you mean {' or '.join(f'{where}:{name}' for name in apps)}?" if apps else "; make one with app = bridgepool.App()"
    what = "has no" if found is None else f"has a {type(found).__name__}, not an App, named"
    raise (NotThere if found is None else LoadError)(f"{where} {what} {attribute!r}{hint}")
