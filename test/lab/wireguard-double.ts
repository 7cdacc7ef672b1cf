/**
 * A test double of WireGuard around a real Dataplane that has none: what the daemon's other parts see of it. It refuses
 * what the real one refuses (a network whose VTEPs no peer covers, a prefix with two peers), and encrypts nothing.
 */
import { EventEmitter } from "node:events";
import {
  type Counters,
  type DataplaneApi,
  type DataplaneEvent,
  type Encryption,
  InvalidInput,
  type NetworkInfo,
  type NetworkSpec,
  type PeerInfo,
  type PeerSpec,
  type WireguardInfo,
} from "@weft/control";
import { covers, parseCidr, parseVtep } from "../../packages/control/dist/dataplane/address.js";

const QUIET = { packets: 0, bytes: 0 };

export class WireguardDouble {
  readonly dataplane: DataplaneApi;
  /** Every change in its order, as `peers KEY KEY`, `set NAME`, `remove NAME`. */
  readonly changes: string[] = [];
  peers: readonly PeerSpec[];
  /** What is different about peers, by public key. */
  readonly news = new Map<string, Partial<PeerInfo>>();
  counters: Omit<NonNullable<Counters["wireguard"]>, "peers"> = {
    handshakes: (["initiator", "responder"] as const).flatMap((role) =>
      (["completed", "failed", "timeout"] as const).map((result) => ({ role, result, count: 0 })),
    ),
    rekeys: 0,
    refused: { unsound: 0, unknown_peer: 0, stale_timestamp: 0, too_soon: 0, unknown_index: 0 },
    cookiesSent: 0,
    cookiesReceived: 0,
    keepalivesSent: 0,
    roams: 0,
  };
  readonly #own: Omit<WireguardInfo, "peers">;
  readonly #encryption = new Map<string, Encryption>();
  readonly #emitter = new EventEmitter();

  constructor(real: DataplaneApi, peers: readonly PeerSpec[], own: Partial<WireguardInfo> = {}) {
    this.peers = peers;
    this.#own = {
      publicKey: "b3du",
      listenPort: 51_820,
      address: ["10.7.0.1"],
      device: null,
      mtu: 1440,
      keylog: null,
      ...own,
    };
    const changed: Partial<DataplaneApi> = {
      wireguard: () => ({ ...this.#own, peers: this.peers.map((peer) => this.#info(peer)) }),
      setPeers: async (next) => {
        this.changes.push(`peers ${next.map((p) => p.publicKey).join(" ")}`);
        this.#check(next, this.dataplane.networks());
        this.peers = next;
      },
      setNetwork: async (spec) => {
        this.changes.push(`set ${spec.name}`);
        const { encryption = "required", ...rest } = spec;
        this.#check(this.peers, [{ ...rest, encryption }]);
        await real.setNetwork({ mtu: encryption === "none" ? "auto" : this.#own.mtu - 50, ...rest });
        this.#encryption.set(spec.name, encryption);
      },
      removeNetwork: async (name) => {
        this.changes.push(`remove ${name}`);
        await real.removeNetwork(name);
      },
      networks: () =>
        real.networks().map((n) => ({ ...n, encryption: this.#encryption.get(n.name) ?? ("required" as const) })),
      counters: () => ({
        ...real.counters(),
        wireguard: { ...this.counters, peers: this.peers.map((peer) => this.#info(peer)) },
      }),
      on(event, listener) {
        real.on(event, listener);
        emitter.on(event, listener);
        return this as DataplaneApi;
      },
    };
    const emitter = this.#emitter;
    this.dataplane = new Proxy(real, {
      get(target, key) {
        if (Object.hasOwn(changed, key)) return changed[key as keyof DataplaneApi];
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
  }

  tell(event: DataplaneEvent): void {
    this.#emitter.emit("event", event);
  }

  #info({ publicKey, endpoint, allowedIps, presharedKey, persistentKeepalive }: PeerSpec): PeerInfo {
    return {
      publicKey,
      endpoint: endpoint ?? null,
      allowedIps: allowedIps ?? [],
      presharedKey: presharedKey !== undefined,
      persistentKeepalive: persistentKeepalive ?? 0,
      session: "none",
      lastHandshake: null,
      receive: QUIET,
      transmit: QUIET,
      ...this.news.get(publicKey),
    };
  }

  #check(peers: readonly PeerSpec[], networks: readonly (NetworkSpec | NetworkInfo)[]): void {
    const prefixes = peers.flatMap((p) => p.allowedIps ?? []);
    const twice = prefixes.find((p, i) => prefixes.indexOf(p) !== i);
    if (twice !== undefined)
      throw new InvalidInput("peers", [{ key: "allowedIps", found: twice, allowed: "each prefix with one peer" }]);
    for (const { name, encryption, vteps } of networks) {
      if (encryption !== "required") continue;
      for (const vtep of vteps ?? []) {
        const address = parseVtep(vtep, 4789);
        const isOwn = address !== undefined && this.#own.address.includes(address.text);
        const isCovered = prefixes.some((p) => {
          const prefix = parseCidr(p);
          return prefix !== undefined && address !== undefined && covers(prefix, address);
        });
        if (!isOwn && !isCovered)
          throw new InvalidInput(`network ${name}`, [{ key: "vteps", found: vtep, allowed: "what a peer covers" }]);
      }
    }
  }
}
