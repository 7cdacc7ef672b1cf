/**
 * What the daemon answers about its mesh: plain data, as the API gives it and the command line prints it. Types only.
 *
 * Times are milliseconds since 1970 unless a name says otherwise. A node is named by its id (43 characters of base64url); names are
 * for people and may be there twice. No secret of a token is in any of these but JoinToken.
 */
import type { Histogram, SessionState, Traffic } from "./dataplane/types.js";
import type { NodeId } from "./mesh/types.js";

export interface MeshInfo {
  readonly self: NodeId;
  /** 16 octets in hexadecimal. */
  readonly networkId: string;
  /** The node that began the network. */
  readonly founder: NodeId;
  /** Version of the protocol of control links that this node speaks. */
  readonly protocol: number;
  /** TCP port of control links, and UDP port of WireGuard. */
  readonly port: number;
  readonly wireguardPort: number;
  /** Address of this node inside the tunnel. */
  readonly tunnelAddress: string;
  /** Whether members are dialled that nobody has named here (`--no-discovery`: not). */
  readonly discovery: boolean;
  /** Ourselves among them. */
  readonly members: readonly MemberInfo[];
  /** Our control links. */
  readonly controlLinks: readonly ControlLinkInfo[];
  /** What `--join` and `weft connect` have named. */
  readonly targets: readonly TargetInfo[];
  /** What is wrong on this node now and does not right itself. */
  readonly problems: readonly MeshProblem[];
}

/** One of each kind and network at most. */
export interface MeshProblem {
  readonly kind: ProblemKind;
  /** null: of several, or of none in particular. */
  readonly network: string | null;
  /** Collisions, gateways, addresses or containers that it is about; 1 or more. */
  readonly count: number;
  /** What is wrong, what it means, and what to do. */
  readonly text: string;
}

export type ProblemKind =
  /** Two networks want the same VNI or addresses, or one cannot be on this host. */
  | "network_conflict"
  /** A network that is used here has no gateway here. */
  | "gateway"
  /** The host's own port in a network could not be made. */
  | "exposure"
  /** A gateway does not answer DNS. */
  | "dns"
  /** Addresses in use here that another member owns. */
  | "foreign_address"
  /** Grants of addresses that have no effect. */
  | "ignored_grant"
  /** Containers with an address, or a MAC, that an earlier one has. */
  | "same_ip"
  | "same_mac"
  /** Containers, or addresses, that the tables have no room for. */
  | "without_route"
  | "without_binding";

export interface MemberInfo {
  readonly id: NodeId;
  /** Empty as long as nothing but its admission is known. */
  readonly name: string;
  readonly isSelf: boolean;
  /** `unreachable`: no chain of control links leads to it. */
  readonly state: "alive" | "unreachable";
  /** When it was last seen alive; now while it is. */
  readonly aliveAt: number;
  /** null as long as nothing but its admission is known; so are version and publicKey. */
  readonly startedAt: number | null;
  /** Of weft. */
  readonly version: string | null;
  /** WireGuard public key, base64. */
  readonly publicKey: string | null;
  readonly tunnelAddress: string;
  /** Where its control port (TCP) and its WireGuard (UDP) are. */
  readonly control: readonly string[];
  readonly endpoints: readonly string[];
  readonly capabilities: readonly string[];
  /** Greatest version of its records, and how many of them are here. */
  readonly recordVersion: number;
  readonly records: number;
  /** What it says of its links. */
  readonly links: {
    readonly control: readonly NodeId[];
    /** loss: of 1000 probes. */
    readonly data: readonly { readonly to: NodeId; readonly rttUs: number; readonly loss: number }[];
  };
}

/** A TCP connection with another member. */
export interface ControlLinkInfo {
  readonly node: NodeId;
  readonly name: string;
  /** `ADDR:PORT` of the other end. */
  readonly remote: string;
  /** We have dialled. */
  readonly isOutbound: boolean;
  readonly since: number;
  /** Messages and their octets. */
  readonly receive: Traffic;
  readonly transmit: Traffic;
}

