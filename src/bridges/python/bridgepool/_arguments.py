"""Checks a request's arguments against a command's signature, and names the field that does not fit.

Each annotation is turned once into a checker: a function that returns the value to pass on, or raises Wrong.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import functools
import inspect
import sys
import types
import typing
from typing import Any, Callable, Dict, List, Optional, Tuple

from ._errors import InvalidArguments, LoadError, Problems

Checker = Callable[[Any], Any]

_UNIONS = (typing.Union, getattr(types, "UnionType", typing.Union))
_LISTS = (list, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection, collections.abc.MutableSequence)
_SETS = (set, frozenset, collections.abc.Set, collections.abc.MutableSet)
_DICTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_STRIPPED = ("Annotated", "Required", "NotRequired", "ReadOnly", "Final")


class Wrong(Exception):
    """A value does not fit; the path to it grows on the way up."""

    def __init__(self, problem: str, path: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.path = path

    def under(self, step: str) -> "Wrong":
        self.path = step + ("" if self.path[:1] in ("", "[") else ".") + self.path
        return self


class Unsupported(Exception):
    """An annotation that cannot be checked."""


def json_name(value: Any) -> str:
    """What a value is called in JSON, for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    for kind, name in ((str, "a string"), (int, "an integer"), (float, "a number"), (list, "a list"), (dict, "an object")):
        if isinstance(value, kind):
            return name
    return type(value).__name__


def _wrong(expected: str, value: Any) -> Wrong:
    return Wrong(f"expected {expected}, got {json_name(value)}")


# ---- plain types ----


def _any(value: Any) -> Any:
    return value


def _str(value: Any) -> Any:
    if type(value) is str:
        return value
    raise _wrong("a string", value)


def _int(value: Any) -> Any:
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():  # some languages write every number as a double
        return int(value)
    raise _wrong("an integer", value)


def _float(value: Any) -> Any:
    if type(value) is float:
        return value
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            raise Wrong("expected a number, got an integer that is too large for one") from None
    raise _wrong("a number", value)


def _bool(value: Any) -> Any:
    if value is True or value is False:
        return value
    raise _wrong("true or false", value)


def _none(value: Any) -> Any:
    if value is None:
        return None
    raise _wrong("null", value)


def _list(value: Any) -> Any:
    if type(value) is list:
        return value
    raise _wrong("a list", value)


def _dict(value: Any) -> Any:
    if type(value) is dict:
        return value
    raise _wrong("an object", value)


_PLAIN: Dict[Any, Checker] = {
    Any: _any,
    object: _any,
    inspect.Parameter.empty: _any,
    str: _str,
    int: _int,
    float: _float,
    bool: _bool,
    None: _none,
    type(None): _none,
}


# ---- containers ----


def _items(check: Checker, make: Callable[[list], Any]) -> Checker:
    def items(value: Any) -> Any:
        out = []
        for i, item in enumerate(_list(value)):
            try:
                out.append(check(item))
            except Wrong as wrong:
                raise wrong.under(f"[{i}]") from None
        return make(out)

    return items


def _tuple(checks: List[Checker]) -> Checker:
    def fixed(value: Any) -> Any:
        if len(_list(value)) != len(checks):
            raise Wrong(f"expected a list of {len(checks)} items, got {len(value)}")
        out = []
        for i, (check, item) in enumerate(zip(checks, value)):
            try:
                out.append(check(item))
            except Wrong as wrong:
                raise wrong.under(f"[{i}]") from None
        return tuple(out)

    return fixed


def _mapping(check_key: Checker, check: Checker) -> Checker:
    def mapping(value: Any) -> Any:
        out = {}
        for key, item in _dict(value).items():
            try:
                out[check_key(key)] = check(item)
            except Wrong as wrong:
                raise wrong.under(key) from None
        return out

    return mapping


