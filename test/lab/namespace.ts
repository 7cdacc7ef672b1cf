/** A network namespace of the lab: a host or a container. Commands run inside it. */
import { Job } from "./job.js";

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command line: words, or one string that is cut at spaces. */
export type Command = string | readonly string[];

export interface PingOptions {
  /** Octets of payload (`ping -s`), default 56. */
  readonly size?: number;
  /** Forbid fragmentation (`-M do`). */
  readonly whole?: boolean;
  /** Default 3, every 10 ms. */
  readonly count?: number;
  readonly intervalSeconds?: number;
  /** TOS octet (`-Q`). */
  readonly tos?: number;
  /** Further words, such as `-b` or `-I eth0`. */
  readonly more?: readonly string[];
}

export interface PingResult {
  readonly sent: number;
  readonly received: number;
  readonly duplicates: number;
  /** Average, in milliseconds; undefined when nothing came back. */
  readonly rttMs: number | undefined;
  readonly text: string;
}

export class Namespace {
  /** Its word in the test's story. */
  readonly label: string;
  /** The unique one in /run/netns. */
  readonly name: string;
  readonly #register: (job: Job) => void;

  constructor(label: string, name: string, register: (job: Job) => void) {
    this.label = label;
    this.name = name;
    this.#register = register;
  }

  get path(): string {
    return `/run/netns/${this.name}`;
  }

  /** Starts a command inside. It is killed at the end of the lab. */
  start(command: Command, options: { env?: NodeJS.ProcessEnv; cwd?: string; binary?: boolean } = {}): Job {
    const words = typeof command === "string" ? command.split(" ") : command;
    // nsenter execs: the process id is the command's own.
    const job = new Job(["nsenter", `--net=${this.path}`, ...words], options);
    this.#register(job);
    return job;
  }

  /** Runs a command to its end, whatever that is. */
  async attempt(command: Command, withinMs = 30_000): Promise<Outcome> {
    const job = this.start(command);
    job.finish();
    const { code } = await job.endsWithin(withinMs);
    return { code: code ?? 128, stdout: job.out.join("\n"), stderr: job.err.join("\n") };
  }

  /** Runs a command that must succeed; its standard output. */
  async run(command: Command, withinMs = 30_000): Promise<string> {
    const outcome = await this.attempt(command, withinMs);
    if (outcome.code !== 0) {
      const words = typeof command === "string" ? command : command.join(" ");
      throw new Error(`in ${this.label}: ${words}: exit ${outcome.code}\n${outcome.stdout}\n${outcome.stderr}`);
    }
    return outcome.stdout;
  }

  /** The same, for a command that prints JSON. */
  async json<T>(command: Command): Promise<T> {
    return JSON.parse(await this.run(command)) as T;
  }

  /**
   * Pings an address. After the last request `ping` waits for two round trips or one interval, so on a busy machine an
   * answer may come too late; when only some are missing, all is asked again with time to answer.
   */
  async ping(address: string, options: PingOptions = {}): Promise<PingResult> {
    const first = await this.#pingOnce(address, options);
    if (first.received === 0 || first.received === first.sent || first.duplicates > 0) return first;
    return await this.#pingOnce(address, { ...options, intervalSeconds: Math.max(options.intervalSeconds ?? 0, 0.5) });
  }

  async #pingOnce(address: string, options: PingOptions): Promise<PingResult> {
    const count = options.count ?? 3;
    const words = ["ping", "-n", "-c", `${count}`, "-i", `${options.intervalSeconds ?? 0.01}`, "-W", "1"];
    if (options.size !== undefined) words.push("-s", `${options.size}`);
    if (options.whole === true) words.push("-M", "do");
    if (options.tos !== undefined) words.push("-Q", `${options.tos}`);
    const { stdout, stderr } = await this.attempt([...words, ...(options.more ?? []), address]);
    const number = (pattern: RegExp): number => Number(pattern.exec(stdout)?.[1] ?? 0);
    const average = /= [\d.]+\/([\d.]+)\//.exec(stdout)?.[1];
    return {
      sent: number(/(\d+) packets transmitted/),
      received: number(/(\d+) received/),
      duplicates: number(/\+(\d+) duplicates/),
      rttMs: average === undefined ? undefined : Number(average),
      text: `${stdout}\n${stderr}`,
    };
  }

  /** MAC address of a device. */
  async mac(ifname = "eth0"): Promise<string> {
    const [link] = await this.json<{ address: string }[]>(`ip -j link show dev ${ifname}`);
    if (link === undefined) throw new Error(`${this.label} has no ${ifname}`);
    return link.address;
  }

  /** What `ip` says of every device but lo: name, MAC, addresses with prefix (no link-local ones), MTU, flags. */
  async devices(): Promise<DeviceFacts[]> {
    const all = await this.json<RawDevice[]>("ip -j addr show");
    return all
      .filter((device) => device.ifname !== "lo" && device.ifname !== undefined)
      .map((device) => ({
        name: device.ifname,
        mac: device.address,
        mtu: device.mtu,
        up: device.flags.includes("UP"),
        addresses: device.addr_info.filter((a) => a.scope !== "link").map((a) => `${a.local}/${a.prefixlen}`),
      }));
  }

  /** Routes of both families, as `ip route` prints them, without multicast, local and link-local ones. */
  async routes(): Promise<string[]> {
    const text = `${await this.run("ip route")}\n${await this.run("ip -6 route")}`;
    return (
      text
        .split("\n")
        // Without a daemon the device has no carrier, and `ip` says so with each route.
        .map((line) => line.replace(" linkdown", "").trim())
        .filter((line) => line !== "" && !line.startsWith("fe80::") && !line.startsWith("ff00::"))
    );
  }
}

export interface DeviceFacts {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  readonly addresses: readonly string[];
}

interface RawDevice {
  readonly ifname: string;
  readonly address: string;
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly addr_info: readonly { readonly local: string; readonly prefixlen: number; readonly scope: string }[];
}
