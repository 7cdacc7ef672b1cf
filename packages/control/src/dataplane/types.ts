/**
 * Public types of the data plane: what an embedding router daemon sees.
 *
 * Units are in names or comments. MAC addresses are written `02:00:00:00:00:07`, addresses as usual, prefixes with a
 * slash. Every method that takes one of these checks it whole and throws one InvalidInput error that lists every
 * problem before anything is changed.
 */
import type { Features, Link } from "@weft/tun";
import type {
  PathSpec,
  PeerActivity,
  PeerChange,
  PeerSpec,
  ProbeSpec,
  SessionState,
  WireguardCounters,
  WireguardInfo,
  WireguardSpec,
} from "./wireguard-types.js";

export type * from "./wireguard-types.js";

export interface DataplaneOptions {
  /** Local underlay addresses to bind, at most one per family. Tunnels to the other family's VTEPs need one of it. */
  readonly underlay: readonly string[];
  /** UDP port of VXLAN, default 4789 (RFC 7348 §8). */
  readonly vxlanPort?: number;
  /** Worker threads, 1..16, default 1. */
  readonly workers?: number;
  /** Learned MACs over all networks, 1024..1048576, default 65536. */
  readonly fdbMax?: number;
  /** Ports, 1..16384, default 1024. */
  readonly portsMax?: number;
  /** VTEPs summed over networks, 1..16384, default 4096. */
  readonly vtepsMax?: number;
  /** Static MACs, prefixes, bindings, and addresses and routes of layer-3 ports, summed over networks, default 16384. */
  readonly routesMax?: number;
  /** Networks, 1..4096, default 256. */
  readonly networksMax?: number;
  /**
   * Where frames come from and go to; default the kernel. A MemoryLink (`@weft/tun`) needs no privileges and runs on
   * the calling thread; workers must then be 1.
   */
  readonly link?: Link;
  /** WireGuard; absent: none, and no network can be encrypted. */
  readonly wireguard?: WireguardSpec;
  /** Ports keep their devices when the process dies (TUNSETPERSIST); the daemon sets it. Default false. */
  readonly persistent?: boolean;
}

/** A virtual Ethernet with its own VNI, MAC addresses and VTEPs. */
export interface NetworkSpec {
  /** 1..32 of `a-z 0-9 - _ .`, starting with a letter or digit. */
  readonly name: string;
  /** 1..16777215, unique. */
  readonly vni: number;
  /** Remote VTEPs, `ADDR`, `ADDR:PORT` or `[ADDR]:PORT`; full mesh, split horizon. */
  readonly vteps?: readonly string[];
  /**
   * Octets of the longest IP packet inside, 1280..65485, or `auto`: underlay MTU minus 50 (IPv4) or 70 (IPv6); inside a
   * WireGuard tunnel over IPv4 minus 110 or, with IPv6 addresses inside it, 130.
   */
  readonly mtu?: number | "auto";
  /**
   * `required` (default with WireGuard): every VTEP is an address inside the tunnel that a peer's allowedIps cover; frames
   * without a session are dropped, VXLAN in clear is refused. `none` (default without): VTEPs are underlay addresses, in
   * clear. `mixed`: a VTEP that a peer covers is reached through the tunnel, any other in clear.
   */
  readonly encryption?: Encryption;
  /**
   * The network's gateway, the same on every host: its MAC is that of the port with role `gateway`, and nothing from or to that MAC
   * passes a tunnel (`gateway_leak`). Absent: none.
   */
  readonly gateway?: string;
  /** Seconds after which an unseen MAC is forgotten, 0 (never) or 1..32000, default 300. */
  readonly ageSeconds?: number;
  /** Broadcast, unknown unicast and multicast frames per second and port; 0 unlimited; default 10000. */
  readonly bumRate?: number;
  /** MACs learned per port, default 1024. */
  readonly macsPerPort?: number;
  /** `vteps` (default): VXLAN from other addresses is dropped; `any` opens it. */
  readonly acceptFrom?: "vteps" | "any";
  /** What containers may not do; each true by default. */
  readonly guards?: {
    readonly spoofedMac?: boolean;
    readonly routerAdvertisement?: boolean;
    readonly dhcpServer?: boolean;
  };
}

export type Encryption = "required" | "none" | "mixed";

export interface NetworkInfo extends Required<Omit<NetworkSpec, "mtu" | "guards" | "gateway">> {
  readonly gateway: string | null;
  /** Octets in force. */
  readonly mtu: number;
  readonly guards: {
    readonly spoofedMac: boolean;
    readonly routerAdvertisement: boolean;
    readonly dhcpServer: boolean;
  };
  readonly ports: number;
  readonly routes: number;
}

