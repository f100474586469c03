"""Real parts: Apache Kafka on loopback, the daemon as a user starts it, clients that we did not write.

BUILD_DIR names the build. Every process that is started here is ended here, by its id.
"""
import collections
import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid

import fastavro
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = pathlib.Path(os.environ["BUILD_DIR"])
BRIDGEPOOL = BUILD / "bridgepool"
KAFKA = ROOT / "tests" / "kafka" / "kafka"
PATIENCE = 600  # seconds: bounds every wait; lowered where a wait is to fail


class Cluster:
    """Brokers on loopback; `act` is a word of tests/kafka/kafka: kill, freeze, thaw or restart broker n."""

    def __init__(self, where, count, *settings):
        self.where = where
        subprocess.run([KAFKA, "start", str(count), where, *settings], check=True, stdout=subprocess.DEVNULL)
        self.bootstrap = (where / "bootstrap").read_text().strip()

    def act(self, word, n=1):
        subprocess.run([KAFKA, word, self.where, str(n)], check=True, stdout=subprocess.DEVNULL)

    def stop(self):
        subprocess.run([KAFKA, "stop", self.where], check=True, stdout=subprocess.DEVNULL)


AUTHORIZER = ("authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "allow.everyone.if.no.acl.found=true")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    one = Cluster(tmp_path_factory.mktemp("kafka"), 1, *AUTHORIZER)
    yield one
    one.stop()


class SharedBroker:
    """Several runs of tests at a time (pytest -n) share one broker, which their controller starts and stops."""

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="bridgepool-kafka-")
        self.cluster = Cluster(pathlib.Path(self.directory.name), 1, *AUTHORIZER)

    def pytest_configure_node(self, node):
        node.workerinput["brokers"] = self.cluster.bootstrap

    def pytest_unconfigure(self):
        self.cluster.stop()
        self.directory.cleanup()


def pytest_configure(config):
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SharedBroker())


@pytest.fixture(scope="session")
def brokers(request):
    """Bootstrap servers of one broker."""
    if hasattr(request.config, "workerinput"):
        return request.config.workerinput["brokers"]
    return request.getfixturevalue("cluster").bootstrap


