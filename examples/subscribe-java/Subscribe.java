import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.*;
import com.nimbusds.jose.JWEObject;
import com.nimbusds.jose.crypto.ECDHDecrypter;
import com.nimbusds.jose.jwk.ECKey;
import dev.harrel.jsonschema.ValidatorFactory;
import java.net.http.*;
import java.nio.file.*;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.serialization.*;

class Subscribe { // follows a share topic: typed records, opened names, cases forgotten; docs/subscribe.md explains
  record Case(@JsonProperty("case") String id, long revision, String status, List<Need> needs, Map<String, ?> sealed) {}
  record Need(String need, String band) { public String toString() { return need + "/" + band; } }
  record Identity(@JsonProperty("case") String id, @JsonProperty("preferred_name") String preferredName) {}
  record Known(Case now, Identity who) {} // all of one case now; a field that is not listed here stays unread
  static final Map<String, Known> held = new HashMap<>(); // in your program: two tables,
  static final Set<String> seen = new HashSet<>(); // written in one transaction
  static final ObjectMapper JSON = new ObjectMapper().disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES);
  static String env(String name) { return Objects.requireNonNull(System.getenv(name), name + " is not set"); }
  static <T> T typed(byte[] value, String file, Class<T> type) throws Exception { // tolerant of a newer office:
    var lax = Files.readString(Path.of(env("CONTRACT"), file)).replaceAll("\"(enum|additionalProperties)\"", "\"-$1\"");
    if (new ValidatorFactory().validate(lax, JSON.readTree(value)).isValid()) return JSON.readValue(value, type);
    throw new IllegalArgumentException(file);
  }

  static String handle(ConsumerRecord<String, byte[]> record) throws Exception {
    String key = record.key(), where = record.partition() + "/" + record.offset(), wrong = "unreadable";
    var headers = new HashMap<>(Map.of("ce_id", where));
    for (var one : record.headers()) if (one.value() != null) headers.put(one.key(), new String(one.value()));
    if (!seen.add(headers.get("ce_id"))) return "duplicate";
    if (record.value() == null) {
      held.remove(key);
      var purge = java.net.URI.create(env("SHARE_URL") + "/purges/" + headers.get("ce_purgeid") + "/acknowledgement");
      var request = HttpRequest.newBuilder(purge).header("Authorization", "Bearer " + env("SHARE_TOKEN"));
      var sent = request.POST(HttpRequest.BodyPublishers.noBody()).build();
      int status = HttpClient.newHttpClient().send(sent, HttpResponse.BodyHandlers.discarding()).statusCode();
      if (status == 404) return "forgotten, purge unknown to the office";
      // Ends the program: nothing is committed, so the record comes again.
      if (status != 200) throw new IllegalStateException("The purge was not acknowledged: " + status);
      return "forgotten, purge acknowledged";
    }
    try {
      Case now = typed(record.value(), "v1.schema.json", Case.class);
      Identity who = null;
      if (now.sealed != null && now.sealed.get("identity") instanceof String sealed) {
        wrong = "cannot_open";
        var jwe = JWEObject.parse(sealed);
        var how = jwe.getHeader().getAlgorithm() + " " + jwe.getHeader().getEncryptionMethod();
        if (!how.equals("ECDH-ES A256GCM")) throw new IllegalArgumentException(how);
        jwe.decrypt(new ECDHDecrypter(ECKey.parse(Files.readString(Path.of(env("PARTNER_KEY"))))));
        who = typed(jwe.getPayload().toBytes(), "v1.sealed.identity.schema.json", Identity.class);
      }
      if (!key.equals(now.id) || who != null && !key.equals(who.id)) return "set aside at " + where + ": other_case";
      held.put(key, new Known(now, who));
      var needs = Objects.requireNonNullElse(now.needs, List.of());
      return "revision %d %s %s %s".formatted(now.revision, now.status, needs, who == null ? "no name" : "name opened");
    } catch (Exception error) { return "set aside at " + where + ": " + wrong; } // must not stop those behind it
  }

  public static void main(String[] arguments) throws Exception {
    var scram = "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"%s\" password=\"%s\";";
    var settings = Map.<String, Object>of("bootstrap.servers", env("KAFKA_BOOTSTRAP"), "group.id", env("KAFKA_GROUP"),
        "sasl.jaas.config", scram.formatted(env("KAFKA_USERNAME"), env("KAFKA_PASSWORD")), "enable.auto.commit", false,
        "sasl.mechanism", "SCRAM-SHA-512", "security.protocol", env("KAFKA_SECURITY"), "auto.offset.reset", "earliest");
    var idle = java.time.Duration.parse("PT" + System.getenv().getOrDefault("UNTIL_IDLE_SECONDS", "31536000") + "S");
    try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer())) {
      consumer.subscribe(List.of(env("TOPIC")));
      for (var batch = consumer.poll(idle); !batch.isEmpty(); batch = consumer.poll(idle)) {
        for (var record : batch) System.out.println(record.key() + " " + handle(record));
        consumer.commitSync(); // what was handled: at least once
      }
    }
    System.out.println(held.size() + " cases held");
  }
}
