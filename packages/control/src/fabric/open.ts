/** The two steps in which a daemon gets its mesh: membership before there is a data plane, everything else after. */
import type { Link } from "@weft/tun";
import type { Config } from "../config/config.js";
import type { MeshConfig } from "../config/mesh.js";
import type { DataplaneApi, WireguardSpec } from "../dataplane/types.js";
import type { Log } from "../log/log.js";
import { tunnelAddress4 } from "../mesh/tunnel-address.js";
import type { JoinToken } from "../mesh-answers.js";
import type { MeshControl } from "../router/mesh-control.js";
import type { Router } from "../router/router.js";
import { Control } from "./control.js";
import { type Ended, Fabric, PROBE_PORT } from "./fabric.js";
import { Membership } from "./membership.js";
import { dropStanding, takeStanding } from "./standing.js";
import { MeshStore } from "./state.js";

/** Static MACs and bindings over all networks where the configuration says nothing: a fleet's containers. */
const ROUTES_MAX = 65_536;
/** As the data plane has it by itself. */
const NETWORKS_MAX = 256;
const UNDERLAY_MTU = 1500;

export interface Entered {
  readonly membership: Membership;
  readonly store: MeshStore;
  /** What the data plane is started with. */
  readonly wireguard: WireguardSpec;
  readonly routesMax: number;
  readonly isMember: (tunnelAddress: string) => boolean;
  /** Set for the one that has just founded a network. */
  readonly founded: JoinToken | undefined;
}

/**
 * Founds a network, joins one, or is a member as before.
 * @throws WeftError that says what stood in the way; nothing is left behind then
 */
export async function enterMesh(
  config: Config,
  mesh: MeshConfig,
  underlay: readonly string[],
  link: Link,
  log: Log,
): Promise<Entered> {
  const { stateDir, name, limits } = config;
  const store = new MeshStore(stateDir);
  const standing = await takeStanding(mesh, stateDir);
  const withMtu = underlay.map((address) => ({ address, mtu: link.underlayInterface(address)?.mtu ?? UNDERLAY_MTU }));
  let membership: Membership;
  try {
    membership = await Membership.open({ config: mesh, standing, name, underlay: withMtu, stateDir, store, log });
  } catch (error) {
    if (standing.isNew) dropStanding(stateDir);
    throw error;
  }
  const { address, peers, device, rekeyAfterMessages, keylog, peersMax } = mesh.wireguard;
  return {
    membership,
    store,
    routesMax: limits.routes ?? ROUTES_MAX,
    isMember: (address) => membership.records.members().some(({ id }) => membership.tunnelAddressOf(id) === address),
    founded: membership.hasFounded ? membership.token() : undefined,
    wireguard: {
      privateKey: standing.keys.wireguardKey,
      listenPort: mesh.wireguardPort,
      address: [membership.tunnelAddress, ...ownAddress4(membership, mesh), ...address],
      peers,
      peersMax,
      mesh: { probePort: PROBE_PORT },
      ...(device === undefined ? {} : { device }),
      ...(rekeyAfterMessages === undefined ? {} : { rekeyAfterMessages }),
      ...(keylog === undefined ? {} : { keylog }),
    },
  };
}

/** Where a peer of the file has IPv4 inside the tunnel, this host has it, too. */
function ownAddress4(membership: Membership, { wireguard }: MeshConfig): string[] {
  const isV4 = (text: string): boolean => !text.includes(":");
  const isWanted =
    wireguard.peers.some(({ allowedIps = [] }) => allowedIps.some(isV4)) && !wireguard.address.some(isV4);
  return isWanted ? [tunnelAddress4(membership.records.networkId, membership.records.self)] : [];
}

/** @param ended is called when this host cannot stay in the network */
export async function openFabric(
  { membership, store, routesMax }: Entered,
  config: Config,
  mesh: MeshConfig,
  dataplane: DataplaneApi,
  router: Router,
  log: Log,
  ended: (why: Ended) => void,
): Promise<{ fabric: Fabric; control: MeshControl }> {
  const blocked = [
    { protocol: "tcp" as const, port: mesh.port },
    { protocol: "udp" as const, port: mesh.wireguardPort },
    { protocol: "udp" as const, port: config.vxlanPort },
    ...(config.metrics ? [{ protocol: "tcp" as const, port: config.metrics.port }] : []),
  ];
  const fabric = new Fabric({
    ...{ config: mesh, membership, dataplane, router, store, blocked, routesMax, log, ended },
    socket: config.socket,
    networksMax: config.limits.networks ?? NETWORKS_MAX,
  });
  await fabric.start();
  return { fabric, control: new Control(fabric, log) };
}
