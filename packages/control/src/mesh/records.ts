/**
 * What nodes say of themselves: the kinds of records, with a schema each. A record has one writer, the node whose key signs it;
 * its name is unique within that node. Whoever receives one that does not fit its schema counts it and does not keep it.
 *
 * | name | says |
 * |---|---|
 * | `node` | who I am: name, WireGuard key, addresses |
 * | `links` | whom I am linked with: control links, and data paths with round trip and loss |
 * | `member:ID` | I have admitted this node |
 * | `removed:ID` | this node is out, for ever |
 * | `token:TID` | a join token, or that it is retired |
 * | `network:NAME` | a network as I last set it |
 * | `container:PORT` | a port of mine |
 * | `grant:RING:START:EPOCH` | I have given addresses away; RING is a network since it was made (ipam/ring.ts) |
 * | `want:RING` | I need addresses |
 * | `dns:NAME`, `dns:NAME@NETWORK` | names that somebody has added here by hand |
 */
import { type Static, Type } from "../typebox.js";

/** Octets of the longest value (JSON, UTF-8) and characters of the longest name. */
export const VALUE_MAX = 16_384;
export const KEY_MAX = 160;

/** 32 octets in base64url: an Ed25519 public key. */
const NodeId = Type.String({ pattern: "^[A-Za-z0-9_-]{43}$" });
const Name = Type.String({ minLength: 1, maxLength: 64 });
const Text = Type.String({ maxLength: 256 });
const Ip = Type.String({ minLength: 2, maxLength: 45 });
/** `ADDR:PORT` or `[ADDR]:PORT`. */
const HostPort = Type.String({ minLength: 4, maxLength: 64 });
const Mac = Type.String({ pattern: "^[0-9a-f]{2}(:[0-9a-f]{2}){5}$" });
/** Milliseconds since 1970, by the writer's clock. */
const Time = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
/** A Lamport clock: one more than the greatest that the writer has seen for the same thing. */
const Clock = Type.Integer({ minimum: 0, maximum: 2 ** 48 });
/** Position of an address in its network: 0 is the network's own address. */
const Index = Type.Integer({ minimum: 0, maximum: 2 ** 32 - 1 });

export const NodeRecord = Type.Object({
  name: Name,
  /** WireGuard public key, base64 as `wg pubkey` prints it. */
  wireguard: Type.String({ pattern: "^[A-Za-z0-9+/]{43}=$" }),
  /** Where to dial the control port (TCP), likeliest first. */
  control: Type.Array(HostPort, { maxItems: 8 }),
  /** Where WireGuard is reached (UDP): advertised, own, and as others have seen it from outside; likeliest first. */
  endpoints: Type.Array(HostPort, { maxItems: 8 }),
  /** Octets of the underlay's MTU, the smallest. */
  underlayMtu: Type.Integer({ minimum: 576, maximum: 65_535 }),
  version: Text,
  /** What not every version can: `relay` hands on messages for others, `layer3` has ports without Ethernet. Other words say nothing. */
  capabilities: Type.Array(Text, { maxItems: 32 }),
  startedAt: Time,
});

export const LinksRecord = Type.Object({
  /** Nodes at the other end of control links. */
  control: Type.Array(NodeId, { maxItems: 64 }),
  /** Direct data paths that work, cheapest first; rounded, so that a record changes when something has happened. */
  data: Type.Array(
    Type.Object({
      to: NodeId,
      /** Microseconds. */
      rttUs: Type.Integer({ minimum: 0, maximum: 60_000_000 }),
      /** Of 1000 probes. */
      loss: Type.Integer({ minimum: 0, maximum: 1000 }),
    }),
    { maxItems: 128 },
  ),
});

export const MemberRecord = Type.Object({ name: Name, at: Time });
export const RemovedRecord = Type.Object({
  at: Time,
  /** The greatest version that the writer had seen of the removed node: whom it admits in later ones is no member. */
  upTo: Clock,
  /** Who has removed it: the writer, or the one whose tombstone the writer repeats. For people to read; nothing is decided by it. */
  by: NodeId,
});

export const TokenRecord = Type.Object({
  /** base64url, 32 octets; null: retired, for ever. */
  secret: Type.Union([Type.String({ pattern: "^[A-Za-z0-9_-]{43}$" }), Type.Null()]),
  /** When it was made, also of one that is retired. */
  at: Time,
});

