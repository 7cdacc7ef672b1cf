/** What the demo does with its hosts: pings, TCP in both directions, and the daemons' own counters afterwards. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Counters } from "../dataplane/types.js";
import { type DemoHost, run, type World } from "./world.js";

const TRANSFER = fileURLToPath(new URL("./transfer.js", import.meta.url));
const TRANSFER_BYTES = 64_000_000;
const TRANSFER_PORT = 5001;
const PINGS = 20;

export interface PingLine {
  readonly from: string;
  readonly to: string;
  readonly sent: number;
  readonly received: number;
  /** Average round trip in ms; undefined when nothing came back. */
  readonly rttMs: number | undefined;
}

export interface TransferLine {
  readonly from: string;
  readonly to: string;
  readonly bytes: number;
  readonly gbitPerSecond: number;
  readonly sha256: string;
  /** Sent and received hashes are equal. */
  readonly same: boolean;
}

export interface HostLine {
  readonly host: string;
  /** WireGuard data messages. */
  readonly sealed: number;
  readonly opened: number;
  readonly framesPerBatch: { readonly egress: number; readonly ingress: number };
  /** Reasons with a count above zero, of weft and of the kernel in front of it. */
  readonly drops: readonly { readonly where: string; readonly count: number; readonly help: string }[];
  readonly metrics: string | null;
}

export interface Result {
  readonly pings: readonly PingLine[];
  readonly transfers: readonly TransferLine[];
  readonly hosts: readonly HostLine[];
  /** Every ping came back and every hash is equal. */
  readonly good: boolean;
}

export async function measure(world: World): Promise<Result> {
  const [a, b] = world.hosts;
  const pings = [
    await ping(world, a, b, b.container.v4),
    await ping(world, b, a, a.container.v4),
    await ping(world, a, b, b.container.v6),
  ];
  const transfers = [await transfer(world, a, b), await transfer(world, b, a)];
  const hosts: HostLine[] = [];
  for (const host of world.hosts) hosts.push(await counted(world, host));
  const good = pings.every((p) => p.received === p.sent) && transfers.every((t) => t.same);
  return { pings, transfers, hosts, good };
}

async function ping(world: World, from: DemoHost, to: DemoHost, address: string): Promise<PingLine> {
  // A shell in between: ping's exit status says no more than its numbers do.
  const words = ["sh", "-c", `ping -n -c ${PINGS} -i 0.02 -W 1 ${address}; true`];
  const text = await run(world.within(from.container.name, words));
  const rtt = /= [\d.]+\/([\d.]+)\//.exec(text)?.[1];
  return {
    from: from.container.name,
    to: `${to.container.name} ${address}`,
    sent: PINGS,
    received: Number(/(\d+) received/.exec(text)?.[1] ?? 0),
    rttMs: rtt === undefined ? undefined : Number(rtt),
  };
}

async function transfer(world: World, from: DemoHost, to: DemoHost): Promise<TransferLine> {
  const place = [to.container.v4, `${TRANSFER_PORT}`];
  const [program = "", ...args] = world.within(to.container.name, [process.execPath, TRANSFER, "receive", ...place]);
  const receiver = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  const listening = new Promise<void>((resolve, reject) => {
    receiver.stdout.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes("listening")) resolve();
    });
    receiver.on("error", reject);
    receiver.on("close", () => reject(new Error("the receiver ended early")));
  });
  const ended = new Promise<void>((resolve) => receiver.on("close", () => resolve()));
  await listening;
  const send = [process.execPath, TRANSFER, "send", ...place, `${TRANSFER_BYTES}`];
  const sent = JSON.parse(await run(world.within(from.container.name, send))) as Transferred;
  await ended;
  const received = JSON.parse(text.split("\n")[1] ?? "") as Transferred;
  return {
    from: from.container.name,
    to: to.container.name,
    bytes: received.bytes,
    gbitPerSecond: (received.bytes * 8) / received.seconds / 1e9,
    sha256: received.sha256,
    same: received.sha256 === sent.sha256 && received.bytes === TRANSFER_BYTES,
  };
}

interface Transferred {
  readonly bytes: number;
  readonly sha256: string;
  readonly seconds: number;
}

async function counted(world: World, host: DemoHost): Promise<HostLine> {
  const text = await world.weft(host, ["status", "--json"]);
  const { counters, metrics } = JSON.parse(text) as { counters: Counters; metrics: string | null };
  const mean = (plane: "egress" | "ingress"): number => {
    const { sum, count } = counters.batchFrames[plane];
    return count === 0 ? 0 : sum / count;
  };
  const drops = [
    ...counters.drops.map((d) => ({ where: `${d.plane} ${d.reason}`, count: d.count, help: d.help })),
    { where: "kernel tap_ring", count: counters.kernelDrops.tap_ring, help: "a container's queue was full" },
    { where: "kernel udp_rcvbuf", count: counters.kernelDrops.udp_rcvbuf, help: "the socket's buffer was full" },
  ];
  const other = (name: string): number => counters.other.find((c) => c.name === name)?.count ?? 0;
  return {
    host: host.name,
    sealed: other("sealed"),
    opened: other("opened"),
    framesPerBatch: { egress: mean("egress"), ingress: mean("ingress") },
    drops: drops.filter((d) => d.count > 0),
    metrics,
  };
}