/** An address that is dialled until it is forgotten. */
export interface TargetInfo {
  /** `HOST:PORT`. */
  readonly address: string;
  readonly state: "connected" | "connecting" | "failed";
  /** Who answered there last. */
  readonly node: NodeId | null;
  /** Why the last try failed. */
  readonly error: string | null;
}

/** How another member is reached by data. */
export interface PathInfo {
  readonly node: NodeId;
  readonly name: string;
  /** WireGuard public key, base64. */
  readonly publicKey: string;
  readonly mode: PathMode;
  /** Next member on the way of a relayed path. */
  readonly via: NodeId | null;
  readonly viaName: string | null;
  /** `ADDR:PORT` that it is written to directly; null while none is known. */
  readonly endpoint: string | null;
  readonly session: SessionState;
  /** Smoothed; null: not measured yet, or no path. */
  readonly rttSeconds: number | null;
  /** 0..1 of the latest probes; null: not measured yet, or no path. */
  readonly loss: number | null;
  /** Octets of the longest packet inside the session that is known to pass; null: not confirmed yet, or no path. */
  readonly mtu: number | null;
  /** Since when mode and via are these. */
  readonly since: number;
  /** WireGuard messages, octets of UDP payload. */
  readonly receive: Traffic;
  readonly transmit: Traffic;
}

/** `none`: no session, as before the first frame, or no way is known. */
export type PathMode = "direct" | "relayed" | "none";

/** A join token without its secret. */
export interface TokenInfo {
  readonly id: string;
  readonly state: "valid" | "retired";
  /** When it was made; of a retired one, when it was retired. */
  readonly createdAt: number;
  /** Who did that. */
  readonly node: NodeId;
}

/** A token as it is handed to a newcomer. Whoever has it can join. */
export interface JoinToken {
  readonly id: string;
  /** What `--token` takes: the secret and the network's id. */
  readonly token: string;
  /** HOST[:PORT] that a newcomer dials, the likeliest first. */
  readonly hosts: readonly string[];
}

/** A network that all members share. */
export interface MeshNetwork {
  readonly name: string;
  readonly vni: number;
  /** null: none of that family. */
  readonly cidr4: string | null;
  readonly cidr6: string | null;
  /** Octets in force on this host. */
  readonly mtu: number;
  /** VTEPs outside of the mesh, in clear. */
  readonly vteps: readonly string[];
  /** Addresses of the gateway, the same on every host. */
  readonly gateway: readonly string[];
  readonly isDefault: boolean;
  /** Containers of all nodes. */
  readonly containers: number;
  /** Sentences about what collides with it, on this host or with other networks. */
  readonly conflicts: readonly string[];
  readonly createdAt: number;
}

/** A port of any node, as all nodes know it: nothing in it depends on who is asked. */
export interface ContainerInfo {
  /** Port id; unique within the node. */
  readonly id: string;
  readonly node: NodeId;
  readonly nodeName: string;
  readonly name: string | null;
  readonly network: string;
  readonly ifname: string;
  readonly mac: string;
  /** Without prefix length. */
  readonly ips: readonly string[];
  /** Full names that lead to it. */
  readonly dns: readonly string[];
  /** `host`: the host's own port (`weft expose`). */
  readonly role: "container" | "host";
  readonly published: readonly PublishedPort[];
  readonly since: number;
}

/** A port of a host that leads into a container. */
export interface PublishedPort {
  /** Address of the host; `0.0.0.0` and `::` for all. */
  readonly ip: string;
  readonly hostPort: number;
  readonly port: number;
  readonly protocol: "tcp" | "udp";
}

