/**
 * A double of the mesh: answers as one with three members would, and remembers what it was asked to do. For the API, the command
 * line and the metrics, which the tests of real daemons see with the real thing.
 */
import { randomBytes } from "node:crypto";
import { WeftError } from "../../packages/control/dist/errors.js";
import type {
  ContainerInfo,
  DnsInfo,
  ExposureInfo,
  IpamInfo,
  JoinToken,
  LinkInfo,
  MemberInfo,
  MeshCounters,
  MeshInfo,
  MeshNetwork,
  PathInfo,
  TokenInfo,
} from "../../packages/control/dist/mesh-answers.js";
import type {
  MeshAttachRequest,
  MeshControl,
  MeshPort,
  NewDnsEntry,
  NewNetwork,
} from "../../packages/control/dist/router/mesh-control.js";
import type { Router } from "../../packages/control/dist/router/router.js";

/** Ids as real ones are: 43 characters. The last two begin alike. */
export const [A, B, C] = ["AAAA", "BBBB1", "BBBB2"].map((name) => name.padEnd(43, "x")) as [string, string, string];
const SINCE = 1_893_456_000_000;
const key = (letter: string): string => `${letter.repeat(42)}A=`;

function member(id: string, name: string, rest: Partial<MemberInfo> = {}): MemberInfo {
  return {
    id,
    name,
    isSelf: false,
    state: "alive",
    aliveAt: SINCE,
    startedAt: SINCE,
    version: "0.1.0",
    publicKey: key(name.slice(-1)),
    tunnelAddress: `fd00:1::${name.slice(-1)}`,
    control: ["192.0.2.1:6783"],
    endpoints: ["192.0.2.1:51820"],
    capabilities: [],
    recordVersion: 12,
    records: 7,
    links: { control: [], data: [] },
    ...rest,
  };
}

function path(node: string, name: string, rest: Partial<PathInfo> = {}): PathInfo {
  return {
    node,
    name,
    publicKey: key(name.slice(-1)),
    mode: "direct",
    via: null,
    viaName: null,
    endpoint: "192.0.2.2:51820",
    session: "established",
    rttSeconds: 0.0012,
    loss: 0.01,
    mtu: 1440,
    since: SINCE,
    receive: { packets: 3, bytes: 2048 },
    transmit: { packets: 4, bytes: 4096 },
    ...rest,
  };
}

export function container(id: string, node: string, rest: Partial<ContainerInfo> = {}): ContainerInfo {
  return {
    id,
    node,
    nodeName: "host-a",
    name: id,
    network: "weft",
    ifname: "eth0",
    mac: "02:00:00:00:00:01",
    ips: ["10.32.0.2", "fd00:2::2"],
    dns: [`${id}.weft.local`],
    role: "container",
    published: [{ ip: "0.0.0.0", hostPort: 8080, port: 80, protocol: "tcp" }],
    since: SINCE,
    ...rest,
  };
}

export class MeshDouble implements MeshControl {
  /** What was asked, in order: the method's name and what it was given. */
  readonly asked: unknown[][] = [];
  readonly secret = `weft1.${randomBytes(92).toString("base64url")}`;
  readonly members = [
    member(A, "host-a", {
      isSelf: true,
      links: {
        control: [B],
        data: [
          { to: B, rttUs: 1200, loss: 0 },
          { to: "gone".padEnd(43, "x"), rttUs: 1, loss: 0 },
        ],
      },
    }),
    member(B, "host-b", { links: { control: [A, C], data: [{ to: A, rttUs: 1300, loss: 0 }] } }),
    member(C, "host-c", {
      state: "unreachable",
      startedAt: null,
      version: null,
      publicKey: null,
      links: { control: [B], data: [{ to: B, rttUs: 25_000, loss: 3 }] },
    }),
  ];
  readonly allPaths = [
    path(B, "host-b"),
    path(C, "host-c", {
      mode: "relayed",
      via: B,
      viaName: "host-b",
      endpoint: null,
      rttSeconds: null,
      loss: null,
      mtu: null,
    }),
  ];
  allContainers = [container("web", A), container("db", B, { nodeName: "host-b", name: null, published: [] })];
  readonly #router: Router | undefined;

  constructor(router?: Router) {
    this.#router = router;
  }