/**
 * Where a MAC or a prefix is: a VTEP of the network, a local port by id, or `blackhole`.
 *
 * A MAC route is a static FDB entry: it never ages, never moves. A prefix decides where a frame goes whose MAC is
 * unknown, and whom ARP requests and neighbour solicitations for an address in it are sent to, instead of flooding;
 * the longest prefix wins. While the port or VTEP that a route names is away, the route drops (`blackhole`): traffic
 * that was given a place never takes another.
 */
export type Route = { readonly mac: string; readonly via: string } | { readonly prefix: string; readonly via: string };

export interface RouteTable {
  /** Puts the whole table in place of the present one. No frame is judged by a mixture. Resolves when in force. */
  replace(routes: readonly Route[]): Promise<void>;
  add(route: Route): Promise<void>;
  /** Removes by MAC or prefix; nothing happens when it is not there. */
  remove(route: { readonly mac: string } | { readonly prefix: string }): Promise<void>;
  /** What was written, in the order of writing. */
  list(): Route[];
}

/** An IP address whose MAC is known: ARP requests and neighbour solicitations for it are answered by the switch. */
export interface Binding {
  readonly ip: string;
  readonly mac: string;
}

export interface BindingTable {
  /** Puts the whole table in place of the present one. Resolves when in force. @throws InvalidInput, nothing changed */
  replace(bindings: readonly Binding[]): Promise<void>;
  list(): Binding[];
}

export interface AttachSpec {
  /** Network name. */
  readonly network: string;
  /**
   * `gateway`: the port of the network's gateway MAC, which local ports reach and no tunnel does; at most one in a network, and its
   * MAC is the network's `gateway`. Default `container`.
   */
  readonly role?: "container" | "gateway";
  /**
   * A TUN device: IP packets without Ethernet header. The switch resolves next hops, so that it has to know them: `via` of a route is
   * one of `gateway`. Not with `gateway` role. Default false.
   */
  readonly l3?: boolean;
  /** Namespace: a name (as in `ip netns`), a path, or a PID. Absent: the device stays in the daemon's namespace. */
  readonly netns?: string | number;
  /** Device name in the namespace, default eth0. */
  readonly ifname?: string;
  /** Addresses with prefix length. */
  readonly ip?: readonly string[];
  /** Default: random, locally administered. */
  readonly mac?: string;
  /** Octets; default and upper bound: the network's. */
  readonly mtu?: number;
  /** Default gateway; without it no default route is made. */
  readonly gateway?: readonly string[];
  readonly routes?: readonly { readonly to: string; readonly via?: string }[];
  /** Port id, 1..64 of `A-Z a-z 0-9 - _ .`; default random. */
  readonly id?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** false: only the device is made and left, down and nameless, in the daemon's namespace for another runtime. */
  readonly configure?: boolean;
  /** Take over a persistent device of an earlier process. Set by the daemon. */
  readonly adopt?: PortRecord;
  /**
   * Called when the device of a persistent data plane is in place and before it is made to outlive the process, so that
   * its record can be written first: a process that ends in between leaves no device that nobody knows. What it throws
   * takes the attachment back. Not called for adopted devices.
   */
  readonly beforePersist?: (record: PortRecord) => void | Promise<void>;
}

/** Two stations that have exchanged unicast frames: counted at the port of the local one. */
export interface Conversation {
  readonly network: string;
  /** Port id of the local station. */
  readonly port: string;
  readonly localMac: string;
  readonly remoteMac: string;
  /** From the remote station to the local one, and back. Octets of Ethernet frames. */
  readonly receive: Traffic;
  readonly transmit: Traffic;
  /** Milliseconds since 1970. */
  readonly lastSeen: number;
}

export type PortState = "created" | "up" | "down" | "gone";

export interface PortInfo {
  readonly id: string;
  readonly network: string;
  readonly state: PortState;
  /** Name in the namespace. */
  readonly ifname: string;
  readonly role: "container" | "gateway";
  readonly l3: boolean;
  /** What was given as netns; null when the device stayed with the daemon. */
  readonly netns: string | null;
  readonly mac: string;
  readonly ip: readonly string[];
  readonly mtu: number;
  readonly gateway: readonly string[];
  readonly routes: readonly { readonly to: string; readonly via?: string }[];
  readonly labels: Readonly<Record<string, string>>;
  readonly receive: Traffic;
  readonly transmit: Traffic;
}

