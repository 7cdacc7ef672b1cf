/** The DNS server on real sockets of the loopback interface, with real servers upstream. */
import { randomUUID } from "node:crypto";
import { createSocket, Socket as UdpSocket } from "node:dgram";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decode, encode, type Packet, streamEncode } from "dns-packet";
import t, { type Test } from "tap";
import { Forwarder, parseResolvConf, serversOf, type UpstreamServer } from "../../packages/control/src/dns/forward.js";
import { RateLimit } from "../../packages/control/src/dns/rate.js";
import { resolvConfText } from "../../packages/control/src/dns/resolv-conf.js";
import { DnsServer } from "../../packages/control/src/dns/server.js";
import { Shares } from "../../packages/control/src/dns/shares.js";
import { Zone } from "../../packages/control/src/dns/zone.js";
import { until } from "../lab/job.js";

const NETWORK = { name: "blue", cidr4: "10.32.0.0/16", cidr6: null };
const many = Array.from({ length: 100 }, (_, i) => `10.32.1.${i}`);
const zone = new Zone(
  {
    networks: [NETWORK],
    containers: [
      { network: "blue", names: ["web"], ips: ["10.32.0.5"] },
      { network: "blue", names: ["many"], ips: many },
    ],
    entries: [],
  },
  1,
  () => 0,
);

/** Containers have these addresses; those of 10.32.66.0/24, fd42:: and 127.0.66.0/24 are nobody's. */
const ownerOf = (_: string, address: string): string | undefined =>
  /^(10\.32\.66|127\.0\.66)\.|:/.test(address) ? undefined : `of ${address}`;

interface Running {
  readonly server: DnsServer;
  readonly port: number;
}

async function start(t: Test, servers: readonly UpstreamServer[] = [], tryMs = 300): Promise<Running> {
  const server = new DnsServer({
    zone: () => zone,
    forwarder: new Forwarder({ servers: () => servers, tryMs }),
    ownerOf,
  });
  t.teardown(() => server.close());
  const { ports, problems } = await server.listen([{ network: "blue", address: "127.0.0.1", port: 0 }]);
  t.equal(problems.size, 0);
  return { server, port: ports.get("blue 127.0.0.1") as number };
}

const query = (name: string, more: Partial<Packet> = {}): Packet => ({
  type: "query",
  id: 4711,
  flags: 0x100,
  questions: [{ type: "A", name }],
  ...more,
});
const opt = (udpPayloadSize: number, ednsVersion = 0): Packet["additionals"] => [
  { type: "OPT", name: ".", udpPayloadSize, ednsVersion, extendedRcode: 0, flags: 0, flag_do: false, options: [] },
];

/** One datagram there, one back. */
function exchange(port: number, message: Buffer, withinMs = 10_000): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = createSocket("udp4");
    const timer = setTimeout(() => {
      socket.close();
      reject(new Error("no answer"));
    }, withinMs);
    socket.on("message", (answer) => {
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    });
    socket.send(message, port, "127.0.0.1");
  });
}
const ask = async (port: number, packet: Packet): Promise<ReturnType<typeof decode>> =>
  decode(await exchange(port, encode(packet)));

function askTcp(port: number, ...packets: Packet[]): Promise<ReturnType<typeof decode>[]> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    const answers: ReturnType<typeof decode>[] = [];
    let got = Buffer.alloc(0);
    socket.on("error", reject);
    socket.on("close", () => resolve(answers));
    socket.on("data", (data: Buffer) => {
      got = Buffer.concat([got, data]);
      while (got.length >= 2 && got.length >= 2 + got.readUInt16BE(0)) {
        const end = 2 + got.readUInt16BE(0);
        answers.push(decode(got.subarray(2, end)));
        got = got.subarray(end);
      }
      if (answers.length === packets.length) socket.end();
    });
    for (const packet of packets) socket.write(streamEncode(packet));
  });
}

