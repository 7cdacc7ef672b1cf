/**
 * A node that knows the protocol and does not keep to it: `node stranger.mjs TOKEN HOST`, then one line on standard input for each thing
 * to do. Answers each with one line of JSON. It uses the product's own modules for everything that is right about it.
 */
import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { FRAME, frame } from "../../packages/control/dist/mesh/framing.js";
import { Identity } from "../../packages/control/dist/mesh/identity.js";
import { joinNetwork } from "../../packages/control/dist/mesh/join.js";
import { tokenPsk } from "../../packages/control/dist/mesh/psk.js";
import { encodeBody, signedOctets } from "../../packages/control/dist/mesh/record.js";
import { openTls } from "../../packages/control/dist/mesh/tls-dial.js";
import { parseToken } from "../../packages/control/dist/mesh/token.js";
import {
  decodeRuns,
  encodeHello,
  encodePing,
  encodeRecords,
  encodeRuns,
} from "../../packages/control/dist/mesh/wire.js";

const token = parseToken(process.argv[2]);
const host = process.argv[3];
const network = Buffer.from(token.networkId, "hex");
const self = await Identity.fromSeed(randomBytes(32));
const nobody = await Identity.fromSeed(randomBytes(32));
let version = 0;
/** What the first join has brought: it gets older. */
let first;

/** One record as it goes over a link. `version` may be any. */
function record(name, value, { writer = self, signer = writer, at = ++version } = {}) {
  const body = encodeBody(name, at, 0, value);
  const octets = Buffer.concat([body, signer.sign(signedOctets(network, Buffer.from(writer.id, "base64url"), body))]);
  return { node: writer.id, octets };
}

const introduction = Buffer.concat([
  ...encodeRuns(
    [
      record("node", {
        ...{ name: "stranger", wireguard: randomBytes(32).toString("base64"), control: [], endpoints: [] },
        ...{ underlayMtu: 1500, version: "0", capabilities: [], startedAt: 0 },
      }),
    ],
    60_000,
  ),
]);

/** A link like anybody's. */
async function join() {
  const joined = await joinNetwork({
    ...{ token, addresses: [host], identity: self, name: "stranger", records: introduction },
  });
  first ??= decodeRuns(joined.records, 0);
  return joined;
}

/** Joins, sends, and waits for what comes of it. */
async function tell(messagesFor, waitMs = 700) {
  const { channel, by } = await join();
  const ended = new Promise((resolve) => {
    channel.receive({ message: () => undefined, closed: resolve });
    setTimeout(() => resolve(null), waitMs);
  });
  channel.send(encodeHello(network));
  for (const message of messagesFor(by)) channel.send(message);
  const why = await ended;
  channel.close("done");
  return { closed: why };
}

/** A network of ours as it is now: any member may say so, as often as it signs it. */
const ownNetwork = (clock) => ({
  ...{ clock, deleted: false, vni: 777, cidr4: "10.77.0.0/24", cidr6: null, mtu: null, vteps: [] },
  ...{ founder: self.id, createdAt: 0 },
});

const dns = (ips = ["10.32.66.66"]) => ({ ips, srv: [] });
const founder = { id: token.founder };

/** Raw octets inside a link that the token has opened. */
async function raw(octets) {
  const [address, port = "6783"] = host.split(":");
  const socket = await openTls(
    { address, port: Number(port) },
    { identity: { kind: "join", token: token.id }, psk: tokenPsk(token.networkId, token.secret) },
    { timeoutMs: 3000, refused: () => "refused" },
  );
  const ended = new Promise((resolve) => {
    socket.once("close", () => resolve("closed"));
    setTimeout(() => resolve(null), 2000);
  });
  socket.on("error", () => undefined).resume();
  socket.write(octets);
  const why = await ended;
  socket.destroy();
  return { closed: why };
}

