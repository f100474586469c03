"""Turns what a command returns into the bytes of an answer. JSON only: NaN and friends are refused, not written."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any, Dict, Optional

from ._errors import MESSAGE_MAX, InvalidResult


def plain(value: Any) -> Any:
    """A JSON value for an object that json does not know."""
    for name in ("model_dump", "toDict", "tolist", "isoformat"):  # pydantic; DSPy's Prediction and Example; numpy; dates
        method = getattr(value, name, None)
        if callable(method) and not isinstance(value, type):
            return method()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, (set, frozenset)):
        return list(value)
    import enum  # by now it is no hot path any more

    if isinstance(value, enum.Enum):
        return value.value
    import collections.abc

    if isinstance(value, collections.abc.Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=plain)
_lenient = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"), default=repr, skipkeys=True)


def _frame(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def encode_result(call_id: int, result: Any, usage: Optional[Dict[str, float]]) -> bytes:
    """The frame of a good answer. Raises InvalidResult, which says where the result is no JSON."""
    tail = f',"usage":{_encode(usage, "usage")}}}' if usage else "}"
    return _finish(f'{{"id":{call_id},"success":true,"result":{_encode(result, "result")}{tail}', "result")


def encode_partial(call_id: int, value: Any) -> bytes:
    return _finish(f'{{"id":{call_id},"partial":{_encode(value, "partial")}}}', "partial")


def encode_error(call_id: int, error: dict, usage: Optional[Dict[str, float]] = None) -> bytes:
    """The frame of an error answer. Never fails: what is no JSON in it is shown as text."""
    answer: Dict[str, Any] = {"id": call_id, "success": False, "error": error}
    if usage:
        answer["usage"] = usage
    try:
        return _frame(_encoder.encode(answer).encode())
    except (TypeError, ValueError, RecursionError, AttributeError):
        pass
    try:
        return _frame(_lenient.encode(answer).encode())
    except (TypeError, ValueError, RecursionError):
        short = {k: v for k, v in error.items() if k != "details"}
        return _frame(_lenient.encode({"id": call_id, "success": False, "error": short}).encode())


def _encode(value: Any, what: str) -> str:
    try:
        return _encoder.encode(value)
    except RecursionError:
        raise InvalidResult(f"the {what} is nested too deep for JSON") from None
    except Exception as error:
        fault = _find_fault(value, what) or str(error) or type(error).__name__
        raise InvalidResult(f"the {what} cannot be written as JSON: {fault}"[:MESSAGE_MAX]) from None


def _finish(text: str, what: str) -> bytes:
    try:
        return _frame(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidResult(f"the {what} holds text that is no Unicode (a lone surrogate, {text[error.start]!a})") from None


def _find_fault(value: Any, path: str, depth: int = 0) -> Optional[str]:
    """Where in value the encoder stumbled, for the message."""
    if depth > 64:
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{path} is {value!r}"
    if value is None or isinstance(value, (str, int)):
        return None
    if isinstance(value, dict):
        for key, item in value.items():
            if key is not None and not isinstance(key, (str, int, float)):
                return f"{path} has a key of type {type(key).__name__}; keys are strings"
            found = _find_fault(item, f"{path}.{key}", depth + 1)
            if found:
                return found
        return None
    if isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            found = _find_fault(item, f"{path}[{i}]", depth + 1)
            if found:
                return found
        return None
    if hasattr(value, "__await__"):
        return f"{path} is a {type(value).__name__}, which was not awaited"
    try:
        return _find_fault(plain(value), path, depth + 1)
    except TypeError:
        return f"{path} is of type {type(value).__name__}; return dicts, lists, strings, numbers, dataclasses or pydantic models"
    except Exception as error:
        return f"{path} is of type {type(value).__name__}, which cannot be converted ({type(error).__name__}: {error})"