/** An upstream that answers what `answer` makes of a query, over UDP and TCP. */
async function upstream(
  t: Test,
  answer: (asked: Buffer, over: "udp" | "tcp") => Buffer | undefined,
): Promise<UpstreamServer> {
  const tcp = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", (data: Buffer) => {
      const reply = answer(data.subarray(2), "tcp");
      if (reply === undefined) return;
      const length = Buffer.alloc(2);
      length.writeUInt16BE(reply.length);
      // Cut where a reader must not rely on it.
      socket.write(length.subarray(0, 1));
      socket.write(Buffer.concat([length.subarray(1), reply]));
    });
  });
  await new Promise<void>((resolve) => tcp.listen(0, "127.0.0.1", resolve));
  const { port } = tcp.address() as AddressInfo;
  const udp = createSocket("udp4");
  udp.on("message", (asked, from) => {
    const reply = answer(asked, "udp");
    if (reply) udp.send(reply, from.port, from.address);
  });
  await new Promise<void>((resolve) => udp.bind(port, "127.0.0.1", resolve));
  t.teardown(() => {
    tcp.close();
    udp.close();
  });
  return { address: "127.0.0.1", port };
}

const RCODES = (packet: ReturnType<typeof decode>): number => (packet as unknown as { flags: number }).flags & 15;

t.test("own names", async (t) => {
  const { port, server } = await start(t);
  const found = await ask(port, query("WeB.weft.local"));
  t.match(found, { id: 4711, flag_aa: true, flag_ra: true, flag_rd: true, flag_tc: false });
  t.match(found.answers, [{ type: "A", data: "10.32.0.5", name: "WeB.weft.local" }]);
  t.match(found.questions, [{ name: "WeB.weft.local" }], "letters as asked");
  t.equal(found.additionals?.length, 0, "no EDNS unasked");
  const none = await ask(port, query("no.weft.local"));
  t.match(none, { rcode: "NXDOMAIN", authorities: [{ type: "SOA" }] });
  t.match(await ask(port, query("web.weft.local", { questions: [{ type: "AAAA", name: "web.weft.local" }] })), {
    rcode: "NOERROR",
    answers: [],
    authorities: [{ type: "SOA" }],
  });
  t.match((await ask(port, query("web.weft.local", { flags: 0 }))).answers, [{ data: "10.32.0.5" }], "without RD, too");
  t.match(server.counts(), { answered: 2, nxdomain: 1, nodata: 1, forwarded: 0 });
});

t.test("EDNS, and answers that are too long for UDP", async (t) => {
  const { port } = await start(t);
  const cut = await ask(port, query("many.weft.local"));
  t.match(cut, { flag_tc: true, answers: [] });
  const wide = await ask(port, query("many.weft.local", { additionals: opt(4096) }));
  t.match(wide, { flag_tc: true, additionals: [{ type: "OPT", udpPayloadSize: 1232 }] }, "no more than 1232 octets");
  const [whole] = await askTcp(port, query("many.weft.local", { additionals: opt(4096) }));
  t.equal(whole?.answers?.length, 100);
  const bad = await ask(port, query("web.weft.local", { additionals: opt(1232, 1) }));
  t.equal(RCODES(bad), 0);
  t.match(bad, { answers: [], additionals: [{ type: "OPT", extendedRcode: 1 }] }, "BADVERS");
  const [one, two, three] = await askTcp(port, query("web.weft.local"), query("x.weft.local"), query("web.weft.local"));
  t.match(
    [one, two, three],
    ["NOERROR", "NXDOMAIN", "NOERROR"].map((rcode) => ({ rcode })),
    "one after the other",
  );
});

t.test("what is refused", async (t) => {
  const { port, server } = await start(t, [{ address: "127.0.0.1", port: 9 }]);
  const rcode = async (packet: Packet): Promise<number> => RCODES(await ask(port, packet));
  t.equal(
    await rcode(query("example.com", { flags: 0 })),
    5,
    "nothing is looked up for who does not ask for recursion",
  );
  t.equal(await rcode(query("version.bind", { questions: [{ type: "TXT", name: "version.bind", class: "CH" }] })), 5);
  t.equal(await rcode(query("weft.local", { questions: [{ type: "AXFR", name: "weft.local" }] })), 5);
  t.equal(await rcode(query("web.weft.local", { flags: 0x2900 })), 4, "UPDATE");
  t.equal(await rcode(query("a", { questions: [] })), 1);
  t.equal(
    await rcode(
      query("a", {
        questions: [
          { type: "A", name: "a" },
          { type: "A", name: "b" },
        ],
      }),
    ),
    1,
  );
  t.equal(await rcode(query("a", { additionals: [...(opt(512) ?? []), ...(opt(512) ?? [])] })), 1, "two OPT records");
  await t.rejects(exchange(port, encode({ ...query("web.weft.local"), type: "response" }), 300), /no answer/);
  await t.rejects(exchange(port, Buffer.from("hello"), 300), /no answer/);
  t.match(server.counts(), { refused: 4, malformed: 5 });
});

