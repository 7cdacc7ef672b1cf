/**
 * The networks of the mesh. Any member makes, changes and deletes them: each writes a record in its own name, and of all records
 * of one name the latest by (clock, writer) holds, those of removed members included.
 *
 * Made on both sides of a partition, a name is one network afterwards, the later one: what was attached on the other side has addresses of a
 * network that is no more, is not reached, and shows as `foreign` (ipam.ts) until it is attached again. A VNI that two names have stays with the one
 * whose founder (then whose name) is lower, and the other gets no VTEPs until it is deleted.
 */
import { createHash } from "node:crypto";
import { WeftError } from "../errors.js";
import { contains, formatIp, formatPrefix, overlap, type Prefix, parseIp, parsePrefix } from "../ipam/prefix.js";
import type { NetworkValue } from "../mesh/records.js";
import type { NodeId, Records } from "../mesh/types.js";
import { isForContainers, NAME, nextFree, prefixesOf, VNI_MAX, VNI_MIN, withConflicts } from "./conflicts.js";

export const DEFAULT_NETWORK = "default";
/** IPv4 prefix of the default network. */
export const DEFAULT_CIDR4 = "10.32.0.0/12";
const VTEPS_MAX = 256;
/** As the schema of the record has it. */
const CLOCK_MAX = 2 ** 48;
const VXLAN_PORT = 4789;

export interface Network {
  readonly name: string;
  readonly value: NetworkValue;
  /** Who wrote the record that holds. */
  readonly writer: NodeId;
  /** Sentences about what is wrong with it; see `isHeld`. */
  readonly conflicts: readonly string[];
  /** Another network has its VNI: it gets no VTEPs. */
  readonly isHeld: boolean;
  /** VNI that it has on this host: another than in its record while it is held. null: it cannot be here at all. */
  readonly localVni: number | null;
}

export interface NetworkOptions {
  /** IPv4 prefix; null: none; absent: a free /16. */
  readonly cidr4?: string | null;
  /** IPv6 prefix; null: none; absent: a ULA /64 (RFC 4193). */
  readonly cidr6?: string | null;
  /** 1..16777215, absent: one from 4096 on. */
  readonly vni?: number;
  /** Octets of the longest IP packet, 1280..65485; absent: room for one relay. */
  readonly mtu?: number;
}

/** What on this host a new network must keep clear of. */
export interface Surroundings {
  /** Prefixes of routes and addresses. */
  readonly prefixes: readonly string[];
  /** Names and VNIs of networks that only this host has, from its configuration file or `attach --vni`. */
  readonly names: ReadonlySet<string>;
  readonly vnis: ReadonlySet<number>;
}

export class Networks {
  readonly #records: Records;
  readonly #surroundings: () => Surroundings;
  readonly #now: () => number;
  #latest: Map<string, Network> | undefined;
  readonly #unsubscribe: () => void;

