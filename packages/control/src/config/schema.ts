/** The configuration file. Every key is optional; the README's table says flag, default and unit of each. */
import { type Static, Type } from "typebox";
import {
  Address,
  FileVia,
  HostName,
  Ifname,
  Keepalive,
  Listen,
  LogFormat,
  LogLevel,
  Mac,
  Name,
  networkSettings,
  Path,
  PeerEndpoint,
  Prefix,
  PublicKey,
  RekeyAfterMessages,
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
    privateKeyFile: Path,
    listenPort: Type.Optional(UdpPort),
    address: Type.Array(Address, {
      minItems: 1,
      maxItems: 8,
      description: "1..8 addresses inside the tunnel, as [10.7.0.1]",
    }),
    device: Type.Optional(Ifname),
    rekeyAfterMessages: Type.Optional(RekeyAfterMessages),
    peers: Type.Optional(Type.Array(Peer, { description: "a list of peers" })),
  },
  { additionalProperties: false, description: "a map with privateKeyFile and address" },
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
    wireguard: Type.Optional(WireguardSection),
    networks: Type.Optional(Type.Array(FileNetwork, { description: "a list of networks" })),
  },
  { additionalProperties: false, description: "a map of keys" },
);

export type ConfigFile = Static<typeof ConfigFile>;
export type WireguardSection = Static<typeof WireguardSection>;
export type FileNetwork = Static<typeof FileNetwork>;
