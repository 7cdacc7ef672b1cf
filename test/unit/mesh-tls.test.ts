/** Control links over real TLS and TCP on loopback: who gets in, who does not and what it is told, and that nothing grows. */
import { randomBytes } from "node:crypto";
import { connect as connectTcp, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from "node:tls";
import t, { type Test } from "tap";
import { describe, WeftError } from "../../packages/control/dist/errors.js";
import { type Channel, MESSAGE_MAX } from "../../packages/control/dist/mesh/channel.js";
import { FRAME, FrameReader, frame } from "../../packages/control/dist/mesh/framing.js";
import { Gate } from "../../packages/control/dist/mesh/gate.js";
import { Identity, newNetworkId } from "../../packages/control/dist/mesh/identity.js";
import { joinNetwork } from "../../packages/control/dist/mesh/join.js";
import { EXPORTER_LABEL, encodeHello, encodeJoin } from "../../packages/control/dist/mesh/join-messages.js";
import { LinkKeys, tokenPsk } from "../../packages/control/dist/mesh/psk.js";
import { ControlLinks, type LinkCount, type LinkLimits } from "../../packages/control/dist/mesh/tls.js";
import { BACKLOG_MAX, readFrame } from "../../packages/control/dist/mesh/tls-channel.js";
import { ALPN, TLS_SETTINGS } from "../../packages/control/dist/mesh/tls-settings.js";
import { newToken, Token } from "../../packages/control/dist/mesh/token.js";
import { Members } from "../models/members.js";

const LOOPBACK = "127.0.0.1";
const NETWORK = newNetworkId();
const identityOf = (): Promise<Identity> => Identity.fromSeed(randomBytes(32));

interface Node {
  readonly identity: Identity;
  readonly members: Members;
  readonly links: ControlLinks;
  readonly where: string;
  /** Links that others have opened, oldest first. */
  readonly channels: Channel[];
}

async function node(t: Test, limits: Partial<LinkLimits> = {}, identity?: Identity): Promise<Node> {
  const self = identity ?? (await identityOf());
  const members = new Members(NETWORK);
  members.members.add(self.id);
  const links = await ControlLinks.start({
    identity: self,
    membership: members,
    listen: [{ address: LOOPBACK, port: 0 }],
    limits,
  });
  t.teardown(() => links.close());
  const channels: Channel[] = [];
  links.onChannel((channel) => channels.push(channel));
  return { identity: self, members, links, where: links.listening[0]!, channels };
}

async function two(t: Test, limits: Partial<LinkLimits> = {}): Promise<[Node, Node]> {
  const [a, b] = [await node(t, limits), await node(t, limits)];
  for (const { members } of [a, b]) for (const { identity } of [a, b]) members.members.add(identity.id);
  return [a, b];
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let i = 0; i < 300; i++) {
    if (holds()) return;
    await sleep(10);
  }
  throw new Error(`not within 3 s: ${what}`);
}

interface Inbox {
  readonly messages: Buffer[];
  why: string | undefined;
}
function inbox(channel: Channel): Inbox {
  const box: Inbox = { messages: [], why: undefined };
  channel.receive({
    message: (message) => box.messages.push(Buffer.from(message)),
    closed(why) {
      if (box.why !== undefined) throw new Error("closed twice");
      box.why = why;
    },
  });
  return box;
}

const counted = (of: Node): Partial<Record<LinkCount, number>> =>
  Object.fromEntries(Object.entries(of.links.counts).filter(([, count]) => count > 0));

const joinRequest = (identity: Identity, at: Node, token: Token, records: Uint8Array = Buffer.from("a record")) => ({
  token,
  addresses: [at.where],
  identity,
  name: "new",
  records,
  rounds: 1,
});

