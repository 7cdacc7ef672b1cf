/** A network as the data plane holds it: checked specification, members, routes. */

import type { NetworkRow } from "@weft/dataplane-wasm";
import { ENUM, LIMIT } from "@weft/dataplane-wasm/abi";
import { type Address, formatMac, isStation, parseMac, parseVtep, type VtepAddress } from "./address.js";
import type { BindingEntry } from "./bindings.js";
import { InvalidInput, Problems } from "./invalid.js";
import type { RouteEntry } from "./routes.js";
import type { Encryption, NetworkInfo, NetworkSpec } from "./types.js";

export interface VtepEntry extends VtepAddress {
  /** As written in the network's list. */
  readonly name: string;
  /** The address lies inside the tunnel. */
  readonly isTunnel: boolean;
}
export interface CheckedNetwork extends Required<Omit<NetworkSpec, "mtu" | "guards" | "vteps" | "gateway">> {
  readonly gateway: string | null;
  readonly mtu: number | "auto";
  readonly guards: NetworkInfo["guards"];
  readonly vteps: readonly VtepEntry[];
}

/** What start() and the other networks say about a network to come. */
export interface NetworkSurroundings {
  readonly vxlanPort: number;
  readonly underlay: readonly { readonly family: 4 | 6; readonly text: string }[];
  /** Name of the other network that has a VNI. */
  ownerOfVni(vni: number): string | undefined;
  /** Who but the gateway's port uses a MAC in the network of that name: a port or a route. */
  ownerOfMac(network: string, mac: string): string | undefined;
  /** The gateway's port in the network of that name, and its MAC. */
  gatewayPort(network: string): { readonly id: string; readonly mac: string } | undefined;
  /** VTEPs that there is still room for. */
  readonly vtepsLeft: number;
  /** WireGuard: our addresses inside the tunnel, and whether a peer covers another one; undefined: there is none. */
  readonly tunnel: TunnelView | undefined;
}
/** What networks know of WireGuard. */
export interface TunnelView {
  readonly addresses: readonly Address[];
  peerOf(address: Address): number | undefined;
  /** Octets of the longest packet inside the tunnel. */
  readonly mtu: number;
}

/** A network in force. */
export class Network {
  /** Keyed by `key` of its routes, in the order of writing. */
  readonly routes = new Map<string, RouteEntry>();
  /** Keyed by address text, in the order of writing. */
  readonly bindings = new Map<string, BindingEntry>();
  /** VTEPs by address text. */
  readonly vteps = new Map<string, { readonly entry: VtepEntry; readonly index: number }>();
  readonly index: number;
  spec: CheckedNetwork;
  mtu: number;
  ports = 0;

  constructor(index: number, spec: CheckedNetwork, mtu: number) {
    this.index = index;
    this.spec = spec;
    this.mtu = mtu;
  }

  info(): NetworkInfo {
    const { name, vni, ageSeconds, bumRate, macsPerPort, acceptFrom, encryption, gateway, guards } = this.spec;
    const vteps = this.spec.vteps.map((v) => v.name);
    return {
      name,
      vni,
      vteps,
      mtu: this.mtu,
      ageSeconds,
      bumRate,
      macsPerPort,
      acceptFrom,
      encryption,
      gateway,
      guards,
      ports: this.ports,
      routes: this.routes.size,
    };
  }
}

/** Octets of a packet that every IPv4 link must carry (RFC 791). */
const MTU_MIN = 68;
const NAME = /^[a-z0-9][a-z0-9._-]{0,31}$/;
const GUARDS = ["spoofedMac", "routerAdvertisement", "dhcpServer"] as const;

const KEYS = {
  name: "value",
  vni: "value",
  vteps: "list",
  mtu: "value",
  ageSeconds: "value",
  bumRate: "value",
  macsPerPort: "value",
  acceptFrom: "value",
  encryption: "value",
  gateway: "value",
  guards: "object",
} as const;
const ENCRYPTIONS = ["required", "none", "mixed"] as const;

