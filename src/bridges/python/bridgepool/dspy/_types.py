"""Types of signature fields, from text (``list[str]``) or from JSON descriptions. Text is parsed, never evaluated."""

from __future__ import annotations

import ast
import keyword
import re
from typing import Any, Dict, List, Literal, Optional, Union

import pydantic

from .._errors import CommandError

DEPTH_MAX = 16

_NAMES: Dict[str, Any] = {
    "str": str, "string": str, "text": str, "reasoning_chain": str,
    "int": int, "integer": int,
    "float": float, "number": float, "double": float, "probability": float, "confidence_score": float,
    "bool": bool, "boolean": bool,
    "list": List[Any], "array": List[Any], "embedding": List[float],
    "dict": Dict[str, Any], "map": Dict[str, Any], "object": Dict[str, Any],
    "any": Any, "none": type(None), "null": type(None),
}  # fmt: skip
_LISTS = ("list", "array", "sequence")
_DICTS = ("dict", "map", "mapping")
_OBJECTS = ("object", "dict", "map")


class InvalidSignature(CommandError):
    """A description that no signature can be made of; the message says which part."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__("invalid_signature", f"{where}: {problem}", details={"field": where, "problem": problem})


def python_name(name: str, taken: Any = ()) -> str:
    """The name as an attribute of a class."""
    clean = re.sub(r"\W", "_", name)
    if not clean or not clean[0].isalpha():
        clean = "field_" + clean.lstrip("_")
    if keyword.iskeyword(clean) or clean in taken:
        clean += "_"
    return clean


def field_type(description: Any, where: str, depth: int = 0) -> Any:
    """The Python type for ``"list[str]"``, ``{"type": "list", "items": ...}``, ``{"type": "object", "fields": [...]}``, ..."""
    if depth > DEPTH_MAX:
        raise InvalidSignature(where, f"types are nested deeper than {DEPTH_MAX}")
    if description is None:
        return str
    if isinstance(description, str):
        return _from_text(description, where)
    if not isinstance(description, dict):
        raise InvalidSignature(where, f"a type is text, such as 'list[str]', or an object, not {description!r}")
    made = _from_object(description, where, depth)
    return Optional[made] if description.get("optional") is True else made


def _from_object(description: dict, where: str, depth: int) -> Any:
    values = description.get("enum", description.get("values") if isinstance(description.get("values"), list) else None)
    if values is not None:
        return _literal(values, where)
    members = description.get("fields", description.get("properties"))
    kind = description.get("type", "object" if members is not None else "str")
    if isinstance(kind, dict):
        return field_type(kind, where, depth + 1)
    if not isinstance(kind, str):
        raise InvalidSignature(where, f"'type' must be text or an object, not {kind!r}")
    word = kind.strip().lower()
    if members is not None and word in _OBJECTS:
        return _model(description, members, where, depth)
    if word in _LISTS and description.get("items") is not None:
        item = field_type(description["items"], f"{where}[]", depth + 1)
        return List[item]  # type: ignore[valid-type]
    if word in _DICTS and description.get("values") is not None:
        value = field_type(description["values"], f"{where}{{}}", depth + 1)
        return Dict[str, value]  # type: ignore[valid-type]
    return _from_text(kind, where)


def _literal(values: Any, where: str) -> Any:
    if not isinstance(values, list) or not values or not all(isinstance(v, (str, int)) for v in values):
        raise InvalidSignature(where, "'enum' must be a list of strings or whole numbers, and not empty")
    return Literal[tuple(values)]


def described_fields(members: Any, where: str) -> List[dict]:
    """Fields of an object or a signature: a list of descriptions, or an object of them by name."""
    if isinstance(members, dict):
        members = [{"name": name, **(d if isinstance(d, dict) else {"type": d})} for name, d in members.items()]
    if not isinstance(members, list):
        raise InvalidSignature(where, "must be a list of fields, such as [{\"name\": \"question\", \"type\": \"str\"}]")
    out, seen = [], set()
    for i, member in enumerate(members):
        if isinstance(member, str):
            member = {"name": member}
        name = member.get("name") if isinstance(member, dict) else None
        if not isinstance(name, str) or not name:
            raise InvalidSignature(f"{where}[{i}]", "a field needs a 'name'")
        if name in seen:
            raise InvalidSignature(f"{where}[{i}]", f"the name {name!r} is there twice")
        seen.add(name)
        out.append(member)
    return out


def _model(description: dict, members: Any, where: str, depth: int) -> Any:
    """A nested object: a pydantic model made for it."""
    fields: Dict[str, Any] = {}
    taken = set(dir(pydantic.BaseModel))
    for member in described_fields(members, where):
        inner = field_type(member, f"{where}.{member['name']}", depth + 1)
        default = member.get("default", None if member.get("optional") is True else ...)
        attribute = python_name(member["name"], taken)
        while attribute in fields:
            attribute += "_"
        alias = {} if attribute == member["name"] else {"alias": member["name"]}
        fields[attribute] = (inner, pydantic.Field(default, description=member.get("description"), **alias))
    name = python_name(str(description.get("name") or where.split(".")[-1].strip("[]{}") or "Object"))
    config = pydantic.ConfigDict(populate_by_name=True, protected_namespaces=())
    return pydantic.create_model(name[:1].upper() + name[1:], __config__=config, __doc__=description.get("description"), **fields)


# ---- types written as text ----


def _from_text(text: str, where: str) -> Any:
    if len(text) > 1000:
        raise InvalidSignature(where, "the type is longer than 1000 characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InvalidSignature(where, f"the type {text!r} cannot be read") from None
    return _from_node(tree, text, where, 0)


def _unknown(text: str, where: str) -> InvalidSignature:
    return InvalidSignature(where, f"the type {text!r} is not known; use str, int, float, bool, list[...], dict[str, ...], Optional[...], Literal[...], any, or an object with 'fields'")


def _from_node(node: ast.AST, text: str, where: str, depth: int) -> Any:
    if depth > DEPTH_MAX:
        raise InvalidSignature(where, f"types are nested deeper than {DEPTH_MAX}")
    if isinstance(node, ast.Constant) and node.value is None:
        return type(None)
    if isinstance(node, ast.Name):
        found = _NAMES.get(node.id.lower())
        if found is None:
            raise _unknown(text, where)
        return found
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return Union[_from_node(node.left, text, where, depth + 1), _from_node(node.right, text, where, depth + 1)]
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        return _subscript(node.value.id.lower(), _parameters(node), text, where, depth)
    raise _unknown(text, where)


def _parameters(node: ast.Subscript) -> List[ast.AST]:
    inner: Any = node.slice
    return list(inner.elts) if isinstance(inner, ast.Tuple) else [inner]


def _subscript(word: str, parameters: List[ast.AST], text: str, where: str, depth: int) -> Any:
    if word == "literal":
        return _literal([getattr(p, "value", None) for p in parameters], where)
    inner = [_from_node(p, text, where, depth + 1) for p in parameters]
    if word in _LISTS and len(inner) == 1:
        return List[inner[0]]  # type: ignore[valid-type]
    if word in _DICTS and len(inner) == 2 and inner[0] is str:
        return Dict[str, inner[1]]  # type: ignore[valid-type]
    if word == "optional" and len(inner) == 1:
        return Optional[inner[0]]
    if word == "union" and inner:
        return Union[tuple(inner)]
    raise _unknown(text, where)