/** A TLS connection with a key of one's choice; rejects with the alert. */
function raw(at: Node, identity: string, psk: Buffer, settings: object = {}): Promise<TLSSocket> {
  const socket = connectTls({
    ...TLS_SETTINGS,
    host: LOOPBACK,
    port: portOf(at),
    ALPNProtocols: [ALPN],
    checkServerIdentity: () => undefined,
    pskCallback: () => ({ identity, psk }),
    ...settings,
  });
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.once("close", () => reject(new Error("closed")));
    socket.once("secureConnect", () => resolve(socket));
  });
}
const portOf = (at: Node): number => Number(at.where.split(":")[1]);

/** The same for each wrong token. */
const TOKEN_REFUSED = "token refused: unknown or wrong: run `weft token` on a member and give the one that it prints";

t.test("a newcomer with the token is admitted, and the same connection goes on as a link", async (t) => {
  const a = await node(t);
  const token = a.members.token(a.identity.id);
  a.members.welcome = randomBytes(5_000_000);
  const identity = await identityOf();
  const joined = await joinNetwork(joinRequest(identity, a, token, Buffer.from("signed")));
  t.equal(joined.by, a.identity.id);
  t.equal(joined.channel.node, a.identity.id);
  t.equal(joined.channel.isOutbound, true);
  t.equal(joined.channel.remote, a.where);
  t.same(joined.records, a.members.welcome);
  t.match(a.members.admitted, [{ id: identity.id, name: "new", records: Buffer.from("signed") }]);
  await until("the link is there", () => a.channels.length === 1);
  const [theirs] = a.channels as [Channel];
  t.equal(theirs.node, identity.id);
  t.equal(theirs.isOutbound, false);
  const [mine, other] = [inbox(joined.channel), inbox(theirs)];
  joined.channel.send(Buffer.from("hello"));
  theirs.send(Buffer.from("welcome"));
  await until("both have heard", () => mine.messages.length === 1 && other.messages.length === 1);
  t.same(mine.messages, [Buffer.from("welcome")]);
  t.same(other.messages, [Buffer.from("hello")]);
  t.same(counted(a), { accepted: 1 });
  t.same(a.links.open, { strangers: 0, links: 1 });
  joined.channel.close("done");
  await until("both are closed", () => mine.why !== undefined && other.why !== undefined);
  t.equal(mine.why, "done");
  t.equal(other.why, "the other end: done");
  await until("no socket is left", () => a.links.open.links === 0);
});

t.test("frames that come right behind the welcome are not lost", async (t) => {
  const a = await node(t);
  a.links.onChannel((channel) => {
    for (let i = 0; i < 100; i++) channel.send(Buffer.from(`message ${i}`));
    channel.receive({ message: () => undefined, closed: () => undefined });
  });
  const joined = await joinNetwork(joinRequest(await identityOf(), a, a.members.token(a.identity.id)));
  await sleep(50);
  const box = inbox(joined.channel);
  await until("all have come", () => box.messages.length === 100);
  t.same(
    box.messages,
    Array.from({ length: 100 }, (_, i) => Buffer.from(`message ${i}`)),
  );
  joined.channel.close("done");
});

t.test("a wrong secret, an unknown token and a retired one are refused alike", async (t) => {
  const a = await node(t);
  const token = a.members.token(a.identity.id);
  const retired = a.members.token(a.identity.id);
  a.members.secrets.set(retired.id, null);
  const wrong = new Token({ ...token, secret: randomBytes(32) });
  const messages: string[] = [];
  for (const bad of [wrong, newToken(NETWORK, a.identity.id), retired]) {
    await t.rejects(joinNetwork(joinRequest(await identityOf(), a, bad)), { code: "invalid_input" });
    const error = await joinNetwork(joinRequest(await identityOf(), a, bad)).catch((e: WeftError) => e as never);
    if (error instanceof WeftError) messages.push(error.message);
  }
  t.same(new Set(messages), new Set([`cannot join: ${a.where}: ${TOKEN_REFUSED}`]));
  t.same(a.members.admitted, []);
  t.same(counted(a), { refused_psk: 2, refused_identity: 4 });
  await until("nobody is left", () => a.links.open.strangers === 0);
});

