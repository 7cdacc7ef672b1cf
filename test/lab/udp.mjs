/**
 * Numbered UDP datagrams, as a program of its own so that it can run inside a namespace.
 *
 *   udp.mjs receive ADDR PORT                     prints `listening`; when standard input ends, a JSON line
 *                                                 {received, duplicates, reordered, damaged, bytes, seconds}
 *   udp.mjs send ADDR PORT COUNT SIZE RATE PORTS  sends COUNT datagrams of SIZE octets at RATE per second (0: as fast
 *                                                 as it goes) from PORTS sockets in turn; then {sent, seconds}
 *
 * A datagram is its number in four octets, and the number's last octet over and over: another content is damage.
 */
import { createSocket } from "node:dgram";
import { isIPv6 } from "node:net";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";

const [mode, host, port, ...rest] = process.argv.slice(2);
/** `length` times the same octet. Comparing with one that was made before is far faster than a look at each octet. */
const patterns = new Map();
function filled(length, octet) {
  const key = length * 256 + octet;
  let pattern = patterns.get(key);
  if (!pattern) {
    if (patterns.size > 4096) patterns.clear();
    pattern = Buffer.alloc(length, octet);
    patterns.set(key, pattern);
  }
  return pattern;
}
const type = isIPv6(host) ? "udp6" : "udp4";

if (mode === "receive") {
  const seen = new Set();
  const sum = { received: 0, duplicates: 0, reordered: 0, damaged: 0, bytes: 0, seconds: 0 };
  let last = -1;
  let first = 0n;
  let latest = 0n;
  const socket = createSocket({ type, recvBufferSize: 8 << 20 });
  socket.on("message", (message) => {
    latest = process.hrtime.bigint();
    first ||= latest;
    const number = message.readUInt32BE(0);
    if (seen.has(number)) sum.duplicates++;
    else sum.received++;
    if (number < last) sum.reordered++;
    if (!message.subarray(4).equals(filled(message.length - 4, number & 0xff))) sum.damaged++;
    seen.add(number);
    last = number;
    sum.bytes += message.length;
  });
  socket.bind(Number(port), host, () => console.log("listening"));
  process.stdin.resume().on("end", () => {
    sum.seconds = Number(latest - first) / 1e9;
    console.log(JSON.stringify(sum));
    process.exit(0);
  });
} else {
  const [count, size, rate, ports] = rest.map(Number);
  const sockets = [];
  for (let i = 0; i < ports; i++) {
    const socket = createSocket({ type });
    socket.connect(Number(port), host);
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    socket.on("error", () => {});
    sockets.push(socket);
  }
  const begin = process.hrtime.bigint();
  let sent = 0;
  let pending = 0;
  for (let i = 0; i < count; i++) {
    const message = Buffer.alloc(size, i & 0xff);
    message.writeUInt32BE(i, 0);
    pending++;
    sockets[i % ports].send(message, (error) => {
      pending--;
      if (!error) sent++;
    });
    if (rate > 0 && i % 16 === 15) {
      const dueMs = ((i + 1) / rate) * 1000 - Number(process.hrtime.bigint() - begin) / 1e6;
      if (dueMs >= 1) await sleep(dueMs);
    }
    if (pending >= 64) await turn();
  }
  while (pending > 0) await turn();
  const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
  for (const socket of sockets) socket.close();
  console.log(JSON.stringify({ sent, seconds }));
}
