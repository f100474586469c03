"""Arguments against signatures: what is accepted, and that what is not is named."""

import collections.abc
import dataclasses
import enum
import sys
from typing import Any, Dict, List, Literal, NewType, Optional, Sequence, Tuple, TypedDict, Union

import pytest
from bridgepool import App
from bridgepool._arguments import Signature
from bridgepool._errors import InvalidArguments, LoadError


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Inner:
    name: str
    size: int = 1


@dataclasses.dataclass
class Outer:
    inner: Inner
    items: List[Inner] = dataclasses.field(default_factory=list)
    parent: "Optional[Outer]" = None


@dataclasses.dataclass
class Positive:
    n: int

    def __post_init__(self):
        if self.n <= 0:
            raise ValueError("n must be above 0")


class Filter(TypedDict):
    field: str
    value: Union[str, int]


class Options(Filter, total=False):
    strict: bool


UserId = NewType("UserId", str)


def check(annotation, value):
    """The value as a command gets it."""

    def command(x):
        pass

    command.__annotations__["x"] = annotation
    return Signature("command", command).bind({"x": value})["x"]


def problem(annotation, value):
    with pytest.raises(InvalidArguments) as caught:
        check(annotation, value)
    assert len(caught.value.problems) == 1
    return caught.value.problems[0]


GOOD = [
    (str, "a", "a"), (str, "", ""), (int, 3, 3), (int, 3.0, 3), (int, 2**70, 2**70), (float, 3, 3.0), (float, 3.5, 3.5), (bool, True, True), (Any, [None], [None]), (object, 1, 1),
    (list, [1, "a"], [1, "a"]), (dict, {"a": 1}, {"a": 1}), (List[str], ["a"], ["a"]), (List[int], [], []), (Dict[str, int], {"a": 1}, {"a": 1}), (Sequence[float], [1], [1.0]),
    (Optional[str], None, None), (Optional[str], "a", "a"), (Union[str, int], 3, 3), (Union[str, int], "3", "3"), (Union[float, int], 3, 3), (Union[int, List[int]], [1], [1]),
    (Literal["a", "b", 3], 3, 3), (Tuple[int, ...], [1, 2], (1, 2)), (Tuple[int, str], [1, "a"], (1, "a")), (tuple, [1], (1,)), (set, [1, 1], {1}), (frozenset, [1], frozenset([1])),
    (Color, "red", Color.RED), (Dict[Color, int], {"red": 1}, {Color.RED: 1}), (Dict[str, List[Optional[int]]], {"a": [None, 1]}, {"a": [None, 1]}), (UserId, "u", "u"), (None, None, None),
    (Inner, {"name": "a"}, Inner("a")), (Outer, {"inner": {"name": "a"}, "items": [{"name": "b", "size": 2}], "parent": {"inner": {"name": "p"}}}, Outer(Inner("a"), [Inner("b", 2)], Outer(Inner("p")))),
    (Filter, {"field": "f", "value": 1}, {"field": "f", "value": 1}), (Options, {"field": "f", "value": "v", "strict": True}, {"field": "f", "value": "v", "strict": True}),
    (Options, {"field": "f", "value": "v"}, {"field": "f", "value": "v"}), (collections.abc.Mapping, {"a": 1}, {"a": 1}), (Positive, {"n": 1}, Positive(1)),
]


@pytest.mark.parametrize("annotation, value, wanted", GOOD)
def test_good_values(annotation, value, wanted):
    got = check(annotation, value)
    assert got == wanted and type(got) is type(wanted)


