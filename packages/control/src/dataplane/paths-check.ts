/** Paths and probes as a caller gives them: checked whole, every problem named at once. */
import { LIMIT } from "@weft/dataplane-wasm/abi";
import { parseVtep, type VtepAddress } from "./address.js";
import { Problems } from "./invalid.js";
import type { PathSpec, ProbeSpec } from "./types.js";

/** Least that a path is given, in octets. */
export const MTU_MIN = 576;
const MTU_MAX = 65_535;
/** Octets of IPv6 and UDP header. */
const PROBE_HEAD = 48;

export interface CheckedPath {
  readonly index: number;
  readonly via: number | undefined;
  readonly mtu: number | undefined;
  readonly endpoint: VtepAddress | undefined;
}

/** @param indexOf index of a peer by public key @throws InvalidInput */
export function checkPaths(
  list: readonly PathSpec[],
  indexOf: (publicKey: unknown) => number | undefined,
  families: readonly (4 | 6)[],
): CheckedPath[] {
  const problems = new Problems("setPaths");
  if (!Array.isArray(list)) problems.add("paths", list, "a list of paths");
  const seen = new Set<number>();
  const checked = (Array.isArray(list) ? (list as readonly PathSpec[]) : []).flatMap((path, i): CheckedPath[] => {
    const at = `paths[${i}].`;
    const index = indexOf(path?.publicKey);
    if (index === undefined || seen.has(index)) {
      problems.add(`${at}publicKey`, path?.publicKey, "the public key of a peer, each once");
      return [];
    }
    seen.add(index);
    const { via, mtu, endpoint } = path;
    const next = via === null ? undefined : indexOf(via);
    if (via !== null && (next === undefined || next === index))
      problems.add(`${at}via`, via, "null, or the public key of another peer");
    if (mtu !== null && !(Number.isInteger(mtu) && mtu >= MTU_MIN && mtu <= MTU_MAX))
      problems.add(`${at}mtu`, mtu, `null, or ${MTU_MIN}..${MTU_MAX}`);
    const where = endpoint === undefined ? undefined : parseVtep(endpoint, 0);
    if (endpoint !== undefined && !(where && where.port !== 0 && families.includes(where.family)))
      problems.add(`${at}endpoint`, endpoint, "ADDR:PORT or [ADDR]:PORT of a family that the underlay has");
    return [{ index, via: next, mtu: mtu ?? undefined, endpoint: where }];
  });
  problems.throwIfAny();
  return checked;
}

/** @returns indexes of the peer and of the relay @throws InvalidInput */
export function checkProbe(
  { publicKey, via, payload, packetBytes }: ProbeSpec,
  indexOf: (publicKey: unknown) => number | undefined,
): { readonly index: number; readonly via: number | undefined } {
  const problems = new Problems("sendProbe");
  const index = indexOf(publicKey);
  const relay = via === null ? undefined : indexOf(via);
  if (index === undefined) problems.add("publicKey", publicKey, "the public key of a peer");
  if (via !== null && (relay === undefined || relay === index))
    problems.add("via", via, "null, or the public key of another peer");
  if (!(payload instanceof Uint8Array) || payload.length === 0 || payload.length > LIMIT.PROBE_LEN)
    problems.add(
      "payload",
      payload instanceof Uint8Array ? `${payload.length} octets` : payload,
      `1..${LIMIT.PROBE_LEN} octets`,
    );
  const least = PROBE_HEAD + (payload?.length ?? 0);
  if (packetBytes !== undefined && !(Number.isInteger(packetBytes) && packetBytes >= least && packetBytes <= MTU_MAX))
    problems.add("packetBytes", packetBytes, `${least}..${MTU_MAX}`);
  problems.throwIfAny();
  return { index: index as number, via: relay };
}
