/**
 * One end of a WireGuard tunnel made of our handshake and a few lines: enough to be judged by another WireGuard. Run inside
 * a namespace with one argument, JSON: see NoisePeer. Prints one JSON object per line.
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";

const ask = JSON.parse(process.argv[2]);
const noise = async (name) => import(new URL(`${name}.js`, ask.noise).href);
const { initiate, readInitiation, readResponse, respond } = await noise("handshake");
const { isMac1Right, mac1Key, writeMacs } = await noise("macs");
const { typeOf } = await noise("messages");
const { keyPair } = await noise("primitives");

const own = keyPair(Buffer.from(ask.privateKey, "base64"));
const remote = { public: Buffer.from(ask.publicKey, "base64"), preshared: Buffer.from(ask.preshared, "base64") };
const INDEX = 0x0badcafe;
const say = (line) => console.log(JSON.stringify(line));

const nonceOf = (counter) => {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64LE(counter, 4);
  return nonce;
};
function seal(session, packet) {
  const plain = Buffer.concat([packet, Buffer.alloc((16 - (packet.length % 16)) % 16)]);
  const cipher = createCipheriv("chacha20-poly1305", session.keys.send, nonceOf(session.sent), { authTagLength: 16 });
  const head = Buffer.alloc(16);
  head.writeUInt32LE(4, 0);
  head.writeUInt32LE(session.index, 4);
  head.writeBigUInt64LE(session.sent++, 8);
  return Buffer.concat([head, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}
function open(session, datagram) {
  const counter = datagram.readBigUInt64LE(8);
  const cipher = createDecipheriv("chacha20-poly1305", session.keys.receive, nonceOf(counter), { authTagLength: 16 });
  cipher.setAuthTag(datagram.subarray(-16));
  return Buffer.concat([cipher.update(datagram.subarray(16, -16)), cipher.final()]);
}

const octets = (address) => Buffer.from(address.split(".").map(Number));
function sum(data) {
  let total = 0;
  for (let i = 0; i < data.length; i += 2) total += data.readUInt16BE(i);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return ~total & 0xffff;
}
/** An ICMP echo message in an IPv4 packet. */
function echo(type, from, to, rest) {
  const icmp = Buffer.concat([Buffer.of(type, 0, 0, 0), rest]);
  icmp.writeUInt16BE(sum(icmp.length % 2 ? Buffer.concat([icmp, Buffer.alloc(1)]) : icmp), 2);
  const ip = Buffer.concat([Buffer.of(0x45, 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0), from, to]);
  ip.writeUInt16BE(ip.length + icmp.length, 2);
  ip.writeUInt16BE(sum(ip), 10);
  return Buffer.concat([ip, icmp]);
}

/** TAI64N of now: 2^62 + 10 s before the Unix epoch, seconds and nanoseconds. */
function timestamp() {
  const out = Buffer.alloc(12);
  const now = Date.now();
  out.writeBigUInt64BE(0x400000000000000an + BigInt(Math.floor(now / 1000)), 0);
  out.writeUInt32BE((now % 1000) * 1e6, 8);
  return out;
}

const socket = createSocket("udp4");
let pending;
let session;
socket.on("message", (datagram, from) => {
  const send = (message) => socket.send(message, from.port, from.address);
  const type = typeOf(datagram);
  if (type === "initiation") {
    if (!isMac1Right(datagram, mac1Key(own.public))) return say({ bad: "mac1" });
    const initiation = readInitiation(own, datagram);
    if (!initiation?.public.equals(remote.public)) return say({ bad: "initiation" });
    const answer = respond(remote, initiation, keyPair(randomBytes(32)), INDEX);
    writeMacs(answer.message, mac1Key(remote.public), undefined);
    session = { keys: answer.keys, index: initiation.sender, sent: 0n };
    send(answer.message);
    say({ answered: true });
  } else if (type === "response" && pending) {
    const keys = readResponse(own, remote, pending, datagram);
    if (!keys) return say({ bad: "response" });
    session = { keys, index: datagram.readUInt32LE(4), sent: 0n };
    say({ session: true });
    send(seal(session, echo(8, octets(ask.address), octets(ask.far), Buffer.from("0001000177656674", "hex"))));
  } else if (datagram.readUInt32LE(0) === 4 && session && datagram.readUInt32LE(4) === INDEX) {
    const packet = open(session, datagram);
    if (packet.length === 0) return say({ keepalive: true });
    if (packet[0] >> 4 !== 4 || packet[9] !== 1) return;
    const icmp = packet.subarray(20, packet.readUInt16BE(2));
    say({ icmp: icmp[0], length: packet.readUInt16BE(2) });
    if (icmp[0] === 8) send(seal(session, echo(0, packet.subarray(16, 20), packet.subarray(12, 16), icmp.subarray(4))));
  }
});
socket.bind(ask.port, () => {
  say({ listening: true });
  if (!ask.endpoint) return;
  const first = initiate(own, remote, keyPair(randomBytes(32)), INDEX, timestamp());
  pending = first.pending;
  writeMacs(first.message, mac1Key(remote.public), undefined);
  socket.send(first.message, ask.port, ask.endpoint);
});
