/**
 * The mesh as the API sees it. The daemon puts it together from membership, paths, addresses, names and gateways.
 *
 * Whatever changes something is on disk, and in force here, when its promise resolves; the other members hear of it within seconds.
 * Failures are WeftErrors and have changed nothing.
 */
import type { PortInfo } from "../dataplane/types.js";
import type { NodeId } from "../mesh/types.js";
import type {
  ContainerInfo,
  Departure,
  DnsInfo,
  ExposureInfo,
  IpamInfo,
  JoinToken,
  LinkInfo,
  MeshCounters,
  MeshInfo,
  MeshNetwork,
  PathInfo,
  PublishedPort,
  SrvTarget,
  TokenInfo,
} from "../mesh-answers.js";
import type { AttachRequest } from "./choose.js";

export interface MeshControl {
  info(): MeshInfo;
  /** One for each other member. */
  paths(): PathInfo[];

  /** The valid token that newcomers are given. @throws unavailable while there is none */
  token(): JoinToken;
  tokens(): TokenInfo[];
  /** Makes a token; those before stay valid until they are retired. Members are not touched. */
  rotateToken(): Promise<JoinToken>;
  /** For ever. @throws not_found; conflict when it is the only valid one */
  retireToken(id: string): Promise<void>;

  /** Dials `HOST:PORT` from now on, also after a restart. Resolves when that is written down, not when somebody answers. */
  connect(address: string): Promise<void>;
  /**
   * No longer dials an address of `--join` or `connect`. Members that are known stay known.
   * @param address `HOST` for every port, or `HOST:PORT`
   * @returns the addresses that there were
   */
  forget(address: string): Promise<string[]>;
  /**
   * Removes a member for ever, makes a new token and retires every one that it may know. Its addresses go to its heir.
   * @param force the operator asserts that a node which cannot be reached does not run, or may be cut off
   * @throws not_found; conflict for an unreachable node without `force`, and for this node (that is leave())
   */
  removeMember(id: NodeId, options: { readonly force: boolean }): Promise<void>;
  /**
   * Ends our own membership for good: gives addresses away, removes itself, and ends the daemon, which forgets the identity then.
   * @throws conflict while containers are attached
   */
  leave(): Promise<Departure>;

  networks(): MeshNetwork[];
  /** @throws conflict for a name, VNI or prefix that is taken; invalid_input */
  createNetwork(network: NewNetwork): Promise<MeshNetwork>;
  /** @returns whether there was one. @throws conflict while any node has containers in it, or for the default network */
  removeNetwork(name: string): Promise<boolean>;
  /** `ADDR` or `ADDR:PORT` of a VTEP outside of the mesh. @throws not_found for the network */
  addVtep(network: string, vtep: string): Promise<MeshNetwork>;
  removeVtep(network: string, vtep: string): Promise<MeshNetwork>;

  /**
   * Attaches as Router.attach does, with addresses, gateway and names of the mesh. Repeating a request with an id answers the port.
   * @throws unavailable when no address can be had now, saying who was asked for some
   */
  attach(request: MeshAttachRequest): Promise<MeshPort>;
  /** As Router.detach and Router.detachNamespace; also takes back addresses, names and published ports. */
  detach(id: string): Promise<boolean>;
  detachNamespace(target: string): Promise<string[]>;
  /** Of all nodes, in no particular order. */
  containers(): ContainerInfo[];
  links(): LinkInfo[];
  ipam(): IpamInfo[];

  dns(): DnsInfo;
  /** Adds or replaces. */
  addDns(entry: NewDnsEntry): Promise<void>;
  /** Only what this node has added. @returns whether there was one */
  removeDns(name: string, network: string | undefined): Promise<boolean>;

  /** Gives this host a port in a network; once more changes nothing. */
  expose(network: string | undefined): Promise<ExposureInfo>;
  /** Takes it away, and the rules with it. */
  hide(network: string | undefined): Promise<ExposureInfo>;
  exposure(): ExposureInfo;

  counters(): MeshCounters;
}

/** undefined: the mesh chooses. Without a prefix it chooses one of each family; with one, the other family has none. */
export interface NewNetwork {
  readonly name: string;
  readonly cidr?: readonly string[];
  readonly vni?: number;
  /** Octets; default: room for one relay. */
  readonly mtu?: number;
}

export interface NewDnsEntry {
  /** Without the domain, such as `db` or `_http._tcp.web`. */
  readonly name: string;
  /** Who asks in this network is answered; default: everybody. */
  readonly network?: string;
  readonly ips: readonly string[];
  readonly srv: readonly SrvTarget[];
}

/** `gateway` absent: the network's; empty: no default route. `ip` absent: the mesh gives addresses, unless `ipam` is false. */
export type MeshAttachRequest = AttachRequest & {
  readonly ipam?: boolean;
  /** Name in listings, and the first of its DNS names. */
  readonly name?: string;
  readonly dnsNames?: readonly string[];
  readonly publish?: readonly PublishRequest[];
};

export interface PublishRequest {
  /** Address of the host; default all of them. */
  readonly ip?: string;
  /** Default: a free one, the same after a restart. */
  readonly hostPort?: number;
  readonly port: number;
  readonly protocol: "tcp" | "udp";
}

export interface MeshPort extends PortInfo {
  readonly name: string | null;
  /** Full names that lead to it. */
  readonly dns: readonly string[];
  readonly published: readonly PublishedPort[];
}
