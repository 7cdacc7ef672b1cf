/** TCP with compared hashes and UDP with counted numbers, between two namespaces. */
import { fileURLToPath } from "node:url";
import type { Job } from "./job.js";
import type { Lab } from "./lab.js";
import type { Namespace } from "./namespace.js";
import { ownSleep } from "./own-time.js";
import { program } from "./program.js";

const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

let nextPort = 20_000;

export interface Transfer {
  readonly bytes: number;
  readonly sha256: string;
  readonly seconds: number;
  /** Longest silence between two pieces that arrived, in milliseconds; 0 at the sender. */
  readonly gapMs: number;
}

/** A running TCP transfer. */
export class Stream {
  readonly sender: Job;
  readonly receiver: Job;

  constructor(sender: Job, receiver: Job) {
    this.sender = sender;
    this.receiver = receiver;
  }

  /** Waits for its end; what was sent and what arrived. */
  async finish(withinMs = 60_000): Promise<{ sent: Transfer; received: Transfer }> {
    const [sent, received] = await Promise.all([this.sender.done(withinMs), this.receiver.done(withinMs)]);
    return { sent: JSON.parse(sent.at(-1) ?? ""), received: JSON.parse(received.at(-1) ?? "") };
  }
}

/**
 * Starts to send `bytes` octets from one namespace to an address of another; `rate` limits to octets per second, and `text`, of at most
 * 512 octets, stands in every kilooctet.
 */
export async function stream(
  from: Namespace,
  to: Namespace,
  address: string,
  bytes: number,
  rate?: number,
  text?: string,
): Promise<Stream> {
  const port = `${nextPort++}`;
  const receiver = to.start([process.execPath, script("tcp.mjs"), "receive", address, port]);
  await receiver.line(/listening/);
  const words = [process.execPath, script("tcp.mjs"), "send", address, port, `${bytes}`];
  const more = [rate, text].filter((word) => word !== undefined).map(String);
  return new Stream(from.start([...words, ...more]), receiver);
}

/** A whole transfer. */
export async function transfer(
  from: Namespace,
  to: Namespace,
  address: string,
  bytes: number,
): Promise<{ sent: Transfer; received: Transfer }> {
  return await (await stream(from, to, address, bytes)).finish();
}

export interface UdpRun {
  /** Datagrams the sender's kernel took. */
  readonly sent: number;
  /** Different datagrams that arrived. */
  readonly received: number;
  readonly duplicates: number;
  readonly reordered: number;
  /** Of those that arrived, with other content than was sent. */
  readonly damaged: number;
  readonly sendSeconds: number;
  readonly receiveSeconds: number;
}

export interface UdpSpec {
  readonly count: number;
  /** Octets of payload, default 1000. */
  readonly size?: number;
  /** Datagrams per second; 0 or absent: as fast as it goes. */
  readonly rate?: number;
  /** Flows: sender sockets used in turn, default 1. */
  readonly flows?: number;
}

/** Datagrams that leave a socket many at a time. */
export interface BurstSpec {
  readonly count: number;
  /** Octets of payload. */
  readonly size: number;
  /** Datagrams in one send. */
  readonly each: number;
  /** Datagrams per second. */
  readonly rate: number;
}

/** Sends numbered datagrams and counts what arrives. Ends 400 ms after the last one was sent. */
export async function datagrams(from: Namespace, to: Namespace, address: string, spec: UdpSpec): Promise<UdpRun> {
  const numbers = [spec.count, spec.size ?? 1000, spec.rate ?? 0, spec.flows ?? 1].map(String);
  const command = (port: string): string[] => [process.execPath, script("udp.mjs"), "send", address, port, ...numbers];
  return await counted(from, to, address, command, spec.rate ? (1000 * spec.count) / spec.rate : 0);
}

/** The same, many datagrams in each send (UDP_SEGMENT): where the device takes UDP super-frames, it gets one of each. */
export async function bursts(
  lab: Lab,
  from: Namespace,
  to: Namespace,
  address: string,
  spec: BurstSpec,
): Promise<UdpRun> {
  const numbers = [spec.count, spec.size, spec.each, spec.rate].map(String);
  return await counted(from, to, address, (port) => [program(lab, "burst"), address, port, ...numbers]);
}

async function counted(
  from: Namespace,
  to: Namespace,
  address: string,
  command: (port: string) => string[],
  /** How long sending takes at the rate that was asked for. */
  lastsMs = 0,
): Promise<UdpRun> {
  const port = `${nextPort++}`;
  const receiver = to.start([process.execPath, script("udp.mjs"), "receive", address, port]);
  await receiver.line(/listening/);
  const sender = from.start(command(port));
  const sent = JSON.parse((await sender.done(lastsMs + 60_000)).at(-1) ?? "") as { sent: number; seconds: number };
  await ownSleep(400);
  receiver.finish();
  const got = JSON.parse((await receiver.done()).at(-1) ?? "") as {
    received: number;
    duplicates: number;
    reordered: number;
    damaged: number;
    seconds: number;
  };
  return { ...got, sent: sent.sent, sendSeconds: sent.seconds, receiveSeconds: got.seconds };
}

/** Namespaces on a path, by who answers for what is lost there. */
export interface Path {
  /** Containers of weft: what their device had no room for is weft's `kernel tap_ring`. */
  readonly containers: readonly Namespace[];
  /** Hosts that run weft: what its sockets had no room for is weft's `kernel udp_rcvbuf`. */
  readonly hosts: readonly Namespace[];
  /** All others. */
  readonly others: readonly Namespace[];
}

/**
 * What the kernel says it lost on a path, by name, beside what weft reports itself: dropped frames of devices and of
 * their queues, and datagrams without room in a socket.
 */
export async function kernelLosses({ containers, hosts, others }: Path): Promise<Record<string, number>> {
  const read = async (namespace: Namespace): Promise<Record<string, number>> => {
    const losses: Record<string, number> = {};
    for (const link of await namespace.json<LinkStats[]>("ip -s -j link show")) {
      if (link.ifname === undefined || link.ifname === "lo") continue;
      losses[`${namespace.label} ${link.ifname} rx`] = link.stats64.rx.dropped;
      if (!containers.includes(namespace)) losses[`${namespace.label} ${link.ifname} tx`] = link.stats64.tx.dropped;
    }
    for (const queue of await namespace.json<QueueStats[]>("tc -s -j qdisc show")) {
      if (queue.root === true && queue.drops !== undefined)
        losses[`${namespace.label} ${queue.dev} queue`] = queue.drops;
    }
    if (hosts.includes(namespace)) return losses;
    const snmp = await namespace.run("cat /proc/net/snmp /proc/net/snmp6");
    const rows = snmp.split("\n").filter((line) => line.startsWith("Udp:"));
    const column = rows[0]?.split(" ").indexOf("RcvbufErrors") ?? -1;
    losses[`${namespace.label} udp4 socket`] = Number(rows[1]?.split(" ")[column] ?? 0);
    losses[`${namespace.label} udp6 socket`] = Number(/Udp6RcvbufErrors\s+(\d+)/.exec(snmp)?.[1] ?? 0);
    return losses;
  };
  const tables = await Promise.all([...containers, ...hosts, ...others].map(read));
  return Object.assign({}, ...tables) as Record<string, number>;
}

interface LinkStats {
  readonly ifname?: string;
  readonly stats64: { readonly rx: { readonly dropped: number }; readonly tx: { readonly dropped: number } };
}

interface QueueStats {
  readonly dev: string;
  readonly root?: boolean;
  readonly drops?: number;
}
