/**
 * What the kernel threw away in the namespaces of a system: full UDP buffers and drops at devices. A measurement that
 * was to lose nothing and did is told of.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { SIDES } from "./lab.js";
import type { System } from "./systems/system.js";

const run = promisify(execFile);

/** Counts by place: `host-a: UDP receive buffer full`, `weft-b: eth0 received, dropped`. */
export type KernelDrops = ReadonlyMap<string, number>;

/** Counters of /proc/net/snmp and snmp6, and what a reader knows them as. */
const UDP_COUNTERS: Readonly<Record<string, string>> = {
  RcvbufErrors: "UDP receive buffer full",
  SndbufErrors: "UDP send buffer full",
};

/** @param text /proc/net/snmp, snmp6 and dev of one namespace, one after the other */
export function readDrops(netns: string, text: string): [place: string, count: number][] {
  const found: [string, number][] = [];
  const lines = text.split("\n");
  lines.forEach((line, i) => {
    // Two lines of one name: names of the counters, then their values.
    if (line.startsWith("Udp: ") && /[A-Z]/.test(line.slice(5))) {
      const values = (lines[i + 1] ?? "").split(/\s+/);
      line.split(/\s+/).forEach((name, at) => {
        const what = UDP_COUNTERS[name];
        if (what !== undefined) found.push([`${netns}: ${what}`, Number(values[at])]);
      });
    }
    const v6 = /^Udp6(\w+)\s+(\d+)$/.exec(line);
    const what = UDP_COUNTERS[v6?.[1] ?? ""];
    if (what !== undefined) found.push([`${netns}: ${what} (IPv6)`, Number(v6?.[2])]);
    const device = /^\s*(\S+):((?:\s+\d+){16})$/.exec(line);
    if (device?.[1] && device[2] && device[1] !== "lo") {
      const values = device[2].trim().split(/\s+/).map(Number);
      found.push([`${netns}: ${device[1]} received, dropped`, values[3] ?? 0]);
      found.push([`${netns}: ${device[1]} to send, dropped`, values[11] ?? 0]);
    }
  });
  return found;
}

/** Reads the counters of a system's containers and hosts. */
export async function kernelDrops(system: System): Promise<KernelDrops> {
  const names = SIDES.flatMap((side) => [system.container(side), system.wire?.(side).netns ?? []].flat());
  const each = await Promise.all(
    [...new Set(names)].map(async (netns) => {
      const files = ["/proc/net/snmp", "/proc/net/snmp6", "/proc/net/dev"];
      // A kernel without IPv6 has no snmp6: cat prints the others and complains.
      const { stdout } = await run("nsenter", [
        `--net=/run/netns/${netns}`,
        "sh",
        "-c",
        `cat ${files.join(" ")}; true`,
      ]);
      return readDrops(netns, stdout);
    }),
  );
  return new Map(each.flat());
}

/** Places whose count went up. */
export function newDrops(before: KernelDrops, after: KernelDrops): Map<string, number> {
  const grown = [...after].map(([place, count]) => [place, count - (before.get(place) ?? 0)] as const);
  return new Map(grown.filter(([, count]) => count > 0));
}