t.test("all else is asked upstream, octet for octet", async (t) => {
  let seen = Buffer.alloc(0);
  const ids = new Set<number>();
  const good = await upstream(t, (asked) => {
    seen = Buffer.from(asked);
    ids.add(asked.readUInt16BE(0));
    const reply = Buffer.concat([asked, Buffer.from("anything behind it")]);
    reply[2] = 0x81;
    return reply;
  });
  const { port, server } = await start(t, [good]);
  // A type that no library knows, and a label that is no text.
  const asked = Buffer.concat([
    Buffer.from([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 0xff, 0x2e, 0x41, 3]),
    Buffer.from("com"),
    Buffer.from([0, 0xff, 0x01, 0, 1]),
  ]);
  for (let i = 0; i < 5; i++) {
    const answer = await exchange(port, asked);
    t.equal(answer.readUInt16BE(0), 0x1234, "the asker's id");
    t.same(answer.subarray(12), Buffer.concat([asked.subarray(12), Buffer.from("anything behind it")]));
    t.same(seen.subarray(2), asked.subarray(2));
  }
  t.ok(ids.size > 3, "ids of its own");
  t.equal(server.counts().forwarded, 5);
});

t.test("a server that is silent, one that refuses, one that lies, and one that answers", async (t) => {
  const asked: string[] = [];
  const silent = await upstream(t, () => void asked.push("silent"));
  const liar = await upstream(t, (message) => {
    asked.push("liar");
    const other = Buffer.from(encode({ ...query("other.example"), type: "response" }));
    other.writeUInt16BE(message.readUInt16BE(0), 0);
    return other;
  });
  const good = await upstream(t, (message) => {
    asked.push("good");
    return Buffer.from(encode({ ...query("example.com"), id: message.readUInt16BE(0), type: "response" }));
  });
  const { port } = await start(t, [silent, { address: "127.0.0.1", port: 9 }, liar, good]);
  t.match(await ask(port, query("example.com")), { id: 4711, rcode: "NOERROR" });
  t.same(asked.splice(0), ["silent", "liar", "good"]);
  await ask(port, query("example.com"));
  t.same(asked, ["good"], "who answered last is asked first");
  const nobody = await start(t, [silent], 100);
  t.match(await ask(nobody.port, query("example.com")), { rcode: "SERVFAIL" });
  const none = await start(t);
  t.match(await ask(none.port, query("example.com")), { rcode: "SERVFAIL" }, "no server at all");
});

t.test("upstream that there is no way to", async (t) => {
  // Refused by the kernel at once: without a permission to broadcast.
  const nowhere = { address: "255.255.255.255", port: 53 };
  const { port, server } = await start(t, [nowhere]);
  t.match(await ask(port, query("example.com")), { rcode: "SERVFAIL" });
  t.equal(server.counts().servfail, 1);
});

t.test("a datagram from port 0, and names that cannot be told", async (t) => {
  const sockets: UdpSocket[] = [];
  const { bind } = UdpSocket.prototype;
  t.intercept(UdpSocket.prototype, "bind", {
    value(this: UdpSocket, ...given: Parameters<typeof bind>) {
      sockets.push(this);
      return bind.apply(this, given);
    },
  });
  const { port, server } = await start(t);
  const message = Buffer.from(encode(query("web.weft.local")));
  // Only who writes raw packets sends it, as any container can: handed in where the kernel would.
  sockets[0]?.emit("message", message, { address: "127.0.0.1", family: "IPv4", port: 0, size: message.length });
  t.equal(server.counts().malformed, 1);
  t.match(await ask(port, query("web.weft.local")), { rcode: "NOERROR" }, "it goes on");
  const torn = new DnsServer({
    zone: () => {
      throw new Error("nobody can read this");
    },
    forwarder: new Forwarder({ servers: () => [] }),
    ownerOf,
  });
  const reply = await torn.handle("blue", message, "udp", "10.32.0.5");
  t.match(decode(reply as Buffer), { rcode: "SERVFAIL" });
});