t.test("from outside, whoever is refused sees one and the same alert", async (t) => {
  const [a, b] = await two(t);
  const token = a.members.token(a.identity.id);
  const stranger = await identityOf();
  const alerts = new Set<string>();
  for (const identity of [
    `join:${token.id}`,
    "join:0011223344556677",
    `node:${b.identity.id}`,
    `node:${stranger.id}`,
    "?",
    "x".repeat(128),
  ])
    await raw(a, identity, randomBytes(32)).catch((error: NodeJS.ErrnoException) =>
      alerts.add(error.code ?? error.message),
    );
  t.equal(alerts.size, 1, [...alerts].join(" "));
  t.same(counted(a), { refused_psk: 2, refused_identity: 4 });
});

t.test("members link with each other, both ways", async (t) => {
  const [a, b] = await two(t);
  const there = await a.links.dial(b.identity.id, [b.where]);
  const back = await b.links.dial(a.identity.id, [a.where]);
  await until("both are accepted", () => a.channels.length === 1 && b.channels.length === 1);
  t.match([there.node, back.node], [b.identity.id, a.identity.id]);
  t.match([b.channels[0]!.node, a.channels[0]!.node], [a.identity.id, b.identity.id]);
  const box = inbox(b.channels[0]!);
  there.send(Buffer.from("x"));
  await until("it has come", () => box.messages.length === 1);
  t.same(counted(a), { accepted: 1, dialled: 1 });
  t.same(a.links.open, { strangers: 0, links: 2 });
});

t.test("who is no member gets no link; the node itself neither", async (t) => {
  const [a, b] = await two(t);
  const c = await node(t);
  c.members.members.add(a.identity.id);
  await t.rejects(c.links.dial(a.identity.id, [a.where]), {
    code: "unavailable",
    message: `cannot open a control link to ${a.identity.id}: ${a.where}: link refused: it does not know this node, or is not the node that was meant`,
  });
  t.same(counted(a), { refused_identity: 1 });
  // Another member answers at the address.
  await t.rejects(b.links.dial(c.identity.id, [a.where]), /link refused/);
  await t.rejects(a.links.dial(a.identity.id, [a.where]), { code: "invalid_input" });
  await t.rejects(a.links.dial("no key", [a.where]), { code: "invalid_input" });
  await t.rejects(a.links.dial(b.identity.id, []), /has no address/);
  for (const bad of ["localhost:1", ":0", "127.0.0.1:0"])
    await t.rejects(a.links.dial(b.identity.id, [bad]), /is no address of a control port/);
});

t.test("a removed node is handed over, so that it can be told", async (t) => {
  const [a, b] = await two(t);
  a.members.members.delete(b.identity.id);
  a.members.removed.add(b.identity.id);
  const box = inbox(await b.links.dial(a.identity.id, [a.where]));
  await until("it is there", () => a.channels.length === 1);
  a.channels[0]!.send(Buffer.from("tombstone"));
  a.channels[0]!.close("you have been removed");
  await until("it knows", () => box.why !== undefined);
  t.same(box.messages, [Buffer.from("tombstone")]);
  t.equal(box.why, "the other end: you have been removed");
  t.same(counted(a), { accepted_removed: 1 });
});

t.test("a call that somebody connects back to its caller is refused (RFC 9257 §4.1)", async (t) => {
  const [a, b] = await two(t);
  const mirror = createServer((tcp) => {
    const back = connectTcp(portOf(a), LOOPBACK);
    for (const socket of [tcp, back]) socket.on("error", () => undefined);
    tcp.pipe(back).pipe(tcp);
  });
  await new Promise<void>((resolve) => mirror.listen(0, LOOPBACK, resolve));
  t.teardown(() => mirror.close());
  const where = `${LOOPBACK}:${(mirror.address() as { port: number }).port}`;
  await t.rejects(a.links.dial(b.identity.id, [where]), /link refused/);
  const token = a.members.token(a.identity.id);
  await t.rejects(a.links.connect([where], token, { name: "a", records: Buffer.from("r") }), /is this node itself/);
  t.same(a.members.admitted, []);
});

