/**
 * Published ports: which ports of the host they get.
 *
 * Where none is named one of 40000..49151 is given: below what the system gives to connections that go out by itself only where
 * an operator has moved that range, so each is tried; above are the dynamic ports of RFC 6335. A container that comes back gets
 * the port it had, which nobody else is given while there are others.
 */
import { createSocket } from "node:dgram";
import { createServer, isIPv4, isIPv6 } from "node:net";
import { WeftError } from "../errors.js";
import type { PublishedPort } from "./nft.js";

export const HOST_PORTS = { first: 40_000, last: 49_151 } as const;
/** Ports that one container publishes at most, as its record has room for. */
const PER_CONTAINER_MAX = 64;
/** Ports that are tried before the range counts as full. */
const TRIES = 512;

export interface PublishRequest {
  /** null: every address of the host. */
  readonly ip: string | null;
  /** null: any of the range. */
  readonly hostPort: number | null;
  readonly port: number;
  readonly protocol: "tcp" | "udp";
}

/** `192.0.2.1:8080 → 80/tcp`. */
export function publishedText({ ip, hostPort, port, protocol }: PublishedPort): string {
  return `${isIPv6(ip) ? `[${ip}]` : ip}:${hostPort} → ${port}/${protocol}`;
}

/** Ports that were given without being named, by `KEY PORT/PROTOCOL`: kept by the caller, also when the container is gone. */
export interface RememberedPorts {
  entries(): Iterable<readonly [name: string, hostPort: number]>;
  set(name: string, hostPort: number): void;
}

export interface HostPortsOptions {
  /** All that is published on this host now. */
  readonly taken: () => Iterable<PublishedPort>;
  readonly remembered: RememberedPorts;
  /** Whether no program of the host has a port; default: tries to bind it. */
  readonly isFree?: (ip: string, port: number, protocol: "tcp" | "udp") => Promise<boolean>;
  /** A whole number in 0..n-1. */
  readonly random?: (n: number) => number;
}