class Site:
    """One test's topics, group and configuration; its daemons and their token, by which stray processes are found."""

    program = BRIDGEPOOL

    def __init__(self, brokers, directory, pool, extra="", environment=(), kafka="", source="", more=(), partitions=4, replication=1):
        """`more`: further (source, pool) beside the first, each source with a topic of its own: self.topics."""
        self.brokers, self.directory = brokers, directory
        name = "t" + uuid.uuid4().hex[:8]
        self.group, self.token = name, "BRIDGEPOOL_TEST_TOKEN=" + name
        self.requests, self.results, self.health, self.dead = (f"{name}.{t}" for t in ("requests", "results", "health", "dead"))
        self.config = directory / "bridgepool.cfg"
        self.topics = [self.requests, *(f"{self.requests}{n}" for n in range(2, 2 + len(more)))]
        variables = ", ".join(json.dumps(v) for v in (self.token, *environment))
        sources = ", ".join(f'{{ topic = "{topic}"; {text} }}' for topic, text in zip(self.topics, (source, *(s for s, _ in more))))
        pools = ", ".join(f"{{ {text} environment = [ {variables} ]; }}" for text in (pool, *(p for _, p in more)))
        self.config.write_text(f"""
kafka = {{ brokers = "{brokers}"; group = "{name}"; results = "{self.results}"; health = "{self.health}"; dead_letters = "{self.dead}";
          consumer_properties = [ "session.timeout.ms=6000" ]; {kafka} }};
http = {{ listen = "127.0.0.1:0"; }};
sources = ( {sources} );
pools = ( {pools} );
{extra}
""")
        topics = [BRIDGEPOOL, "topics", "-c", self.config, "--partitions", str(partitions), "--replication", str(replication)]
        subprocess.run(topics, check=True, stdout=subprocess.DEVNULL)
        self.daemons, self.log = [], open(directory / "daemon.log", "ab")
        self.consumer = Consumer({"bootstrap.servers": brokers, "group.id": name + "-reader", "auto.offset.reset": "earliest"})
        found = self.consumer.list_topics(self.results, 30).topics[self.results].partitions
        self.consumer.assign([TopicPartition(self.results, p, OFFSET_BEGINNING) for p in found])  # no group: there is none to join or leave
        self.seen = []

    def start(self, instance=None, **variables):
        """A daemon; `variables` go into its own environment."""
        command = [self.program, "run", "-c", self.config]
        if instance:
            command += ["--set", f"instance.id={instance}"]
        env = dict(os.environ, PYTHONPATH=str(ROOT / "src" / "bridges" / "python"), **variables)
        daemon = subprocess.Popen(command, cwd=self.directory, env=env, stdin=subprocess.DEVNULL, stderr=self.log, stdout=self.log)
        self.daemons.append(daemon)
        return daemon

    def get(self, path):
        """What the newest daemon answers over HTTP: (status, text)."""
        addresses = eventually(lambda: re.findall(r"status and metrics are served url=(http://\S+?)/\s", self.log_text()))
        try:
            with urllib.request.urlopen(addresses[-1] + path, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def status(self, query=""):
        return json.loads(self.get("/status" + query)[1])

    def log_text(self):
        return (self.directory / "daemon.log").read_text(errors="replace")

    def wait_joined(self, seconds=60):
        """Until all daemons that were started are members of the group."""
        eventually(lambda: self.log_text().count(" joined ") >= len(self.daemons), seconds)

    def produce(self, records, topic=None, **properties):
        """Sends (key, value) or (key, value, headers) to a topic, by default the first; returns where each went, as (partition, offset)."""
        places = []

        def keep(place):
            def delivered(error, message):
                assert error is None, error
                places[place] = (message.partition(), message.offset())
            return delivered

        producer = Producer({"bootstrap.servers": self.brokers, "partitioner": "murmur2_random", "linger.ms": 5, **properties})
        for key, value, *headers in records:
            places.append(None)
            producer.produce(topic or self.requests, key=key, value=value, headers=headers[0] if headers else None, on_delivery=keep(len(places) - 1))
            producer.poll(0)
        assert producer.flush(60) == 0
        return places

    def ask(self, session, command, seconds=60, **args):
        """Sends one request of a session, waits, returns its result."""
        request_id = uuid.uuid4().hex
        self.produce([(session, json.dumps({"request_id": request_id, "command": command, "args": args}))])
        self.read_results(lambda seen: seen and json.loads(seen[-1].value())["request_id"] == request_id, seconds)
        return json.loads(self.seen[-1].value())

    def read_results(self, enough, seconds):
        """Reads until enough(all results so far) or the time is over; returns all results so far, in order of arrival."""
        end = time.monotonic() + min(seconds, PATIENCE)
        while not enough(self.seen):
            left = end - time.monotonic()
            assert left > 0, f"after {seconds} s: {len(self.seen)} results; the daemon said:\n{self.tail()}"
            for message in self.consumer.consume(500, timeout=min(left, 0.05)):
                if not message.error():
                    self.seen.append(message)
        return self.seen

    def results_seen(self):
        """All results so far, in order of arrival."""
        return [decode(message.value()) for message in self.seen]

    def send(self, *requests, topic=None):
        """(request ID, session, command, members).. at once."""
        self.produce([(session, json.dumps({"request_id": name, "command": command, **members})) for name, session, command, members in requests], topic)

    def records(self, name, count=None, seconds=60):
        """The first `count` records about a request, or all until its final one: its parts, and its result."""
        def of(seen):
            return [r for r in (json.loads(m.value()) for m in seen) if r["request_id"] == name]
        self.read_results(lambda seen: len(found := of(seen)) >= count if count else (found := of(seen)) and found[-1]["final"], seconds)
        return of(self.seen)

    def committed(self):
        """What the group has committed of the first topic: offset and metadata (the done map) of each partition."""
        reader = Consumer({"bootstrap.servers": self.brokers, "group.id": self.group})
        partitions = reader.list_topics(self.requests, 10).topics[self.requests].partitions
        found = reader.committed([TopicPartition(self.requests, p) for p in partitions], timeout=30)
        reader.close()
        return found

    def alter(self, topic, name, value):
        """Sets one setting of a topic."""
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        admin = AdminClient({"bootstrap.servers": self.brokers})  # it has to live until they are done
        for done in admin.incremental_alter_configs([resource]).values():
            done.result(30)

    def read_all(self, topic):
        """All records that a topic has now."""
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": "unused", "enable.auto.commit": False, "enable.partition.eof": True,
                             "fetch.message.max.bytes": 10000000})
        partitions = consumer.list_topics(topic, 10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
        records, open_ends = [], set(partitions)
        while open_ends:
            message = consumer.poll(30)
            assert message is not None, f"{topic} cannot be read to its end"
            if message.error() and message.error().code() == KafkaError._PARTITION_EOF:
                open_ends.discard(message.partition())
            elif not message.error():
                records.append(message)
        consumer.close()
        return records

    def events(self, kind):
        """Health events of one kind, as `bridgepool tail` prints them."""
        out = subprocess.run([BRIDGEPOOL, "tail", "health", "-c", self.config, "--until-end"], check=True, capture_output=True, text=True, timeout=60)
        return [e for e in map(json.loads, out.stdout.splitlines()) if e["kind"] == kind]

    def tail(self):
        return "\n".join((self.directory / "daemon.log").read_text(errors="replace").splitlines()[-40:])

    def workers(self):
        """Process ids of everything that carries this test's token: workers, not the guard."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if self.token.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def wait_no_workers(self, seconds=15):
        end = time.monotonic() + seconds
        while self.workers():
            assert time.monotonic() < end, f"still alive: {self.workers()}"
            time.sleep(0.05)

    def end(self):
        for daemon in self.daemons:
            if daemon.poll() is None:
                daemon.send_signal(signal.SIGTERM)
        codes = []
        for daemon in self.daemons:
            try:
                codes.append(daemon.wait(60))
            except subprocess.TimeoutExpired:
                daemon.kill()
                codes.append(daemon.wait())
        self.consumer.close()
        self.log.close()
        return codes


@pytest.fixture
def site(brokers, tmp_path):
    made = []

    def make(pool, extra="", **options):
        made.append(Site(brokers, tmp_path, pool, extra, **options))
        return made[-1]

    yield make
    for one in made:
        one.end()


def eventually(check, seconds=60):
    """Waits until check() holds; returns what it returned."""
    end = time.monotonic() + min(seconds, PATIENCE)
    while not (found := check()):
        assert time.monotonic() < end, f"not within {seconds} s: {check}"
        time.sleep(0.05)
    return found


def place_of(result):
    """(partition, offset) of a result's request."""
    return result["source"]["partition"], result["source"]["offset"]


RESULT = fastavro.schema.load_schema(ROOT / "schemas" / "ProgramResult.avsc")


def decode(value):
    """A result in either encoding."""
    if value[:2] != b"\xc3\x01":
        return json.loads(value)
    result = fastavro.schemaless_reader(io.BytesIO(value[10:]), RESULT)
    return {**result, "result": result["result"] and json.loads(result["result"])}


def by_request(messages):
    """request_id -> its final results, in order of arrival; JSON results only."""
    out = collections.defaultdict(list)
    for message in messages:
        result = json.loads(message.value())
        out[result["request_id"]].append(result)
    return out


MOCK = f'command = [ "{BRIDGEPOOL}", "mock-worker", "--concurrency", "16" ];'
PYTHON = f'command = [ "{sys.executable}", "-m", "bridgepool.worker", "app:app" ];'