t.test("a node that was removed is told so when it comes with the token", async (t) => {
  const a = await node(t);
  const identity = await identityOf();
  a.members.removed.add(identity.id);
  const token = a.members.token(a.identity.id);
  await t.rejects(joinNetwork(joinRequest(identity, a, token)), {
    code: "invalid_input",
    message: `cannot join: ${a.where} refuses: this node has been removed from the network, for ever: clear its state directory, then it joins as a new one`,
  });
  a.members.refusal = new WeftError("conflict", "there is no room\u001b[2J for more");
  await t.rejects(joinNetwork(joinRequest(await identityOf(), a, token)), /refuses: there is no room \[2J for more$/);
  a.members.refusal = new Error("ENOSPC: secret path");
  await t.rejects(joinNetwork(joinRequest(await identityOf(), a, token)), /refuses: it cannot be done at present$/);
  t.same(counted(a), { refused_join: 3 });
  await until("nobody is left", () => a.links.open.strangers === 0);
});

t.test("a member may use the token to reach another one again; one of another network may not", async (t) => {
  const [a, b] = await two(t);
  const token = b.members.token(a.identity.id);
  const channel = await a.links.connect([b.where], token, { name: "a", records: Buffer.from("r") });
  await until("it is there", () => b.channels.length === 1);
  t.equal(channel.node, b.identity.id);
  t.equal(b.channels[0]!.node, a.identity.id);
  a.members.removed.add(b.identity.id);
  await t.rejects(
    a.links.connect([b.where], token, { name: "a", records: Buffer.from("r") }),
    /has been removed from the network/,
  );
  const foreign = newToken(newNetworkId(), a.identity.id);
  await t.rejects(
    a.links.connect([b.where], foreign, { name: "a", records: Buffer.from("r") }),
    /networks never merge/,
  );
});

t.test("joining says what is wrong with each host", async (t) => {
  const a = await node(t);
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, LOOPBACK, resolve));
  const http = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  await new Promise<void>((resolve) => http.listen(0, LOOPBACK, resolve));
  t.teardown(() => http.close());
  t.teardown(() => silent.close());
  const [port, closed] = [(silent.address() as { port: number }).port, (http.address() as { port: number }).port];
  const error = await joinNetwork({
    ...joinRequest(await identityOf(), a, newToken(NETWORK, a.identity.id)),
    addresses: [
      a.where,
      `127.0.0.1:${port}`,
      `127.0.0.1:${closed}`,
      "127.0.0.1:1",
      "no.such.name.invalid",
      "a b",
      "[::1",
      ":1",
      "h:0",
    ],
  }).catch((e: WeftError) => e);
  if (!(error instanceof WeftError)) throw new Error("it has joined");
  t.equal(error.code, "invalid_input");
  const text = describe(error);
  t.match(text, `${a.where}: ${TOKEN_REFUSED}`);
  t.match(text, `127.0.0.1:${port} does not answer within 2 s`);
  t.match(text, `127.0.0.1:${closed} is no weft`);
  t.match(text, "127.0.0.1:1: nobody listens there (connection refused)");
  t.match(text, "no.such.name.invalid: no address is known for this name");
  t.match(text, '"a b" is no host');
  t.equal(error.problems.length, 9);
});

t.test("joining tries again, and stops when it is told to", async (t) => {
  const identity = await identityOf();
  const first = await node(t);
  const token = first.members.token(first.identity.id);
  const port = portOf(first);
  await first.links.close();
  const request = { ...joinRequest(identity, first, token), rounds: 3, pauseMs: 300 };
  const joining = joinNetwork(request);
  await sleep(100);
  const again = await ControlLinks.start({
    identity: first.identity,
    membership: first.members,
    listen: [{ address: LOOPBACK, port }],
  });
  t.teardown(() => again.close());
  again.onChannel(() => undefined);
  (await joining).channel.close("done");
  await t.rejects(joinNetwork({ ...request, signal: AbortSignal.abort() }), /given up/);
});

