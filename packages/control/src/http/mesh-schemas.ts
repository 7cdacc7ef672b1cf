/** What the API takes and answers about the mesh. */

import { DnsName, Host, Ip, Mtu, Name, NetworkPrefix, PortId, Vni, Vtep } from "../config/fields.js";
import type { ProblemKind } from "../mesh-answers.js";
import { type TSchema, Type } from "../typebox.js";

const Count = Type.Integer({ minimum: 0 });
const Text = Type.String();
const Texts = Type.Array(Text);
const Time = Type.Integer({ minimum: 0, description: "milliseconds since 1970" });
const Port = Type.Integer({ minimum: 1, maximum: 65_535, description: "a port 1..65535" });
const Protocol = Type.Union([Type.Literal("tcp"), Type.Literal("udp")], { description: "tcp or udp" });
const orNull = <T extends TSchema>(schema: T, description: string) =>
  Type.Union([schema, Type.Null()], { description });
const strict = <T extends Record<string, TSchema>>(properties: T, description: string) =>
  Type.Object(properties, { additionalProperties: false, description });
const oneOf = (words: readonly string[]) =>
  Type.Union(
    words.map((w) => Type.Literal(w)),
    { description: words.join(", ") },
  );

const NodeId = Type.String({ description: "public key of a node, 43 characters of base64url" });
const Traffic = Type.Object({ packets: Count, bytes: Count });

export const HostBody = strict({ host: Host }, "{host}");
export const VtepBody = strict({ vtep: Vtep }, "{vtep}");
export const ExposeBody = strict({ network: Type.Optional(Name) }, "{network} or {} for the default network");
export const NewNetworkBody = strict(
  {
    name: Name,
    cidr: Type.Optional(
      Type.Array(NetworkPrefix, { minItems: 1, maxItems: 2, description: "a list of prefixes, one per family" }),
    ),
    vni: Type.Optional(Vni),
    mtu: Type.Optional(Mtu),
  },
  "a network",
);
const Srv = strict(
  {
    priority: Type.Integer({ minimum: 0, maximum: 65_535, description: "an integer 0..65535" }),
    weight: Type.Integer({ minimum: 0, maximum: 65_535, description: "an integer 0..65535" }),
    port: Type.Integer({ minimum: 0, maximum: 65_535, description: "an integer 0..65535" }),
    target: Type.String({ minLength: 1, maxLength: 253, description: "a name" }),
  },
  "{priority, weight, port, target}",
);
export const DnsBody = strict(
  {
    name: DnsName,
    network: Type.Optional(Name),
    ips: Type.Optional(Type.Array(Ip, { maxItems: 32, description: "a list of at most 32 addresses" })),
    srv: Type.Optional(Type.Array(Srv, { maxItems: 32, description: "a list of at most 32 services" })),
  },
  "a name and where it leads",
);
/** Keys of an attachment that only a mesh knows. */
export const attachKeys = {
  ipam: Type.Optional(
    Type.Boolean({ description: "true for addresses from the network, or false for none where ip is left out" }),
  ),
  name: Type.Optional(DnsName),
  dnsNames: Type.Optional(Type.Array(DnsName, { maxItems: 15, description: "a list of at most 15 names" })),
  publish: Type.Optional(
    Type.Array(
      strict(
        { ip: Type.Optional(Ip), hostPort: Type.Optional(Port), port: Port, protocol: Protocol },
        "{ip, hostPort, port, protocol}",
      ),
      { maxItems: 64, description: "a list of at most 64 {ip, hostPort, port, protocol}" },
    ),
  ),
};

export const Published = Type.Object({ ip: Text, hostPort: Port, port: Port, protocol: Protocol });

/** Every one that there is. */
export const PROBLEM_KINDS = [
  ...(["network_conflict", "gateway", "exposure", "dns", "foreign_address", "ignored_grant"] as const),
  ...(["same_ip", "same_mac", "without_route", "without_binding"] as const),
] satisfies readonly ProblemKind[];
const Problems = Type.Array(
  Type.Object({
    kind: oneOf(PROBLEM_KINDS),
    network: orNull(Text, "null: of several, or of none in particular"),
    count: Type.Integer({ minimum: 1, description: "collisions, gateways, addresses or containers that it is about" }),
    text: Type.String({ description: "what is wrong, what it means, and what to do" }),
  }),
  { description: "what is wrong on this node and does not right itself" },
);

export const Mesh = Type.Object({
  self: NodeId,
  networkId: Type.String({ description: "16 octets in hexadecimal" }),
  founder: NodeId,
  protocol: Count,
  port: Port,
  wireguardPort: Port,
  tunnelAddress: Text,
  discovery: Type.Boolean(),
  members: Type.Array(
    Type.Object({
      id: NodeId,
      name: Text,
      isSelf: Type.Boolean(),
      state: oneOf(["alive", "unreachable"]),
      aliveAt: Time,
      startedAt: orNull(Time, "null as long as nothing but its admission is known"),
      version: orNull(Text, "of weft; null as above"),
      publicKey: orNull(Text, "of WireGuard; null as above"),
      tunnelAddress: Text,
      control: Texts,
      endpoints: Texts,
      capabilities: Texts,
      recordVersion: Count,
      records: Count,
      links: Type.Object(
        {
          control: Type.Array(NodeId),
          data: Type.Array(Type.Object({ to: NodeId, rttUs: Count, loss: Count })),
        },
        { description: "as the member says; rttUs in microseconds, loss of 1000 probes" },
      ),
    }),
  ),
  controlLinks: Type.Array(
    Type.Object({
      node: NodeId,
      name: Text,
      remote: Text,
      isOutbound: Type.Boolean(),
      since: Time,
      receive: Traffic,
      transmit: Traffic,
    }),
    { description: "those of this node" },
  ),
  targets: Type.Array(
    Type.Object({
      address: Text,
      state: oneOf(["connected", "connecting", "failed"]),
      node: orNull(NodeId, "who answered there last"),
      error: orNull(Text, "why the last try failed"),
    }),
    { description: "what --join and connect have named" },
  ),
  problems: Problems,
});

