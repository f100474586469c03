"""Programs: a DSPy module made from a description, with inputs that are checked and outputs that are plain JSON."""

from __future__ import annotations

import functools
import json
import time
from typing import Any, Dict, List, Optional

import dspy
import pydantic

from .._arguments import Unsupported, Wrong, _any, _Builder
from .._errors import CommandError, InvalidArguments, Problems
from ._types import InvalidSignature, described_fields, field_type, python_name

# What dspy.Predict takes out of its keyword arguments for itself, and what a Signature class has already.
_TAKEN = frozenset(("signature", "new_signature", "demos", "config", "lm", "prediction", "self")) | frozenset(dir(dspy.Signature))
_KINDS = {"predict": "predict", "chainofthought": "chain_of_thought", "cot": "chain_of_thought"}


class Field:
    """One input or output: the client's name, DSPy's name, and how a value is checked."""

    __slots__ = ("name", "attribute", "type", "check", "required", "default", "description")

    def __init__(self, name: str, attribute: str, type_: Any, checked: bool, required: bool, default: Any, description: str) -> None:
        self.name = name
        self.attribute = attribute
        self.type = type_
        self.required = required
        self.default = default
        self.description = description
        try:
            self.check = _Builder()(type_) if checked else _any
        except Unsupported:  # one of DSPy's own types: DSPy looks at the value itself
            self.check = _any

    def shown(self) -> dict:
        return {"name": self.name, "type": _type_name(self.type), "description": self.description, "optional": not self.required}


class Spec:
    """A signature as described, ready for any number of programs."""

    __slots__ = ("signature", "inputs", "outputs")

    def __init__(self, signature: Any, inputs: List[Field], outputs: List[Field]) -> None:
        self.signature = signature
        self.inputs = {field.name: field for field in inputs}
        self.outputs = {field.attribute: field for field in outputs}


def program_kind(word: str) -> str:
    kind = _KINDS.get(word.replace("_", "").replace("-", "").lower())
    if kind is None:
        raise CommandError("unknown_program_type", f"program_type {word!r} is not known; use 'predict' or 'chain_of_thought'")
    return kind


def read_signature(description: Any) -> Spec:
    """From ``"question -> answer"`` or a JSON description. Raises InvalidSignature."""
    if isinstance(description, str):
        return _spec_of_text(description)
    if isinstance(description, dict):
        return _spec_of_json(json.dumps(description))  # in the client's order, which is the one that the model answers in
    raise InvalidSignature("signature", 'must be text, such as "question -> answer", or an object with inputs and outputs')


@functools.lru_cache(maxsize=256)
def _spec_of_text(text: str) -> Spec:
    try:
        signature = dspy.Signature(text)
    except Exception as error:
        raise InvalidSignature("signature", f"{text!r} cannot be read: {error}") from None
    for name in signature.fields:
        if name in _TAKEN:
            raise InvalidSignature("signature", f"the field name {name!r} is DSPy's own; give another one")
    inputs, outputs = _fields_of(signature.input_fields), _fields_of(signature.output_fields)
    if not inputs or not outputs:
        raise InvalidSignature("signature", f"{text!r} needs inputs and outputs, such as 'question -> answer'")
    return Spec(signature, inputs, outputs)


def _fields_of(fields: Dict[str, Any]) -> List[Field]:
    out = []
    for name, info in fields.items():
        extra = info.json_schema_extra or {}
        untyped = extra.get("IS_TYPE_UNDEFINED", info.annotation is str)  # "question -> answer" says nothing of types
        out.append(Field(name, name, info.annotation, not untyped, info.is_required(), None, ""))
    return out