BAD = [
    (str, 3, "x", "expected a string, got an integer"), (str, None, "x", "expected a string, got null"), (int, "3", "x", "expected an integer, got a string"),
    (int, True, "x", "expected an integer, got true"), (int, 3.5, "x", "expected an integer, got a number"), (float, False, "x", "expected a number, got false"), (float, "1", "x", "expected a number, got a string"),
    (float, 10**400, "x", "expected a number, got an integer that is too large for one"), (bool, 1, "x", "expected true or false, got an integer"), (bool, "true", "x", "expected true or false, got a string"),
    (list, {}, "x", "expected a list, got an object"), (dict, [], "x", "expected an object, got a list"), (List[str], ["a", 3], "x[1]", "expected a string, got an integer"), (List[str], "abc", "x", "expected a list, got a string"),
    (Dict[str, int], {"a": 1, "b": "2"}, "x.b", "expected an integer, got a string"), (Optional[int], "a", "x", "expected an integer or null, got a string"), (Union[str, int], [], "x", "expected a string or an integer, got a list"),
    (Literal["a", "b"], "c", "x", "expected one of 'a', 'b', got 'c'"), (Literal[1], True, "x", "expected one of 1, got True"), (Color, "green", "x", "expected one of 'red', 'blue', got 'green'"),
    (Tuple[int, str], [1], "x", "expected a list of 2 items, got 1"), (Tuple[int, str], [1, 2], "x[1]", "expected a string, got an integer"), (Inner, {}, "x.name", "missing"), (Inner, {"name": "a", "nmae": 1}, "x.nmae", "unknown field"),
    (Outer, {"inner": {"name": "a"}, "items": [{"name": "b"}, {"name": 4}]}, "x.items[1].name", "expected a string, got an integer"), (Outer, {"inner": {"name": "a"}, "parent": {}}, "x.parent.inner", "missing"),
    (Filter, {"field": "f"}, "x.value", "missing"), (Filter, {"field": "f", "value": []}, "x.value", "expected a string or an integer, got a list"), (Options, {"field": "f", "value": 1, "strict": 1}, "x.strict", "expected true or false, got an integer"),
    (List[List[int]], [[1], [2, "3"]], "x[1][1]", "expected an integer, got a string"), (Positive, {"n": 0}, "x", "n must be above 0"), (None, 1, "x", "expected null, got an integer"),
]


@pytest.mark.parametrize("annotation, value, field, text", BAD)
def test_bad_values_are_named(annotation, value, field, text):
    assert problem(annotation, value) == (field, text)


def test_missing_unknown_and_wrong_are_all_told():
    def command(session, a: str, b: int, c: float = 1.0, *, ctx):
        pass

    signature = Signature("ask", command)
    assert signature.needs_session and signature.wants_context
    assert signature.bind({"a": "x", "b": 1, "session_id": "s"}) == {"a": "x", "b": 1}
    with pytest.raises(InvalidArguments) as caught:
        signature.bind({"b": "1", "d": 2})
    assert caught.value.problems == [("b", "expected an integer, got a string"), ("d", "unknown argument; known are a, b, c"), ("a", "missing")]
    assert caught.value.details["field"] == "b"
    assert caught.value.message == "ask: b: expected an integer, got a string; d: unknown argument; known are a, b, c; a: missing"


def test_of_many_wrong_fields_the_first_are_told_and_the_others_counted():
    def command(a: str, b: int = 1):
        pass

    with pytest.raises(InvalidArguments) as caught:
        Signature("ask", command).bind({"b": "x", **{f"u{i}": i for i in range(1000)}})
    problems = caught.value.problems
    assert len(problems) == 21 and problems[0] == ("b", "expected an integer, got a string")
    assert problems[19:] == [("u18", "unknown argument; known are a, b"), ("", "and 982 more")]
    assert caught.value.message.endswith("; and 982 more")


def test_session_and_context_cannot_be_sent():
    def command(session, a: int = 1, *, ctx, **rest):
        pass

    with pytest.raises(InvalidArguments) as caught:
        Signature("c", command).bind({"session": {}, "ctx": {}})
    assert [field for field, _ in caught.value.problems] == ["session", "ctx"]


def test_open_commands_take_everything():
    def command(a: int, **rest):
        pass

    assert Signature("c", command).bind({"a": 1, "b": [2]}) == {"a": 1, "b": [2]}


def test_a_session_id_parameter_gets_the_daemons():
    def command(session_id: str):
        pass

    assert Signature("c", command).bind({"session_id": "s"}) == {"session_id": "s"}


def test_defaults_of_none_mean_optional():
    def command(a: str = None, b=None):
        pass

    assert Signature("c", command).bind({"a": None, "b": 3}) == {"a": None, "b": 3}
    with pytest.raises(InvalidArguments):
        Signature("c", command).bind({"a": 3})


