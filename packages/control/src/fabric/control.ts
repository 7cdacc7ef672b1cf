/** MeshControl: what the API and the command line ask of the mesh. */
import { hostPort, splitHost } from "../config/formats.js";
import { DOMAIN, isDnsName } from "../dns/zone.js";
import { WeftError } from "../errors.js";
import { bare, gatewayAddresses } from "../gateway/address.js";
import type { Log } from "../log/log.js";
import type { NodeId } from "../mesh/types.js";
import { PROTOCOL } from "../mesh/wire.js";
import type {
  ContainerInfo,
  Departure,
  DnsEntry,
  DnsInfo,
  ExposureInfo,
  IpamInfo,
  JoinToken,
  LinkInfo,
  MeshCounters,
  MeshInfo,
  MeshNetwork,
  PathInfo,
  TokenInfo,
} from "../mesh-answers.js";
import { containerLinks } from "../overlay/links.js";
import { DEFAULT_NETWORK, type Network } from "../overlay/networks.js";
import type { MeshAttachRequest, MeshControl, MeshPort, NewDnsEntry, NewNetwork } from "../router/mesh-control.js";
import { containerInfos, controlLinkInfos, ipamInfos, memberInfos, pathInfos } from "./answers.js";
import { type Fabric, fullNames } from "./fabric.js";
import { nameOf } from "./membership.js";

const DEFAULT_PORT = 6783;

export class Control implements MeshControl {
  readonly #fabric: Fabric;
  readonly #log: Log;

  constructor(fabric: Fabric, log: Log) {
    this.#fabric = fabric;
    this.#log = log;
  }

