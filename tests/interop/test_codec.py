"""Records go both ways between our codec, fastavro and Apache Avro for Java, with their fingerprints and heads."""

import io
import json
import struct

import fastavro
import pytest
from conftest import SCHEMAS
from fastavro.schema import fingerprint, load_schema, parse_schema, to_parsing_canonical_form

RECORDS = ["ProgramRequest", "ProgramResult", "HealthEvent", "DeadLetter"]

REQUESTS = [
    {"command": "ask"},
    {
        "request_id": "r\u00e9",
        "session_id": "s\U0001f600",
        "session_epoch": "e1",
        "pool": "default",
        "command": "execute_program",
        "args": '{"q": 1.10, "q": 18446744073709551616, "\\u00e9": "\u00e9"}',
        "timeout_ms": 2**62,
        "deadline": 1767225600123,
        "stream": True,
        "idempotent": True,
        "attributes": {"a": "1", "": "", "\u00e9\n\"": "\u0000"},
    },
    {"command": "c" * 5000, "args": json.dumps({"x": ["y" * 70] * 1000}), "attributes": {str(i): str(i) for i in range(500)}},
]

OTHER_SCHEMAS = [
    '"int"',
    '{"type": "map", "values": ["null", {"type": "array", "items": "double"}]}',
    '{"type": "record", "name": "Tree", "namespace": "a.b", "aliases": ["T"], "fields": ['
    '{"name": "left", "type": ["null", "Tree"], "default": null}, {"name": "id", "type": {"type": "fixed", "name": "x.Id", "size": 16}},'
    '{"name": "other", "type": "x.Id"}, {"name": "kind", "doc": "d", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}}]}',
]


def schema_path(name):
    return SCHEMAS / f"{name}.avsc"


def schema_text(name):
    return schema_path(name).read_text()


def parsed(name):
    return load_schema(str(schema_path(name)))


def head_of(schema):
    # fastavro gives the bytes of the little-endian number as hex.
    return b"\xc3\x01" + bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))


def single_object(schema, record):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, record)
    return head_of(schema) + out.getvalue()


def with_defaults(schema, record):
    whole = {f["name"]: f["default"] for f in schema["fields"] if "default" in f}
    whole.update(record)
    return whole


def decode(schema, data):
    assert data[:10] == head_of(schema)
    body = io.BytesIO(data[10:])
    record = fastavro.schemaless_reader(body, schema)
    assert body.read() == b"", "bytes are left over"
    return record


def plain(value):
    """fastavro makes times of timestamp-millis; ours are milliseconds."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if hasattr(value, "timestamp"):
        return round(value.timestamp() * 1000)
    return value


def payloads_parsed(record, *names):
    for name in names:
        if isinstance(record.get(name), str):
            record[name] = json.loads(record[name])
    if isinstance(record.get("error"), dict):
        payloads_parsed(record["error"], "details")
    return record


def as_json_record(request):
    record = with_defaults(parsed("ProgramRequest"), request)
    return payloads_parsed(record, "args")


# ---- fingerprints ----


@pytest.mark.parametrize("text", [schema_text(n) for n in RECORDS] + OTHER_SCHEMAS, ids=lambda t: None)
def test_fingerprint_fastavro(ours, text):
    theirs = fingerprint(to_parsing_canonical_form(parse_schema(json.loads(text))), "CRC-64-AVRO")
    number = struct.unpack("<Q", bytes.fromhex(theirs))[0]
    assert ours.ask("fingerprint", text.encode().hex()) == f"{number:016x}"


@pytest.mark.parametrize("text", [schema_text(n) for n in RECORDS] + OTHER_SCHEMAS, ids=lambda t: None)
def test_fingerprint_java(ours, java, tmp_path, text):
    path = tmp_path / "s.avsc"
    path.write_text(text)
    assert ours.ask("fingerprint", text.encode().hex()) == java.ask("fingerprint", path)


# ---- requests ----


@pytest.mark.parametrize("request_", REQUESTS, ids=["least", "full", "large"])
def test_fastavro_request_to_ours(ours, request_):
    schema = parsed("ProgramRequest")
    data = single_object(schema, with_defaults(schema, request_))
    answer = ours.ask("read", data.hex())
    assert json.loads(answer) == as_json_record(request_)
    if "args" in request_:
        assert f'"args":{request_["args"]},' in answer, "args did not pass byte for byte"


@pytest.mark.parametrize("request_", REQUESTS, ids=["least", "full", "large"])
def test_our_request_to_fastavro(ours, request_):
    schema = parsed("ProgramRequest")
    data = bytes.fromhex(ours.ask("avro", json.dumps(request_).encode().hex()))
    assert plain(decode(schema, data)) == with_defaults(schema, request_)


def avro_json(record):
    """Avro's own JSON names the branch of a union."""
    branches = {"session_id": "string", "session_epoch": "string", "pool": "string", "timeout_ms": "long", "deadline": "long"}
    return {k: {branches[k]: v} if k in branches and v is not None else v for k, v in record.items()}