const DOES = {
  join: () => tell(() => []),
  /** Our own record, signed by another key. */
  "forged own": () => tell(() => encodeRecords([record("dns:forged-own", dns(), { signer: nobody })], true)),
  /** What another node has never said. */
  "forged other": () =>
    tell(() =>
      encodeRecords([record("dns:forged-other", dns(), { writer: founder, signer: self, at: 1_000_000 })], true),
    ),
  "forged tombstone": () =>
    tell((by) => {
      const writer = { id: by };
      return encodeRecords(
        [record(`removed:${founder.id}`, { at: 0, upTo: 0 }, { writer, signer: self, at: 1_000_000 })],
        true,
      );
    }),
  /** Properly signed, by a node that nobody has let in. */
  unknown: () => tell(() => encodeRecords([record("dns:unknown", dns(), { writer: nobody, at: 1 })], true)),
  /** Everything that there was at the first join, of all nodes. */
  replay: () => tell(() => encodeRecords(first, true)),
  "wrong schema": () =>
    tell(() =>
      encodeRecords(
        [
          record("dns:wrong-schema", { ips: "10.32.66.66", srv: [] }),
          record("container:x", { name: 7 }),
          record("secret:wrong-schema", dns()),
          record("member:not-a-node", { name: "x", at: 0 }),
        ],
        true,
      ),
    ),
  /** Far more than a node may say. */
  heap: () =>
    tell(() => {
      const ips = Array.from({ length: 32 }, () => "fd00:1111:2222:3333:4444:5555:6666:7777");
      const srv = Array.from({ length: 32 }, () => ({ port: 1, target: "x".repeat(250), priority: 0, weight: 0 }));
      const records = Array.from({ length: 300 }, (_, i) => record(`dns:heap-${i}`, { ips, srv }));
      return encodeRecords(records, true);
    }, 3000),
  /** The same network over and over, 100 times a second until 500 are sent: how many were while the link stood. */
  "networks, networks": async () => {
    const { channel } = await join();
    let why = null;
    channel.receive({
      message: () => undefined,
      closed: (reason) => {
        why = reason;
      },
    });
    channel.send(encodeHello(network));
    const begun = performance.now();
    let sent = 0;
    for (; why === null && sent < 500; sent++) {
      for (const message of encodeRecords([record("network:x", ownNetwork(sent + 1))], true)) channel.send(message);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const tookMs = performance.now() - begun;
    channel.close("done");
    return { closed: why, sent, tookMs };
  },
  flood: () => tell(() => Array.from({ length: 8000 }, (_, i) => encodePing("ping", i)), 3000),
  garbage: () => tell(() => [randomBytes(5000).fill(0xff, 0, 1)]),
  oversize: () => {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(0x7fffffff, 0);
    head.writeUInt8(FRAME.JOIN, 4);
    return raw(head);
  },
  "out of place": () => raw(frame(FRAME.MESSAGE, Buffer.alloc(100))),
  /** Many connections that say nothing, or one octet now and then: how many are still open, and how many stood at most. */
  loris: async () => {
    const [address, port = "6783"] = host.split(":");
    let open = 0;
    let most = 0;
    const sockets = Array.from({ length: 60 }, (_, i) => {
      const socket = connect(Number(port), address, () => {
        most = Math.max(most, ++open);
        const timer = setInterval(() => socket.write(Buffer.from([0x16])), 500);
        socket.once("close", () => {
          clearInterval(timer);
          open--;
        });
        if (i % 2 === 0) clearInterval(timer);
      });
      return socket.on("error", () => undefined).resume();
    });
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const afterOne = open;
    await new Promise((resolve) => setTimeout(resolve, 5500));
    const left = open;
    for (const socket of sockets) socket.destroy();
    return { most, afterOne, left };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  try {
    process.stdout.write(`${JSON.stringify({ did: line, id: self.id, ...(await DOES[line]()) })}\n`);
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ did: line, error: error.message })}\n`);
  }
}
process.exit(0);