t.test("an answer cut short is asked for again over TCP", async (t) => {
  const over: string[] = [];
  const server = await upstream(t, (message, protocol) => {
    over.push(protocol);
    const id = message.readUInt16BE(0);
    const answers = Array.from(
      { length: 60 },
      () => ({ type: "A", name: "big.example", ttl: 1, data: "192.0.2.1" }) as const,
    );
    const whole = { ...query("big.example"), id, type: "response", answers } as const;
    return Buffer.from(encode(protocol === "udp" ? { ...whole, flags: 0x200, answers: [] } : whole));
  });
  const { port } = await start(t, [server]);
  t.match(await ask(port, query("big.example")), { flag_tc: true });
  const [whole] = await askTcp(port, query("big.example"));
  t.equal(whole?.answers?.length, 60);
  t.same(over, ["udp", "tcp"]);
});

t.test("queries and connections are bounded", async (t) => {
  let asked = 0;
  const silent = await upstream(t, () => void asked++);
  const { port, server } = await start(t, [silent], 60_000);
  const replies: Promise<Buffer | undefined>[] = [];
  for (let i = 0; i < 1300; i++) {
    const message = Buffer.from(encode(query(`n${i}.example`)));
    replies.push(server.handle(`net${i % 600}`, message, "udp", `10.32.0.${i % 250}`));
  }
  await Promise.all(replies.slice(1024));
  t.equal(server.counts().servfail, 276, "beyond 1024 under way");
  await until("upstream was asked", () => asked > 100);
  const many = Array.from({ length: 300 }, (_, i) =>
    connect({ port, host: "127.0.0.1", localAddress: `127.0.1.${1 + (i % 150)}` }),
  );
  for (const socket of many) socket.on("error", () => socket.destroy());
  await until(
    "connections beyond 256 are closed",
    () => many.filter((s) => s.destroyed || s.readableEnded).length >= 44,
  );
  t.equal(server.counts().limited, 44);
  for (const socket of many) socket.destroy();
  await server.close();
  await Promise.all(replies);
});

t.test("one source cannot keep the others out", async (t) => {
  const silent = await upstream(t, () => undefined);
  const { port, server } = await start(t, [silent], 60_000);
  const replies = Array.from({ length: 1024 }, (_, i) =>
    server.handle("blue", Buffer.from(encode(query(`n${i}.example`))), "udp", "10.32.0.5"),
  );
  await Promise.all(replies.slice(128));
  t.equal(server.counts().servfail, 896, "128 of one source are under way");
  const held = Array.from({ length: 40 }, () => connect(port, "127.0.0.1"));
  for (const socket of held) socket.on("error", () => socket.destroy());
  await until("16 of one source stay", () => held.filter((s) => s.destroyed || s.readableEnded).length === 24);
  const other = connect({ port, host: "127.0.0.1", localAddress: "127.0.0.2" });
  t.teardown(() => {
    for (const socket of [...held, other]) socket.destroy();
  });
  other.write(streamEncode(query("web.weft.local")));
  await new Promise((resolve) => other.once("data", resolve));
  await server.close();
  await Promise.all(replies);
  const rate = new RateLimit();
  let allowed = 0;
  for (let i = 0; i < 5000; i++) if (rate.allows("10.32.0.5", 0)) allowed++;
  t.equal(allowed, 2000);
  t.ok(rate.allows("10.32.0.6", 0));
  t.ok(rate.allows("10.32.0.5", 1), "one more in a millisecond");
  t.notOk(rate.allows("10.32.0.5", 1));
  for (let i = 0; i < 10_000; i++) rate.allows(`source ${i}`, 1);
  t.ok(rate.allows("10.32.0.5", 1), "forgotten, when 4096 others have asked since");
});