def _literal(values: Tuple[Any, ...]) -> Checker:
    allowed = ", ".join(repr(v) for v in values)

    def literal(value: Any) -> Any:
        for candidate in values:
            if type(value) is type(candidate) and value == candidate:
                return candidate
        shown = repr(value) if isinstance(value, (str, int)) and len(repr(value)) <= 40 else json_name(value)
        raise Wrong(f"expected one of {allowed}, got {shown}")

    return literal


def _enumeration(kind: Any) -> Checker:
    literal = _literal(tuple(member.value for member in kind))
    return lambda value: kind(literal(value))


def _union(members: List[Tuple[Any, Checker]]) -> Checker:
    # A member of exactly the value's type comes first: 3 stays an integer in Union[float, int].
    exact = {annotation: check for annotation, check in members if isinstance(annotation, type) and annotation in _PLAIN}

    def union(value: Any) -> Any:
        check = exact.get(type(value))
        if check:
            return check(value)
        wrongs = []
        for _, check in members:
            try:
                return check(value)
            except Wrong as wrong:
                wrongs.append(wrong)
        # The member that came furthest tells the most: its problem lies inside the value, not in its kind.
        inner = [wrong for wrong in wrongs if wrong.path]
        if inner:
            raise inner[0]
        wanted = [w.problem.split(", got ")[0].replace("expected ", "", 1) for w in wrongs]
        raise _wrong(" or ".join(dict.fromkeys(wanted)), value)

    return union


# ---- objects ----


def _fields(checks: Dict[str, Checker], required: List[str], make: Callable[[dict], Any]) -> Checker:
    def fields(value: Any) -> Any:
        out = {}
        for key, item in _dict(value).items():
            check = checks.get(key)
            if check is None:
                raise Wrong("unknown field", key)
            try:
                out[key] = check(item)
            except Wrong as wrong:
                raise wrong.under(key) from None
        for key in required:
            if key not in out:
                raise Wrong("missing", key)
        try:
            return make(out)
        except (TypeError, ValueError) as error:  # a __post_init__ that refuses
            raise Wrong(str(error) or type(error).__name__) from None

    return fields


def _hints(kind: Any) -> Dict[str, Any]:
    try:
        return typing.get_type_hints(kind)
    except Exception as error:
        raise Unsupported(f"{kind.__name__}, whose annotations cannot be resolved ({error})") from None


def _dataclass(kind: Any, build: "_Builder") -> Checker:
    hints = _hints(kind)
    fields = [f for f in dataclasses.fields(kind) if f.init]
    missing = dataclasses.MISSING
    required = [f.name for f in fields if f.default is missing and f.default_factory is missing]
    return _fields({f.name: build(hints[f.name]) for f in fields}, required, lambda values: kind(**values))


def _typed_dict(kind: Any, build: "_Builder") -> Checker:
    hints = _hints(kind)
    required = getattr(kind, "__required_keys__", hints if getattr(kind, "__total__", True) else ())
    return _fields({name: build(hint) for name, hint in hints.items()}, [n for n in hints if n in required], _any)


def _pydantic(kind: Any) -> Checker:
    def model(value: Any) -> Any:
        try:
            return kind.model_validate(value)
        except ValueError as error:
            first: Dict[str, Any] = error.errors()[0] if hasattr(error, "errors") else {"loc": (), "msg": str(error)}
            wrong = Wrong(first["msg"])
            for step in reversed(first["loc"]):
                wrong.under(f"[{step}]" if isinstance(step, int) else str(step))
            raise wrong from None

    return model


