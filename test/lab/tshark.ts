/**
 * Captures read with Wireshark's dissectors, of the protocols that weft speaks alone: tshark would otherwise read the
 * payload of a flow whose random port it knows as some protocol's (0.1 % of ephemeral UDP ports), and find it malformed.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import type { Lab } from "./lab.js";
import type { Namespace } from "./namespace.js";

const OURS = ["eth", "ethertype", "arp", "ip", "ipv6", "icmp", "icmpv6", "igmp", "udp", "tcp", "vxlan", "wg", "data"];
const MARKS = ["frame", "_ws.expert", "_ws.malformed", "_ws.short"];

const CHECKS = ["ip", "udp", "tcp"].flatMap((name) => ["-o", `${name}.check_checksum:TRUE`]);

/** A display filter: malformed, or with a wrong checksum, outer or inner. */
export const BAD = [
  "_ws.malformed or _ws.expert.severity == error",
  ...["ip", "udp", "tcp"].map((name) => `${name}.checksum.status == 0`),
].join(" or ");

/** Runs `tshark -r` over captures in a namespace; what it printed. */
export type Dissect = (...words: readonly string[]) => Promise<string>;

/** Makes tshark's configuration once for a lab. */
export async function dissector(lab: Lab, host: Namespace): Promise<Dissect> {
  const known = (await host.run(["tshark", "-G", "protocols"])).split("\n").map((line) => line.split("\t")[2] ?? "");
  const missing = [...OURS, ...MARKS].filter((name) => !known.includes(name));
  if (missing.length > 0) throw new Error(`tshark knows nothing of ${missing.join(", ")}`);
  const folder = lab.file("wireshark");
  mkdirSync(folder, { recursive: true });
  const others = known.filter((name) => name !== "" && !OURS.includes(name) && !MARKS.includes(name));
  writeFileSync(`${folder}/disabled_protos`, others.map((name) => `${name}\n`).join(""));
  return async (...words) =>
    await host.run(["env", `WIRESHARK_CONFIG_DIR=${folder}`, "tshark", ...CHECKS, ...words], 60_000);
}
