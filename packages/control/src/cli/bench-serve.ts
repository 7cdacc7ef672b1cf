/** `weft bench serve`: the side that waits. */
import { randomBytes } from "node:crypto";
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { codeOf, WeftError } from "../errors.js";
import { formatEndpoint } from "./bench-endpoint.js";
import {
  COUNT,
  countStream,
  DATAGRAM_MIN,
  ECHO,
  nextLine,
  readOrder,
  SECONDS_MAX,
  sendLine,
  sendStream,
  TOKEN,
} from "./bench-wire.js";

/** Connections at once. */
const CONNECTIONS_MAX = 64;
/** How long a connection may be silent beyond its test. */
const IDLE_MS = (SECONDS_MAX + 15) * 1000;
const RECEIVE_BUFFER = 4 << 20;

export interface BenchServer {
  /** Address and port it listens on, TCP and UDP. */
  readonly at: AddressInfo;
  close(): Promise<void>;
}

/**
 * Listens on TCP and UDP.
 * @param say told of each test, one line
 * @throws a system error (`code`) when the port is taken
 */
export async function startBenchServer(
  { address, port }: { readonly address: string; readonly port: number },
  say: (line: string) => void,
): Promise<BenchServer> {
  /** Datagrams counted, by token of an open connection. */
  const counts = new Map<string, number>();
  const open = new Set<Socket>();
  const server: Server = createServer((socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    socket.setNoDelay(true).setTimeout(IDLE_MS, () => socket.destroy());
    socket.on("error", () => socket.destroy());
    const peer = peerOf(socket);
    serve(socket, peer, counts)
      .then(say, (error: Error) => say(`${peer}: ${error.message}`))
      .finally(() => socket.destroy());
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.listen(port, address);
  await once(server, "listening");
  const at = server.address() as AddressInfo;
  const udp = createSocket({ type: at.family === "IPv6" ? "udp6" : "udp4" });
  udp.on("message", (message, from) => {
    const token = message.toString("latin1", 0, TOKEN);
    const count = counts.get(token);
    if (count === undefined || message.length < DATAGRAM_MIN) return;
    const kind = message.readUInt32BE(TOKEN);
    if (kind === ECHO) udp.send(message, from.port, from.address, () => undefined);
    else if (kind === COUNT) counts.set(token, count + 1);
  });
  await bound(udp, at).catch((error: unknown) => {
    server.close();
    throw error;
  });
  udp.on("error", () => undefined);
  try {
    udp.setRecvBufferSize(RECEIVE_BUFFER);
  } catch {
    // The system's own size must do.
  }
  return {
    at,
    async close() {
      udp.close();
      const closed = once(server, "close");
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

async function bound(udp: UdpSocket, at: AddressInfo): Promise<void> {
  udp.bind(at.port, at.address);
  await once(udp, "listening");
}

const peerOf = (socket: Socket): string =>
  formatEndpoint({ address: socket.remoteAddress ?? "somebody", port: socket.remotePort ?? 0 });

/** One test. Resolves to what is said of it. */
async function serve(socket: Socket, peer: string, counts: Map<string, number>): Promise<string> {
  const order = readOrder(await nextLine(socket));
  if (!order) throw new Error("asked for something else: is it `weft bench to`?");
  const { test, seconds } = order;
  if (test === "receive") {
    await sendStream(socket, seconds);
    return `${peer}: sent a TCP stream`;
  }
  if (test === "send") {
    const counted = await countStream(socket, seconds);
    sendLine(socket, counted);
    // What still arrives is thrown away until the client has read the line and closes.
    socket.resume();
    await once(socket, "close");
    return `${peer}: received ${((counted.octets * 8) / counted.seconds / 1e9).toFixed(2)} Gbit/s over TCP`;
  }
  const token = randomBytes(TOKEN).toString("latin1");
  counts.set(token, 0);
  try {
    sendLine(socket, { token: Buffer.from(token, "latin1").toString("hex") });
    if ((await nextLine(socket)) !== "end") throw new Error("asked for something else: is it `weft bench to`?");
    const received = counts.get(token) ?? 0;
    sendLine(socket, { received });
    await once(socket.resume(), "close");
    return `${peer}: ${received} datagrams counted`;
  } finally {
    counts.delete(token);
  }
}

/** The command: serves until SIGINT or SIGTERM. */
export async function benchServe(where: { readonly address: string; readonly port: number }): Promise<number> {
  const say = (line: string): void => console.log(line);
  const server = await startBenchServer(where, say).catch((error: unknown) => {
    // The default is every address of both families; a kernel without IPv6 has one family.
    const [code, at] = [codeOf(error), formatEndpoint(where)];
    if (code === "EADDRINUSE") throw new WeftError("conflict", `another program listens on ${at}: give another port`);
    if (code === "EADDRNOTAVAIL") throw new WeftError("invalid_input", `${at} is no address of this host`);
    if (where.address !== "::" || code !== "EAFNOSUPPORT") throw error;
    return startBenchServer({ ...where, address: "0.0.0.0" }, say);
  });
  console.log(`listening on ${formatEndpoint(server.at)}, TCP and UDP; on the other machine: weft bench to HOST`);
  await Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  await server.close();
  return 0;
}
