/** A real daemon: `weft up` in a host's namespace, driven through the command line like everybody does. */
import { mkdirSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { fileURLToPath } from "node:url";
import type { Counters, FdbEntry, NetworkInfo, PeerInfo, PortInfo, WireguardInfo } from "@weft/control";
import type { Job } from "./job.js";
import type { Host, Lab } from "./lab.js";
import type { Namespace, Outcome } from "./namespace.js";

/** The command line. */
export const WEFT = fileURLToPath(new URL("../../packages/control/bin/weft.js", import.meta.url));

export interface UpOptions {
  /** `init` is `up` in the form that a container's command line uses; default `up`. */
  readonly command?: "up" | "init";
  /** Default: the host's IPv4 address. */
  readonly underlay?: readonly string[];
  readonly vteps?: readonly string[];
  /** Contents of a configuration file, instead of flags. */
  readonly config?: object;
  /** In a mesh: found a network, or join one. Default false (`--no-mesh`): VTEPs and addresses are given by the test. */
  readonly mesh?: boolean;
  /** HOST[:PORT] to join, and with which token. */
  readonly join?: readonly string[];
  readonly token?: string;
  /** Keep attachments over the end of the process; default false (`--ephemeral`). */
  readonly keep?: boolean;
  /** Tells several daemons of one host apart: sockets, state and metrics are named after it. */
  readonly label?: string;
  readonly metrics?: string;
  /** Further words of the command line. */
  readonly more?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Words in front of the daemon's command line, such as `setpriv …`. */
  readonly through?: readonly string[];
}

export interface AttachOptions {
  readonly ip?: readonly string[];
  /** Default: `--vni 42`. */
  readonly network?: string;
  readonly vni?: number;
  readonly id?: string;
  readonly ifname?: string;
  readonly mac?: string;
  readonly more?: readonly string[];
}

export class Weft {
  readonly host: Host;
  readonly #lab: Lab;
  readonly #options: UpOptions;
  readonly socket: string;
  readonly stateDir: string;
  /** The present process; another one after `again()`. */
  job: Job;

  private constructor(lab: Lab, host: Host, options: UpOptions) {
    const label = options.label ?? host.name;
    this.#lab = lab;
    this.host = host;
    this.#options = options;
    this.socket = lab.file(`${label}.sock`);
    this.stateDir = lab.file(`${label}.state`);
    mkdirSync(this.stateDir, { recursive: true });
    this.job = this.#start();
  }

  /** Starts a daemon and waits until it says `ready`. */
  static async up(lab: Lab, host: Host, options: UpOptions = {}): Promise<Weft> {
    const weft = new Weft(lab, host, options);
    await weft.ready();
    return weft;
  }

  /** Starts a daemon that is expected to give up: does not wait. */
  static start(lab: Lab, host: Host, options: UpOptions = {}): Weft {
    return new Weft(lab, host, options);
  }

  /** The command line of `weft up` or `weft init`, without `weft`. */
  get words(): string[] {
    const options = this.#options;
    const words = [
      options.command ?? "up",
      "--socket",
      this.socket,
      "--state-dir",
      this.stateDir,
      "--log-format",
      "json",
    ];
    if (options.config !== undefined) {
      const file = this.#lab.file(`${options.label ?? this.host.name}.yaml`);
      writeFileSync(file, JSON.stringify(options.config, undefined, 2)); // JSON is YAML
      words.push("--config", file);
    }
    if (options.underlay !== undefined || options.config === undefined) {
      for (const address of options.underlay ?? [this.host.v4]) words.push("--underlay", address);
    }
    for (const vtep of options.vteps ?? []) words.push("--vtep", vtep);
    if (options.mesh !== true) words.push("--no-mesh");
    for (const host of options.join ?? []) words.push("--join", host);
    if (options.token !== undefined) words.push("--token", options.token);
    if (options.metrics !== undefined) words.push("--metrics", options.metrics);
    if (options.keep !== true) words.push("--ephemeral");
    return [...words, ...(options.more ?? [])];
  }

  async ready(withinMs = 30_000): Promise<void> {
    await this.job.line(/"ready"|\bready\b/, withinMs);
  }

  /** Starts the same command line again, with the same state directory, and waits for `ready`. */
  async again(withinMs?: number): Promise<void> {
    this.job = this.#start();
    await this.ready(withinMs);
  }

  /** Any weft command against this daemon's socket, run in the host's namespace. */
  async weft(words: readonly string[]): Promise<Outcome> {
    return await this.host.attempt([process.execPath, WEFT, ...words, "--socket", this.socket]);
  }

  /** The same, for one that must succeed. */
  async ok(words: readonly string[]): Promise<string> {
    const outcome = await this.weft(words);
    if (outcome.code !== 0) {
      throw new Error(`weft ${words.join(" ")}: exit ${outcome.code}\n${outcome.stdout}\n${outcome.stderr}`);
    }
    return outcome.stdout;
  }

  /** Command line of an attachment, for those who want to see it fail. */
  attachWords(target: Namespace | string, options: AttachOptions = {}): string[] {
    const words = ["attach", typeof target === "string" ? target : target.name];
    for (const address of options.ip ?? []) words.push("--ip", address);
    if (options.network !== undefined) words.push("--network", options.network);
    else words.push("--vni", `${options.vni ?? 42}`);
    if (options.id !== undefined) words.push("--id", options.id);
    if (options.ifname !== undefined) words.push("--ifname", options.ifname);
    if (options.mac !== undefined) words.push("--mac", options.mac);
    return [...words, ...(options.more ?? [])];
  }

  /**
   * What `weft attach --json` prints. Without options that only the command has it is asked of the API directly: most tests begin with
   * it several times, and loading the command takes ten times as long as what it does.
   */
  async attach(target: Namespace | string, options: AttachOptions = {}): Promise<PortInfo> {
    const { more, network, vni = 42, ...same } = options;
    if (typeof target === "string" || more !== undefined)
      return JSON.parse(await this.ok([...this.attachWords(target, options), "--json"])) as PortInfo;
    const where = network === undefined ? { vni } : { network };
    return (await this.post("/v1/ports", { netns: target.name, ...where, ...same })) as PortInfo;
  }

  async detach(idOrTarget: string): Promise<void> {
    await this.ok(["detach", idOrTarget]);
  }

  /** What `weft status --json` prints, asked of the API directly: tests ask often. */
  async status(): Promise<Status> {
    return (await this.get("/v1/status")) as Status;
  }

  /** What `weft status fdb --json` prints. */
  async fdb(): Promise<FdbEntry[]> {
    return (await this.get("/v1/fdb")) as FdbEntry[];
  }

  /** What `weft status peers --json` prints. */
  async wireguard(): Promise<WireguardInfo> {
    return (await this.get("/v1/peers")) as WireguardInfo;
  }

  /** The only WireGuard peer there is. */
  async peer(): Promise<PeerInfo> {
    const [first, ...more] = (await this.wireguard()).peers;
    if (first === undefined || more.length > 0) throw new Error(`${this.host.label} has not one WireGuard peer`);
    return first;
  }

  /** GET of the API over the control socket. */
  async get(path: string): Promise<unknown> {
    return await this.#ask("GET", path);
  }

  /** POST, at once: without the time that a command takes to start. */
  async post(path: string, body: object): Promise<unknown> {
    return await this.#ask("POST", path, JSON.stringify(body));
  }

  async #ask(method: string, path: string, body?: string): Promise<unknown> {
    return await new Promise((resolve, reject) => {
      const headers = body === undefined ? {} : { "content-type": "application/json" };
      const asked = request({ socketPath: this.socket, method, path, headers, agent: false }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("end", () => {
          if (Math.floor((response.statusCode ?? 0) / 100) === 2) resolve(JSON.parse(text));
          else reject(new Error(`${path}: ${response.statusCode} ${text}`));
        });
      });
      asked.on("error", reject).end(body);
    });
  }

  /** What a Prometheus would scrape, by series. */
  async metrics(): Promise<Map<string, number>> {
    return parseMetrics(await this.metricsText());
  }

  async metricsText(path = "/metrics"): Promise<string> {
    const url = `http://${this.#options.metrics ?? "127.0.0.1:6782"}${path}`;
    return await this.host.run([process.execPath, "-e", FETCH, url]);
  }

  /** Everything weft says it or the kernel in front of it lost, by `plane reason` and `kernel where`; zero ones too. */
  async losses(): Promise<Record<string, number>> {
    const { drops, kernelDrops } = (await this.get("/v1/counters")) as Counters;
    const losses: Record<string, number> = {};
    for (const { plane, reason, count } of drops) losses[`${plane} ${reason}`] = count;
    for (const [where, count] of Object.entries(kernelDrops)) losses[`kernel ${where}`] = count;
    return losses;
  }

  /** Ends the process with a signal and waits. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    await this.job.kill(signal);
  }

  #start(): Job {
    return this.host.start([...(this.#options.through ?? []), process.execPath, WEFT, ...this.words], {
      env: { WEFT_DIE_WITH_PARENT: "1", ...this.#options.env },
    });
  }
}

const FETCH =
  "fetch(process.argv[1]).then(async (r) => { process.stdout.write(await r.text()); process.exitCode = r.ok ? 0 : 1; })";

/** Series of the Prometheus text format, `name{labels}` → value. */
export function parseMetrics(text: string): Map<string, number> {
  const series = new Map<string, number>();
  for (const line of text.split("\n")) {
    const match = /^([a-zA-Z_:][^ {]*(?:\{.*\})?) (\S+)$/.exec(line);
    if (match?.[1] !== undefined) series.set(match[1], Number(match[2]));
  }
  return series;
}

/** Differences of two tables of counters; only what changed. */
export function difference(before: Record<string, number>, after: Record<string, number>): Record<string, number> {
  const changed: Record<string, number> = {};
  for (const [name, value] of Object.entries(after)) {
    if (value !== (before[name] ?? 0)) changed[name] = value - (before[name] ?? 0);
  }
  return changed;
}

export function total(table: Record<string, number>): number {
  return Object.values(table).reduce((sum, value) => sum + value, 0);
}

/** What the tests use of `weft status --json`. */
export interface Status {
  readonly pid: number;
  readonly state: string;
  readonly metrics: string | null;
  readonly parked: readonly { readonly id: string; readonly why: string }[];
  readonly ports: readonly PortInfo[];
  readonly networks: readonly NetworkInfo[];
  readonly counters: Counters;
}
