/** Checks what Dataplane.start() is given and fills in the defaults. */
import type { Link } from "@weft/tun";
import { type Address, parseAddress } from "./address.js";
import { Problems } from "./invalid.js";
import type { DataplaneOptions } from "./types.js";
import { type CheckedWireguard, checkWireguard } from "./wireguard-check.js";

export interface Options {
  readonly underlay: readonly Address[];
  readonly vxlanPort: number;
  readonly workers: number;
  readonly fdbMax: number;
  readonly portsMax: number;
  readonly vtepsMax: number;
  readonly routesMax: number;
  readonly networksMax: number;
  readonly persistent: boolean;
  readonly wireguard: CheckedWireguard | undefined;
}

/** [name, lowest, highest, default] */
const NUMBERS = [
  ["vxlanPort", 1, 65_535, 4789],
  ["workers", 1, 16, 1],
  ["fdbMax", 1024, 1_048_576, 65_536],
  ["portsMax", 1, 16_384, 1024],
  ["vtepsMax", 1, 16_384, 4096],
  ["routesMax", 0, 1_048_576, 16_384],
  ["networksMax", 1, 4096, 256],
] as const;

const KEYS = {
  underlay: "list",
  vxlanPort: "value",
  workers: "value",
  fdbMax: "value",
  portsMax: "value",
  vtepsMax: "value",
  routesMax: "value",
  networksMax: "value",
  link: "value",
  persistent: "value",
  wireguard: "value",
} as const;

/** @throws InvalidInput */
export function checkOptions(options: DataplaneOptions, link: Link): Options {
  const problems = new Problems("data plane options");
  const given = problems.shape(options, KEYS);
  const numbers = {} as Record<(typeof NUMBERS)[number][0], number>;
  for (const [name, low, high, preset] of NUMBERS) {
    const value = given[name] ?? preset;
    if (!Number.isInteger(value) || value < low || value > high)
      problems.add(name, value, `a whole number, ${low}..${high}`);
    numbers[name] = value;
  }
  if (link.kind === "memory" && numbers.workers !== 1) {
    problems.add("workers", numbers.workers, "1 with an in-memory link, which runs on the calling thread");
  }

  const underlay: Address[] = [];
  const wanted = "local addresses, one or two, at most one per family";
  if (!Array.isArray(given.underlay) || given.underlay.length === 0) problems.add("underlay", given.underlay, wanted);
  else {
    given.underlay.forEach((text: unknown, i) => {
      const address = parseAddress(text);
      if (!address) problems.add(`underlay[${i}]`, text, "an IPv4 or IPv6 address");
      else if (underlay.some((a) => a.family === address.family)) {
        problems.add(`underlay[${i}]`, text, `at most one IPv${address.family} address`);
      } else if (!link.underlayInterface(address.text)) {
        problems.add(`underlay[${i}]`, text, "an address that an interface of this host has");
      } else underlay.push(address);
    });
  }
  if (given.persistent !== undefined && typeof given.persistent !== "boolean") {
    problems.add("persistent", given.persistent, "true or false");
  }
  const families = underlay.map((u) => u.family);
  const wireguard =
    given.wireguard === undefined
      ? undefined
      : checkWireguard(given.wireguard, { vxlanPort: numbers.vxlanPort, families, link }, problems);
  problems.throwIfAny();
  return { ...numbers, underlay, persistent: given.persistent ?? false, wireguard };
}
