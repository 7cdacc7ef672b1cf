/** `weft bench to HOST`: the side that asks, and prints what came out. */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { connect, isIPv6, type Socket } from "node:net";
import { WeftError } from "../errors.js";
import { type Endpoint, formatEndpoint } from "./bench-endpoint.js";
import { COUNT, countStream, ECHO, nextLine, type Order, sendLine, sendStream, TOKEN } from "./bench-wire.js";
import { table } from "./table.js";

const CONNECT_MS = 5000;
const ANSWER_MS = 15_000;
/** An answer that takes longer is a lost datagram. */
const ECHO_MS = 200;
/** Datagrams handed to the system before their callbacks came. */
const IN_FLIGHT = 128;
const SIZES = [64, 512, 1400];
const ECHO_SIZE = 64;
/** How long datagrams may be on their way when counting ends. */
const SETTLE_MS = 100;

export interface BenchToOptions {
  readonly seconds: number;
  readonly streams: number;
  readonly json?: boolean;
}

export interface Line {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** More of the same test. */
  readonly more: Readonly<Record<string, number>>;
}

async function open(to: Endpoint, order: Order): Promise<Socket> {
  const socket = connect({ host: to.address, port: to.port, noDelay: true });
  const timer = setTimeout(() => socket.destroy(new Error(`no answer in ${CONNECT_MS / 1000} s`)), CONNECT_MS);
  try {
    await once(socket, "connect");
  } catch (error) {
    throw new WeftError(
      "unavailable",
      `${formatEndpoint(to)} cannot be reached: ${(error as Error).message}; is \`weft bench serve\` running there?`,
    );
  } finally {
    clearTimeout(timer);
  }
  socket.setTimeout((order.seconds + 2) * 1000 + ANSWER_MS, () =>
    socket.destroy(new Error("the other side has gone silent")),
  );
  // Later errors are those of a close that came first; whoever waits for octets hears of them.
  socket.on("error", () => undefined);
  sendLine(socket, order);
  return socket;
}

async function sendOne(to: Endpoint, seconds: number): Promise<number> {
  const socket = await open(to, { test: "send", seconds });
  const answer = nextLine(socket);
  void sendStream(socket, seconds);
  try {
    const counted = JSON.parse(await answer) as { octets: number; seconds: number };
    return (counted.octets * 8) / counted.seconds / 1e9;
  } finally {
    socket.destroy();
  }
}

async function receiveOne(to: Endpoint, seconds: number): Promise<number> {
  const socket = await open(to, { test: "receive", seconds });
  try {
    const counted = await countStream(socket, seconds);
    return (counted.octets * 8) / counted.seconds / 1e9;
  } finally {
    socket.destroy();
  }
}

async function tcp(one: typeof sendOne, to: Endpoint, seconds: number, streams: number): Promise<number> {
  const each = await Promise.all(Array.from({ length: streams }, () => one(to, seconds)));
  return each.reduce((sum, value) => sum + value, 0);
}

/** Opens a datagram test, runs it, and gives what the server counted. */
async function withDatagrams<T>(
  to: Endpoint,
  seconds: number,
  work: (udp: UdpSocket, token: Buffer) => Promise<T>,
): Promise<{ done: T; received: number }> {
  const socket = await open(to, { test: "datagrams", seconds });
  const address = socket.remoteAddress ?? to.address;
  const udp = createSocket(isIPv6(address) ? "udp6" : "udp4");
  try {
    const { token } = JSON.parse(await nextLine(socket)) as { token: string };
    udp.connect(to.port, address);
    await once(udp, "connect");
    udp.on("error", () => undefined);
    const done = await work(udp, Buffer.from(token, "hex"));
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    sendLine(socket, "end");
    const { received } = JSON.parse(await nextLine(socket)) as { received: number };
    return { done, received };
  } finally {
    udp.close();
    socket.destroy();
  }
}

function datagram(token: Buffer, kind: number, size: number): Buffer {
  const octets = Buffer.alloc(size, "w");
  token.copy(octets, 0, 0, TOKEN);
  octets.writeUInt32BE(kind, TOKEN);
  octets.writeUInt32BE(0, TOKEN + 4);
  return octets;
}