t.test("a container with a whole prefix of addresses is one source, and leaves the others theirs", async (t) => {
  const half = await upstream(t, (message) =>
    message.includes("silent")
      ? undefined
      : Buffer.from(encode({ ...query("good.example"), id: message.readUInt16BE(0), type: "response" })),
  );
  const { port, server } = await start(t, [half], 60_000);
  const replies: Promise<Buffer | undefined>[] = [];
  let asked = 0;
  /** @returns how many are under way */
  const flood = async (network: string, address: string, count: number): Promise<number> => {
    const before = server.counts().servfail;
    for (let i = 0; i < count; i++) {
      const message = Buffer.from(encode(query(`silent${asked++}.example`)));
      replies.push(server.handle(network, message, "udp", address));
    }
    await new Promise(setImmediate);
    return count - (server.counts().servfail - before);
  };
  const ask = async (network: string, address: string): Promise<number> =>
    RCODES(
      decode((await server.handle(network, Buffer.from(encode(query("good.example"))), "udp", address)) as Buffer),
    );
  let taken = 0;
  for (let i = 0; i < 250; i++)
    taken += (await flood("blue", `fd42::66:${i}`, 2)) + (await flood("blue", `10.32.66.${i}`, 2));
  t.equal(taken, 128, "all that is no container's address is one source");
  t.equal(await ask("blue", "10.32.0.7"), 0, "a container is answered");
  t.equal(await ask("green", "10.33.0.7"), 0);
  t.equal(await ask("green", "10.32.66.1"), 0, "who has no known address in another network, too");

  for (let i = 0; i < 100; i++) taken += await flood("blue", `10.32.0.${10 + (i % 50)}`, 20);
  t.ok(taken > 256 && taken <= 360, `with 50 addresses of others, or as 50 containers: ${taken}`);
  t.equal(await ask("blue", "10.32.0.7"), 0, "somebody else is answered");
  t.ok((await flood("green", "10.33.0.7", 200)) > 30, "and another network has much more than that");

  const held = Array.from({ length: 100 }, (_, i) =>
    connect({ port, host: "127.0.0.1", localAddress: `127.0.66.${1 + i}` }),
  );
  for (const socket of held) socket.on("error", () => socket.destroy());
  await until("16 of them stay", () => held.filter((s) => s.destroyed || s.readableEnded).length === 84);
  const one = connect({ port, host: "127.0.0.1", localAddress: "127.0.0.2" });
  t.teardown(() => {
    for (const socket of [...held, one]) socket.destroy();
  });
  one.write(streamEncode(query("web.weft.local")));
  await new Promise((resolve) => one.once("data", resolve));
  await server.close();
  await Promise.all(replies);
});

t.test("addresses of nobody share what one source may ask in a second", async (t) => {
  let now = 0;
  const forwarder = new Forwarder({ servers: () => [] });
  const server = new DnsServer({ zone: () => zone, forwarder, ownerOf, now: () => now });
  t.teardown(() => server.close());
  const message = Buffer.from(encode(query("web.weft.local")));
  const answered = async (address: string): Promise<boolean> =>
    (await server.handle("blue", message, "udp", address)) !== undefined;
  let count = 0;
  for (let i = 0; i < 3000; i++) if (await answered(`fd42::${i.toString(16)}`)) count++;
  t.equal(count, 2000);
  t.ok(await answered("10.32.0.7"), "a container is not among them");
  now = 1;
  t.ok(await answered("fd42::1"), "one more in a millisecond");
});