  get #membership() {
    return this.#fabric.options.membership;
  }
  get #records() {
    return this.#membership.records;
  }

  info(): MeshInfo {
    const { config } = this.#fabric.options;
    const { mesh } = this.#membership;
    const records = this.#records;
    return {
      self: records.self,
      networkId: records.networkId,
      founder: records.founder,
      protocol: PROTOCOL.max,
      port: config.port,
      wireguardPort: config.wireguardPort,
      tunnelAddress: this.#membership.tunnelAddress,
      discovery: config.discovery,
      members: memberInfos(records, mesh, (node) => this.#membership.tunnelAddressOf(node)),
      controlLinks: controlLinkInfos(records, mesh),
      targets: this.#membership.targets.list(),
      problems: this.#fabric.problems(),
    };
  }
  paths(): PathInfo[] {
    return pathInfos(this.#records, this.#fabric.paths.info(), this.#fabric.options.dataplane.wireguard());
  }

  token(): JoinToken {
    return this.#membership.token();
  }
  tokens(): TokenInfo[] {
    return this.#membership.tokens();
  }
  async rotateToken(): Promise<JoinToken> {
    return this.#membership.rotate();
  }
  async retireToken(id: string): Promise<void> {
    this.#membership.retire(id);
  }

  async connect(address: string): Promise<void> {
    this.#membership.targets.connect(targetOf(address));
  }
  async forget(address: string): Promise<string[]> {
    return this.#membership.targets.forget(address);
  }
  async removeMember(id: NodeId, { force }: { readonly force: boolean }): Promise<void> {
    this.#membership.remove(id, force);
    this.#log.warn({ component: "mesh", node: nameOf(this.#records, id) }, "member removed; there is a new token");
  }
  async leave(): Promise<Departure> {
    const { dataplane } = this.#fabric.options;
    const used = dataplane.ports().filter(({ role }) => role === "container");
    if (used.length > 0)
      throw new WeftError(
        "conflict",
        `${used.length === 1 ? "1 port is" : `${used.length} ports are`} attached (${used
          .slice(0, 3)
          .map(({ id }) => id)
          .join(", ")}): \`weft detach\` first`,
      );
    const records = this.#records;
    this.#membership.leave();
    this.#fabric.rings.changed();
    const granted = this.#fabric.rings
      .all()
      .flatMap(({ network, ownership }) =>
        ownership.ranges.flatMap(({ owner, heirOf, start, end }) =>
          heirOf === records.self && owner !== null ? [{ network, count: end - start, to: owner }] : [],
        ),
      );
    return { networkId: records.networkId, granted };
  }

  networks(): MeshNetwork[] {
    return this.#fabric.networks.list().map((network) => this.#networkInfo(network));
  }
  async createNetwork({ name, cidr, vni, mtu }: NewNetwork): Promise<MeshNetwork> {
    const four = cidr?.find((one) => !one.includes(":"));
    const six = cidr?.find((one) => one.includes(":"));
    const network = this.#fabric.networks.create(name, {
      ...(cidr === undefined ? {} : { cidr4: four ?? null, cidr6: six ?? null }),
      ...(vni === undefined ? {} : { vni }),
      ...(mtu === undefined ? {} : { mtu }),
    });
    await this.#settle();
    return this.#networkInfo(network);
  }
  async removeNetwork(name: string): Promise<boolean> {
    if (!this.#fabric.networks.get(name)) return false;
    if (name === DEFAULT_NETWORK)
      throw new WeftError(
        "conflict",
        "the default network cannot be removed, only one that `weft network create` has made",
      );
    this.#fabric.networks.delete(name);
    await this.#settle();
    return true;
  }
  async addVtep(network: string, vtep: string): Promise<MeshNetwork> {
    this.#fabric.networks.addVtep(network, vtep);
    await this.#settle();
    return this.#networkInfo(this.#fabric.network(network));
  }
  async removeVtep(network: string, vtep: string): Promise<MeshNetwork> {
    this.#fabric.networks.removeVtep(network, vtep);
    await this.#settle();
    return this.#networkInfo(this.#fabric.network(network));
  }
  async #settle(): Promise<void> {
    this.#fabric.rings.changed();
    this.#fabric.reconciler.request();
    await this.#fabric.reconciler.settled();
  }
  #networkInfo({ name, value, localVni, conflicts }: Network): MeshNetwork {
    const { cidr4, cidr6, vni, mtu, vteps, createdAt } = value;
    let containers = 0;
    for (const entry of this.#records.list("container")) if (entry.value.network === name) containers++;
    return {
      ...{ name, vni, cidr4, cidr6, vteps, createdAt, containers, conflicts },
      mtu: mtu ?? this.#fabric.mtu,
      // One that cannot be used here may have anything for a prefix.
      gateway: localVni === null ? [] : gatewayAddresses(value).map(bare),
      isDefault: name === DEFAULT_NETWORK,
    };
  }

  attach(request: MeshAttachRequest): Promise<MeshPort> {
    return this.#fabric.attachments.attach(request);
  }
  detach(id: string): Promise<boolean> {
    return this.#fabric.attachments.detach(id);
  }
  detachNamespace(target: string): Promise<string[]> {
    return this.#fabric.attachments.detachNamespace(target);
  }
  containers(): ContainerInfo[] {
    return containerInfos(this.#records, fullNames);
  }
  links(): LinkInfo[] {
    const { dataplane } = this.#fabric.options;
    return containerLinks(this.#records.self, dataplane.conversations(), this.#records.list("container"));
  }
  ipam(): IpamInfo[] {
    const { ipam, networks, rings, options } = this.#fabric;
    const ports = new Set(options.dataplane.ports().map(({ id }) => id));
    return ipamInfos(this.#records, networks, ipam.info(), rings.all(), options.store.state, ports);
  }

  dns(): DnsInfo {
    const records = this.#records;
    const entries: DnsEntry[] = this.containers().flatMap(({ id, node, nodeName, network, ips, dns }) =>
      dns.map((full) => ({
        name: full.slice(0, -DOMAIN.length - 1),
        ...{ network, ips, srv: [], node, nodeName, container: id },
      })),
    );
    for (const { node, id, value } of records.list("dns")) {
      if (!records.isAlive(node)) continue;
      const [name = "", network = null] = id.split("@");
      entries.push({
        name,
        network,
        ips: value.ips,
        srv: value.srv,
        node,
        nodeName: nameOf(records, node),
        container: null,
      });
    }
    const { outside } = this.#fabric;
    return { domain: DOMAIN, listen: outside.listening, upstream: outside.upstream, entries };
  }
  async addDns({ name, network, ips, srv }: NewDnsEntry): Promise<void> {
    this.#records.put("dns", this.#dnsId(name, network), { ips: [...ips], srv: srv.map((one) => ({ ...one })) });
  }
  async removeDns(name: string, network: string | undefined): Promise<boolean> {
    const id = this.#dnsId(name, network);
    if (!this.#records.get(this.#records.self, "dns", id)) return false;
    this.#records.remove("dns", id);
    return true;
  }

  /** Records are named NAME, or NAME@NETWORK for a name of one network only. */
  #dnsId(name: string, network: string | undefined): string {
    if (!isDnsName(name))
      throw new WeftError("invalid_input", `${name} is no name: labels of a-z 0-9 - _ with dots between`);
    return network === undefined ? name.toLowerCase() : `${name.toLowerCase()}@${this.#fabric.network(network).name}`;
  }

  async expose(network: string | undefined): Promise<ExposureInfo> {
    await this.#fabric.outside.expose(this.#fabric.network(network).name);
    this.#fabric.attachments.publish();
    return this.exposure();
  }
  async hide(network: string | undefined): Promise<ExposureInfo> {
    await this.#fabric.outside.hide(this.#fabric.network(network).name);
    this.#fabric.attachments.publish();
    return this.exposure();
  }
  exposure(): ExposureInfo {
    return this.#fabric.outside.info();
  }

  counters(): MeshCounters {
    const { mesh, links } = this.#membership;
    const { sent, received } = mesh.stats;
    const { outside, paths, convergence } = this.#fabric;
    const sum = (of: typeof sent): number => Object.values(of).reduce((octets, one) => octets + one.octets, 0);
    const rows = (of: typeof sent, direction: "in" | "out") =>
      Object.entries(of).map(([type, { messages }]) => ({ direction, type, count: messages }));
    const { accepted: _, dialled: __, ...refused } = links.counts;
    return {
      messages: [...rows(received, "in"), ...rows(sent, "out")],
      bytes: { in: sum(received), out: sum(sent) },
      rejected: { ...mesh.rejected, ...refused },
      convergenceSeconds: convergence.histogram(),
      pathChanges: paths.counters().changes,
      dnsQueries: outside.dns.counts(),
    };
  }
}

/** `HOST:PORT` of what a user has typed. @throws WeftError invalid_input */
function targetOf(address: string): string {
  const found = splitHost(address);
  if (!found) throw new WeftError("invalid_input", `${address} is no HOST, HOST:PORT or [ADDR]:PORT`);
  return hostPort(found.host, found.port ?? DEFAULT_PORT);
}