/** What the state directory keeps of a port, enough to adopt it. */
export interface PortRecord {
  readonly id: string;
  readonly network: string;
  readonly ifname: string;
  readonly role: "container" | "gateway";
  readonly l3: boolean;
  /** Path of the namespace, or null for the daemon's own. */
  readonly netnsPath: string | null;
  /** dev:inode of that namespace when the port was attached. */
  readonly netnsId: string | null;
  readonly mac: string;
  readonly ip: readonly string[];
  readonly mtu: number;
  readonly gateway: readonly string[];
  readonly routes: readonly { readonly to: string; readonly via?: string }[];
  readonly labels: Readonly<Record<string, string>>;
  readonly configure: boolean;
}

export interface Traffic {
  readonly packets: number;
  /** Octets of Ethernet frames. */
  readonly bytes: number;
}

export interface FdbEntry {
  readonly network: string;
  readonly mac: string;
  readonly kind: "port" | "vtep" | "blackhole";
  /** Port id, or VTEP as in the network's list. */
  readonly via: string;
  /** true for port addresses and routes. */
  readonly static: boolean;
  /** Seconds since the MAC was last seen; 0 for static ones. */
  readonly ageSeconds: number;
}

export interface NeighbourEntry {
  readonly network: string;
  readonly ip: string;
  readonly mac: string;
  readonly via: string;
  readonly ageSeconds: number;
}

/** A histogram as Prometheus wants it: cumulative counts per upper bound. */
export interface Histogram {
  readonly buckets: readonly { readonly le: number; readonly count: number }[];
  readonly sum: number;
  readonly count: number;
}

export type Plane = "egress" | "ingress";

/** All counters at one moment. Totals never go back while the Dataplane lives. */
export interface Counters {
  /** in + made = out + consumed + merged + sum of drops, per plane, between batches. */
  readonly law: Readonly<
    Record<Plane, { in: number; made: number; out: number; consumed: number; merged: number; drops: number }>
  >;
  /** Every (plane, reason) there is, zero ones too. */
  readonly drops: readonly {
    readonly plane: Plane;
    readonly reason: string;
    readonly help: string;
    readonly count: number;
  }[];
  /** Frames the kernel lost before weft could read them. */
  readonly kernelDrops: { readonly tap_ring: number; readonly udp_rcvbuf: number };
  readonly ports: readonly {
    readonly id: string;
    readonly network: string;
    readonly receive: Traffic;
    readonly transmit: Traffic;
  }[];
  readonly vteps: readonly {
    readonly network: string;
    readonly vtep: string;
    readonly receive: Traffic;
    readonly transmit: Traffic;
  }[];
  readonly networks: readonly {
    readonly network: string;
    readonly receive: Traffic;
    readonly transmit: Traffic;
    readonly fdb: { readonly port: number; readonly vtep: number; readonly static: number };
    readonly moves: number;
    readonly evictions: number;
  }[];
  /** null without WireGuard. */
  readonly wireguard: WireguardCounters | null;
  readonly batchFrames: Readonly<Record<Plane, Histogram>>;
  /** Seconds between two polls, per worker. */
  readonly loopSeconds: readonly Histogram[];
  /** System calls of the workers by name. */
  readonly syscalls: Readonly<Record<string, number>>;
  /** Other counters by name, with help. */
  readonly other: readonly { readonly name: string; readonly help: string; readonly count: number }[];
}