t.test("a dial goes through the addresses, and ends in time", async (t) => {
  const [a, b] = await two(t);
  const slow = await node(t, { dialEachMs: 400, dialAllMs: 1000 }, a.identity);
  const silent = createServer((socket) => socket.on("error", () => undefined));
  await new Promise<void>((resolve) => silent.listen(0, LOOPBACK, resolve));
  t.teardown(() => silent.close());
  const nowhere = `${LOOPBACK}:${(silent.address() as { port: number }).port}`;
  const channel = await slow.links.dial(b.identity.id, ["127.0.0.1:1", nowhere, b.where]);
  t.equal(channel.remote, b.where);
  const error = await slow.links
    .dial(b.identity.id, [nowhere, nowhere, nowhere, nowhere, nowhere])
    .catch((e: WeftError) => e);
  t.ok("problems" in error && error.problems.length === 3, "the fourth address had no time left");
  // Closing ends what is under way.
  const under = slow.links.dial(b.identity.id, [nowhere]);
  await slow.links.close();
  await t.rejects(under, /given up/);
});

t.test("messages come in order and whole, of every length", async (t) => {
  const [a, b] = await two(t);
  const channel = await a.links.dial(b.identity.id, [b.where]);
  await until("it is there", () => b.channels.length === 1);
  const sent = [1, 2, 5, 4095, 65_535, MESSAGE_MAX, 1, 30_000].map((length) => randomBytes(length));
  for (const message of sent) channel.send(message);
  t.ok(channel.backlog > 0);
  const box = inbox(b.channels[0]!);
  t.throws(() => b.channels[0]!.receive({ message: () => undefined, closed: () => undefined }));
  await until("all have come", () => box.messages.length === sent.length);
  t.same(box.messages, sent);
  await until("the backlog is empty", () => channel.backlog === 0);
  t.throws(() => channel.send(Buffer.alloc(0)), RangeError);
  t.throws(() => channel.send(Buffer.alloc(MESSAGE_MAX + 1)), RangeError);
  channel.close("enough");
  channel.send(Buffer.from("late"));
  channel.close("again");
  await until("it is closed", () => box.why !== undefined);
  t.equal(box.why, "the other end: enough");
  t.equal(box.messages.length, sent.length);
});

t.test("a receiver that sets itself up late hears that the link has ended", async (t) => {
  const [a, b] = await two(t);
  const channel = await a.links.dial(b.identity.id, [b.where]);
  await until("it is there", () => b.channels.length === 1);
  channel.send(Buffer.from("last words"));
  channel.close("bye");
  await sleep(50);
  const [late, own] = [inbox(b.channels[0]!), inbox(channel)];
  await until("both know", () => late.why !== undefined && own.why !== undefined);
  t.same(late.messages, [Buffer.from("last words")]);
  t.equal(late.why, "the other end: bye");
  t.equal(own.why, "bye");
});

t.test("what is too long, of no type or out of place ends the link", async (t) => {
  const [a, b] = await two(t);
  const psk = new LinkKeys(b.identity, NETWORK).with(a.identity.id)!;
  const oversize = Buffer.from([0, 1, 0, 1, FRAME.MESSAGE, 0]);
  const cases: [string, Buffer, LinkCount, RegExp][] = [
    ["too long", oversize, "oversize", /65537 octets, 65536 are allowed/],
    ["4 GiB", Buffer.from([255, 255, 255, 255, FRAME.MESSAGE]), "oversize", /4294967295 octets/],
    ["no type", frame(99, Buffer.alloc(1)), "malformed", /type 99, which is none/],
    ["type 0", frame(0, Buffer.alloc(0)), "malformed", /type 0, which is none/],
    ["a join", frame(FRAME.JOIN, Buffer.alloc(100)), "malformed", /type 2 out of place/],
    ["an empty message", frame(FRAME.MESSAGE, Buffer.alloc(0)), "malformed", /type 6 out of place/],
  ];
  for (const [what, octets, count, why] of cases) {
    const before = a.links.counts[count];
    const socket = await raw(a, `node:${b.identity.id}`, psk);
    await until(what, () => a.channels.length === 1);
    const box = inbox(a.channels.pop()!);
    socket.write(octets);
    const last = await readFrame(socket, new FrameReader());
    t.equal(last.type, FRAME.CLOSE, what);
    t.match(last.body.toString(), why);
    await until(what, () => box.why !== undefined);
    t.match(box.why, why);
    t.equal(a.links.counts[count], before + 1, what);
    await until("the socket is gone", () => a.links.open.links === 0);
  }
});

