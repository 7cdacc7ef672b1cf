/** Rules of the wireguard section that no schema can say. Whatever the schema refuses is skipped here. */
import { formatAddress, networkKey, parseAddress, parseCidr } from "../dataplane/address.js";
import { DEFAULT_LISTEN_PORT, DEFAULT_PEERS } from "./defaults.js";
import { splitEndpoint } from "./formats.js";
import { type Problem, show } from "./problems.js";
import { asMap, entries } from "./tunnel.js";

/** What the section is judged by beside itself. */
export interface Around {
  readonly underlay?: readonly string[] | undefined;
  readonly vxlanPort: number;
  /** Most peers. */
  readonly peers?: unknown;
}

export function wireguardProblems(section: unknown, around: Around): Problem[] {
  const given = asMap(section);
  const at = (...path: (string | number)[]): Problem["path"] => ["wireguard", ...path];
  const out: Problem[] = [];
  const add = (path: Problem["path"], found: string, allowed: string): void => {
    out.push({ path, text: `found ${found}; allowed: ${allowed}` });
  };
  if (section !== undefined && (given.listenPort ?? DEFAULT_LISTEN_PORT) === around.vxlanPort)
    add(at("listenPort"), `${around.vxlanPort}, which is the port of VXLAN`, "another UDP port");

  const own = new Set<string>();
  const underlay = new Set((around.underlay ?? []).map((a) => parseAddress(a)?.text));
  for (const [i, value] of entries(given.address).entries()) {
    const text = parseAddress(value)?.text;
    if (text === undefined) continue;
    if (own.has(text)) add(at("address", i), `${show(value)} twice`, "each address once");
    if (underlay.has(text))
      add(at("address", i), `${show(value)}, which is an underlay address`, "an address that only the tunnel has");
    own.add(text);
  }

  const peers = entries(given.peers).map(asMap);
  const most = Number.isInteger(around.peers) ? Number(around.peers) : DEFAULT_PEERS;
  if (peers.length > most) add(at("peers"), `${peers.length} peers`, `at most ${most} (limits.peers)`);
  const keys = new Map<unknown, number>();
  const owners = new Map<string, number>();
  for (const [i, peer] of peers.entries()) {
    const first = keys.get(peer.publicKey);
    if (first === undefined) keys.set(peer.publicKey ?? i, i);
    else add(at("peers", i, "publicKey"), `the key of wireguard.peers[${first}] again`, "each peer once");
    for (const [j, value] of entries(peer.allowedIps).entries()) {
      const prefix = parseCidr(value);
      if (!prefix) continue;
      const plain = `${formatAddress(networkKey(prefix))}/${prefix.length}`;
      const owner = owners.get(plain);
      const path = at("peers", i, "allowedIps", j);
      if (formatAddress(prefix.key) !== formatAddress(networkKey(prefix)))
        add(path, show(value), `${plain} (the bits behind the prefix are zero)`);
      else if (owner === i) add(path, `${show(value)} twice`, "each prefix once");
      else if (owner !== undefined)
        add(
          path,
          `${show(value)}, which wireguard.peers[${owner}] has already`,
          "each prefix with one peer (a longer one inside it may be another's)",
        );
      else owners.set(plain, i);
    }
    const family = familyProblem(peer.endpoint, around.underlay);
    if (family) add(at("peers", i, "endpoint"), show(peer.endpoint), family);
  }
  return out;
}

/** @returns what would be allowed, for an endpoint that no underlay address can reach. */
function familyProblem(endpoint: unknown, underlay: readonly string[] | undefined): string | undefined {
  const address = parseAddress(typeof endpoint === "string" ? splitEndpoint(endpoint)?.address : undefined);
  if (!address || !underlay || underlay.length === 0) return undefined;
  if (underlay.some((a) => parseAddress(a)?.family === address.family)) return undefined;
  return `an IPv${address.family === 4 ? 6 : 4} address, or an IPv${address.family} underlay address beside ${underlay.join(", ")}`;
}