/** The latest by (clock, writer) holds. */
export const NetworkRecord = Type.Object({
  clock: Clock,
  deleted: Type.Boolean(),
  vni: Type.Integer({ minimum: 1, maximum: 16_777_215 }),
  /** IPv4 and IPv6 prefix; null: none of that family. Index i is prefix + i in both. */
  cidr4: Type.Union([Type.String({ maxLength: 18 }), Type.Null()]),
  cidr6: Type.Union([Type.String({ maxLength: 43 }), Type.Null()]),
  /** Octets; null: room for one relay. */
  mtu: Type.Union([Type.Integer({ minimum: 1280, maximum: 65_485 }), Type.Null()]),
  /** VTEPs outside of the mesh, in clear: kernels. */
  vteps: Type.Array(HostPort, { maxItems: 256 }),
  /** Who owned the whole ring of addresses first. */
  founder: NodeId,
  createdAt: Time,
});

export const ContainerRecord = Type.Object({
  /** Name in listings; also the first of its DNS names. */
  name: Type.Union([Name, Type.Null()]),
  network: Name,
  ifname: Type.String({ maxLength: 15 }),
  mac: Mac,
  /** Addresses without prefix length. */
  ips: Type.Array(Ip, { maxItems: 16 }),
  /** Names under the network's domain, without it. */
  dns: Type.Array(Name, { maxItems: 16 }),
  /** container, or the host's own port (`weft expose`). */
  role: Type.Union([Type.Literal("container"), Type.Literal("host")]),
  published: Type.Array(
    Type.Object({
      ip: Ip,
      hostPort: Type.Integer({ minimum: 1, maximum: 65_535 }),
      port: Type.Integer({ minimum: 1, maximum: 65_535 }),
      protocol: Type.Union([Type.Literal("tcp"), Type.Literal("udp")]),
    }),
    { maxItems: 64 },
  ),
  since: Time,
});

/** Indexes start .. end-1, given from the writer to a node. `epoch` is one more than that under which the writer had them. */
export const GrantRecord = Type.Object({ start: Index, end: Index, to: NodeId, epoch: Clock });

export const WantRecord = Type.Object({
  /** Who is asked; others do not answer. */
  from: NodeId,
  /** How many indexes are wanted, or (`at`) which one. */
  count: Type.Integer({ minimum: 1, maximum: 2 ** 32 - 1 }),
  at: Type.Union([Index, Type.Null()]),
  /** Distinguishes this request from the one before. */
  nonce: Clock,
});

export const DnsRecord = Type.Object({
  /** Addresses; empty with `srv` alone. */
  ips: Type.Array(Ip, { maxItems: 32 }),
  srv: Type.Array(
    Type.Object({
      port: Type.Integer({ minimum: 0, maximum: 65_535 }),
      target: Text,
      priority: Type.Integer({ minimum: 0, maximum: 65_535 }),
      weight: Type.Integer({ minimum: 0, maximum: 65_535 }),
    }),
    { maxItems: 32 },
  ),
});

/** Kind (what is before the first colon of a name) to schema. */
export const KINDS = {
  node: NodeRecord,
  links: LinksRecord,
  member: MemberRecord,
  removed: RemovedRecord,
  token: TokenRecord,
  network: NetworkRecord,
  container: ContainerRecord,
  grant: GrantRecord,
  want: WantRecord,
  dns: DnsRecord,
} as const;
export type Kind = keyof typeof KINDS;

export type NodeValue = Static<typeof NodeRecord>;
export type LinksValue = Static<typeof LinksRecord>;
export type MemberValue = Static<typeof MemberRecord>;
export type RemovedValue = Static<typeof RemovedRecord>;
export type TokenValue = Static<typeof TokenRecord>;
export type NetworkValue = Static<typeof NetworkRecord>;
export type ContainerValue = Static<typeof ContainerRecord>;
export type GrantValue = Static<typeof GrantRecord>;
export type WantValue = Static<typeof WantRecord>;
export type DnsValue = Static<typeof DnsRecord>;

export interface Values {
  node: NodeValue;
  links: LinksValue;
  member: MemberValue;
  removed: RemovedValue;
  token: TokenValue;
  network: NetworkValue;
  container: ContainerValue;
  grant: GrantValue;
  want: WantValue;
  dns: DnsValue;
}
