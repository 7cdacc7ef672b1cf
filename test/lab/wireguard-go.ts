/** The independent judge of encryption: wireguard-go in a host's namespace, set up with `wg`. */
import { type Job, until } from "./job.js";
import type { Host, Lab } from "./lab.js";
import { type KeyPair, keyFile, type Peer, PORT } from "./wireguard.js";

export interface WireguardGoSpec {
  readonly keys: KeyPair;
  /** Tunnel addresses with prefix length: what is in the prefix is routed into the tunnel. */
  readonly address: readonly string[];
  readonly peers: readonly Peer[];
  /** Default 1440: all that 1500 octets of IPv4 underlay leave. Over IPv6 it must be 1420. */
  readonly mtu?: number;
}

/** A peer as `wg show DEVICE dump` prints it; octets of UDP payload, handshakes included. */
export interface ShownPeer {
  readonly publicKey: string;
  readonly endpoint: string | undefined;
  /** Seconds since 1970; 0: never. */
  readonly latestHandshake: number;
  readonly received: number;
  readonly sent: number;
}

let devices = 0;

export class WireguardGo {
  /** Unique on this machine: the control sockets of all wireguard-go lie in one directory. */
  readonly device = `wg${process.pid}-${devices++}`;
  readonly host: Host;
  readonly #lab: Lab;
  readonly #spec: WireguardGoSpec;
  #job: Job | undefined;

  private constructor(lab: Lab, host: Host, spec: WireguardGoSpec) {
    this.host = host;
    this.#lab = lab;
    this.#spec = spec;
  }

  static async up(lab: Lab, host: Host, spec: WireguardGoSpec): Promise<WireguardGo> {
    const made = new WireguardGo(lab, host, spec);
    await made.start();
    return made;
  }

  /** Starts the daemon, again after `stop()`: keys, peers and addresses are given to it anew. */
  async start(): Promise<void> {
    const { host, device } = this;
    const { keys, address, peers, mtu } = this.#spec;
    this.#job = host.start(["wireguard-go", "-f", device], { env: { LOG_LEVEL: "error" } });
    await until(`${device} is there`, async () => (await host.attempt(["wg", "show", device])).code === 0);
    await this.set("listen-port", `${PORT}`, "private-key", keyFile(this.#lab, keys.secret));
    for (const peer of peers) await this.setPeer(peer);
    await host.run(`ip link set ${device} mtu ${mtu ?? 1440}`);
    for (const one of address) {
      await host.run(`ip addr add ${one} dev ${device}${one.includes(":") ? " nodad" : ""}`);
    }
    await host.run(`ip link set ${device} up`);
  }

  /** Ends the daemon, and with it the device, its addresses and routes. */
  async stop(): Promise<void> {
    await this.#job?.kill("SIGTERM");
    await until(`${this.device} is gone`, async () => (await this.host.devices()).every((d) => d.name !== this.device));
  }

  /** `wg set DEVICE …`. */
  async set(...words: readonly string[]): Promise<void> {
    await this.host.run(["wg", "set", this.device, ...words]);
  }

  async setPeer(peer: Peer): Promise<void> {
    const { publicKey, presharedKey, endpoint, allowedIps, persistentKeepalive } = peer;
    await this.set(
      ...["peer", publicKey, "allowed-ips", allowedIps.join(",")],
      ...(presharedKey === undefined ? [] : ["preshared-key", keyFile(this.#lab, presharedKey)]),
      ...(endpoint === undefined ? [] : ["endpoint", endpoint]),
      ...(persistentKeepalive === undefined ? [] : ["persistent-keepalive", `${persistentKeepalive}`]),
    );
  }

  /** What it says of its peers. */
  async peers(): Promise<ShownPeer[]> {
    const [, ...rows] = (await this.host.run(["wg", "show", this.device, "dump"])).split("\n");
    return rows.map((row) => {
      const [publicKey = "", , endpoint, , latestHandshake, received, sent] = row.split("\t");
      return {
        publicKey,
        endpoint: endpoint === "(none)" ? undefined : endpoint,
        latestHandshake: Number(latestHandshake),
        received: Number(received),
        sent: Number(sent),
      };
    });
  }

  /** The only peer there is. */
  async peer(): Promise<ShownPeer> {
    const [first, ...more] = await this.peers();
    if (first === undefined || more.length > 0) throw new Error(`${this.device} has not one peer`);
    return first;
  }
}