/** Sends datagrams as fast as the system takes them. Resolves to how many it took, and in which time. */
function flood(udp: UdpSocket, message: Buffer, seconds: number): Promise<{ sent: number; seconds: number }> {
  return new Promise((resolve) => {
    const begin = performance.now();
    const end = begin + seconds * 1000;
    let sent = 0;
    let flying = 0;
    const sendOn = (): void => {
      while (flying < IN_FLIGHT && performance.now() < end) {
        flying++;
        udp.send(message, (error) => {
          flying--;
          if (!error) sent++;
          if (performance.now() < end) sendOn();
          else if (flying === 0) resolve({ sent, seconds: (performance.now() - begin) / 1000 });
        });
      }
    };
    sendOn();
  });
}

/** Sends one datagram at a time and waits for its return. Resolves to the times in µs, sorted, and how many never came. */
async function echoes(udp: UdpSocket, message: Buffer, seconds: number): Promise<{ times: number[]; lost: number }> {
  const times: number[] = [];
  let lost = 0;
  let heard: ((number: number) => void) | undefined;
  udp.on("message", (back) => heard?.(back.readUInt32BE(TOKEN + 4)));
  const end = performance.now() + seconds * 1000;
  for (let number = 1; performance.now() < end; number++) {
    message.writeUInt32BE(number, TOKEN + 4);
    const begin = process.hrtime.bigint();
    const came = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), ECHO_MS);
      heard = (got) => {
        if (got !== number) return;
        clearTimeout(timer);
        resolve(true);
      };
      udp.send(message, () => undefined);
    });
    if (came) times.push(Number(process.hrtime.bigint() - begin) / 1000);
    else lost++;
  }
  return { times: times.sort((a, b) => a - b), lost };
}

/** All tests, one after the other; `tell` hears of each as it is done. */
export async function benchLines(
  to: Endpoint,
  { seconds, streams }: BenchToOptions,
  tell: (line: Line) => void,
): Promise<void> {
  for (const [name, one] of [
    ["to", sendOne],
    ["from", receiveOne],
  ] as const) {
    for (const count of streams > 1 ? [1, streams] : [1]) {
      const what = `TCP ${name} there, ${count} stream${count === 1 ? "" : "s"}`;
      tell({ what, value: await tcp(one, to, seconds, count), unit: "Gbit/s", more: {} });
    }
  }
  for (const size of SIZES) {
    const { done, received } = await withDatagrams(to, seconds, (udp, token) =>
      flood(udp, datagram(token, COUNT, size), seconds),
    );
    const more = { sentKpps: done.sent / done.seconds / 1e3, lostShare: done.sent > 0 ? 1 - received / done.sent : 0 };
    tell({ what: `UDP to there, ${size} octets`, value: received / done.seconds / 1e3, unit: "kpps", more });
  }
  const { done } = await withDatagrams(to, seconds, (udp, token) =>
    echoes(udp, datagram(token, ECHO, ECHO_SIZE), seconds),
  );
  const at = (q: number): number => done.times[Math.floor((done.times.length - 1) * q)] ?? Number.NaN;
  tell({
    what: `round trip, ${ECHO_SIZE} octets`,
    value: at(0.5),
    unit: "µs",
    more: { p99Us: at(0.99), lost: done.lost },
  });
}

const NAMES: Readonly<Record<string, (value: number) => string>> = {
  sentKpps: (v) => `sent ${v.toFixed(1)}`,
  lostShare: (v) => `lost ${(v * 100).toFixed(2)} %`,
  p99Us: (v) => `p99 ${v.toFixed(1)}`,
  lost: (v) => `lost ${v}`,
};

/** The command. */
export async function benchTo(to: Endpoint, options: BenchToOptions): Promise<number> {
  const lines: Line[] = [];
  await benchLines(to, options, (line) => {
    lines.push(line);
    if (!options.json) process.stderr.write(`${line.what}: ${line.value.toFixed(2)} ${line.unit}\n`);
  });
  if (options.json) {
    console.log(JSON.stringify({ to: formatEndpoint(to), seconds: options.seconds, lines }, null, 2));
    return 0;
  }
  const rows = lines.map(({ what, value, unit, more }) => [
    what,
    value.toFixed(2),
    unit,
    Object.entries(more)
      .map(([name, v]) => NAMES[name]?.(v) ?? "")
      .join(", "),
  ]);
  console.log(`\n${table(["test", "got", "", ""], rows)}`);
  console.log(
    `\n${options.seconds} s each, with the sockets of Node.js at both ends: above some 10 Gbit/s or 100 kpps these are the\n` +
      "figures of this program, not of the network. Nothing here is compared: run it over the network without weft as well.",
  );
  return 0;
}
