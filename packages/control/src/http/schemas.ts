/** What the API takes and answers. These schemas check requests, make the OpenAPI document and are checked by tests. */

import {
  Cidr,
  Encryption,
  Ifname,
  Ip,
  Mac,
  Mtu,
  Name,
  networkSettings,
  PortId,
  Prefix,
  Via,
  Vni,
} from "../config/fields.js";
import { type TSchema, Type } from "../typebox.js";
import { attachKeys, MeshSummary, Published } from "./mesh-schemas.js";

const Count = Type.Integer({ minimum: 0 });
const Text = Type.String();
const shape = <T extends Record<string, TSchema>>(properties: T, options: { description?: string } = {}) =>
  Type.Object(properties, options);
const strict = <T extends Record<string, TSchema>>(properties: T, description: string) =>
  Type.Object(properties, { additionalProperties: false, description });

const Labels = Type.Record(Type.String(), Type.String(), { description: "a map of strings" });
const PortRoute = strict({ to: Prefix, via: Type.Optional(Ip) }, "{to, via}");

export const AttachBody = strict(
  {
    network: Type.Optional(Name),
    vni: Type.Optional(Vni),
    netns: Type.Optional(
      Type.Union([Type.String({ minLength: 1 }), Type.Integer({ minimum: 1 })], {
        description: "a namespace name, a path, or a PID",
      }),
    ),
    ifname: Type.Optional(Ifname),
    ip: Type.Optional(Type.Array(Cidr, { description: "a list of addresses with prefix length" })),
    mac: Type.Optional(Mac),
    mtu: Type.Optional(Mtu),
    gateway: Type.Optional(
      Type.Array(Ip, { maxItems: 2, description: "a list of gateway addresses, at most one per family" }),
    ),
    routes: Type.Optional(Type.Array(PortRoute, { description: "a list of {to, via}" })),
    id: Type.Optional(PortId),
    labels: Type.Optional(Labels),
    l3: Type.Optional(Type.Boolean({ description: "true for a device that takes IP packets only (TUN)" })),
    ...attachKeys,
    configure: Type.Optional(
      Type.Boolean({ description: "true, or false to leave the device in the daemon's namespace" }),
    ),
  },
  "what to attach",
);

export const NetworkBody = strict(networkSettings, "a network");
export const RouteBody = Type.Union(
  [strict({ mac: Mac, via: Via }, "{mac, via}"), strict({ prefix: Prefix, via: Via }, "{prefix, via}")],
  { description: "{mac, via} or {prefix, via}" },
);
export const RoutesBody = Type.Array(RouteBody, { description: "a list of {mac, via} and {prefix, via}" });
export const FlushBody = strict({ network: Type.Optional(Name) }, "{network} or {}");

const Traffic = shape({ packets: Count, bytes: Count });
const PortState = Type.Union((["created", "up", "down", "gone"] as const).map((s) => Type.Literal(s)));
export const Port = shape({
  id: PortId,
  network: Name,
  state: PortState,
  ifname: Text,
  role: Type.Union([Type.Literal("container"), Type.Literal("gateway")]),
  l3: Type.Boolean(),
  netns: Type.Union([Text, Type.Null()]),
  mac: Text,
  ip: Type.Array(Text),
  mtu: Count,
  gateway: Type.Array(Text),
  routes: Type.Array(shape({ to: Text, via: Type.Optional(Text) })),
  labels: Labels,
  receive: Traffic,
  transmit: Traffic,
  name: Type.Optional(Type.Union([Text, Type.Null()], { description: "in a mesh, as it was attached" })),
  dns: Type.Optional(Type.Array(Text, { description: "in a mesh, full names that lead to it, as it was attached" })),
  published: Type.Optional(Type.Array(Published, { description: "in a mesh, as it was attached" })),
});
export const Network = shape({
  name: Name,
  vni: Vni,
  vteps: Type.Array(Text),
  mtu: Count,
  ageSeconds: Count,
  bumRate: Count,
  macsPerPort: Count,
  acceptFrom: Text,
  encryption: Encryption,
  gateway: Type.Union([Text, Type.Null()], { description: "MAC of the network's gateway; null for none" }),
  guards: shape({ spoofedMac: Type.Boolean(), routerAdvertisement: Type.Boolean(), dhcpServer: Type.Boolean() }),
  ports: Count,
  routes: Count,
});
export const FdbEntry = shape({
  network: Name,
  mac: Text,
  kind: Type.Union([Type.Literal("port"), Type.Literal("vtep"), Type.Literal("blackhole")]),
  via: Text,
  static: Type.Boolean(),
  ageSeconds: Type.Number({ minimum: 0 }),
});
export const NeighbourEntry = shape({
  network: Name,
  ip: Text,
  mac: Text,
  via: Text,
  ageSeconds: Type.Number({ minimum: 0 }),
});