  /** @param now milliseconds since 1970 */
  constructor(records: Records, surroundings: () => Surroundings, now: () => number) {
    this.#records = records;
    this.#surroundings = surroundings;
    this.#now = now;
    this.#unsubscribe = records.on((event) => {
      if (event.type === "records" && (event.kinds.has("network") || event.kinds.has("removed")))
        this.#latest = undefined;
    });
  }

  close(): void {
    this.#unsubscribe();
  }

  /** The surroundings have changed. */
  changed(): void {
    this.#latest = undefined;
  }

  /** Networks that are there, by name. */
  list(): Network[] {
    return [...this.#all().values()].filter(({ value }) => !value.deleted);
  }

  get(name: string): Network | undefined {
    const network = this.#all().get(name);
    return network?.value.deleted ? undefined : network;
  }

  /** The founder's first network. Nothing happens when its name has been used. */
  createDefault(options: NetworkOptions = {}): void {
    if (this.#all().has(DEFAULT_NETWORK)) return;
    this.create(DEFAULT_NETWORK, { cidr4: DEFAULT_CIDR4, ...options });
  }

  /** @throws WeftError invalid_input with every problem, conflict */
  create(name: string, options: NetworkOptions = {}): Network {
    this.#check(name, options);
    const { prefixes, names, vnis } = this.#surroundings();
    if (this.get(name) || names.has(name))
      throw new WeftError("conflict", `network ${name} is there already: remove it first, or take another name`);
    const others = this.list();
    const taken = [
      ...others.flatMap((one) => prefixesOf(one.value).map((prefix) => ({ prefix, by: `network ${one.name}` }))),
      ...prefixes.map((text) => ({ prefix: parsePrefix(text), by: "a route or an address of this host" })),
    ].filter((one): one is Taken => one.prefix !== undefined && one.prefix.length > 0);
    const usedVnis = new Set([...vnis, ...others.map(({ value }) => value.vni)]);
    if (options.vni !== undefined && usedVnis.has(options.vni))
      throw new WeftError("conflict", `VNI ${options.vni} belongs to another network: take another, or leave it out`);
    const made = { name, founder: this.#records.self, createdAt: this.#now() };
    const cidr4 = options.cidr4 === undefined ? this.#freeCidr4(made, taken) : canonical(options.cidr4);
    const cidr6 = options.cidr6 === undefined ? this.#ula(made) : canonical(options.cidr6);
    for (const text of [cidr4, cidr6]) {
      const prefix = text === null ? undefined : parsePrefix(text);
      const other = prefix && taken.find((one) => overlap(one.prefix, prefix));
      if (other)
        throw new WeftError(
          "conflict",
          `${text} overlaps ${formatPrefix(other.prefix)} of ${other.by}: take another prefix, or leave it out`,
        );
    }
    return this.#put(name, {
      deleted: false,
      vni: options.vni ?? this.#freeVni(made, usedVnis),
      cidr4,
      cidr6,
      mtu: options.mtu ?? null,
      vteps: [],
      founder: made.founder,
      createdAt: made.createdAt,
    });
  }

  /** @throws WeftError not_found; conflict while a container is in it, as far as is known here */
  delete(name: string): void {
    const { value } = this.#existing(name);
    const inside = [...this.#records.list("container")].filter((entry) => entry.value.network === name);
    if (inside.length > 0) {
      const some = inside.slice(0, 3).map(({ id, node, value: one }) => `${one.name ?? id} on ${this.#nodeName(node)}`);
      const more = inside.length > some.length ? ` and ${inside.length - some.length} more` : "";
      throw new WeftError("conflict", `network ${name} has containers: detach ${some.join(", ")}${more} first`);
    }
    this.#put(name, { ...value, deleted: true });
  }

  /**
   * Adds a kernel's VTEP, reached in clear.
   * @param vtep `ADDR`, `ADDR:PORT` or `[ADDR]:PORT`
   * @throws WeftError not_found, invalid_input
   */
  addVtep(name: string, vtep: string): void {
    const { value } = this.#existing(name);
    const text = vtepText(vtep);
    if (value.vteps.includes(text)) return;
    if (value.vteps.length >= VTEPS_MAX)
      throw new WeftError(
        "invalid_input",
        `network ${name} has ${VTEPS_MAX} VTEPs outside of the mesh, and no more are allowed`,
      );
    this.#put(name, { ...value, vteps: [...value.vteps, text].sort() });
  }

  /** @throws WeftError not_found, invalid_input */
  removeVtep(name: string, vtep: string): void {
    const { value } = this.#existing(name);
    const text = vtepText(vtep);
    if (!value.vteps.includes(text)) throw new WeftError("not_found", `network ${name} has no VTEP ${text}`);
    this.#put(name, { ...value, vteps: value.vteps.filter((one) => one !== text) });
  }

  #put(name: string, value: Omit<NetworkValue, "clock">): Network {
    const before = this.#all().get(name);
    const { self } = this.#records;
    const clock = Math.min((before?.value.clock ?? 0) + 1, CLOCK_MAX);
    if (before && !this.#isLater({ node: self, clock }, { node: before.writer, clock: before.value.clock }))
      throw new WeftError(
        "conflict",
        `network ${name} cannot be changed any more: ${this.#nodeName(before.writer)} has written the last version that there can be. Remove that member with \`weft rmpeer\``,
      );
    this.#records.put("network", name, { ...value, clock });
    this.#latest = undefined;
    return this.#all().get(name) as Network;
  }

  #existing(name: string): Network {
    const network = this.get(name);
    if (!network)
      throw new WeftError("not_found", `network ${name} does not exist: make it with \`weft network create\``);
    return network;
  }

  #all(): Map<string, Network> {
    if (this.#latest) return this.#latest;
    const latest = new Map<string, { writer: NodeId; value: NetworkValue }>();
    for (const entries of [this.#records.list("network"), this.#records.listRemoved("network")]) {
      for (const { node, id, value } of entries) {
        const known = latest.get(id);
        const other = known && { node: known.writer, clock: known.value.clock };
        if (!other || this.#isLater({ node, clock: value.clock }, other)) latest.set(id, { writer: node, value });
      }
    }
    this.#latest = withConflicts(latest, this.#surroundings());
    return this.#latest;
  }

  /** Of two with one clock a member's holds: one that was removed may have written the greatest there is. */
  #isLater(one: Version, other: Version): boolean {
    if (one.clock !== other.clock) return one.clock > other.clock;
    const isMember = this.#records.isMember(one.node);
    return isMember === this.#records.isMember(other.node) ? one.node >= other.node : isMember;
  }

  #check(name: string, { cidr4, cidr6, vni, mtu }: NetworkOptions): void {
    const problems: string[] = [];
    if (!NAME.test(name))
      problems.push(
        `name: found ${JSON.stringify(name)}; allowed: 1 to 32 of a-z 0-9 - _ ., beginning with a letter or digit`,
      );
    if (vni !== undefined && !(Number.isInteger(vni) && vni >= 1 && vni <= VNI_MAX))
      problems.push(`vni: found ${vni}; allowed: 1 to ${VNI_MAX}`);
    if (mtu !== undefined && !(Number.isInteger(mtu) && mtu >= 1280 && mtu <= 65_485))
      problems.push(`mtu: found ${mtu}; allowed: 1280 to 65485`);
    for (const [key, text, family] of [
      ["cidr4", cidr4, 4],
      ["cidr6", cidr6, 6],
    ] as const) {
      const prefix = typeof text === "string" ? parsePrefix(text) : undefined;
      const longest = family === 4 ? 29 : 125;
      if (typeof text === "string" && (prefix?.family !== family || !isForContainers(prefix)))
        problems.push(
          `${key}: found ${text}; allowed: an IPv${family} prefix of /8 to /${longest} without host bits, not of loopback, link-local or multicast addresses`,
        );
    }
    if (cidr4 === null && cidr6 === null)
      problems.push("cidr4 and cidr6: found neither; allowed: at least one of them");
    if (problems.length > 0) throw new WeftError("invalid_input", `network ${name} cannot be made`, problems);
  }

  /**
   * Another one each time that a network is made: those made on two sides of a partition seldom collide, and what was given out on one
   * of them, of one name, means nothing else in the other.
   */
  #freeCidr4(made: Made, taken: readonly Taken[]): string {
    const from = this.#hash("cidr4", made).readUInt16BE(0);
    const count = 256 - 48;
    for (let i = 0; i < count; i++) {
      const text = `10.${48 + ((from + i) % count)}.0.0/16`;
      const prefix = parsePrefix(text) as Prefix;
      if (!taken.some((one) => overlap(one.prefix, prefix))) return text;
    }
    throw new WeftError("conflict", "no /16 from 10.48.0.0 to 10.255.255.255 is free: name a prefix with --cidr");
  }

  /** fd and 7 octets of a hash; with another label than that of the tunnel addresses, so never in their /48 but by chance. */
  #ula(made: Made): string {
    return `${ulaAddress(this.#hash("cidr6", made).subarray(0, 7))}/64`;
  }

  #freeVni(made: Made, used: ReadonlySet<number>): number {
    return nextFree(VNI_MIN + (this.#hash("vni", made).readUInt32BE(0) % (VNI_MAX - VNI_MIN + 1)), used);
  }

  #hash(what: string, { name, founder, createdAt }: Made): Buffer {
    const hash = createHash("sha256")
      .update(`weft-network-${what}`)
      .update(Buffer.from(this.#records.networkId, "hex"));
    return hash.update(`${founder} ${createdAt} ${name}`).digest();
  }

  #nodeName(node: NodeId): string {
    return this.#records.get(node, "node")?.name ?? node;
  }
}