t.test("shares leave something to who has none, and come back whole", (t) => {
  const shares = new Shares(1024, 128);
  const taken: (() => void)[] = [];
  const take = ([network, source]: readonly [network: string, source: string]): boolean => {
    const back = shares.take(network, source);
    if (back !== undefined) taken.push(back);
    return back !== undefined;
  };
  const list = (network: string, count: number) => Array.from({ length: count }, (_, i) => [network, `c${i}`] as const);
  /** All that these can get, each at its turn or the first of them first. @returns how many that were */
  const greedy = (sources: readonly (readonly [string, string])[], isInTurn: boolean): number => {
    const before = taken.length;
    let left = sources;
    while (left.length > 0) left = left.filter((one) => take(one) && (isInTurn || greedy([one], true) < 0));
    return taken.length - before;
  };
  for (const isInTurn of [true, false]) {
    for (const count of [1, 2, 10, 100, 250]) {
      const sum = greedy(list("blue", count), isInTurn);
      t.ok(sum <= 256 + 2 * count, `${count} sources of a network have ${sum}`);
      t.ok(greedy([["blue", "another"]], true) >= 2, "one more has two");
      t.ok(greedy([["green", "c0"]], true) >= 2, "and so has another network");
      for (const back of taken.splice(0)) back();
    }
    for (const count of [1, 3, 20]) {
      greedy(Array.from({ length: count }, (_, i) => list(`net${i}`, 10)).flat(), isInTurn);
      const left = greedy(list("another", 10), true);
      t.ok(left >= 20, `${count} networks of ten sources leave another ${left}`);
      for (const back of taken.splice(0)) back();
    }
    t.equal(greedy(list("blue", 600), isInTurn), 1024, "never more than there are");
    for (const back of taken.splice(0)) back();
  }
  t.equal(greedy([["blue", "c0"]], true), 128, "all of it came back");
  t.end();
});

t.test("where it cannot listen it says why, and listens elsewhere", async (t) => {
  const { server, port } = await start(t);
  const first = { network: "blue", address: "127.0.0.1", port: 0 };
  const { ports, problems } = await server.listen([
    first,
    { network: "green", address: "192.0.2.1", port: 0 },
    { network: "red", address: "127.0.0.1", port: 0, ifname: "nosuch0" },
    { network: "white", address: "127.0.0.1", netns: "/nonexistent" },
  ]);
  t.equal(ports.get("blue 127.0.0.1"), port, "what listened goes on");
  t.match(problems.get("green 192.0.2.1")?.message, /cannot serve on UDP 192\.0\.2\.1:0 \(EADDRNOTAVAIL, bind\)/);
  t.match(problems.get("red 127.0.0.1")?.message, /ENODEV/);
  t.match(problems.get("white 127.0.0.1")?.message, /ENOENT/);
  await server.listen([]);
  await t.rejects(exchange(port, Buffer.from(encode(query("web.weft.local"))), 300), /no answer/);
  const both = await Promise.all([1, 2].map(() => server.listen([{ ...first, port }])));
  for (const once of both) t.same([once.ports.size, once.problems.size], [1, 0], "two at once do not meet");
});

t.test("resolv.conf", async (t) => {
  const text =
    "# a\nsearch x\nnameserver 127.0.0.53\n nameserver\tfe80::1%eth0 \nnameserver 10.32.0.1\nnameserver nonsense\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n";
  const found = parseResolvConf(text, new Set(["10.32.0.1"])).map((s) => s.address);
  t.same(found, ["127.0.0.53", "fe80::1%eth0", "192.0.2.1"], "three, without our own");
  const dir = mkdtempSync(join(tmpdir(), "weft-dns-"));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const path = join(dir, randomUUID());
  let now = 0;
  const servers = serversOf(
    path,
    () => new Set(),
    () => now,
  );
  t.same(servers(), [], "no file: nobody");
  writeFileSync(path, "nameserver 192.0.2.7\n");
  t.same(servers(), [], "not looked at yet");
  now = 1000;
  t.same(servers(), [{ address: "192.0.2.7", port: 53 }]);
  writeFileSync(path, "nameserver 192.0.2.8\nnameserver 192.0.2.9\n");
  now = 2000;
  t.equal(servers().length, 2);
  const nowhere = serversOf(`${path}/below-a-file`, () => new Set());
  t.same(nowhere(), [], "nor where the path cannot be walked");
  const loops = `${path}.loop`;
  symlinkSync(loops, loops);
  const looped = serversOf(loops, () => new Set());
  t.same(looped(), [], "nor where the links lead in a circle");
  t.equal(
    resolvConfText("blue", ["10.32.0.1/16", "fd42::1/64"]),
    "search blue.weft.local weft.local\nnameserver 10.32.0.1\nnameserver fd42::1\n",
  );
});