class _Builder:
    """annotation -> checker. Keeps what it has built, so that a class may refer to itself."""

    def __init__(self) -> None:
        self._classes: Dict[Any, Checker] = {}

    def __call__(self, annotation: Any) -> Checker:
        annotation = self._strip(annotation)
        try:
            if annotation in _PLAIN:
                return _PLAIN[annotation]
        except TypeError:  # unhashable: certainly no type
            raise Unsupported(repr(annotation)) from None
        origin = typing.get_origin(annotation)
        if origin is not None:
            return self._generic(annotation, origin, typing.get_args(annotation))
        if isinstance(annotation, type):
            return self._class(annotation)
        raise Unsupported(repr(annotation))

    def _strip(self, annotation: Any) -> Any:
        while True:
            if hasattr(annotation, "__supertype__"):  # NewType
                annotation = annotation.__supertype__
            elif hasattr(annotation, "__value__"):  # type X = ...
                annotation = annotation.__value__
            elif hasattr(annotation, "__metadata__"):  # Annotated
                annotation = annotation.__origin__
            elif getattr(typing.get_origin(annotation), "_name", None) in _STRIPPED:
                annotation = typing.get_args(annotation)[0]
            else:
                return annotation

    def _generic(self, annotation: Any, origin: Any, args: Tuple[Any, ...]) -> Checker:
        if origin in _UNIONS:
            return _union([(arg, self(arg)) for arg in args])
        if origin is typing.Literal:
            return _literal(args)
        if not args:
            return self._class(origin)
        if origin in _LISTS:
            return _items(self(args[0]), _any)
        if origin in _SETS:
            return _items(self(args[0]), frozenset if origin is frozenset else set)
        if origin is tuple:
            if len(args) == 2 and args[1] is Ellipsis:
                return _items(self(args[0]), tuple)
            return _tuple([self(arg) for arg in args if arg != ()])
        if origin in _DICTS:
            return _mapping(self._key(args[0]), self(args[1]))
        raise Unsupported(repr(annotation))

    def _key(self, annotation: Any) -> Checker:
        """Keys of a JSON object are strings."""
        annotation = self._strip(annotation)
        enumerated = isinstance(annotation, type) and issubclass(annotation, enum.Enum)
        if annotation in (str, Any) or enumerated or typing.get_origin(annotation) is typing.Literal:
            return self(annotation)
        raise Unsupported(f"a dict with keys of {annotation!r}; keys in JSON are strings")

    def _class(self, kind: Any) -> Checker:
        if kind in _LISTS:
            return _list
        if kind in _DICTS:
            return _dict
        if kind is tuple or kind in _SETS:
            return _items(_any, tuple if kind is tuple else set if kind is not frozenset else frozenset)
        if issubclass(kind, enum.Enum):
            return _enumeration(kind)
        if kind not in self._classes:
            self._classes[kind] = lambda value: self._classes[kind](value)  # stands in while the class is being read
            try:
                self._classes[kind] = self._object(kind)
            except Unsupported:
                del self._classes[kind]
                raise
        return self._classes[kind]

    def _object(self, kind: Any) -> Checker:
        if callable(getattr(kind, "model_validate", None)):
            return _pydantic(kind)
        if dataclasses.is_dataclass(kind):
            return _dataclass(kind, self)
        if issubclass(kind, dict) and hasattr(kind, "__annotations__"):
            return _typed_dict(kind, self)
        raise Unsupported(kind.__qualname__)


def _written(function: Callable) -> Callable:
    """The function that the annotations were written at, and whose module knows their names: below decorators and partials."""
    while True:
        function = inspect.unwrap(function)
        if not isinstance(function, functools.partial):
            return function
        function = function.func


def _resolve(function: Callable, annotation: Any) -> Any:
    """An annotation that was written as text (or under ``from __future__ import annotations``)."""
    if not isinstance(annotation, str):
        return annotation
    function = _written(function)
    scope = dict(getattr(function, "__globals__", {}))
    closure = getattr(function, "__closure__", None) or ()
    names = function.__code__.co_freevars if hasattr(function, "__code__") else ()
    for name, cell in zip(names, closure):
        try:
            scope[name] = cell.cell_contents
        except ValueError:  # not filled yet
            continue
    try:
        return eval(annotation, scope)  # noqa: S307  the application's own source text
    except Exception as error:
        hint = ""
        if sys.version_info < (3, 10) and "|" in annotation:
            hint = "; write Optional[...] or Union[...] for Python below 3.10"
        raise Unsupported(f"{annotation!r}, which cannot be resolved here ({type(error).__name__}: {error}){hint}") from None


