/**
 * One TCP transfer, as a program of its own so that it can run inside a namespace.
 *
 *   tcp.mjs receive ADDR PORT              prints `listening`, then one JSON line {bytes, sha256, seconds, gapMs}
 *   tcp.mjs send ADDR PORT BYTES [RATE [TEXT]]  the same line (gapMs 0) at its end; RATE limits to octets per second, and TEXT
 *                                          stands in every kilooctet of what is sent
 *
 * The octets are a pseudo-random megabyte over and over, each time with its number in front, so that a lost, doubled
 * or exchanged part changes the hash.
 */
import { createHash, randomBytes } from "node:crypto";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const BLOCK = 1 << 20;
const [mode, host, port, bytesWanted, rate, text] = process.argv.slice(2);
const hash = createHash("sha256");
let bytes = 0;
let started = 0n;
/** Longest time between two pieces that arrived. */
let gapMs = 0;
let lastMs = 0;

function report() {
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  console.log(JSON.stringify({ bytes, sha256: hash.digest("hex"), seconds, gapMs }));
}

if (mode === "receive") {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    started = process.hrtime.bigint();
    socket.on("data", (chunk) => {
      const now = performance.now();
      if (lastMs > 0) gapMs = Math.max(gapMs, now - lastMs);
      lastMs = now;
      hash.update(chunk);
      bytes += chunk.length;
    });
    socket.on("end", () => {
      socket.end();
      report();
      server.close();
    });
  });
  server.listen(Number(port), host, () => console.log("listening"));
} else {
  const total = Number(bytesWanted);
  const perSecond = Number(rate ?? 0);
  const block = randomBytes(BLOCK);
  for (let at = 0; text !== undefined && at < BLOCK; at += 1024) block.write(text, at + 512, "latin1");
  const socket = connect(Number(port), host);
  await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  started = process.hrtime.bigint();
  // The receiver closes after it has read our end: only then everything has arrived.
  const closed = new Promise((resolve, reject) => socket.once("close", resolve).once("error", reject));
  socket.resume();
  // Small pieces when the rate is limited: the stream shall never pause for long by itself.
  const piece = perSecond > 0 ? 16_384 : BLOCK;
  while (bytes < total) {
    const length = Math.min(piece, total - bytes);
    const part = Buffer.from(block.subarray(bytes % BLOCK, (bytes % BLOCK) + length));
    if (part.length >= 8) part.writeDoubleLE(bytes, 0);
    hash.update(part);
    bytes += part.length;
    if (!socket.write(part)) await new Promise((resolve) => socket.once("drain", resolve));
    if (perSecond > 0) {
      const dueMs = (bytes / perSecond) * 1000 - Number(process.hrtime.bigint() - started) / 1e6;
      if (dueMs > 2) await sleep(dueMs);
    }
  }
  socket.end();
  await closed;
  report();
}