export const PathMode = oneOf(["direct", "relayed", "none"]);
export const Path = Type.Object({
  node: NodeId,
  name: Text,
  publicKey: Text,
  mode: PathMode,
  via: orNull(NodeId, "next member on a relayed path"),
  viaName: orNull(Text, "its name"),
  endpoint: orNull(Text, "null while none is known"),
  session: oneOf(["none", "handshake", "established"]),
  rttSeconds: orNull(Type.Number({ minimum: 0 }), "null for not measured yet"),
  loss: orNull(Type.Number({ minimum: 0, maximum: 1 }), "of the latest probes; null for not measured yet"),
  mtu: orNull(
    Count,
    "octets of the longest packet that is known to pass inside the session; null for not confirmed yet",
  ),
  since: Time,
  receive: Traffic,
  transmit: Traffic,
});

export const Token = Type.Object({
  id: Text,
  state: oneOf(["valid", "retired"]),
  createdAt: Time,
  node: NodeId,
});
export const JoinToken = Type.Object(
  { id: Text, token: Text, hosts: Texts },
  { description: "whoever has the token can join; hosts are what a newcomer dials, the likeliest first" },
);

export const MeshNetwork = Type.Object({
  name: Name,
  vni: Vni,
  cidr4: orNull(Text, "null for no IPv4"),
  cidr6: orNull(Text, "null for no IPv6"),
  mtu: Count,
  vteps: Texts,
  gateway: Texts,
  isDefault: Type.Boolean(),
  containers: Count,
  conflicts: Type.Array(Text, { description: "what collides with it, on this host or with other networks" }),
  createdAt: Time,
});

export const Container = Type.Object(
  {
    id: PortId,
    node: NodeId,
    nodeName: Text,
    name: orNull(Text, "null for none"),
    network: Name,
    ifname: Text,
    mac: Text,
    ips: Texts,
    dns: Texts,
    role: oneOf(["container", "host"]),
    published: Type.Array(Published),
    since: Time,
  },
  { description: "the same on every member" },
);

export const Link = Type.Object(
  {
    network: Name,
    sourceContainerId: Type.String({ description: "the container on this host" }),
    destinationContainerId: Text,
    interface: Type.String({ description: "device of the source" }),
    mac: Type.String({ description: "of the source" }),
    ip: orNull(Text, "first address of the source; null: none"),
    packets: Count,
    bytes: Count,
    lastSeen: Time,
  },
  { description: "two containers that have talked, one of them on this host; both directions together" },
);

export const Ipam = Type.Object({
  network: Name,
  cidr4: orNull(Text, "null for no IPv4"),
  cidr6: orNull(Text, "null for no IPv6"),
  size: Type.Integer({ minimum: 0, description: "addresses that all nodes together can give" }),
  owned: Count,
  used: Count,
  free: Count,
  foreign: Type.Array(Text, { description: "ports of this node whose addresses another one owns" }),
  ignoredGrants: Type.Integer({ minimum: 0, description: "grants of ranges that have no effect" }),
  waiting: orNull(Text, "what holds an attachment up; null for nothing"),
  ranges: Type.Array(
    Type.Object({
      first: Text,
      last: Text,
      count: Count,
      node: NodeId,
      name: Text,
      state: oneOf(["alive", "unreachable", "removed"]),
    }),
  ),
  allocations: Type.Array(
    Type.Object({
      ips: Texts,
      port: orNull(Text, "null: kept for a container that comes back"),
      name: orNull(Text, "null for none"),
    }),
  ),
});

export const Dns = Type.Object({
  domain: Text,
  listen: Texts,
  upstream: Texts,
  entries: Type.Array(
    Type.Object({
      name: Text,
      network: orNull(Name, "whose containers are answered; null for those of all networks"),
      ips: Texts,
      srv: Type.Array(Srv),
      node: NodeId,
      nodeName: Text,
      container: orNull(Text, "port id; null for added by hand"),
    }),
  ),
});

export const Exposure = Type.Object({
  exposed: Type.Array(Type.Object({ network: Name, ifname: Text, ips: Texts })),
  published: Type.Array(Type.Object({ ...Published.properties, network: Name, container: Text })),
  foreignRules: Type.Array(Text, { description: "rules that weft has added to chains of others" }),
});

export const MeshSummary = Type.Object({
  networkId: Text,
  members: Type.Object({ alive: Count, unreachable: Count }),
  paths: Type.Object({ direct: Count, relayed: Count, none: Count }),
  containers: Count,
  exposure: Exposure,
  problems: Problems,
});

export const Departure = Type.Object({
  networkId: Text,
  granted: Type.Array(Type.Object({ network: Name, count: Count, to: NodeId })),
});
