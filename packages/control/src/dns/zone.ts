/**
 * Names of containers: from records to answers, without sockets or clock.
 *
 * Who asks at a network's gateway gets addresses of that network, because others are out of its reach:
 * `NAME.weft.local` and `NAME.NETWORK.weft.local` for its own network. What somebody has added by hand (`weft dns add`) is
 * answered the same way, in one network or in all. Reverse names of all networks' addresses are answered here, never upstream.
 * Records of other nodes come through here: what is no name or no address in them is left out.
 */
import { isIP } from "node:net";
import type { Answer } from "dns-packet";
import ipaddr from "ipaddr.js";

export const DOMAIN = "weft.local";
/** Seconds: a container that has gone is forgotten by resolvers soon. */
export const TTL = 5;
/** Seconds that "there is no such name" is kept (RFC 2308). */
const NEGATIVE_TTL = 1;
/** Labels of a name, one to three as a user gives them. Underscores are for SRV. */
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
const NAME_MAX = 200;

export interface ZoneNetwork {
  readonly name: string;
  readonly cidr4: string | null;
  readonly cidr6: string | null;
}

/** A live container on a live node. */
export interface ZoneContainer {
  readonly network: string;
  /** Names without the domain; the first is what its addresses lead back to. */
  readonly names: readonly string[];
  readonly ips: readonly string[];
}

/** What was added by hand. */
export interface ZoneEntry {
  /** Without the domain; `_http._tcp.web` for a service. */
  readonly name: string;
  /** Only who asks there is answered; null: everybody. */
  readonly network: string | null;
  readonly ips: readonly string[];
  readonly srv: readonly {
    readonly port: number;
    /** Without a dot: a name of the domain. */
    readonly target: string;
    readonly priority: number;
    readonly weight: number;
  }[];
}

export interface ZoneData {
  readonly networks: readonly ZoneNetwork[];
  readonly containers: Iterable<ZoneContainer>;
  readonly entries: Iterable<ZoneEntry>;
}

export interface ZoneAnswer {
  readonly result: "answered" | "nodata" | "nxdomain";
  readonly answers: Answer[];
  readonly authorities: Answer[];
}

interface Owner {
  readonly ips: Set<string>;
  readonly srv: ZoneEntry["srv"][number][];
  /** Names that an address leads back to. */
  readonly ptr: Set<string>;
}
/** Owners by name, and the names that are only above others. */
interface View {
  readonly owners: Map<string, Owner>;
  readonly above: Set<string>;
  /** Names that are containers' own: an address of theirs leads back to them alone. */
  readonly ofContainers: Set<string>;
}

/** Whether a name can be a DNS name under the domain, such as `web`, `Web-1` or `_http._tcp.web`. */
export function isDnsName(name: string): boolean {
  return name.length <= NAME_MAX && name.split(".").every((label) => LABEL.test(label.toLowerCase()));
}

export class Zone {
  readonly #views = new Map<string, View>();
  /** Names that are answered in every network. */
  readonly #common: View = { owners: new Map(), above: new Set(), ofContainers: new Set() };
  readonly #prefixes: (readonly [ipaddr.IPv4 | ipaddr.IPv6, number])[];
  readonly #serial: number;
  readonly #random: (n: number) => number;

  /**
   * @param data much of it is what other nodes have written: what no answer can be made of is left out
   * @param serial of the SOA record; grows with every change
   * @param random a whole number in 0..n-1
   */
  constructor(data: ZoneData, serial: number, random: (n: number) => number) {
    this.#serial = serial >>> 0;
    this.#random = random;
    this.#prefixes = data.networks.flatMap((n) =>
      [n.cidr4, n.cidr6].flatMap((cidr) => (cidr !== null && ipaddr.isValidCIDR(cidr) ? [ipaddr.parseCIDR(cidr)] : [])),
    );
    for (const { name } of data.networks)
      this.#views.set(name, { owners: new Map(), above: new Set(), ofContainers: new Set() });
    for (const container of data.containers) this.#addContainer(container);
    for (const view of this.#views.values()) for (const name of view.owners.keys()) view.ofContainers.add(name);
    for (const entry of data.entries) {
      if (!isDnsName(entry.name)) continue;
      const view = entry.network === null ? this.#common : this.#views.get(entry.network);
      if (view !== undefined) addEntry(view, entry);
    }
  }

