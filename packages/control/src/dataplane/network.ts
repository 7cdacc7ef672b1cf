/** A network as the data plane holds it: checked specification, members, routes. */

import type { NetworkRow } from "@weft/dataplane-wasm";
import { ENUM, LIMIT } from "@weft/dataplane-wasm/abi";
import { parseVtep, type VtepAddress } from "./address.js";
import { InvalidInput, Problems } from "./invalid.js";
import type { RouteEntry } from "./routes.js";
import type { NetworkInfo, NetworkSpec } from "./types.js";

export interface VtepEntry extends VtepAddress {
  /** As written in the network's list. */
  readonly name: string;
}
export interface CheckedNetwork extends Required<Omit<NetworkSpec, "mtu" | "guards" | "vteps">> {
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
  /** VTEPs that there is still room for. */
  readonly vtepsLeft: number;
}

/** A network in force. */
export class Network {
  /** Keyed by `key` of its routes, in the order of writing. */
  readonly routes = new Map<string, RouteEntry>();
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
    const { name, vni, ageSeconds, bumRate, macsPerPort, acceptFrom, guards } = this.spec;
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
  guards: "object",
} as const;

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
  const guards = { spoofedMac: true, routerAdvertisement: true, dhcpServer: true };
  for (const [name, value] of Object.entries(given.guards ?? {})) {
    const known = GUARDS.find((g) => g === name);
    if (!known) problems.add(`guards.${name}`, value, GUARDS.join(", "));
    else if (typeof value !== "boolean") problems.add(`guards.${name}`, value, "true or false");
    else guards[known] = value;
  }

  const vteps: VtepEntry[] = [];
  const list: readonly unknown[] = given.vteps ?? [];
  if (!Array.isArray(list)) problems.add("vteps", list, "a list of addresses");
  else {
    list.forEach((text: unknown, i) => {
      const vtep = parseVtep(text, around.vxlanPort);
      const key = `vteps[${i}]`;
      if (!vtep) problems.add(key, text, "ADDR, ADDR:PORT or [ADDR]:PORT");
      else if (!around.underlay.some((u) => u.family === vtep.family)) {
        problems.add(
          key,
          text,
          `an IPv${vtep.family === 4 ? 6 : 4} address, or an IPv${vtep.family} underlay address beside it`,
        );
      } else if (around.underlay.some((u) => u.text === vtep.text)) {
        // The host itself: one list may serve all hosts.
      } else if (vteps.some((v) => v.text === vtep.text)) problems.add(key, text, "each address once");
      else vteps.push({ ...vtep, name: String(text) });
    });
    if (vteps.length > around.vtepsLeft)
      problems.add("vteps", `${vteps.length} VTEPs`, `${around.vtepsLeft} more (vtepsMax)`);
  }
  problems.throwIfAny();
  return { name: given.name, vni, vteps, mtu, ageSeconds, bumRate, macsPerPort, acceptFrom, guards };
}

/**
 * Octets of the longest IP packet inside. `auto` is the underlay's MTU minus the outer headers: 50 octets over IPv4
 * (20 IP, 8 UDP, 8 VXLAN, 14 Ethernet), 70 over IPv6. A network that has VTEPs counts the families of those, one that
 * has none the families of the underlay; the smallest result holds for all.
 *
 * @throws InvalidInput when less is left than IPv4 needs
 */
export function effectiveMtu(
  spec: CheckedNetwork,
  underlay: readonly { readonly family: 4 | 6; readonly mtu: number }[],
): number {
  if (spec.mtu !== "auto") return spec.mtu;
  const families = new Set((spec.vteps.length > 0 ? spec.vteps : underlay).map((v) => v.family));
  const fits = underlay.filter((u) => families.has(u.family)).map((u) => u.mtu - (u.family === 4 ? 50 : 70));
  const mtu = Math.min(65_485, ...fits);
  if (mtu >= MTU_MIN) return mtu;
  const least = Math.min(...underlay.filter((u) => families.has(u.family)).map((u) => u.mtu));
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
    flags:
      (spec.acceptFrom === "any" ? NETWORK.ACCEPT_ANY : 0) |
      (spec.guards.spoofedMac ? NETWORK.GUARD_SPOOF : 0) |
      (spec.guards.routerAdvertisement ? NETWORK.GUARD_RA : 0) |
      (spec.guards.dhcpServer ? NETWORK.GUARD_DHCP : 0),
  };
}
