/** The configuration file. Every key is optional; the README's table says flag, default and unit of each. */
import { type Static, Type } from "../typebox.js";
import {
  Address,
  Advertised,
  FileVia,
  Host,
  HostName,
  Ifname,
  Keepalive,
  Listen,
  LogFormat,
  LogLevel,
  Mac,
  Name,
  NetworkPrefix,
  networkSettings,
  Path,
  PeerEndpoint,
  Prefix,
  PublicKey,
  RekeyAfterMessages,
  TcpPort,
  UdpPort,
  Vtep,
  Workers,
} from "./fields.js";

const limit = (low: number, high: number) =>
  Type.Optional(Type.Integer({ minimum: low, maximum: high, description: `an integer ${low}..${high}` }));

export const FileNetwork = Type.Object(
  {
    name: Name,
    ...networkSettings,
    static: Type.Optional(
      Type.Array(
        Type.Object({ mac: Mac, vtep: Vtep }, { additionalProperties: false, description: "a map of mac and vtep" }),
        { description: "a list of {mac, vtep}" },
      ),
    ),
    routes: Type.Optional(
      Type.Array(
        Type.Object(
          { prefix: Prefix, via: FileVia },
          { additionalProperties: false, description: "a map of prefix and via" },
        ),
        { description: "a list of {prefix, via}" },
      ),
    ),
  },
  { additionalProperties: false, description: "a map with name and vni" },
);

const Peer = Type.Object(
  {
    publicKey: PublicKey,
    endpoint: Type.Optional(PeerEndpoint),
    allowedIps: Type.Optional(Type.Array(Prefix, { description: "a list of prefixes" })),
    presharedKeyFile: Type.Optional(Path),
    persistentKeepalive: Type.Optional(Keepalive),
  },
  { additionalProperties: false, description: "a map with publicKey" },
);

const WireguardSection = Type.Object(
  {
    /** Required without a mesh, refused with one: mesh-rules.ts. So is `address`, and `listenPort` is refused. */
    privateKeyFile: Type.Optional(Path),
    listenPort: Type.Optional(UdpPort),
    address: Type.Optional(
      Type.Array(Address, {
        minItems: 1,
        maxItems: 8,
        description: "1..8 addresses inside the tunnel, as [10.7.0.1]",
      }),
    ),
    device: Type.Optional(Ifname),
    rekeyAfterMessages: Type.Optional(RekeyAfterMessages),
    peers: Type.Optional(Type.Array(Peer, { description: "a list of peers" })),
  },
  { additionalProperties: false, description: "a map with privateKeyFile and address" },
);

/** Hosts, addresses and prefixes that one node is told. */
const FEW = 8;

const MeshSection = Type.Object(
  {
    join: Type.Optional(
      Type.Array(Host, { minItems: 1, maxItems: FEW, description: `1..${FEW} hosts, as [192.0.2.1]` }),
    ),
    tokenFile: Type.Optional(Path),
    advertise: Type.Optional(
      Type.Array(Advertised, { minItems: 1, maxItems: FEW, description: `1..${FEW} addresses of this host` }),
    ),
    port: Type.Optional(TcpPort),
    wireguardPort: Type.Optional(UdpPort),
    discovery: Type.Optional(Type.Boolean({ description: "true or false" })),
    cidr: Type.Optional(
      Type.Array(NetworkPrefix, {
        minItems: 1,
        maxItems: 2,
        description: "one prefix per family, as [10.32.0.0/12]",
      }),
    ),
  },
  { additionalProperties: false, description: "a map, {} for the defaults" },
);

export const ConfigFile = Type.Object(
  {
    name: Type.Optional(HostName),
    underlay: Type.Optional(
      Type.Array(Address, { minItems: 1, maxItems: 2, description: "one address per family, as [10.9.0.1]" }),
    ),
    socket: Type.Optional(Path),
    metrics: Type.Optional(Listen),
    stateDir: Type.Optional(Path),
    vxlanPort: Type.Optional(UdpPort),
    workers: Type.Optional(Workers),
    logLevel: Type.Optional(LogLevel),
    logFormat: Type.Optional(LogFormat),
    limits: Type.Optional(
      Type.Object(
        {
          fdb: limit(1024, 1_048_576),
          ports: limit(1, 16_384),
          vteps: limit(1, 16_384),
          routes: limit(1, 1_048_576),
          networks: limit(1, 4096),
          peers: limit(1, 2048),
        },
        { additionalProperties: false, description: "a map of fdb, ports, vteps, routes, networks, peers" },
      ),
    ),
    mesh: Type.Optional(MeshSection),
    wireguard: Type.Optional(WireguardSection),
    networks: Type.Optional(Type.Array(FileNetwork, { description: "a list of networks" })),
  },
  { additionalProperties: false, description: "a map of keys" },
);

export type ConfigFile = Static<typeof ConfigFile>;
export type WireguardSection = Static<typeof WireguardSection>;
export type FileNetwork = Static<typeof FileNetwork>;