  #addContainer({ network, names, ips: given }: ZoneContainer): void {
    const view = this.#views.get(network);
    if (view === undefined) return;
    const ips = given.filter(isAddress);
    const usable = names.filter(isDnsName).map((name) => name.toLowerCase());
    for (const name of usable)
      for (const full of fullNames(name, network)) {
        const owner = ownerOf(view, full);
        for (const ip of ips) owner.ips.add(ip);
      }
    const [first] = usable;
    if (first === undefined) return;
    for (const ip of ips) ownerOf(view, reverseOf(ip)).ptr.add(`${first}.${network.toLowerCase()}.${DOMAIN}`);
  }

  /**
   * Answers a question of class IN.
   * @param name as asked, without a final dot
   * @param type as `A`; `ANY` for all
   * @returns undefined when the name is none of ours
   */
  answer(network: string, name: string, type: string): ZoneAnswer | undefined {
    const lower = name.toLowerCase();
    const apex = lower === DOMAIN || lower.endsWith(`.${DOMAIN}`) ? DOMAIN : this.#reverseApex(lower);
    if (apex === undefined) return undefined;
    const view = this.#views.get(network);
    const common = view === undefined ? undefined : this.#common;
    // What is answered everywhere has the network's name in each.
    const bare = lower.endsWith(`.${DOMAIN}`) ? withoutNetwork(lower, network.toLowerCase()) : lower;
    const isTheirs = !lower.endsWith(".arpa") || view?.ofContainers.has(lower) !== true;
    const everywhere = isTheirs ? common?.owners.get(bare) : undefined;
    const owner = joined([view?.owners.get(lower), everywhere].filter((one) => one !== undefined));
    const answers = owner === undefined ? [] : this.#shuffled(recordsOf(name, type, owner));
    if (lower === DOMAIN && (type === "SOA" || type === "ANY")) answers.push(this.#soa(name));
    if (answers.length > 0) return { result: "answered", answers, authorities: [] };
    const isKnown =
      owner !== undefined ||
      lower === DOMAIN ||
      (view?.above.has(lower) ?? false) ||
      (common?.above.has(bare) ?? false);
    return { result: isKnown ? "nodata" : "nxdomain", answers: [], authorities: [this.#soa(apex)] };
  }

  /** Of a reverse name in one of our networks: the zone that it is in, cut where octets or digits end. */
  #reverseApex(name: string): string | undefined {
    const ip = ipOfReverse(name);
    if (ip === undefined) return undefined;
    for (const [address, length] of this.#prefixes) {
      if (address.kind() !== ip.kind() || !ip.match([address, length] as never)) continue;
      const bits = ip.kind() === "ipv4" ? 8 : 4;
      const labels = name.split(".");
      return labels.slice(labels.length - 2 - Math.ceil(length / bits)).join(".");
    }
    return undefined;
  }

  #shuffled(answers: Answer[]): Answer[] {
    for (let i = answers.length - 1; i > 0; i--) {
      const j = this.#random(i + 1);
      [answers[i], answers[j]] = [answers[j] as Answer, answers[i] as Answer];
    }
    return answers;
  }

  #soa(name: string): Answer {
    const data = {
      mname: `gateway.${DOMAIN}`,
      rname: `hostmaster.${DOMAIN}`,
      serial: this.#serial,
      refresh: 3600,
      retry: 600,
      expire: 86_400,
      minimum: NEGATIVE_TTL,
    };
    return { type: "SOA", class: "IN", name, ttl: NEGATIVE_TTL, data };
  }
}