/** Of a network's record. */
interface Version {
  readonly node: NodeId;
  readonly clock: number;
}

/** A network, from when it is made to when it is deleted. */
interface Made {
  readonly name: string;
  readonly founder: NodeId;
  readonly createdAt: number;
}

interface Taken {
  readonly prefix: Prefix;
  readonly by: string;
}

function canonical(text: string | null): string | null {
  const prefix = text === null ? undefined : parsePrefix(text);
  return prefix ? formatPrefix(prefix) : null;
}

/** fdXX:XXXX:XXXX:XXXX:: */
function ulaAddress(octets: Buffer): string {
  return formatIp({ family: 6, number: BigInt(`0xfd${octets.toString("hex")}0000000000000000`) });
}

/** A VTEP in one way of writing: `ADDR:PORT` or `[ADDR]:PORT`. @throws WeftError invalid_input */
function vtepText(text: string): string {
  const vtep = parseVtep(text);
  if (vtep) return vtep.text;
  throw new WeftError("invalid_input", `found ${text}; allowed: a VTEP as ADDR, ADDR:PORT or [ADDR]:PORT`);
}

export function parseVtep(text: string): { readonly text: string; readonly address: string } | undefined {
  const match = /^(?:\[([^\]]+)\]|([\d.]+)):(\d{1,5})$/.exec(text);
  const ip = parseIp(match?.[1] ?? match?.[2] ?? text);
  const port = match ? Number(match[3]) : VXLAN_PORT;
  if (!ip || port < 1 || port > 65_535 || MULTICAST.some((prefix) => contains(prefix, ip))) return undefined;
  if (match && (match[1] !== undefined) !== (ip.family === 6)) return undefined;
  const address = formatIp(ip);
  return { text: ip.family === 6 ? `[${address}]:${port}` : `${address}:${port}`, address };
}

const MULTICAST = [parsePrefix("224.0.0.0/4"), parsePrefix("ff00::/8")] as Prefix[];
