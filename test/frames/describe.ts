/** A frame in words, for the message of a failing test. */
import { parseFrame } from "../models/frame.js";

const macText = (n: number): string => (n.toString(16).padStart(12, "0").match(/../g) as string[]).join(":");

/** One line of what the frame is, and its first octets. */
export function describeFrame(frame: Buffer): string {
  const hex = frame.subarray(0, 96).toString("hex");
  if (frame.length < 14) return `${frame.length} octets, no Ethernet header: ${hex}`;
  const p = parseFrame(frame);
  const parts = [`${frame.length} octets ${macText(p.src)} > ${macText(p.dst)} type ${p.etherType.toString(16)}`];
  if (p.version !== 0) parts.push(`IPv${p.version} protocol ${p.protocol} at ${p.l3}`);
  if (p.l4 !== 0) parts.push(`transport at ${p.l4}`);
  if (p.fragment) parts.push("fragment");
  if (p.chainBad) parts.push("chain without end");
  return `${parts.join(", ")}: ${hex}${frame.length > 96 ? "…" : ""}`;
}