export type DataplaneEvent =
  /** A handshake ended well. */
  | { readonly type: "handshake"; readonly peer: string; readonly role: "initiator" | "responder" }
  /** A peer has not answered for 90 s: nothing is tried until there is something to send. */
  | { readonly type: "unreachable"; readonly peer: string }
  /** Somebody who knows our public key, and is no peer, began a handshake; at most one in ten seconds, so this samples. */
  | { readonly type: "stranger"; readonly publicKey: string; readonly endpoint: string }
  /** A peer writes from another address. */
  | { readonly type: "roamed"; readonly peer: string; readonly endpoint: string }
  | {
      readonly type: "learned" | "aged" | "evicted";
      readonly network: string;
      readonly mac: string;
      readonly via: string;
    }
  | {
      readonly type: "moved";
      readonly network: string;
      readonly mac: string;
      readonly from: string;
      readonly via: string;
    }
  /** A probe of a peer (see MeshSpec). */
  | {
      readonly type: "probe";
      readonly peer: string;
      /** Peer that it came through; null: directly. */
      readonly via: string | null;
      /** Where it came from, when it came directly: the peer's address as we see it. */
      readonly endpoint: string | null;
      /** First octets of what was sent, at most 128; zeros behind a payload may be among them. */
      readonly payload: Uint8Array;
      /** Octets of the IP packet inside the session. */
      readonly packetBytes: number;
    }
  /** The session with a peer has another state. */
  | { readonly type: "session"; readonly peer: string; readonly session: SessionState }
  | { readonly type: "portGone"; readonly id: string; readonly network: string; readonly why: string }
  /** The device has another name, or (`configure: false`) is in another namespace: its record has changed. */
  | { readonly type: "portMoved"; readonly id: string; readonly network: string; readonly ifname: string }
  | { readonly type: "portState"; readonly id: string; readonly network: string; readonly state: PortState }
  /** VXLAN that was dropped; at most one per source and reason in a minute, so this samples and does not count. */
  | {
      readonly type: "refused";
      /** Outer source address. */
      readonly source: string;
      readonly vni: number;
      /** Network that has the VNI; null when none has. */
      readonly network: string | null;
      readonly reason: "unknown_vtep" | "unknown_vni";
    }
  /** An underlay interface went up or down, has another MTU, or its address went (mtu stays the last known). */
  | { readonly type: "underlay"; readonly address: string; readonly up: boolean; readonly mtu: number }
  | { readonly type: "eventsLost"; readonly count: number }
  | { readonly type: "workerFailed"; readonly worker: number; readonly error: Error };

/** Facts that do not change while a Dataplane runs. */
export interface DataplaneInfo {
  readonly underlay: readonly {
    readonly address: string;
    readonly family: 4 | 6;
    readonly interface: string | null;
    readonly mtu: number;
  }[];
  readonly vxlanPort: number;
  readonly workers: number;
  readonly abi: string;
  readonly memoryBytes: number;
  readonly features: Features;
  readonly socketBuffers: { readonly receive: number; readonly send: number };
  /** Sentences about what is missing or weaker than wanted. */
  readonly warnings: readonly string[];
}

/** The data plane: one switch with its ports, tables and worker threads. See `Dataplane.start`. */
export interface DataplaneApi {
  readonly info: DataplaneInfo;
  /** Creates or changes a network by name. Resolves when every worker runs with it. */
  setNetwork(spec: NetworkSpec): Promise<void>;
  /** Removes a network that has no ports. */
  removeNetwork(name: string): Promise<void>;
  networks(): NetworkInfo[];
  routes(network: string): RouteTable;
  bindings(network: string): BindingTable;
  /** Who has talked with whom, of all ports; forgotten when not seen for ten minutes, or for more recent ones. */
  conversations(): Conversation[];
  /** Makes a port. Resolves when frames flow. */
  attach(spec: AttachSpec): Promise<PortInfo>;
  /** Removes a port and its device; nothing happens when there is none. */
  detach(id: string): Promise<void>;
  ports(): PortInfo[];
  /** What the state directory should keep of the present ports. */
  records(): PortRecord[];
  fdb(network?: string): FdbEntry[];
  neighbours(network?: string): NeighbourEntry[];
  /** Forgets learned MACs of a network, or all. */
  flush(network?: string): Promise<void>;
  /** Puts the whole list of WireGuard peers in place of the present one; sessions of those that stay go on. */
  setPeers(peers: readonly PeerSpec[]): Promise<void>;
  /** Adds and removes single peers by public key; sessions of all others are not touched. @throws as setPeers */
  changePeers(change: PeerChange): Promise<void>;
  /** Changes the paths of these peers; all others keep theirs. Needs `mesh`. @throws InvalidInput, nothing changed */
  setPaths(paths: readonly PathSpec[]): Promise<void>;
  /** Sends a probe. @returns false when there is no session to send it in (one is then begun), or it could not be sent */
  sendProbe(probe: ProbeSpec): boolean;
  peerActivity(): PeerActivity[];
  /** null without WireGuard. */
  wireguard(): WireguardInfo | null;
  counters(): Counters;
  on(event: "event", listener: (event: DataplaneEvent) => void): this;
  off(event: "event", listener: (event: DataplaneEvent) => void): this;
  /** Stops forwarding and leaves persistent devices in their namespaces for the next process. */
  park(): Promise<void>;
  /** Removes every port, device, socket and thread. */
  close(): Promise<void>;
}