class Signature:
    """What a command's function takes: the session, the context, and the fields of a request's arguments."""

    def __init__(self, name: str, function: Callable) -> None:
        self.name = name
        self.function = function
        self.wants_session = False   # has a session parameter
        self.needs_session = False   # and cannot do without
        self.wants_context = False
        self.open = False            # **kwargs: takes unknown fields
        self.checks: Dict[str, Checker] = {}
        self.annotations: Dict[str, Any] = {}
        self.required: List[str] = []
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError) as error:
            raise LoadError(f"command {name!r}: its signature cannot be read: {error}") from None
        build = _Builder()
        for index, parameter in enumerate(parameters):
            self._parameter(index, parameter, build)
        self._unknown = "unknown argument; " + (f"known are {', '.join(self.checks)}" if self.checks else "this command takes none")

    def _parameter(self, index: int, parameter: inspect.Parameter, build: _Builder) -> None:
        if parameter.name == "ctx":
            self.wants_context = True
        elif index == 0 and parameter.name == "session":
            self.wants_session = True
            self.needs_session = parameter.default is parameter.empty
        elif parameter.kind is parameter.VAR_KEYWORD:
            self.open = True
        elif parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            raise LoadError(f"command {self.name!r}: parameter {str(parameter)!r} cannot be filled from named arguments")
        else:
            self._field(parameter, build)

    def _field(self, parameter: inspect.Parameter, build: _Builder) -> None:
        try:
            annotation = _resolve(self.function, parameter.annotation)
            check = build(annotation)
        except Unsupported as what:
            raise LoadError(
                f"command {self.name!r}: parameter {parameter.name!r} is annotated with {what}; use str, int, float, bool, list, dict, "
                "Optional, Union, Literal, an Enum, a dataclass, a TypedDict, a pydantic model or Any"
            ) from None
        if parameter.default is None:  # def f(x: str = None)
            check = _union([(type(None), _none), (annotation, check)]) if check is not _any else check
        self.checks[parameter.name] = check
        self.annotations[parameter.name] = annotation
        if parameter.default is parameter.empty:
            self.required.append(parameter.name)

    def bind(self, args: dict) -> dict:
        """The keyword arguments for the function. Raises InvalidArguments, which names the fields that do not fit."""
        out = {}
        problems: Optional[Problems] = None
        checks = self.checks
        for name, value in args.items():
            check = checks.get(name)
            if check is None:
                if self.open and name not in ("session", "ctx"):
                    out[name] = value
                elif name != "session_id":  # added by the daemon to every request of a session
                    problems = problems or Problems()
                    problems.add(name, self._unknown)
                continue
            try:
                out[name] = check(value)
            except Wrong as wrong:
                problems = problems or Problems()
                problems.add(wrong.under(name).path, wrong.problem)
        for name in self.required:
            if name not in args:
                problems = problems or Problems()
                problems.add(name, "missing")
        if problems:
            raise InvalidArguments(self.name, problems.told())
        return out

    def __str__(self) -> str:
        signature = inspect.signature(self.function)
        parameters = [p.replace(annotation=_shown(p.annotation)) for p in signature.parameters.values()]
        return str(signature.replace(parameters=parameters, return_annotation=_shown(signature.return_annotation)))


class _shown:
    """An annotation as it is written, without the quotes of one that is kept as text."""

    text: str

    def __new__(cls, annotation: Any) -> Any:
        if not isinstance(annotation, str):
            return annotation
        self = super().__new__(cls)
        self.text = annotation
        return self

    def __repr__(self) -> str:
        return self.text
