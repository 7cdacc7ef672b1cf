/** Which kernel features there are: tried once each, then remembered; WEFT_DISABLE takes some away. */
import { release } from "node:os";
import { native } from "./addon.js";
import type { Features } from "./link.js";

type Switchable = Exclude<keyof Features, "kernel" | "gsoMax">;

const SWITCHABLE: readonly Switchable[] = [
  "vnetHdr",
  "tapChecksum",
  "tso",
  "uso",
  "coalesceTcp",
  "coalesceUdp",
  "gso",
  "gro",
  "tunGetDevNetns",
  "bufferForce",
  "reuseportSteering",
];

/**
 * Names in WEFT_DISABLE.
 * @throws Error that lists unknown names and the known ones: a misspelt switch must not pass for a switched-off feature.
 */
export function disabledFeatures(text = process.env.WEFT_DISABLE ?? ""): ReadonlySet<Switchable> {
  const names = text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  const unknown = names.filter((name) => !SWITCHABLE.includes(name as Switchable));
  if (unknown.length > 0) {
    throw new Error(`WEFT_DISABLE: no feature ${unknown.join(", ")}; there are ${SWITCHABLE.join(", ")}`);
  }
  return new Set(names as Switchable[]);
}

/** Tries every feature and looks at what arrives. Takes some milliseconds: once per process is enough. */
export function probeFeatures(): Features {
  const off = disabledFeatures();
  const found = { kernel: release(), ...native().probe() };
  const left = Object.fromEntries(SWITCHABLE.map((name) => [name, found[name] && !off.has(name)]));
  const features = { ...found, ...left };
  // Checksums are the ground the others stand on; none of them exists without the header.
  const tapChecksum = features.tapChecksum && features.vnetHdr;
  return {
    ...features,
    tapChecksum,
    tso: features.tso && tapChecksum,
    uso: features.uso && features.tso && tapChecksum,
    coalesceTcp: features.coalesceTcp && tapChecksum,
    coalesceUdp: features.coalesceUdp && tapChecksum,
    gsoMax: features.gso ? features.gsoMax : 1,
  };
}
