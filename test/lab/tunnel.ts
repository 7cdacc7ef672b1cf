/** What a path promises, asked of it: pings of every size with the edges of its MTU, and TCP with hashes. */
import type { Test } from "tap";
import type { Namespace } from "./namespace.js";
import { transfer } from "./traffic.js";

/** Octets of IP and ICMP header in front of what `ping -s` counts. */
const HEADERS = { 4: 28, 6: 48 } as const;

/** One way: from a namespace to an address of another. */
export type Way = readonly [from: Namespace, to: Namespace, address: string];

/**
 * Pings from one octet to the MTU in steps, the edge itself, and beyond it in fragments; nothing larger than the MTU
 * passes whole.
 *
 * @param mtu of the devices at both ends
 */
export async function pingsOfAllSizes(t: Test, [from, , address]: Way, mtu: number): Promise<void> {
  const largest = mtu - HEADERS[address.includes(":") ? 6 : 4];
  const steps = Array.from({ length: 8 }, (_, i) => 1 + Math.floor((i * largest) / 8));
  // Around the edges of a cipher block and of WireGuard's padding, too.
  for (const size of [...steps, largest - 16, largest - 1, largest]) await answered(t, from, address, size, true);
  for (const size of [largest + 1, 2 * largest, 8000]) await answered(t, from, address, size, false);
  const { received } = await from.ping(address, { size: largest + 1, whole: true, count: 1 });
  t.equal(received, 0, `${from.label} → ${address}: ${largest + 1} octets do not fit whole: the MTU is right`);
}

async function answered(t: Test, from: Namespace, address: string, size: number, whole: boolean): Promise<void> {
  const { sent, received, duplicates, text } = await from.ping(address, { size, whole, count: 2 });
  const isGood = received === sent && duplicates === 0;
  t.ok(isGood, `${from.label} → ${address}: ${size} octets${whole ? " whole" : ""}${isGood ? "" : `: ${text}`}`);
}

/** Transfers, one after the other; every octet arrives, and the same one. */
export async function streams(t: Test, ways: readonly Way[], bytes: number): Promise<void> {
  for (const [from, to, address] of ways) {
    const { sent, received } = await transfer(from, to, address, bytes);
    t.same(
      { bytes: received.bytes, sha256: received.sha256 },
      { bytes, sha256: sent.sha256 },
      `TCP ${from.label} → ${to.label}, ${address}: the same ${bytes / 1e6} MB, ${received.seconds.toFixed(2)} s`,
    );
  }
}
