import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.message.BinaryMessageEncoder;

/**
 * Apache Avro behind lines of text, as wire_convert is ours. Each line is a word, the path of a schema and an argument in hex:
 * fingerprint; encode (a record in Avro's JSON becomes single-object bytes); decode (the other way, as plain JSON).
 */
public class Peer {
    private static final HexFormat HEX = HexFormat.of();

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line; (line = in.readLine()) != null; ) {
            String[] words = line.split(" ");
            Schema schema = new Schema.Parser().parse(Files.readString(Path.of(words[1])));
            out.println(answer(words[0], schema, words.length > 2 ? HEX.parseHex(words[2]) : new byte[0]));
        }
    }

    private static String answer(String word, Schema schema, byte[] bytes) throws Exception {
        switch (word) {
            case "fingerprint":
                return String.format("%016x", SchemaNormalization.parsingFingerprint64(schema));
            case "encode":
                GenericRecord record = new GenericDatumReader<GenericRecord>(schema)
                        .read(null, DecoderFactory.get().jsonDecoder(schema, new String(bytes, StandardCharsets.UTF_8)));
                ByteBuffer encoded = new BinaryMessageEncoder<GenericRecord>(GenericData.get(), schema).encode(record);
                byte[] array = new byte[encoded.remaining()];
                encoded.get(array);
                return HEX.formatHex(array);
            case "decode":
                return new BinaryMessageDecoder<GenericRecord>(GenericData.get(), schema).decode(bytes).toString();
            default:
                return "fault " + word;
        }
    }
}