@pytest.mark.parametrize("request_", REQUESTS, ids=["least", "full", "large"])
def test_java_request_to_ours(ours, java, request_):
    whole = with_defaults(parsed("ProgramRequest"), request_)
    encoded = java.ask("encode", schema_path("ProgramRequest"), json.dumps(avro_json(whole)).encode().hex())
    assert json.loads(ours.ask("read", encoded)) == as_json_record(request_)


@pytest.mark.parametrize("request_", REQUESTS, ids=["least", "full", "large"])
def test_our_request_to_java(ours, java, request_):
    whole = with_defaults(parsed("ProgramRequest"), request_)
    data = ours.ask("avro", json.dumps(request_).encode().hex())
    assert json.loads(java.ask("decode", schema_path("ProgramRequest"), data)) == whole


def test_fastavro_writes_blocks_and_we_read_them(ours):
    """Map blocks with a negative count carry their size; few writers make them, every reader must take them."""
    schema = parsed("ProgramRequest")
    data = single_object(schema, with_defaults(schema, {"command": "c"}))
    assert data.endswith(b"\x00")
    sized = data[:-1] + b"\x01\x08\x02a\x02" + b"1" + b"\x00"
    assert decode(schema, sized)["attributes"] == {"a": "1"}
    assert json.loads(ours.ask("read", sized.hex()))["attributes"] == {"a": "1"}


# ---- results and health ----


@pytest.mark.parametrize("kind,name", [("result", "ProgramResult"), ("health", "HealthEvent")])
@pytest.mark.parametrize("sample", range(3))
def test_our_records_to_fastavro(ours, kind, name, sample):
    data = bytes.fromhex(ours.ask(kind, sample, "avro"))
    expected = json.loads(bytes.fromhex(ours.ask(kind, sample, "json")))
    record = plain(decode(parsed(name), data))
    assert payloads_parsed(record, "result") == expected
    assert json.loads(ours.ask("print", data.hex())) == expected


@pytest.mark.parametrize("kind,name", [("result", "ProgramResult"), ("health", "HealthEvent")])
@pytest.mark.parametrize("sample", range(3))
def test_our_records_to_java(ours, java, kind, name, sample):
    expected = json.loads(bytes.fromhex(ours.ask(kind, sample, "json")))
    record = json.loads(java.ask("decode", schema_path(name), ours.ask(kind, sample, "avro")))
    assert payloads_parsed(record, "result") == expected


# ---- other versions of a schema ----


def test_older_and_newer_writers(ours_with):
    older = {"type": "record", "name": "ProgramRequest", "namespace": "bridgepool.v1", "fields": [{"name": "command", "type": "string"}, {"name": "timeout_ms", "type": "int"}]}
    newer = json.loads(schema_text("ProgramRequest"))
    newer["fields"].insert(0, {"name": "priority", "type": {"type": "enum", "name": "Priority", "symbols": ["LOW", "HIGH"]}, "default": "LOW"})
    newer["fields"].insert(5, {"name": "tags", "type": {"type": "array", "items": ["null", "string", {"type": "map", "values": "float"}]}, "default": []})
    for name, schema in (("older", older), ("newer", newer)):
        (ours_with.dir / f"{name}.avsc").write_text(json.dumps(schema))
    ours = ours_with()
    data = single_object(parse_schema(older), {"command": "ask", "timeout_ms": 5})
    assert json.loads(ours.ask("read", data.hex())) == as_json_record({"command": "ask", "timeout_ms": 5})
    record = with_defaults(newer, {"priority": "HIGH", "tags": ["a", None, {"x": 1.5}], **REQUESTS[1]})
    data = single_object(parse_schema(newer), record)
    assert json.loads(ours.ask("read", data.hex())) == as_json_record(REQUESTS[1])
    assert json.loads(ours.ask("print", data.hex()))["tags"] == ["a", None, {"x": 1.5}]


def test_unknown_writer_is_named(ours):
    other = parse_schema({"type": "record", "name": "ProgramRequest", "fields": [{"name": "command", "type": "string"}]})
    answer = ours.ask("read", single_object(other, {"command": "ask"}).hex())
    number = struct.unpack("<Q", head_of(other)[2:])[0]
    assert answer.startswith("fault UNKNOWN_SCHEMA") and f"{number:016x}" in answer


def test_our_results_are_readable_with_a_newer_schema(ours):
    """A reader whose Status has lost a symbol falls back to UNKNOWN; one with more fields takes their defaults."""
    writer = parsed("ProgramResult")
    reader = json.loads(schema_text("ProgramResult"))
    reader["fields"].append({"name": "extra", "type": "string", "default": "d"})
    status = next(f for f in reader["fields"] if f["name"] == "status")["type"]
    status["symbols"].remove("CANCELLED")
    data = bytes.fromhex(ours.ask("result", 2, "avro"))
    record = fastavro.schemaless_reader(io.BytesIO(data[10:]), writer, parse_schema(reader))
    assert record["extra"] == "d"
    assert record["status"] == "UNKNOWN"
