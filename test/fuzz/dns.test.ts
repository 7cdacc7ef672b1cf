/** Random and mutated DNS messages: an answer or none, never an exception, and never more octets than the asker takes. */
import { type Answer, decode, encode, type RecordType } from "dns-packet";
import fc from "fast-check";
import t from "tap";
import { answers, encodeReply, parseQuery, questionOf } from "../../packages/control/src/dns/message.js";
import { DnsServer, RESULTS } from "../../packages/control/src/dns/server.js";
import { Zone } from "../../packages/control/src/dns/zone.js";

const runs = process.env["WEFT_TEST_LONG"] === "1" ? 200_000 : 5_000;
const zone = new Zone(
  {
    networks: [{ name: "blue", cidr4: "10.32.0.0/16", cidr6: "fd42::/64" }],
    containers: [{ network: "blue", names: ["web"], ips: Array.from({ length: 40 }, (_, i) => `10.32.0.${i + 2}`) }],
    entries: [],
  },
  1,
  () => 0,
);

const opt = (udpPayloadSize: number): Answer => ({
  type: "OPT",
  name: ".",
  udpPayloadSize,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
});

/** Queries that are right, with octets changed, cut off or added. */
const mutated = fc
  .record({
    id: fc.nat(65_535),
    name: fc.constantFrom("web.weft.local", "x.weft.local", "5.0.32.10.in-addr.arpa", "example.com", "weft.local", "."),
    type: fc.constantFrom("A", "AAAA", "PTR", "SRV", "ANY", "SOA", "TXT", "AXFR"),
    edns: fc.option(fc.nat(65_535)),
    changes: fc.array(fc.tuple(fc.nat(100), fc.nat(255)), { maxLength: 6 }),
    cut: fc.option(fc.nat(60)),
    more: fc.uint8Array({ maxLength: 20 }),
  })
  .map(({ id, name, type, edns, changes, cut, more }) => {
    const message = Buffer.concat([
      encode({
        type: "query",
        id,
        flags: 0x100,
        questions: [{ type: type as RecordType, name }],
        additionals: edns === null ? [] : [opt(edns)],
      }),
      more,
    ]);
    for (const [at, octet] of changes) if (at < message.length) message[at] = octet;
    return cut === null ? message : message.subarray(0, cut);
  });
const messages = fc.oneof(
  mutated,
  fc.uint8Array({ maxLength: 600 }).map((octets) => Buffer.from(octets)),
);

t.test("every message is answered or dropped, and counted once", async (t) => {
  let now = 0;
  let upstream = 0;
  const forwarder = {
    ask: async (message: Buffer) => {
      upstream++;
      return message.length % 2 === 0 ? Buffer.from(message) : undefined;
    },
    close: () => undefined,
  };
  const server = new DnsServer({ zone: () => zone, forwarder, ownerOf: () => undefined, now: () => (now += 10) });
  let sent = 0;
  await fc.assert(
    fc.asyncProperty(messages, fc.constantFrom("udp" as const, "tcp" as const), async (message, transport) => {
      sent++;
      const forwarded = upstream;
      const reply = await server.handle("blue", message, transport, "10.32.0.9");
      const sum = RESULTS.reduce((n, result) => n + server.counts()[result], 0);
      if (sum !== sent) return false;
      if (reply === undefined || upstream > forwarded) return true;
      const query = parseQuery(message);
      if (query === undefined || reply.readUInt16BE(0) !== message.readUInt16BE(0)) return false;
      const most = transport === "tcp" ? 65_535 : Math.min(query.edns?.udpSize ?? 512, 1232);
      decode(reply);
      return reply.length <= Math.max(most, 12 + query.question.length + 11);
    }),
    { numRuns: runs },
  );
  t.ok(server.counts().answered > 0 && server.counts().malformed > 0, JSON.stringify(server.counts()));
});

t.test("answers from upstream", async () => {
  await fc.assert(
    fc.asyncProperty(messages, messages, async (asked, reply) => {
      const question = questionOf(asked);
      if (question) answers(reply, 1, question.octets);
    }),
    { numRuns: runs },
  );
});

t.test("a reply repeats the question octet for octet", async () => {
  fc.assert(
    fc.property(mutated, (message) => {
      const query = parseQuery(message);
      if (query === undefined) return true;
      const reply = encodeReply(query, { rcode: 3 }, "tcp");
      return reply.subarray(12, 12 + query.question.length).equals(query.question);
    }),
    { numRuns: runs },
  );
});