/** @throws InvalidInput */
export function checkNetwork(spec: NetworkSpec, around: NetworkSurroundings): CheckedNetwork {
  const name = (spec as NetworkSpec | null | undefined)?.name;
  const problems = new Problems(`network ${typeof name === "string" ? name : "without a name"}`);
  const given = problems.shape(spec, KEYS);
  if (typeof given.name !== "string" || !NAME.test(given.name)) {
    problems.add("name", given.name, "1..32 of a-z 0-9 - _ . starting with a letter or digit");
  }
  const whole = (
    key: "vni" | "ageSeconds" | "bumRate" | "macsPerPort",
    low: number,
    high: number,
    preset?: number,
  ): number => {
    const value = given[key] ?? preset;
    if (value === undefined || !Number.isInteger(value) || value < low || value > high) {
      problems.add(key, value, `a whole number, ${low}..${high}`);
    }
    return value ?? 0;
  };
  const vni = whole("vni", 1, 16_777_215);
  const owner = around.ownerOfVni(vni);
  if (owner !== undefined && owner !== given.name)
    problems.add("vni", vni, `a VNI of its own (network ${owner} has this one)`);
  const ageSeconds = whole("ageSeconds", 0, 32_000, 300);
  const bumRate = whole("bumRate", 0, 1_000_000, 10_000);
  const macsPerPort = whole("macsPerPort", 1, 1_048_576, 1024);

  const mtu = given.mtu ?? "auto";
  if (mtu !== "auto" && (!Number.isInteger(mtu) || mtu < 1280 || mtu > 65_485)) {
    problems.add("mtu", mtu, "auto, or a whole number, 1280..65485");
  }
  const acceptFrom = given.acceptFrom ?? "vteps";
  if (acceptFrom !== "vteps" && acceptFrom !== "any") problems.add("acceptFrom", acceptFrom, "vteps or any");
  const encryption = given.encryption ?? (around.tunnel ? "required" : "none");
  if (!ENCRYPTIONS.includes(encryption)) problems.add("encryption", encryption, "required, none or mixed");
  else if (encryption !== "none" && !around.tunnel) {
    problems.add("encryption", encryption, "none, or a data plane with WireGuard");
  }
  const guards = { spoofedMac: true, routerAdvertisement: true, dhcpServer: true };
  for (const [name, value] of Object.entries(given.guards ?? {})) {
    const known = GUARDS.find((g) => g === name);
    if (!known) problems.add(`guards.${name}`, value, GUARDS.join(", "));
    else if (typeof value !== "boolean") problems.add(`guards.${name}`, value, "true or false");
    else guards[known] = value;
  }

  const gateway = checkGateway(given, around, problems);
  const vteps: VtepEntry[] = [];
  const list: readonly unknown[] = given.vteps ?? [];
  if (!Array.isArray(list)) problems.add("vteps", list, "a list of addresses");
  else {
    list.forEach((text: unknown, i) => {
      const vtep = parseVtep(text, around.vxlanPort);
      const key = `vteps[${i}]`;
      if (!vtep) {
        problems.add(key, text, "ADDR, ADDR:PORT or [ADDR]:PORT");
        return;
      }
      const place = placeOf(vtep, encryption, around);
      // The host itself: one list may serve all hosts.
      if (place === "self") return;
      if (typeof place !== "boolean") problems.add(key, text, place.allowed);
      else if (vteps.some((v) => v.text === vtep.text)) problems.add(key, text, "each address once");
      else vteps.push({ ...vtep, name: String(text), isTunnel: place });
    });
    if (vteps.length > around.vtepsLeft)
      problems.add("vteps", `${vteps.length} VTEPs`, `${around.vtepsLeft} more (vtepsMax)`);
  }
  problems.throwIfAny();
  return {
    name: given.name,
    vni,
    vteps,
    mtu,
    ageSeconds,
    bumRate,
    macsPerPort,
    acceptFrom,
    encryption,
    gateway,
    guards,
  };
}

/** MAC of the network's gateway as text; null: it has none. */
function checkGateway({ name, gateway }: NetworkSpec, around: NetworkSurroundings, problems: Problems): string | null {
  const port = around.gatewayPort(name);
  const mac = gateway === undefined ? undefined : parseMac(gateway);
  const text = mac && formatMac(mac);
  if (gateway !== undefined && (!mac || !isStation(mac))) {
    problems.add("gateway", gateway, "a unicast MAC address as 02:77:66:00:00:2a");
    return null;
  }
  if (port && text !== port.mac)
    problems.add("gateway", gateway, `${port.mac}, while port ${port.id} is the gateway's`);
  const owner = text === undefined ? undefined : around.ownerOfMac(name, text);
  if (owner !== undefined) problems.add("gateway", gateway, `a MAC of its own (${owner} has this one)`);
  return text ?? null;
}