t.test("in a join, what is out of place, too long or unsigned is refused", async (t) => {
  const a = await node(t);
  const token = a.members.token(a.identity.id);
  const psk = tokenPsk(NETWORK, token.secret);
  const identity = await identityOf();
  const own = { name: "n", records: Buffer.from("r") };
  const make = (exporter: Buffer): Record<string, Buffer> => ({
    "for another connection": encodeJoin(identity, NETWORK, randomBytes(32), own),
    "of another network": encodeJoin(identity, newNetworkId(), exporter, own),
    "a hello back": encodeHello(identity, NETWORK, exporter),
    "of the node itself": encodeJoin(a.identity, NETWORK, exporter, own),
    empty: Buffer.alloc(0),
  });
  for (const what of Object.keys(make(Buffer.alloc(32)))) {
    const socket = await raw(a, `join:${token.id}`, psk);
    const reader = new FrameReader();
    t.equal((await readFrame(socket, reader)).type, FRAME.HELLO);
    const exporter = socket.exportKeyingMaterial(32, EXPORTER_LABEL, Buffer.alloc(0));
    socket.write(frame(FRAME.JOIN, make(exporter)[what]!));
    t.equal((await readFrame(socket, reader)).type, FRAME.REFUSED, what);
    socket.destroy();
  }
  for (const octets of [frame(FRAME.MESSAGE, Buffer.from("x")), Buffer.from([0, 1, 0, 1, FRAME.JOIN])]) {
    const socket = await raw(a, `join:${token.id}`, psk);
    socket.on("error", () => undefined);
    socket.write(octets);
    await new Promise((resolve) => socket.once("close", resolve).resume());
  }
  t.same(counted(a), { refused_join: 5, malformed: 1, oversize: 1 });
  t.same(a.members.admitted, []);
  await until("nobody is left", () => a.links.open.strangers === 0);
});

t.test("old TLS, another protocol version and plain text are refused", async (t) => {
  const a = await node(t);
  const token = a.members.token(a.identity.id);
  const psk = tokenPsk(NETWORK, token.secret);
  const identity = `join:${token.id}`;
  await t.rejects(
    raw(a, identity, psk, { minVersion: "TLSv1.2", maxVersion: "TLSv1.2", ciphers: "PSK" }),
    /protocol version/,
  );
  await t.rejects(raw(a, identity, psk, { ALPNProtocols: ["weft/9"] }), /no application protocol/);
  await t.rejects(raw(a, identity, psk, { ecdhCurve: "P-256" }), /handshake failure/);
  // Without ALPN, TLS itself has nothing against it.
  const mute = await raw(a, identity, psk, { ALPNProtocols: [] });
  await new Promise((resolve) => mute.once("close", resolve).resume());
  const plain = connectTcp(portOf(a), LOOPBACK);
  plain.on("error", () => undefined);
  plain.write("GET / HTTP/1.1\r\n\r\n");
  await new Promise((resolve) => plain.once("close", resolve).resume());
  await until("nobody is left", () => a.links.open.strangers === 0);
  t.equal(a.links.counts.refused_version, 5);
  t.same(a.channels, []);
});