@functools.lru_cache(maxsize=256)
def _spec_of_json(text: str) -> Spec:
    description = json.loads(text)
    if "inputs" not in description and isinstance(description.get("signature"), str):
        return _spec_of_text(description["signature"])
    attributes: Dict[str, str] = {}
    inputs = _described(description, "inputs", attributes)
    outputs = _described(description, "outputs", attributes)
    fields = {field.attribute: (field.type, dspy.InputField(desc=field.description) if field.description else dspy.InputField()) for field in inputs}
    for field in outputs:
        options: Dict[str, Any] = {"desc": field.description} if field.description else {}
        if not field.required:
            options["default"] = field.default
        fields[field.attribute] = (field.type, dspy.OutputField(**options))
    instructions = description.get("instructions") or description.get("description")
    if instructions is not None and not isinstance(instructions, str):
        raise InvalidSignature("signature.instructions", "must be text")
    name = python_name(str(description.get("name") or "Program").split(".")[-1])
    try:
        signature = dspy.make_signature(fields, instructions, name)
    except Exception as error:
        raise InvalidSignature("signature", f"DSPy refuses it: {error}") from None
    return Spec(signature, inputs, outputs)


def _described(description: dict, side: str, attributes: Dict[str, str]) -> List[Field]:
    where = f"signature.{side}"
    members = described_fields(description.get(side, []), where)
    if not members:
        raise InvalidSignature(where, "at least one field is needed")
    fields = []
    for member in members:
        name = member["name"]
        attribute = python_name(name, _TAKEN)
        if attribute in attributes:
            raise InvalidSignature(where, f"{name!r} and {attributes[attribute]!r} have the same name for DSPy ({attribute})")
        attributes[attribute] = name
        required = member.get("optional") is not True and "default" not in member
        text = str(member.get("description") or member.get("desc") or "")
        type_ = field_type(member, f"{where}.{name}")
        fields.append(Field(name, attribute, type_, "type" in member or "fields" in member or "properties" in member or "enum" in member, required, member.get("default"), text))
    return fields


class Program:
    """A module and what is known about it."""

    __slots__ = ("id", "kind", "description", "spec", "module", "created_at", "executions", "last_executed")

    def __init__(self, program_id: str, kind: str, description: Any) -> None:
        self.id = program_id
        self.kind = kind
        self.description = description
        self.spec = read_signature(description)
        self.module = (dspy.ChainOfThought if kind == "chain_of_thought" else dspy.Predict)(self.spec.signature)
        self.created_at = time.time()
        self.executions = 0
        self.last_executed: Optional[float] = None

    def shown(self) -> dict:
        return {
            "program_type": self.kind,
            "signature": self.description,
            "created_at": self.created_at,
            "execution_count": self.executions,
            "last_executed": self.last_executed,
        }

    def inputs(self, given: Dict[str, Any]) -> Dict[str, Any]:
        """DSPy's keyword arguments. Raises InvalidArguments, which names the inputs that do not fit."""
        out: Dict[str, Any] = {}
        problems = Problems()
        unknown = f"unknown input; known are {', '.join(self.spec.inputs)}"
        for name, value in given.items():
            field = self.spec.inputs.get(name)
            if field is None:
                problems.add(f"inputs.{name}", unknown)
                continue
            try:
                out[field.attribute] = None if value is None and not field.required else field.check(value)
            except Wrong as wrong:
                problems.add(wrong.under(name).under("inputs").path, wrong.problem)
        for field in self.spec.inputs.values():
            if field.name not in given:
                if field.required:
                    problems.add(f"inputs.{field.name}", "missing")
                else:
                    out[field.attribute] = field.default
        if problems.told():
            raise InvalidArguments("execute_program", problems.told())
        return out

    def reasoning(self) -> Dict[str, str]:
        """The output that a chain of thought has beside those of its signature, as attribute: name."""
        return {"reasoning": "reasoning"} if self.kind == "chain_of_thought" and "reasoning" not in self.spec.outputs else {}

    def outputs(self, prediction: Any) -> Dict[str, Any]:
        """The prediction's fields under the client's names."""
        out = {}
        for attribute, value in prediction.items():
            field = self.spec.outputs.get(attribute)
            out[field.name if field is not None else attribute] = _plain(value)
        return out


def _plain(value: Any) -> Any:
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _type_name(type_: Any) -> str:
    if isinstance(type_, type) and not getattr(type_, "__args__", None):
        return type_.__name__
    return str(type_).replace("typing.", "")