  info(): MeshInfo {
    return {
      self: A,
      networkId: "00112233445566778899aabbccddeeff",
      founder: A,
      protocol: 1,
      port: 6783,
      wireguardPort: 51_820,
      tunnelAddress: "fd00:1::a",
      discovery: true,
      members: this.members,
      controlLinks: [
        {
          node: B,
          name: "host-b",
          remote: "192.0.2.2:6783",
          isOutbound: true,
          since: SINCE,
          receive: { packets: 10, bytes: 2048 },
          transmit: { packets: 11, bytes: 100 },
        },
      ],
      targets: [
        { address: "192.0.2.2:6783", state: "connected", node: B, error: null },
        { address: "seed.example:6783", state: "failed", node: null, error: "no such host" },
      ],
      problems: [
        { kind: "same_ip", network: null, count: 2, text: "2 addresses that an earlier container has" },
        { kind: "gateway", network: "weft", count: 1, text: "network weft has no gateway on this host" },
      ],
    };
  }

  paths(): PathInfo[] {
    return this.allPaths;
  }

  token(): JoinToken {
    return { id: "00000000000000a1", token: this.secret, hosts: ["192.0.2.1", "[2001:db8::1]:7000"] };
  }

  tokens(): TokenInfo[] {
    // More than its type says, as a careless implementation may answer: the report must not tell it.
    return [{ id: "00000000000000a1", state: "valid", createdAt: SINCE, node: A, secret: this.secret } as TokenInfo];
  }

  async rotateToken(): Promise<JoinToken> {
    this.asked.push(["rotateToken"]);
    return { ...this.token(), id: "t2" };
  }

  async retireToken(id: string): Promise<void> {
    if (id !== "00000000000000a1") throw new WeftError("not_found", `there is no token ${id}`);
    this.asked.push(["retireToken", id]);
  }

  async connect(address: string): Promise<void> {
    this.asked.push(["connect", address]);
  }

  async forget(address: string): Promise<string[]> {
    this.asked.push(["forget", address]);
    return address.startsWith("192.0.2.2") ? ["192.0.2.2:6783"] : [];
  }

  async removeMember(id: string, options: { readonly force: boolean }): Promise<void> {
    if (id === C && !options.force) throw new WeftError("conflict", "host-c cannot be reached: give --force");
    this.asked.push(["removeMember", id, options]);
  }

  async leave() {
    this.asked.push(["leave"]);
    return { networkId: this.info().networkId, granted: [{ network: "weft", count: 512, to: B }] };
  }

  networks(): MeshNetwork[] {
    return [
      {
        name: "weft",
        vni: 1,
        cidr4: "10.32.0.0/12",
        cidr6: "fd00:2::/64",
        mtu: 1310,
        vteps: [],
        gateway: ["10.32.0.1", "fd00:2::1"],
        isDefault: true,
        containers: 2,
        conflicts: ["10.32.0.0/12 overlaps network red"],
        createdAt: SINCE,
      },
    ];
  }

  async createNetwork(network: NewNetwork): Promise<MeshNetwork> {
    this.asked.push(["createNetwork", network]);
    const [cidr4 = null] = network.cidr ?? [];
    const [first] = this.networks() as [MeshNetwork];
    return { ...first, name: network.name, vni: network.vni ?? 7, cidr4, cidr6: null, isDefault: false };
  }

  async removeNetwork(name: string): Promise<boolean> {
    this.asked.push(["removeNetwork", name]);
    return name === "blue";
  }

  async addVtep(network: string, vtep: string): Promise<MeshNetwork> {
    this.asked.push(["addVtep", network, vtep]);
    return { ...(this.networks()[0] as MeshNetwork), vteps: [vtep] };
  }

  async removeVtep(network: string, vtep: string): Promise<MeshNetwork> {
    this.asked.push(["removeVtep", network, vtep]);
    return this.networks()[0] as MeshNetwork;
  }