/** Gives ports of the host to containers, none of them twice. Calls go one after the other. */
export class HostPorts {
  readonly #options: Required<HostPortsOptions>;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: HostPortsOptions) {
    this.#options = { isFree: canBind, random: (n) => Math.floor(Math.random() * n), ...options };
  }

  /**
   * Ports for a container, in the families that it has addresses in.
   *
   * @param key what a container keeps when it comes back: its id or name
   * @param targets its addresses
   * @param record takes them into `taken` before the next call looks there; what it throws takes all back
   * @throws WeftError conflict when a port is taken, invalid_input for what cannot be published
   */
  allocate(
    key: string,
    requests: readonly PublishRequest[],
    targets: readonly string[],
    record: (published: PublishedPort[]) => void = () => undefined,
  ): Promise<PublishedPort[]> {
    const step = async (): Promise<PublishedPort[]> => {
      const given = await this.#allocate(key, requests, targets);
      const published = given.flatMap(({ ports }) => ports);
      record(published);
      for (const { request, hostPort } of given)
        if (request.hostPort === null) this.#options.remembered.set(nameOf(key, request), hostPort);
      return published;
    };
    const next = this.#last.then(step, step);
    this.#last = next.catch(() => undefined);
    return next;
  }

  async #allocate(key: string, requests: readonly PublishRequest[], targets: readonly string[]): Promise<Given[]> {
    const given: Given[] = [];
    let count = 0;
    for (const request of requests) {
      const ips = addressesOf(request, targets);
      const before = given.flatMap(({ ports }) => ports);
      const hostPort = await this.#hostPort(key, request, ips, before);
      const { port, protocol } = request;
      given.push({ request, hostPort, ports: ips.map((ip) => ({ ip, hostPort, port, protocol })) });
      count += ips.length;
    }
    if (count > PER_CONTAINER_MAX)
      throw new WeftError(
        "invalid_input",
        `publish: found ${count} ports, both families counted; allowed: ${PER_CONTAINER_MAX} for a container`,
      );
    return given;
  }

  async #hostPort(
    key: string,
    request: PublishRequest,
    ips: readonly string[],
    own: readonly PublishedPort[],
  ): Promise<number> {
    const { remembered, random } = this.#options;
    const { protocol } = request;
    const taken = [...this.#options.taken(), ...own];
    if (request.hostPort !== null) {
      const why = await this.#whyTaken(request.hostPort, protocol, ips, taken);
      if (why === undefined) return request.hostPort;
      throw new WeftError("conflict", `publish: ${request.hostPort}/${protocol} is taken by ${why}: name another port`);
    }
    const size = HOST_PORTS.last - HOST_PORTS.first + 1;
    const start = random(size);
    const before = new Map(remembered.entries());
    const earlier = before.get(nameOf(key, request));
    const others = new Set([...before].filter(([name]) => name.endsWith(`/${protocol}`)).map(([, port]) => port));
    const range = Array.from({ length: size }, (_, i) => HOST_PORTS.first + ((start + i) % size));
    const candidates = [...range.filter((port) => !others.has(port)), ...range.filter((port) => others.has(port))];
    for (const port of [...(earlier === undefined ? [] : [earlier]), ...candidates.slice(0, TRIES)])
      if ((await this.#whyTaken(port, protocol, ips, taken)) === undefined) return port;
    throw new WeftError(
      "conflict",
      `publish: none of ${TRIES} ports of ${HOST_PORTS.first}..${HOST_PORTS.last} is free: name a port`,
    );
  }

  async #whyTaken(
    hostPort: number,
    protocol: "tcp" | "udp",
    ips: readonly string[],
    taken: readonly PublishedPort[],
  ): Promise<string | undefined> {
    const other = taken.find(
      (p) => p.hostPort === hostPort && p.protocol === protocol && ips.some((ip) => collide(ip, p.ip)),
    );
    if (other !== undefined) return `a published port (${publishedText(other)})`;
    for (const ip of ips)
      if (!(await this.#options.isFree(ip, hostPort, protocol)))
        return `a program of this host, or ${ip} is none of its addresses (\`ss -lntu\`, \`ip address\`)`;
    return undefined;
  }
}

/** What a request has got. */
interface Given {
  readonly request: PublishRequest;
  readonly hostPort: number;
  readonly ports: readonly PublishedPort[];
}

const nameOf = (key: string, { port, protocol }: { port: number; protocol: string }): string =>
  `${key} ${port}/${protocol}`;

/** Addresses to publish at: the one that was named, or all of each family that the container has. */
function addressesOf({ ip, port }: PublishRequest, targets: readonly string[]): string[] {
  const has = { four: targets.some(isIPv4), six: targets.some(isIPv6) };
  const ips = ip === null ? [...(has.four ? ["0.0.0.0"] : []), ...(has.six ? ["::"] : [])] : [ip];
  const can = ip === null ? ips.length > 0 : isIPv4(ip) ? has.four : has.six;
  if (!can)
    throw new WeftError(
      "invalid_input",
      `publish: port ${port} cannot be published${ip === null ? "" : ` at ${ip}`}: the container has no address of that family`,
    );
  return ips;
}

/** Whether a connection could mean both. */
function collide(a: string, b: string): boolean {
  if (isIPv6(a) !== isIPv6(b)) return false;
  return a === b || [a, b].some((ip) => ip === "0.0.0.0" || ip === "::");
}

/** Whether a port of the host can be bound: nobody has it. */
function canBind(ip: string, port: number, protocol: "tcp" | "udp"): Promise<boolean> {
  return new Promise((resolve) => {
    if (protocol === "udp") {
      const socket = createSocket({ type: isIPv6(ip) ? "udp6" : "udp4", ipv6Only: isIPv6(ip) });
      socket.once("error", () => {
        socket.close();
        resolve(false);
      });
      socket.bind({ port, address: ip, exclusive: true }, () => socket.close(() => resolve(true)));
    } else {
      const server = createServer();
      server.once("error", () => resolve(false));
      server.listen({ port, host: ip, ipv6Only: isIPv6(ip), exclusive: true }, () => server.close(() => resolve(true)));
    }
  });
}
