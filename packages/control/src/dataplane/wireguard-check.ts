/** What WireGuard is given at start, and lists of peers: checked whole, every problem named at once, no key in any of them. */
import { LIMIT } from "@weft/dataplane-wasm/abi";
import type { Link } from "@weft/tun";
import { publicKeyText, readKey } from "../wireguard/key.js";
import {
  type Address,
  formatAddress,
  networkKey,
  type Prefix,
  parseAddress,
  parseCidr,
  parseVtep,
  sameKey,
  type VtepAddress,
} from "./address.js";
import { isIfname } from "./ifname.js";
import { Problems } from "./invalid.js";
import type { MeshSpec, PeerSpec, WireguardSpec } from "./types.js";

export interface CheckedPeer {
  /** Base64: the peer's name. */
  readonly publicKey: string;
  /** 32 octets. */
  readonly key: Buffer;
  readonly endpoint: VtepAddress | undefined;
  readonly allowedIps: readonly Prefix[];
  /** In the short form. */
  readonly allowedText: readonly string[];
  readonly presharedKey: Uint8Array | undefined;
  readonly persistentKeepalive: number;
}
export interface CheckedWireguard {
  readonly privateKey: Uint8Array;
  readonly publicKey: string;
  readonly listenPort: number;
  readonly address: readonly Address[];
  readonly device: string | undefined;
  readonly peers: readonly CheckedPeer[];
  readonly peersMax: number;
  readonly rekeyAfterMessages: number;
  readonly keylog: string | undefined;
  readonly mesh: MeshSpec | undefined;
  /** The peers as they were given. */
  readonly given: readonly PeerSpec[];
}

const KEYS = {
  privateKey: "value",
  listenPort: "value",
  address: "list",
  device: "value",
  peers: "list",
  peersMax: "value",
  rekeyAfterMessages: "value",
  keylog: "value",
  mesh: "object",
} as const;
const PEER_KEYS = {
  publicKey: "value",
  endpoint: "value",
  allowedIps: "list",
  presharedKey: "value",
  persistentKeepalive: "value",
} as const;

const KEY_LEN = 32;
/** Own addresses inside the tunnel. */
const ADDRESSES_MAX = 8;

const isSecret = (value: unknown): value is Uint8Array => value instanceof Uint8Array && value.length === KEY_LEN;

/** As many characters of base64 or hex as a key has. */
const KEY_LIKE = /[A-Za-z0-9+/]{43}/;

/** What may be said of a value: a key in the wrong place is not shown. */
function shown(value: unknown): unknown {
  if (typeof value === "string") return KEY_LIKE.test(value) ? "something else" : value;
  return value === undefined || typeof value === "number" ? value : "something else";
}

/** As Problems.shape(), without a word about the values: under a key that is not known may be a secret. */
function shape<T extends object>(
  problems: Problems,
  given: T,
  keys: Readonly<Record<keyof T, "list" | "object" | "value">>,
): T {
  const found = new Problems("");
  const kept = found.shape(given, keys);
  for (const { key, allowed } of found.list) problems.add(shown(key) as string, "something else", allowed);
  return kept;
}

/** What a list of peers is judged by beside itself. */
export interface PeerSurroundings {
  /** Base64. */
  readonly ownKey: string;
  readonly peersMax: number;
  /** Families of the underlay addresses. */
  readonly families: readonly (4 | 6)[];
}

/** Adds to `problems` what is wrong with the list; the peers that came out right. */
export function checkPeers(list: unknown, at: string, around: PeerSurroundings, problems: Problems): CheckedPeer[] {
  if (!Array.isArray(list)) {
    problems.add(at, shown(list), "a list of peers");
    return [];
  }
  if (list.length > around.peersMax) problems.add(at, `${list.length} peers`, `${around.peersMax} peers (peersMax)`);
  const owners = new Map<string, string>();
  const seen = new Set<string>();
  let prefixes = 0;
  const peers = list.flatMap((given: PeerSpec, i): CheckedPeer[] => {
    const key = `${at}[${i}]`;
    const peer = checkPeer(given, key, around, problems);
    if (!peer) return [];
    if (seen.has(peer.publicKey)) problems.add(`${key}.publicKey`, peer.publicKey, "each peer once");
    seen.add(peer.publicKey);
    peer.allowedText.forEach((text, j) => {
      const owner = owners.get(text);
      if (owner !== undefined && owner !== peer.publicKey) {
        problems.add(`${key}.allowedIps[${j}]`, text, `a prefix of its own (peer ${owner} has this one)`);
      }
      owners.set(text, peer.publicKey);
    });
    prefixes += peer.allowedIps.length;
    return [peer];
  });
  const most = LIMIT.PREFIXES_PER_PEER * around.peersMax;
  if (prefixes > most)
    problems.add(
      at,
      `${prefixes} allowedIps`,
      `${most} over all peers (${LIMIT.PREFIXES_PER_PEER} for each of peersMax)`,
    );
  return peers;
}