/** Two containers that have talked; one record for each pair. */
export interface LinkInfo {
  readonly network: string;
  /** Port ids. The source is the container on this host; where both are, the one whose id sorts first. */
  readonly sourceContainerId: string;
  readonly destinationContainerId: string;
  /** Device, MAC and first address of the source. */
  readonly interface: string;
  readonly mac: string;
  readonly ip: string | null;
  /** Ethernet frames and their octets, both directions. */
  readonly packets: number;
  readonly bytes: number;
  readonly lastSeen: number;
}

/** Addresses of one network. An index is an IPv4 and an IPv6 address at once. */
export interface IpamInfo {
  readonly network: string;
  readonly cidr4: string | null;
  readonly cidr6: string | null;
  /** Indexes that can be given to containers, on all nodes together. */
  readonly size: number;
  /** Indexes that this node may give, those of them that are given, and the rest. */
  readonly owned: number;
  readonly used: number;
  readonly free: number;
  /** Port ids here whose addresses another node owns: it may give them to others. */
  readonly foreign: readonly string[];
  /** Grants of ranges that have no effect. */
  readonly ignoredGrants: number;
  /** What holds an attachment up, such as a node that was asked for addresses and cannot be reached; null: nothing. */
  readonly waiting: string | null;
  /** Who owns what, in the order of the addresses. */
  readonly ranges: readonly {
    /** First and last address: IPv4 where the network has it, else IPv6. */
    readonly first: string;
    readonly last: string;
    readonly count: number;
    readonly node: NodeId;
    readonly name: string;
    /** Alive, or whose range waits for an heir. */
    readonly state: "alive" | "unreachable" | "removed";
  }[];
  /** Addresses that are given on this node. `port` null: kept for a container that comes back. */
  readonly allocations: readonly {
    readonly ips: readonly string[];
    readonly port: string | null;
    readonly name: string | null;
  }[];
}

export interface DnsInfo {
  /** Such as `weft.local`. */
  readonly domain: string;
  /** `ADDR:PORT` where containers ask. */
  readonly listen: readonly string[];
  /** Where everything else is forwarded to. */
  readonly upstream: readonly string[];
  readonly entries: readonly DnsEntry[];
}

export interface DnsEntry {
  /** Without the domain. */
  readonly name: string;
  /** Whose containers are answered; null: those of all networks. */
  readonly network: string | null;
  readonly ips: readonly string[];
  readonly srv: readonly SrvTarget[];
  /** Who says so. */
  readonly node: NodeId;
  readonly nodeName: string;
  /** Port id; null: added by hand. */
  readonly container: string | null;
}

/** RFC 2782. */
export interface SrvTarget {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  readonly target: string;
}

/** What of this host is open to containers, and of containers to the outside. */
export interface ExposureInfo {
  /** Networks that this host has a port of its own in. */
  readonly exposed: readonly {
    readonly network: string;
    readonly ifname: string;
    readonly ips: readonly string[];
  }[];
  readonly published: readonly (PublishedPort & { readonly network: string; readonly container: string })[];
  /** Rules that weft has added to chains of others, one sentence each. */
  readonly foreignRules: readonly string[];
}

/** Where the ranges went of a node that has left. */
export interface Departure {
  readonly networkId: string;
  readonly granted: readonly { readonly network: string; readonly count: number; readonly to: NodeId }[];
}

/** Totals never go back while the daemon lives. Every label set there is, zero ones too. */
export interface MeshCounters {
  /** Messages on control links, by what they are. */
  readonly messages: readonly { readonly direction: Direction; readonly type: string; readonly count: number }[];
  /** Octets of messages. */
  readonly bytes: Readonly<Record<Direction, number>>;
  /** What was not believed or not taken, by why. */
  readonly rejected: Readonly<Record<string, number>>;
  /** Seconds from writing a record of this node until each of its neighbours has it (mesh/own-news.ts); one at a time is measured. */
  readonly convergenceSeconds: Histogram;
  /** Changes of paths, by why. */
  readonly pathChanges: Readonly<Record<string, number>>;
  readonly dnsQueries: Readonly<Record<string, number>>;
}

export type Direction = "in" | "out";