  async attach(request: MeshAttachRequest): Promise<MeshPort> {
    this.asked.push(["attach", request]);
    if (!this.#router) throw new WeftError("unavailable", "this double attaches nothing");
    const { ipam, name, dnsNames, publish, ...wanted } = request;
    const port = await this.#router.attach({ ...wanted, ...(ipam ? { ip: ["10.32.0.2/12"] } : {}) });
    const dns = [name, ...(dnsNames ?? [])].filter((n) => n !== undefined).map((n) => `${n}.weft.local`);
    const published = (publish ?? []).map((p) => ({ ip: "0.0.0.0", hostPort: 30_000, ...p }));
    return { ...port, name: name ?? null, dns, published };
  }

  async detach(id: string): Promise<boolean> {
    this.asked.push(["detach", id]);
    return (await this.#router?.detach(id)) ?? false;
  }

  async detachNamespace(target: string): Promise<string[]> {
    this.asked.push(["detachNamespace", target]);
    return [];
  }

  containers(): ContainerInfo[] {
    return this.allContainers;
  }

  links(): LinkInfo[] {
    const from = { network: "weft", interface: "eth0", mac: "02:00:00:00:00:01", ip: "10.32.0.2", lastSeen: SINCE };
    return [
      { ...from, sourceContainerId: "web", destinationContainerId: "db", packets: 12, bytes: 3400 },
      { ...from, sourceContainerId: "web", destinationContainerId: "cache", packets: 1, bytes: 60 },
    ];
  }

  ipam(): IpamInfo[] {
    return [
      {
        network: "weft",
        cidr4: "10.32.0.0/12",
        cidr6: "fd00:2::/64",
        size: 1_048_573,
        owned: 1000,
        used: 1,
        free: 999,
        foreign: ["web"],
        ignoredGrants: 1,
        waiting: "host-c was asked for addresses and cannot be reached",
        ranges: [
          { first: "10.32.0.2", last: "10.32.3.233", count: 1000, node: A, name: "host-a", state: "alive" },
          { first: "10.32.3.234", last: "10.47.255.254", count: 1_047_573, node: C, name: "", state: "unreachable" },
        ],
        allocations: [{ ips: ["10.32.0.2", "fd00:2::2"], port: "web", name: "web" }],
      },
    ];
  }

  dns(): DnsInfo {
    const srv = [{ priority: 0, weight: 5, port: 5432, target: "db.weft.local" }];
    return {
      domain: "weft.local",
      listen: ["10.32.0.1:53"],
      upstream: ["9.9.9.9"],
      entries: [
        { name: "web", network: "weft", ips: ["10.32.0.2"], srv: [], node: A, nodeName: "host-a", container: "web" },
        { name: "shelf", network: null, ips: ["192.0.2.77"], srv: [], node: B, nodeName: "host-b", container: null },
        { name: "_pg._tcp", network: "blue", ips: [], srv, node: B, nodeName: "host-b", container: null },
      ],
    };
  }

  async addDns(entry: NewDnsEntry): Promise<void> {
    this.asked.push(["addDns", entry]);
  }

  async removeDns(name: string, network: string | undefined): Promise<boolean> {
    this.asked.push(["removeDns", name, network]);
    return name === "web";
  }

  async expose(network: string | undefined): Promise<ExposureInfo> {
    this.asked.push(["expose", network]);
    return this.exposure();
  }

  async hide(network: string | undefined): Promise<ExposureInfo> {
    this.asked.push(["hide", network]);
    return { exposed: [], published: [], foreignRules: [] };
  }

  exposure(): ExposureInfo {
    return {
      exposed: [{ network: "weft", ifname: "weft0", ips: ["10.32.0.9"] }],
      published: [
        { ip: "0.0.0.0", hostPort: 8080, port: 80, protocol: "tcp", network: "weft", container: "web" },
        { ip: "::", hostPort: 53, port: 53, protocol: "udp", network: "weft", container: "web" },
      ],
      foreignRules: ["ip filter FORWARD: accept from and to weft0"],
    };
  }

  counters(): MeshCounters {
    return {
      messages: [
        { direction: "in", type: "digest", count: 4 },
        { direction: "out", type: "digest", count: 0 },
      ],
      bytes: { in: 400, out: 0 },
      rejected: { signature: 2, flood: 0 },
      convergenceSeconds: {
        buckets: [
          { le: 0.1, count: 1 },
          { le: 1, count: 3 },
        ],
        sum: 1.5,
        count: 3,
      },
      pathChanges: { missed: 1, better: 0 },
      dnsQueries: { answered: 3, forwarded: 2, refused: 0 },
    };
  }
}
