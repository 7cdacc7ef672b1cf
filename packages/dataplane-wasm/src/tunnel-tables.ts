/**
 * WireGuard's part of the configuration that workers read: the interface, its peers, their allowed prefixes. Changes are put in
 * force by Tables.publish(), like all others.
 */
import { ENUM } from "../abi/index.js";
import { Image } from "./image.js";
import { Indexes } from "./indexes.js";
import type { SwitchMemory } from "./instance.js";
import { lengthBits } from "./prefix-lengths.js";
import type { RouteCells } from "./route-cells.js";
import type { Key } from "./route-hash.js";

export interface TunnelRow {
  /** UDP port of VXLAN inside the tunnel. */
  readonly vxlanPort: number;
  /** UDP port of WireGuard itself. */
  readonly listenPort: number;
  /** Own addresses inside the tunnel; VXLAN is sent from the first of each family. */
  readonly addresses: readonly { readonly family: 4 | 6; readonly key: Key }[];
  /** 32 octets. */
  readonly mac1Key: Uint8Array;
  /** Messages under one key after which the key is told to be worn. */
  readonly rekeyAfter: bigint;
  /** UDP port of probes inside the tunnel; absent: no mesh. */
  readonly probePort?: number | undefined;
}
export interface EndpointRow {
  readonly family: 4 | 6;
  readonly key: Key;
  readonly port: number;
  /** Address of ours to send from. */
  readonly local?: Key | undefined;
}
export interface AllowedRow {
  readonly family: 4 | 6;
  /** Masked to the length. */
  readonly key: Key;
  readonly length: number;
}

const { ROUTE, KIND, PEER } = ENUM;
const MOST_MESSAGES = 2n ** 60n;
const NO_ADDRESS = new Uint8Array(16);

const allowedTag = ({ family, length }: AllowedRow): number =>
  (((family === 4 ? ROUTE.PEER4 : ROUTE.PEER6) << 24) | (length << 16)) >>> 0;

/** Sixteen octets of an address. */
export function octetsOf(key: Key): Uint8Array {
  const out = new Uint8Array(16);
  const view = new DataView(out.buffer);
  for (const [i, word] of key.entries()) view.setUint32(4 * i, word);
  return out;
}

export class TunnelTables {
  /** To be published with the other tables. */
  readonly images: readonly Image[];
  readonly #tunnel: Image;
  readonly #peers: Image;
  readonly #routes: RouteCells;
  readonly #indexes: Indexes;
  readonly #allowed = new Map<number, readonly AllowedRow[]>();
  /** How many allowed prefixes of each length there are. */
  readonly #lengths = { 4: new Array<number>(LENGTHS).fill(0), 6: new Array<number>(LENGTHS).fill(0) };

  constructor(memory: SwitchMemory, routes: RouteCells) {
    this.#tunnel = new Image(memory, "TUNNEL");
    this.#peers = new Image(memory, "PEERS");
    this.#routes = routes;
    this.#indexes = new Indexes(memory.plan.sizes.peersMax ?? 0);
    this.images = [this.#tunnel, this.#peers];
  }

  /** Switches WireGuard on. Once. */
  start({ vxlanPort, listenPort, addresses, mac1Key, rekeyAfter, probePort = 0 }: TunnelRow): void {
    const source = (family: 4 | 6): Uint8Array => {
      const first = addresses.find((a) => a.family === family);
      return first ? octetsOf(first.key) : NO_ADDRESS;
    };
    for (const { key } of addresses) this.#routes.set((ROUTE.TUNNEL << 24) >>> 0, key, 1, 0);
    this.#tunnel.put(0, {
      isOn: 1,
      vxlanPort,
      listenPort,
      probePort,
      mac1Key,
      rekeyAfter: rekeyAfter < MOST_MESSAGES ? rekeyAfter : MOST_MESSAGES,
      source4: source(4),
      source6: source(6),
    });
  }
  /** The port that is the TUN device. */
  setDevice(port: number): void {
    this.#tunnel.put(0, { device: port + 1 });
  }
  /** What cookies are made with: 32 octets. */
  setCookieSecret(secret: Uint8Array): void {
    this.#tunnel.put(0, { cookieSecret: secret });
  }

  /** @returns the peer's index, or undefined when there is no room. */
  addPeer(): number | undefined {
    const taken = this.#indexes.take();
    if (!taken) return undefined;
    this.#peers.clear(taken.index);
    this.#peers.put(taken.index, { flags: PEER.USED });
    return taken.index;
  }
  /** Where data for the peer goes; undefined: nobody knows. */
  setEndpoint(index: number, endpoint: EndpointRow | undefined): void {
    this.#peers.put(index, {
      family: endpoint?.family ?? 4,
      port: endpoint?.port ?? 0,
      addr: endpoint ? octetsOf(endpoint.key) : NO_ADDRESS,
      local: endpoint?.local ? octetsOf(endpoint.local) : NO_ADDRESS,
    });
  }
  /** Whom messages for the peer are handed to (undefined: nobody, they go directly), and what a packet may have in length that way. */
  setPath(index: number, via: number | undefined, mtu: number): void {
    this.#peers.put(index, { via: via === undefined ? 0 : via + 1, mtu });
  }
  /** The peer's address inside the tunnel, that messages are relayed to. */
  setTunnelAddress(index: number, key: Key): void {
    this.#peers.put(index, { tunnelAddr: octetsOf(key) });
  }
  /** Octets of the longest packet on the narrowest of all paths. */
  setLeastMtu(mtu: number): void {
    this.#tunnel.put(0, { leastMtu: mtu });
  }
  /** Slot of the key that seals for the peer. */
  setSendSlot(index: number, slot: number | undefined): void {
    this.#peers.put(index, { sendKey: slot === undefined ? 0 : slot + 1 });
  }
  /** Takes a peer and its prefixes out; releasePeer() follows when that is in force. */
  removePeer(index: number): void {
    this.setAllowed(index, []);
    this.#peers.clear(index);
  }
  releasePeer(index: number): void {
    this.#indexes.release(index);
  }

  /** Puts all allowed prefixes of a peer in place of those it has. No two peers may have the same one. */
  setAllowed(index: number, rows: readonly AllowedRow[]): void {
    for (const row of this.#allowed.get(index) ?? []) {
      this.#routes.delete(allowedTag(row), row.key);
      this.#lengths[row.family][row.length] = (this.#lengths[row.family][row.length] as number) - 1;
    }
    for (const row of rows) {
      this.#routes.set(allowedTag(row), row.key, ((KIND.L3PEER << 24) | index) >>> 0, 0);
      this.#lengths[row.family][row.length] = (this.#lengths[row.family][row.length] as number) + 1;
    }
    if (rows.length > 0) this.#allowed.set(index, rows);
    else this.#allowed.delete(index);
    const { 4: v4, 6: v6 } = this.#lengths;
    this.#tunnel.put(0, {
      v4Lens: lengthBits(v4, 0),
      v6Lens0: lengthBits(v6, 0),
      v6Lens1: lengthBits(v6, 64),
      v6Lens2: lengthBits(v6, 128),
    });
  }
}

/** Prefix lengths of IPv6, and more than there are of IPv4. */
const LENGTHS = 129;