def test_annotations_as_text_and_from_a_closure():
    @dataclasses.dataclass
    class Local:
        n: int

    def command(a: "List[int]", b: "Local", c: "Dict[str, Color]"):
        return Local

    bound = Signature("c", command).bind({"a": [1], "b": {"n": 2}, "c": {"x": "red"}})
    assert bound == {"a": [1], "b": Local(2), "c": {"x": Color.RED}}


def test_annotations_as_text_below_decorators_of_another_module():
    """Their names are those of the module where the command is written."""
    import functools
    import types

    elsewhere = types.ModuleType("elsewhere")
    exec("import functools\ndef logged(f):\n    @functools.wraps(f)\n    def call(*a, **k): return f(*a, **k)\n    return call\n", elsewhere.__dict__)

    def command(a: "List[int]", b: "Color" = Color.RED, c: "int" = 0):
        pass

    for wrapped in (elsewhere.logged(elsewhere.logged(command)), functools.partial(command, c=1), elsewhere.logged(functools.partial(elsewhere.logged(command), c=1))):
        assert Signature("c", wrapped).bind({"a": [1], "b": "red"}) == {"a": [1], "b": Color.RED}


@pytest.mark.skipif(sys.version_info < (3, 10), reason="X | Y came with 3.10")
def test_unions_with_a_bar():
    assert check(eval("int | None"), None) is None
    assert check("list[int] | str", [1]) == [1]
    assert problem(eval("int | None"), "a") == ("x", "expected an integer or null, got a string")


def test_generic_builtins():
    assert check(eval("list[str]"), ["a"]) == ["a"]
    assert problem(eval("dict[str, list[int]]"), {"a": [1, None]}) == ("x.a[1]", "expected an integer, got null")


def test_pydantic_like_models():
    class Refused(ValueError):
        def errors(self):
            return [{"loc": ("tags", 1), "msg": "Input should be a valid string"}]

    class Model:
        def __init__(self, value):
            self.value = value

        @classmethod
        def model_validate(cls, value):
            if value.get("tags"):
                raise Refused()
            return cls(value)

    assert check(Model, {"a": 1}).value == {"a": 1}
    assert problem(List[Model], [{"tags": ["a", 1]}]) == ("x[0].tags[1]", "Input should be a valid string")


@pytest.mark.parametrize("annotation", [complex, bytes, Dict[int, str], "NotDefinedAnywhere", List["Nowhere"], 5])
def test_annotations_that_cannot_be_checked_are_refused_at_start(annotation):
    with pytest.raises(LoadError) as caught:
        check(annotation, 1)
    assert "command 'command'" in str(caught.value) and "'x'" in str(caught.value)


def test_parameters_that_cannot_be_named_are_refused():
    def command(*args):
        pass

    with pytest.raises(LoadError):
        Signature("c", command)


# ---- the App itself ----


def test_names_of_the_protocol_are_refused():
    app = App()
    with pytest.raises(ValueError, match="ping"):
        app.command(name="ping")(lambda: 1)
    app.command(name="x")(lambda: 1)
    with pytest.raises(ValueError, match="twice"):
        app.command(name="x")(lambda: 2)


def test_generators_are_refused():
    def parts():
        yield 1

    with pytest.raises(TypeError, match="ctx.partial"):
        App().command(parts)


def test_hooks_that_cannot_be_called_are_refused():
    app = App()
    app.command(name="x")(lambda: 1)

    @app.session_end
    def bye(session):
        pass

    with pytest.raises(LoadError, match=r"bye\(session, reason\)"):
        app._inside.prepare()


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"threads": "8"}])
def test_wrong_settings(wrong):
    with pytest.raises(ValueError):
        App(**wrong)


def test_functions_stay_as_they_are():
    app = App()

    @app.command
    def double(n: int):
        return 2 * n

    @app.command(name="other")
    def triple(n: int):
        return 3 * n

    assert double(2) == 4 and triple(2) == 6 and sorted(app.commands) == ["double", "other"]
