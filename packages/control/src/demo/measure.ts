/** What the demo does with its hosts: a name, pings, TCP in both directions, and what the daemons say afterwards. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Counters } from "../dataplane/types.js";
import { type Container, type DemoHost, run, type World } from "./world.js";

const LOOKUP = fileURLToPath(new URL("./lookup.js", import.meta.url));
const TRANSFER = fileURLToPath(new URL("./transfer.js", import.meta.url));
const TRANSFER_BYTES = 64_000_000;
const TRANSFER_PORT = 5001;
const PINGS = 20;
/** Milliseconds until all containers must know of each other. */
const TOGETHER_MS = 20_000;

export interface LookupLine {
  readonly from: string;
  readonly name: string;
  readonly addresses: readonly string[];
  readonly ms: number;
}

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
}

export interface Result {
  readonly lookup: LookupLine;
  readonly pings: readonly PingLine[];
  readonly transfers: readonly TransferLine[];
  readonly hosts: readonly HostLine[];
  /** What `weft status mesh` and `weft status peers` print on the first host. */
  readonly members: string;
  readonly paths: string;
  /** The name leads to the container, every ping came back and every hash is equal. */
  readonly good: boolean;
}

export async function measure(world: World): Promise<Result> {
  const [web, db, cache] = world.containers;
  await together(world);
  const lookup = await ask(world, web, `${db.name}.weft.local`);
  const pings = [
    await ping(world, web, db, db.v4),
    await ping(world, web, db, db.v6),
    await ping(world, cache, web, web.v4),
  ];
  const transfers = [await transfer(world, web, db), await transfer(world, db, web)];
  const hosts = await Promise.all(world.containers.map(({ host }) => counted(world, host)));
  const [members, paths] = await Promise.all([
    world.weft(web.host, ["status", "mesh"]),
    world.weft(web.host, ["status", "peers"]),
  ]);
  const good =
    lookup.addresses.includes(db.v4) && pings.every((p) => p.received === p.sent) && transfers.every((t) => t.same);
  return { lookup, pings, transfers, hosts, members, paths, good };
}

/** Waits until each container reaches each other: joining is done, but the word of a container may be on its way. */
async function together(world: World): Promise<void> {
  const deadline = performance.now() + TOGETHER_MS;
  const pairs = world.containers.flatMap((from) =>
    world.containers.filter((to) => to !== from).flatMap((to) => [to.v4, to.v6].map((address) => ({ from, address }))),
  );
  await Promise.all(
    pairs.map(async ({ from, address }) => {
      const words = world.within(from.name, ["ping", "-n", "-c", "1", "-W", "1", address]);
      for (;;) {
        const answered = await run(words).then(
          () => true,
          () => false,
        );
        if (answered) return;
        if (performance.now() > deadline) throw new Error(`${from.name} does not reach ${address}`);
        // ping comes back at once where there is no route yet.
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }),
  );
}

async function ask(world: World, from: Container, name: string): Promise<LookupLine> {
  const text = await run(world.within(from.name, [process.execPath, LOOKUP, world.gateway, name]));
  const { addresses, ms } = JSON.parse(text) as { addresses: string[]; ms: number };
  return { from: from.name, name, addresses, ms };
}

async function ping(world: World, from: Container, to: Container, address: string): Promise<PingLine> {
  // With -w it ends when as many are answered, and asks on while not; without, it gives the last answer 20 ms. A shell in
  // between: ping's exit status says no more than its numbers do.
  const words = ["sh", "-c", `ping -n -c ${PINGS} -i 0.02 -w 3 ${address}; true`];
  const text = await run(world.within(from.name, words));
  const answered = new Set([...text.matchAll(/ icmp_seq=(\d+) /g)].map((match) => Number(match[1])));
  const rtt = /= [\d.]+\/([\d.]+)\//.exec(text)?.[1];
  return {
    from: from.name,
    to: `${to.name} ${address}`,
    sent: PINGS,
    received: [...answered].filter((number) => number <= PINGS).length,
    rttMs: rtt === undefined ? undefined : Number(rtt),
  };
}

async function transfer(world: World, from: Container, to: Container): Promise<TransferLine> {
  const place = [to.v4, `${TRANSFER_PORT}`];
  const [program = "", ...args] = world.within(to.name, [process.execPath, TRANSFER, "receive", ...place]);
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
  const sent = JSON.parse(await run(world.within(from.name, send))) as Transferred;
  await ended;
  const received = JSON.parse(text.split("\n")[1] ?? "") as Transferred;
  return {
    from: from.name,
    to: to.name,
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
  const { counters } = JSON.parse(text) as { counters: Counters };
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
  };
}