t.test("no session can be resumed", async (t) => {
  const [a, b] = await two(t);
  const psk = new LinkKeys(b.identity, NETWORK).with(a.identity.id)!;
  const socket = await raw(a, `node:${b.identity.id}`, psk);
  const session = socket.getSession();
  await until("it is there", () => a.channels.length === 1);
  inbox(a.channels[0]!);
  socket.destroy();
  a.members.members.delete(b.identity.id);
  await t.rejects(raw(a, `node:${b.identity.id}`, psk, { session }));
  await t.rejects(raw(a, "", Buffer.alloc(0), { session, pskCallback: undefined }));
  await until("it is gone", () => a.links.open.links === 0);
  t.equal(a.links.counts.accepted, 1);
});

t.test("a server that does not know the key gets nothing but a name", async (t) => {
  const [a, b] = await two(t);
  const asked: string[] = [];
  const server = createTlsServer({
    ...TLS_SETTINGS,
    ALPNProtocols: [ALPN],
    pskCallback: (_, identity) => {
      asked.push(identity);
      return null;
    },
  });
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  t.teardown(() => server.close());
  const where = `${LOOPBACK}:${(server.address() as { port: number }).port}`;
  await t.rejects(a.links.dial(b.identity.id, [where]), /link refused/);
  t.same(asked, [`node:${a.identity.id}`]);
});

t.test("who is slow to authenticate is cut off, in TLS and in the join", async (t) => {
  const a = await node(t, { handshakeMs: 200 });
  const token = a.members.token(a.identity.id);
  const silent = connectTcp(portOf(a), LOOPBACK);
  const dripping = connectTcp(portOf(a), LOOPBACK);
  // Octet by octet what begins like a ClientHello.
  const start = [22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];
  const drip = setInterval(() => dripping.write(Buffer.from([start.shift() ?? 0])), 20);
  t.teardown(() => clearInterval(drip));
  const joining = await raw(a, `join:${token.id}`, tokenPsk(NETWORK, token.secret));
  joining.write(Buffer.from([0, 0, 1]));
  t.equal(a.links.open.strangers, 3);
  await Promise.all(
    [silent, dripping, joining].map((socket) => {
      socket.on("error", () => undefined);
      return new Promise((resolve) => socket.once("close", resolve).resume());
    }),
  );
  clearInterval(drip);
  await until("nobody is left", () => a.links.open.strangers === 0 && a.links.open.links === 0);
  t.same(counted(a), { handshake_timeout: 3 });
});

t.test("a flood of connections from one address leaves room for the others", async (t) => {
  const [a, b] = await two(t, { handshakeMs: 1000 });
  const flood: Socket[] = [];
  let closed = 0;
  for (let i = 0; i < 300; i++) {
    const socket = connectTcp({ port: portOf(a), host: LOOPBACK, localAddress: "127.0.0.9" });
    socket
      .on("error", () => undefined)
      .on("close", () => closed++)
      .resume();
    flood.push(socket);
  }
  await until("the rest is closed", () => closed === 292);
  t.equal(a.links.open.strangers, 8);
  const channel = await b.links.dial(a.identity.id, [a.where]);
  await until("a member gets in meanwhile", () => a.channels.length === 1);
  inbox(a.channels[0]!);
  channel.close("done");
  await until("all are gone", () => closed === 300);
  t.same(counted(a), { accepted: 1, too_many: 292, handshake_timeout: 8 });
  await until("nobody is left", () => a.links.open.strangers === 0 && a.links.open.links === 0);
});

t.test("one node has at most four links to another", async (t) => {
  const [a, b] = await two(t);
  const boxes: Inbox[] = [];
  for (let i = 0; i < 6; i++) boxes.push(inbox(await b.links.dial(a.identity.id, [a.where])));
  await until("two are closed", () => boxes.filter(({ why }) => why !== undefined).length === 2);
  t.equal(a.channels.length, 4);
  t.match(boxes.find(({ why }) => why !== undefined)?.why, /too many links/);
  for (const channel of a.channels.splice(0)) channel.close("make room");
  await until("they are gone", () => a.links.open.links === 0);
  await b.links.dial(a.identity.id, [a.where]);
  await until("there is room again", () => a.channels.length === 1);
});

