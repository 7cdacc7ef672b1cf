/**
 * One TCP transfer of the demo, as a program of its own so that it can run inside a container's namespace.
 *
 *   transfer.js receive ADDR PORT        prints `listening`, then {bytes, sha256, seconds}
 *   transfer.js send ADDR PORT BYTES     prints {bytes, sha256, seconds}
 *
 * The octets are random and each megabyte differs, so that equal hashes mean equal streams.
 */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

const BLOCK_BYTES = 1 << 20;

const [mode, address, port, total] = process.argv.slice(2);
if (mode === "receive") receive(address ?? "", Number(port));
else await send(address ?? "", Number(port), Number(total));

function receive(host: string, port: number): void {
  const hash = createHash("sha256");
  let bytes = 0;
  const server = createServer({ allowHalfOpen: true }, (socket: Socket) => {
    const started = performance.now();
    socket.on("data", (chunk) => {
      hash.update(chunk);
      bytes += chunk.length;
    });
    socket.on("end", () => {
      socket.end();
      server.close();
      print(bytes, hash.digest("hex"), started);
    });
  });
  server.listen(port, host, () => console.log("listening"));
}

async function send(host: string, port: number, total: number): Promise<void> {
  const socket = connect(port, host);
  await once(socket, "connect");
  const started = performance.now();
  const hash = createHash("sha256");
  const block = randomBytes(BLOCK_BYTES);
  // The receiver closes after it has read our end: only then everything has arrived.
  const closed = once(socket, "close");
  socket.resume();
  for (let sent = 0; sent < total; sent += BLOCK_BYTES) {
    const part = Buffer.from(block.subarray(0, Math.min(BLOCK_BYTES, total - sent)));
    part.writeUIntBE(sent, 0, 6);
    hash.update(part);
    if (!socket.write(part)) await once(socket, "drain");
  }
  socket.end();
  await closed;
  print(total, hash.digest("hex"), started);
}

function print(bytes: number, sha256: string, started: number): void {
  console.log(JSON.stringify({ bytes, sha256, seconds: (performance.now() - started) / 1000 }));
}