function checkPeer(given: PeerSpec, at: string, around: PeerSurroundings, problems: Problems): CheckedPeer | undefined {
  const inside = new Problems(at);
  const spec = shape(inside, given, PEER_KEYS);
  const key = typeof spec.publicKey === "string" ? readKey(spec.publicKey) : undefined;
  // Not shown: it may be somebody's private key.
  if (!key) inside.add("publicKey", "something else", "32 octets in base64, as `weft pubkey` writes");
  else if (spec.publicKey === around.ownKey)
    inside.add("publicKey", spec.publicKey, "another host's key (this is our own)");
  let endpoint: VtepAddress | undefined;
  if (spec.endpoint !== undefined) {
    endpoint = parseVtep(spec.endpoint, 0);
    if (!endpoint || endpoint.port === 0) inside.add("endpoint", shown(spec.endpoint), "ADDR:PORT or [ADDR]:PORT");
    else if (around.families.length > 0 && !around.families.includes(endpoint.family)) {
      inside.add(
        "endpoint",
        spec.endpoint,
        `an IPv${around.families.join(" or IPv")} address: there is no other underlay`,
      );
    }
  }
  const allowedIps: Prefix[] = [];
  const allowedText: string[] = [];
  (spec.allowedIps ?? []).forEach((text: unknown, j) => {
    const prefix = parseCidr(text);
    if (!prefix || !sameKey(networkKey(prefix), prefix.key)) {
      inside.add(`allowedIps[${j}]`, shown(text), "a prefix as 10.7.0.2/32, the bits behind it zero");
    } else if (!allowedText.includes(`${formatAddress(prefix.key)}/${prefix.length}`)) {
      allowedIps.push(prefix);
      allowedText.push(`${formatAddress(prefix.key)}/${prefix.length}`);
    }
  });
  if (spec.presharedKey !== undefined && !isSecret(spec.presharedKey))
    inside.add("presharedKey", "something else", "32 octets");
  const keepalive = spec.persistentKeepalive ?? 0;
  if (!Number.isInteger(keepalive) || keepalive < 0 || keepalive > 65_535) {
    inside.add("persistentKeepalive", shown(keepalive), "seconds, 0 (off) ..65535");
  }
  for (const { key: inner, found, allowed } of inside.list)
    problems.add(inner === "(all)" ? at : `${at}.${inner}`, found, allowed);
  if (inside.list.length > 0 || !key) return undefined;
  return {
    publicKey: spec.publicKey,
    key,
    endpoint,
    allowedIps,
    allowedText,
    presharedKey: spec.presharedKey,
    persistentKeepalive: keepalive,
  };
}

/** Adds to `problems` what is wrong; undefined then. */
export function checkWireguard(
  given: WireguardSpec,
  around: { readonly vxlanPort: number; readonly families: readonly (4 | 6)[]; readonly link: Link },
  problems: Problems,
): CheckedWireguard | undefined {
  const inside = new Problems("wireguard");
  const spec = shape(inside, given, KEYS);
  if (!isSecret(spec.privateKey)) inside.add("privateKey", "something else", "32 octets");
  const publicKey = isSecret(spec.privateKey) ? publicKeyText(spec.privateKey) : "";
  const whole = (
    key: "listenPort" | "peersMax" | "rekeyAfterMessages",
    low: number,
    high: number,
    preset: number,
  ): number => {
    const value = spec[key] ?? preset;
    if (Number.isInteger(value) && value >= low && value <= high) return value;
    inside.add(key, shown(value), `a whole number, ${low}..${high}`);
    return preset;
  };
  const listenPort = whole("listenPort", 1, 65_535, 51_820);
  if (listenPort === around.vxlanPort)
    inside.add("listenPort", listenPort, `another port than VXLAN's ${around.vxlanPort}`);
  const peersMax = whole("peersMax", 1, 4096, 256);
  const rekeyAfterMessages = whole("rekeyAfterMessages", 1, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  const list: readonly unknown[] = spec.address ?? [];
  const address: Address[] = [];
  if (list.length === 0 || list.length > ADDRESSES_MAX)
    inside.add("address", `${list.length} addresses`, `1..${ADDRESSES_MAX} addresses`);
  list.forEach((text, i) => {
    const one = parseAddress(text);
    if (!one) inside.add(`address[${i}]`, shown(text), "an IPv4 or IPv6 address, without a prefix length");
    else if (address.some((a) => a.text === one.text)) inside.add(`address[${i}]`, text, "each address once");
    else if (around.link.underlayInterface(one.text)) {
      inside.add(`address[${i}]`, text, "an address inside the tunnel, that no interface of this host has");
    } else address.push(one);
  });
  if (spec.device !== undefined && (typeof spec.device !== "string" || !isIfname(spec.device))) {
    inside.add("device", shown(spec.device), "a device name, 1..15 characters without / : and spaces");
  }
  if (spec.keylog !== undefined && (typeof spec.keylog !== "string" || spec.keylog === ""))
    inside.add("keylog", shown(spec.keylog), "a path");
  const { mesh } = spec;
  if (mesh !== undefined) {
    const port: unknown = (mesh as MeshSpec | null)?.probePort;
    if (!Number.isInteger(port) || (port as number) < 1 || (port as number) > 65_535)
      inside.add("mesh.probePort", shown(port), "a UDP port, 1..65535");
    else if (port === around.vxlanPort || port === listenPort)
      inside.add(
        "mesh.probePort",
        port as number,
        `another port than VXLAN's ${around.vxlanPort} and WireGuard's ${listenPort}`,
      );
    if (!address.some(({ family }) => family === 6))
      inside.add("address", "no IPv6 address", "one of IPv6: messages are relayed to it");
  }
  const peers = checkPeers(
    spec.peers ?? [],
    "peers",
    { ownKey: publicKey, peersMax, families: around.families },
    inside,
  );
  for (const { key, found, allowed } of inside.list)
    problems.add(key === "(all)" ? "wireguard" : `wireguard.${key}`, found, allowed);
  if (inside.list.length > 0) return undefined;
  const { privateKey, device, keylog } = spec;
  return {
    privateKey,
    publicKey,
    listenPort,
    address,
    device,
    peers,
    peersMax,
    rekeyAfterMessages,
    keylog,
    mesh,
    given: spec.peers ?? [],
  };
}