t.test("a link whose other end does not read is ended, with little kept for it", async (t) => {
  const [a, b] = await two(t);
  const psk = new LinkKeys(b.identity, NETWORK).with(a.identity.id)!;
  const socket = await raw(a, `node:${b.identity.id}`, psk);
  socket.pause();
  await until("it is there", () => a.channels.length === 1);
  const channel = a.channels[0]!;
  const box = inbox(channel);
  const message = Buffer.alloc(MESSAGE_MAX);
  let greatest = 0;
  for (let i = 0; i < 2000 && box.why === undefined; i++) {
    channel.send(message);
    greatest = Math.max(greatest, channel.backlog);
    if (i % 50 === 0) await sleep(1);
  }
  t.match(box.why, /^too slow/);
  t.ok(greatest <= BACKLOG_MAX + MESSAGE_MAX, `${greatest}`);
  t.equal(a.links.counts.too_slow, 1);
  await until("it is gone", () => a.links.open.links === 0);
  socket.on("error", () => undefined).destroy();
});

t.test("a connection that is torn says so at both ends", async (t) => {
  const [a, b] = await two(t);
  const psk = new LinkKeys(b.identity, NETWORK).with(a.identity.id)!;
  const socket = await raw(a, `node:${b.identity.id}`, psk);
  await until("it is there", () => a.channels.length === 1);
  const box = inbox(a.channels[0]!);
  socket.destroy();
  await until("it knows", () => box.why !== undefined);
  t.equal(box.why, "the other end closed the connection");
});

t.test("a port that is taken, and an address of somebody else, are named", async (t) => {
  const a = await node(t);
  const options = { identity: a.identity, membership: a.members };
  const listen = [
    { address: LOOPBACK, port: 0 },
    { address: LOOPBACK, port: portOf(a) },
  ];
  await t.rejects(ControlLinks.start({ ...options, listen }), {
    code: "already_running",
    message: new RegExp(`${a.where} is taken`),
  });
  await t.rejects(ControlLinks.start({ ...options, listen: [{ address: "203.0.113.1", port: 0 }] }), {
    code: "conflict",
    message: /this machine has no such address/,
  });
});

t.test("strangers: limits hold in all, from one source and in time", async (t) => {
  const gate = new Gate({ strangersMax: 5, strangersPerSource: 2, perSecond: 8, perSecondPerSource: 4 }, 0);
  t.same(
    [1, 2, 3].map(() => gate.enter("192.0.2.1", 0)),
    [true, true, false],
    "two from one address",
  );
  t.same(
    ["2001:db8::1", "2001:db8::2", "2001:db8::3"].map((a) => gate.enter(a, 0)),
    [true, true, false],
    "a /64 is one source",
  );
  t.equal(gate.enter("2001:db8:0:1::1", 0), true);
  t.equal(gate.enter("192.0.2.2", 0), false, "five in all");
  t.equal(gate.waiting, 5);
  gate.leave("::ffff:192.0.2.1");
  t.equal(gate.enter("192.0.2.1", 0), true, "the same address in IPv6 dress");
  gate.leave("192.0.2.1");
  gate.leave("192.0.2.1");
  t.same([gate.enter("192.0.2.1", 0), gate.waiting], [true, 4]);
  gate.leave("192.0.2.1");
  t.equal(gate.enter("192.0.2.1", 0), false, "four a second");
  t.equal(gate.enter("192.0.2.1", 250), true, "and one a quarter of a second later");
  gate.leave("192.0.2.1");
  for (let i = 0; i < 5000; i++)
    if (gate.enter(`198.51.${i >> 8}.${i & 255}`, i)) gate.leave(`198.51.${i >> 8}.${i & 255}`);
  t.ok(gate.sources <= 1024);
  t.equal(gate.waiting, 3);
  for (const address of ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]) gate.leave(address);
  t.equal(gate.waiting, 0);
});