const Session = Type.Union(
  (["none", "handshake", "established"] as const).map((s) => Type.Literal(s)),
  { description: "no usable key; none, and an initiation is under way; a key" },
);
const LastHandshake = Type.Union([Count, Type.Null()], { description: "milliseconds since 1970; null for never" });
const Peer = shape({
  publicKey: Text,
  endpoint: Type.Union([Text, Type.Null()], { description: "where it is now; null while that is not known" }),
  allowedIps: Type.Array(Text),
  presharedKey: Type.Boolean({ description: "whether there is one" }),
  persistentKeepalive: Type.Integer({ minimum: 0, maximum: 65_535, description: "seconds; 0 for off" }),
  session: Session,
  lastHandshake: LastHandshake,
  receive: Traffic,
  transmit: Traffic,
});
export const Wireguard = Type.Union(
  [
    shape({
      publicKey: Text,
      listenPort: Count,
      address: Type.Array(Text),
      device: Type.Union([Text, Type.Null()], { description: "null for none" }),
      mtu: Count,
      keylog: Type.Union([Text, Type.Null()], {
        description: "file that the keys of sessions are written to; null for none",
      }),
      peers: Type.Array(Peer),
    }),
    Type.Null(),
  ],
  { description: "null without WireGuard" },
);
const WireguardCounters = shape({
  handshakes: Type.Array(shape({ role: Text, result: Text, count: Count })),
  rekeys: Count,
  refused: Type.Record(Type.String(), Count),
  cookiesSent: Count,
  cookiesReceived: Count,
  keepalivesSent: Count,
  roams: Count,
  peers: Type.Array(
    shape({ publicKey: Text, receive: Traffic, transmit: Traffic, lastHandshake: LastHandshake, session: Session }),
  ),
});

const Plane = Type.Union([Type.Literal("egress"), Type.Literal("ingress")]);
const Law = shape({ in: Count, made: Count, out: Count, consumed: Count, merged: Count, drops: Count });
const Histogram = shape({
  buckets: Type.Array(
    shape({
      le: Type.Union([Type.Number(), Type.Null()], { description: "upper bound; null for none" }),
      count: Count,
    }),
  ),
  sum: Type.Number(),
  count: Count,
});
export const Counters = shape({
  law: shape(
    { egress: Law, ingress: Law },
    { description: "in + made = out + consumed + merged + drops, between batches" },
  ),
  drops: Type.Array(shape({ plane: Plane, reason: Text, help: Text, count: Count })),
  kernelDrops: shape({ tap_ring: Count, udp_rcvbuf: Count }),
  ports: Type.Array(shape({ id: Text, network: Text, receive: Traffic, transmit: Traffic })),
  vteps: Type.Array(shape({ network: Text, vtep: Text, receive: Traffic, transmit: Traffic })),
  networks: Type.Array(
    shape({
      network: Text,
      receive: Traffic,
      transmit: Traffic,
      fdb: shape({ port: Count, vtep: Count, static: Count }),
      moves: Count,
      evictions: Count,
    }),
  ),
  wireguard: Type.Union([WireguardCounters, Type.Null()], { description: "null without WireGuard" }),
  batchFrames: shape({ egress: Histogram, ingress: Histogram }),
  loopSeconds: Type.Array(Histogram),
  syscalls: Type.Record(Type.String(), Count),
  other: Type.Array(shape({ name: Text, help: Text, count: Count })),
});

export const Status = shape({
  name: Text,
  version: Text,
  pid: Count,
  state: Type.Union([Type.Literal("starting"), Type.Literal("ready"), Type.Literal("stopping")]),
  startedAt: Text,
  uptimeSeconds: Type.Number({ minimum: 0 }),
  socket: Text,
  metrics: Type.Union([Text, Type.Null()], { description: "where /metrics, /healthz and /readyz are" }),
  stateDir: Type.Union([Text, Type.Null()], { description: "null for --ephemeral" }),
  dataplane: shape({
    underlay: Type.Array(
      shape({
        address: Text,
        family: Count,
        interface: Type.Union([Text, Type.Null()]),
        mtu: Count,
        up: Type.Boolean(),
      }),
    ),
    vxlanPort: Count,
    workers: Count,
    abi: Text,
    memoryBytes: Count,
    features: Type.Record(Type.String(), Type.Unknown()),
    disabled: Type.Array(Text, { description: "features that WEFT_DISABLE switches off" }),
    socketBuffers: shape({ receive: Count, send: Count }),
    warnings: Type.Array(Text),
  }),
  wireguard: Wireguard,
  mesh: Type.Union([MeshSummary, Type.Null()], { description: "null with a static configuration" }),
  parked: Type.Array(shape({ id: Text, network: Text, netns: Type.Union([Text, Type.Null()]), why: Text }), {
    description: "attachments of an earlier run that could not be adopted",
  }),
  refused: Type.Array(
    shape({ source: Text, vni: Count, network: Type.Union([Text, Type.Null()]), reason: Text, at: Text }),
    { description: "hosts whose VXLAN was dropped, the latest first: mostly VTEPs that are missing here" },
  ),
  networks: Type.Array(Network),
  ports: Type.Array(Port),
  counters: Counters,
});

export const Failure = shape({
  error: shape({ code: Text, message: Text, problems: Type.Optional(Type.Array(Text)) }),
});
export const Detached = shape({ detached: Type.Array(Text, { description: "ids of the ports there were" }) });
export const Done = shape(
  { pid: Count, detached: Count },
  { description: "the daemon's process, which ends now, and how many ports were detached" },
);
