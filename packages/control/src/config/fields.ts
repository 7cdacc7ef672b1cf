/**
 * Schemas of single values: addresses, names, numbers. Each has a description that reads well after "allowed:"; the
 * same schemas check the configuration file and the API and appear in the OpenAPI document.
 */

import { isIfname } from "../dataplane/ifname.js";
import { Format, Settings, Type } from "../typebox.js";
import { LOG_LEVELS } from "./defaults.js";
import {
  isAddress,
  isCidr,
  isDnsName,
  isEndpoint,
  isFileVia,
  isHost,
  isKey,
  isListen,
  isMac,
  isNetworkPrefix,
  isUnicast,
  isVtep,
} from "./formats.js";

// The default stops after 8 errors; a wrong file is reported whole.
Settings.Set({ maxErrors: 1000 });

Format.Set("via", isFileVia);
Format.Set("ifname", isIfname);
Format.Set("unicast", isUnicast);
Format.Set("ip", isAddress);
Format.Set("cidr", isCidr);
Format.Set("mac", isMac);
Format.Set("vtep", isVtep);
Format.Set("listen", isListen);
Format.Set("key", isKey);
Format.Set("endpoint", isEndpoint);
Format.Set("host", isHost);
Format.Set("network-prefix", isNetworkPrefix);
Format.Set("dns-name", isDnsName);

export const Address = Type.String({
  format: "unicast",
  description: "an IPv4 or IPv6 address of a host; names are not resolved",
});
export const Ip = Type.String({ format: "ip", description: "an IPv4 or IPv6 address" });
export const Cidr = Type.String({
  format: "cidr",
  description: "an address with prefix length, as 10.8.0.1/24 or fd00::1/64",
});
export const Prefix = Type.String({ format: "cidr", description: "a prefix, as 10.8.1.0/24 or fd00:1::/64" });
export const Mac = Type.String({ format: "mac", description: "a unicast MAC address, as 02:00:00:00:00:07" });
export const Vtep = Type.String({
  format: "vtep",
  description: "a VTEP: ADDR, ADDR:PORT or [ADDR]:PORT; names are not resolved",
});
/** In the file: local ports have no lasting place there. */
export const FileVia = Type.String({ format: "via", description: "a VTEP of the network, or blackhole" });
export const Via = Type.String({ minLength: 1, description: "a VTEP of the network, a port id, or blackhole" });
export const Listen = Type.String({ format: "listen", description: "ADDR:PORT, [ADDR]:PORT, or off" });
export const PublicKey = Type.String({
  format: "key",
  description: "a public key: 32 octets in base64, as `weft pubkey` prints",
});
export const PeerEndpoint = Type.String({
  format: "endpoint",
  description: "ADDR:PORT or [ADDR]:PORT of a host; names are not resolved",
});
export const Host = Type.String({
  format: "host",
  description: "HOST, HOST:PORT, ADDR, ADDR:PORT or [ADDR]:PORT",
});
export const Advertised = Type.String({
  format: "vtep",
  description: "ADDR, ADDR:PORT or [ADDR]:PORT of this host; names are not resolved",
});
export const NetworkPrefix = Type.String({
  format: "network-prefix",
  description: "a prefix of a network, as 10.32.0.0/12 (IPv4 /8../29) or fd00:1::/64 (IPv6 /48../125)",
});
export const DnsName = Type.String({
  format: "dns-name",
  description: "1..64 characters: labels of a-z 0-9 - _ with dots between them",
});
export const TcpPort = Type.Integer({ minimum: 1, maximum: 65_535, description: "a TCP port 1..65535" });
export const Keepalive = Type.Integer({ minimum: 0, maximum: 65_535, description: "seconds 1..65535, or 0 for none" });
export const RekeyAfterMessages = Type.Integer({
  minimum: 1,
  maximum: Number.MAX_SAFE_INTEGER,
  description: "messages 1..9007199254740991",
});
export const Encryption = Type.Union([Type.Literal("required"), Type.Literal("none"), Type.Literal("mixed")], {
  description: "required, none or mixed",
});
export const Name = Type.String({
  pattern: "^[a-z0-9][a-z0-9._-]{0,31}$",
  description: "1..32 of a-z 0-9 - _ . that start with a letter or digit",
});
export const PortId = Type.String({
  pattern: "^(?!\\.{1,2}$)[A-Za-z0-9_.-]{1,64}$",
  description: "1..64 of A-Z a-z 0-9 - _ . but not . or ..",
});
export const HostName = Type.String({ minLength: 1, maxLength: 64, description: "1..64 characters" });
export const Path = Type.String({ minLength: 1, description: "a path" });
export const Ifname = Type.String({
  format: "ifname",
  description: "a device name: 1..15 ASCII characters without space / : %, not . .. all default",
});
export const Vni = Type.Integer({ minimum: 1, maximum: 16_777_215, description: "an integer 1..16777215" });
export const UdpPort = Type.Integer({ minimum: 1, maximum: 65_535, description: "a UDP port 1..65535" });
export const Workers = Type.Integer({ minimum: 1, maximum: 16, description: "an integer 1..16" });
export const Mtu = Type.Integer({ minimum: 1280, maximum: 65_485, description: "an integer 1280..65485" });
export const MtuOrAuto = Type.Union([Mtu, Type.Literal("auto")], { description: "an integer 1280..65485, or auto" });
export const AgeSeconds = Type.Integer({ minimum: 0, maximum: 32_000, description: "seconds 0 (never) or 1..32000" });
export const BumRate = Type.Integer({
  minimum: 0,
  maximum: 1_000_000,
  description: "frames per second 1..1000000, 0 for unlimited",
});
export const MacsPerPort = Type.Integer({ minimum: 1, maximum: 1_048_576, description: "an integer 1..1048576" });
export const AcceptFrom = Type.Union([Type.Literal("vteps"), Type.Literal("any")], { description: "vteps or any" });
export const LogLevel = Type.Union(
  LOG_LEVELS.map((level) => Type.Literal(level)),
  { description: "trace, debug, info, warn or error" },
);
export const LogFormat = Type.Union([Type.Literal("pretty"), Type.Literal("json")], { description: "pretty or json" });
const Guard = Type.Optional(Type.Boolean({ description: "true or false" }));
export const Guards = Type.Object(
  { spoofedMac: Guard, routerAdvertisement: Guard, dhcpServer: Guard },
  { additionalProperties: false, description: "a map of spoofedMac, routerAdvertisement, dhcpServer" },
);
/** What a network may say about itself beside its name, in the file as in the API. */
export const networkSettings = {
  vni: Vni,
  mtu: Type.Optional(MtuOrAuto),
  vteps: Type.Optional(Type.Array(Vtep, { description: "a list of VTEPs" })),
  ageSeconds: Type.Optional(AgeSeconds),
  bumRate: Type.Optional(BumRate),
  macsPerPort: Type.Optional(MacsPerPort),
  acceptFrom: Type.Optional(AcceptFrom),
  guards: Type.Optional(Guards),
  encryption: Type.Optional(Encryption),
};