function ownerOf({ owners, above }: View, name: string): Owner {
  const found = owners.get(name);
  if (found !== undefined) return found;
  const owner: Owner = { ips: new Set(), srv: [], ptr: new Set() };
  owners.set(name, owner);
  for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) above.add(name.slice(dot + 1));
  return owner;
}

function addEntry(view: View, { name, network, ips: given, srv }: ZoneEntry): void {
  const ips = given.filter(isAddress);
  const services = srv.filter(({ target }) => isDnsName(target.replace(/\.$/, "")));
  const lower = name.toLowerCase();
  for (const full of network === null ? [`${lower}.${DOMAIN}`] : fullNames(lower, network)) {
    const owner = ownerOf(view, full);
    for (const ip of ips) owner.ips.add(ip);
    owner.srv.push(...services);
  }
  for (const ip of ips) {
    const reverse = reverseOf(ip);
    if (!view.ofContainers.has(reverse)) ownerOf(view, reverse).ptr.add(`${lower}.${DOMAIN}`);
  }
}

/** Without a network it is the asker's. */
function fullNames(name: string, network: string): string[] {
  return [`${name}.${DOMAIN}`, `${name}.${network.toLowerCase()}.${DOMAIN}`];
}

/** `web.blue.weft.local` as `web.weft.local`. */
function withoutNetwork(name: string, network: string): string {
  const own = `${network}.${DOMAIN}`;
  if (name === own) return DOMAIN;
  return name.endsWith(`.${own}`) ? `${name.slice(0, -own.length)}${DOMAIN}` : name;
}

/** What a name leads to in its own network and everywhere. */
function joined([one, ...more]: readonly Owner[]): Owner | undefined {
  if (one === undefined || more.length === 0) return one;
  const all = [one, ...more];
  return {
    ips: new Set(all.flatMap(({ ips }) => [...ips])),
    srv: all.flatMap(({ srv }) => srv),
    ptr: new Set(all.flatMap(({ ptr }) => [...ptr])),
  };
}

/** Without a scope: it means nothing to who asks. */
function isAddress(text: string): boolean {
  return isIP(text) !== 0 && !text.includes("%");
}

function recordsOf(name: string, type: string, { ips, srv, ptr }: Owner): Answer[] {
  const base = { name, ttl: TTL, class: "IN" } as const;
  const is = (wanted: string): boolean => type === wanted || type === "ANY";
  const answers: Answer[] = [];
  for (const data of ips) {
    const own = data.includes(":") ? "AAAA" : "A";
    if (is(own)) answers.push({ ...base, type: own, data });
  }
  if (is("SRV"))
    for (const { target, ...data } of srv)
      answers.push({ ...base, type: "SRV", data: { ...data, target: fullName(target) } });
  if (is("PTR")) for (const data of ptr) answers.push({ ...base, type: "PTR", data });
  return answers;
}

function fullName(target: string): string {
  return target.includes(".") ? target.replace(/\.$/, "") : `${target}.${DOMAIN}`;
}

/** `5.0.32.10.in-addr.arpa`, or the 32 digits of an IPv6 address under `ip6.arpa` (RFC 3596 §2.5). */
export function reverseOf(ip: string): string {
  const octets = ipaddr.parse(ip).toByteArray();
  if (octets.length === 4) return `${octets.reverse().join(".")}.in-addr.arpa`;
  const digits = octets.map((octet) => octet.toString(16).padStart(2, "0")).join("");
  return `${[...digits].reverse().join(".")}.ip6.arpa`;
}

function ipOfReverse(name: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  if (/^(\d{1,3}\.){4}in-addr\.arpa$/.test(name)) {
    const octets = name.split(".").slice(0, 4).reverse().map(Number);
    return octets.every((octet) => octet < 256) ? ipaddr.IPv4.parse(octets.join(".")) : undefined;
  }
  if (!/^([0-9a-f]\.){32}ip6\.arpa$/.test(name)) return undefined;
  const digits = name.slice(0, 63).split(".").reverse().join("");
  return ipaddr.IPv6.parse((digits.match(/.{4}/g) as string[]).join(":"));
}