/** Whether a VTEP lies inside the tunnel, or is the host itself, or what would have been right. Decided here, once. */
function placeOf(
  vtep: Address,
  encryption: Encryption,
  { underlay, tunnel }: NetworkSurroundings,
): boolean | "self" | { readonly allowed: string } {
  if (tunnel && encryption !== "none") {
    if (tunnel.addresses.some((a) => a.text === vtep.text)) return "self";
    if (tunnel.peerOf(vtep) !== undefined) {
      const hasSource = tunnel.addresses.some((a) => a.family === vtep.family);
      return (
        hasSource || {
          allowed: `an address of a family that wireguard.address has, too (IPv${vtep.family} is missing)`,
        }
      );
    }
    if (encryption === "required") {
      return { allowed: "an address inside the tunnel, in the allowedIps of a WireGuard peer (encryption: required)" };
    }
  }
  if (underlay.some((u) => u.text === vtep.text)) return "self";
  if (underlay.some((u) => u.family === vtep.family)) return false;
  const other = vtep.family === 4 ? 6 : 4;
  return { allowed: `an IPv${other} address, or an IPv${vtep.family} underlay address beside it` };
}

/** Octets of VXLAN over each family: IP, UDP, VXLAN, Ethernet. */
const VXLAN_OVERHEAD = { 4: 50, 6: 70 } as const;

/**
 * Octets of the longest IP packet inside. `auto` is what carries it minus VXLAN's headers: the underlay's MTU, or the tunnel's.
 * A network that has VTEPs counts those, one that has none all that it could have; the smallest result holds for all.
 *
 * @throws InvalidInput when less is left than IPv4 needs
 */
export function effectiveMtu(
  spec: CheckedNetwork,
  underlay: readonly { readonly family: 4 | 6; readonly mtu: number }[],
  tunnel: Pick<TunnelView, "addresses" | "mtu"> | undefined,
): number {
  if (spec.mtu !== "auto") return spec.mtu;
  const inside =
    tunnel && spec.encryption !== "none" ? tunnel.addresses.map(({ family }) => ({ family, isTunnel: true })) : [];
  const outside = spec.encryption === "required" ? [] : underlay.map(({ family }) => ({ family, isTunnel: false }));
  const ways = spec.vteps.length > 0 ? spec.vteps : [...inside, ...outside];
  const fits = ways.flatMap(({ family, isTunnel }) =>
    (isTunnel ? [tunnel?.mtu ?? 0] : underlay.filter((u) => u.family === family).map((u) => u.mtu)).map(
      (mtu) => mtu - VXLAN_OVERHEAD[family],
    ),
  );
  const mtu = Math.min(65_485, ...fits);
  if (mtu >= MTU_MIN) return mtu;
  const least = Math.min(...underlay.map((u) => u.mtu));
  throw new InvalidInput(`network ${spec.name}`, [
    {
      key: "mtu",
      found: `auto over an underlay with an MTU of ${least}, which leaves ${mtu} octets`,
      allowed: `at least ${MTU_MIN} octets inside: raise the underlay's MTU to 1500 or more`,
    },
  ]);
}

/** The network's record in the shared tables. */
export function networkRow(spec: CheckedNetwork, mtu: number): NetworkRow {
  const { NETWORK } = ENUM;
  const ticks = Math.round((spec.ageSeconds * 1000) / 2 ** LIMIT.TICK_SHIFT);
  return {
    vni: spec.vni,
    mtu,
    ageTicks: spec.ageSeconds === 0 ? 0 : Math.max(1, ticks),
    bumRate: spec.bumRate,
    // A second's worth at once: ARP storms after a start pass, floods do not.
    bumBurst: spec.bumRate,
    macsPerPort: spec.macsPerPort,
    gateway: spec.gateway === null ? undefined : parseMac(spec.gateway),
    flags:
      (spec.acceptFrom === "any" ? NETWORK.ACCEPT_ANY : 0) |
      (spec.encryption === "required" ? NETWORK.ENCRYPTED : 0) |
      (spec.guards.spoofedMac ? NETWORK.GUARD_SPOOF : 0) |
      (spec.guards.routerAdvertisement ? NETWORK.GUARD_RA : 0) |
      (spec.guards.dhcpServer ? NETWORK.GUARD_DHCP : 0),
  };
}
