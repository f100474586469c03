import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.HashSet;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.message.BinaryMessageEncoder;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * A Java service as a client of bridgepool: sends requests of some sessions as Avro single-object records, waits for their results,
 * prints each as one line of JSON with its key and content-type. Results in JSON, for clients that ask in JSON, are passed over.
 *
 * Arguments: brokers, request topic, result topic, directory of the schemas, sessions, requests of each session; then, if others
 * than `count` and {"price":1.10} are wanted, the command and its arguments.
 */
public class Client {
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    public static void main(String[] args) throws Exception {
        int sessions = Integer.parseInt(args[4]), each = Integer.parseInt(args[5]);
        Schema request = new Schema.Parser().parse(Path.of(args[3], "ProgramRequest.avsc").toFile());
        Schema result = new Schema.Parser().parse(Path.of(args[3], "ProgramResult.avsc").toFile());
        var call = new GenericRecordBuilder(request).set("command", args.length > 6 ? args[6] : "count")
                .set("args", args.length > 7 ? args[7] : "{\"price\":1.10}").set("timeout_ms", 60000L);
        Set<String> waiting = send(args[0], args[1], request, call, sessions, each);
        read(args[0], args[2], result, waiting);
    }

    private static Set<String> send(String brokers, String topic, Schema schema, GenericRecordBuilder call, int sessions, int each)
            throws Exception {
        BinaryMessageEncoder<GenericRecord> encoder = new BinaryMessageEncoder<>(GenericData.get(), schema);
        Set<String> sent = new HashSet<>();
        Properties settings = new Properties();
        settings.put("bootstrap.servers", brokers);
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer())) {
            for (int n = 1; n <= each; n++) {
                for (int s = 0; s < sessions; s++) {
                    String id = "j" + s + "-" + n;
                    ByteBuffer encoded = encoder.encode(call.set("request_id", id).build());
                    byte[] bytes = new byte[encoded.remaining()];
                    encoded.get(bytes);
                    var message = new ProducerRecord<>(topic, "j" + s, bytes);
                    message.headers().add("x-trace", id.getBytes());
                    producer.send(message).get();
                    sent.add(id);
                }
            }
        }
        return sent;
    }

    private static void read(String brokers, String topic, Schema schema, Set<String> waiting) throws Exception {
        BinaryMessageDecoder<GenericRecord> decoder = new BinaryMessageDecoder<>(GenericData.get(), schema);
        Instant until = Instant.now().plus(PATIENCE);
        Properties settings = new Properties();
        settings.put("bootstrap.servers", brokers);
        settings.put("group.id", topic + "-java");
        settings.put("auto.offset.reset", "earliest");
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(topic));
            while (!waiting.isEmpty() && Instant.now().isBefore(until)) {
                for (ConsumerRecord<String, byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                    if (record.value()[0] == '{')
                        continue;
                    GenericRecord value = decoder.decode(record.value());
                    waiting.remove(value.get("request_id").toString());
                    System.out.printf("{\"key\": \"%s\", \"content-type\": \"%s\", \"x-trace\": \"%s\", \"value\": %s}%n", record.key(),
                            header(record, "content-type"), header(record, "x-trace"), value);
                }
            }
        }
        if (!waiting.isEmpty())
            throw new IllegalStateException("no result came for " + waiting);
    }

    private static String header(ConsumerRecord<?, ?> record, String name) {
        var found = record.headers().lastHeader(name);
        return found == null ? "" : new String(found.value());
    }
}
