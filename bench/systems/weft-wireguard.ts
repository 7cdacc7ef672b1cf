/** weft with its own WireGuard: VXLAN inside the tunnel, and the tunnel's own device, which carries IP packets. */
import { mkdirSync, writeFileSync } from "node:fs";
import { type Hosts, makeContainers, other, SIDES, type Side, VNI } from "../lab.js";
import { startWeft, type WeftHosts } from "../weft-hosts.js";
import { type Definition, factsOf } from "./system.js";
import { attachBoth, dutiesOf } from "./weft.js";
import { CIPHER, keyPair } from "./wireguard.js";

/** What WireGuard leaves of an underlay of 1500 octets over IPv4, and what VXLAN leaves of that. */
const TUNNEL_MTU = 1440;
const INNER_MTU = TUNNEL_MTU - 50;

interface Tunnel {
  /** Daemons are named `NAME-a` and `NAME-b`. */
  readonly name: string;
  /** Tunnel addresses are 10.7.NET.1 and .2. */
  readonly net: number;
  readonly listenPort: number;
  /** Nobody else's in the hosts' namespaces. */
  readonly vxlanPort: number;
  /** Of the TUN device; undefined for none. */
  readonly device?: string;
  /** Whether there is a network inside the tunnel. */
  readonly network: boolean;
}

const inTunnel = ({ net }: Tunnel, side: Side): string => `10.7.${net}.${side === "a" ? 1 : 2}`;

/** A daemon on each host, each the other's peer. */
async function startTunnel(tunnel: Tunnel, hosts: Hosts, nodeFlags?: readonly string[]): Promise<WeftHosts> {
  const keys = { a: keyPair(), b: keyPair() };
  const all = SIDES.map((side) => {
    const name = `${tunnel.name}-${side}`;
    const folder = `/run/bench-${name}`;
    mkdirSync(folder, { mode: 0o700 });
    writeFileSync(`${folder}/wg.key`, `${keys[side].secret}\n`, { mode: 0o600 });
    const far = other(side);
    const config = {
      wireguard: {
        privateKeyFile: "wg.key",
        address: [inTunnel(tunnel, side)],
        listenPort: tunnel.listenPort,
        ...(tunnel.device === undefined ? {} : { device: tunnel.device }),
        peers: [
          {
            publicKey: keys[far].public,
            endpoint: `${hosts.address(far)}:${tunnel.listenPort}`,
            allowedIps: [`${inTunnel(tunnel, far)}/32`],
          },
        ],
      },
      networks: tunnel.network
        ? [{ name: "blue", vni: VNI, vteps: [inTunnel(tunnel, far)], encryption: "required" }]
        : [],
    };
    // JSON is YAML.
    writeFileSync(`${folder}/weft.yaml`, JSON.stringify(config));
    return {
      ...{ name, netns: hosts.netns(side), underlay: hosts.address(side), vteps: [] },
      // The plain weft of the same host has the usual ports, and source ports of its own from 49152 up.
      flags: ["--config", `${folder}/weft.yaml`, "--vxlan-port", String(tunnel.vxlanPort), "--metrics", "off"],
    };
  });
  return startWeft(all, nodeFlags);
}

/** Ethernet in VXLAN in WireGuard, all of it in one process per host. */
export const weftWireguard: Definition = {
  ...{ name: "weft-wireguard", title: "weft, encrypted", scope: "overlay", needs: [] },
  ...{ layer: 2, cipher: CIPHER, mtu: INNER_MTU },
  async start(hosts, nodeFlags) {
    const containers = makeContainers("weft-wg");
    const tunnel = { name: "wg", net: 1, listenPort: 4797, vxlanPort: 4795, network: true };
    const daemons = await startTunnel(tunnel, hosts, nodeFlags);
    await attachBoth(daemons, tunnel.name, containers);
    return { ...factsOf(weftWireguard), ...containers, wire: hosts.wire, ...dutiesOf(daemons) };
  },
};

/** Host to host through the tunnel's device: what any other WireGuard does. Its "containers" are the hosts themselves. */
export const weftLayer3: Definition = {
  ...{ name: "weft-layer3", title: "weft as WireGuard alone", scope: "overlay", needs: [] },
  ...{ layer: 3, cipher: CIPHER, mtu: TUNNEL_MTU },
  async start(hosts, nodeFlags) {
    const tunnel = {
      ...{ name: "layer3", net: 2, listenPort: 4798, vxlanPort: 4796, network: false },
      device: "weft-tunnel",
    };
    const daemons = await startTunnel(tunnel, hosts, nodeFlags);
    return {
      ...{ ...factsOf(weftLayer3), container: hosts.netns, address: (side: Side) => inTunnel(tunnel, side) },
      ...{ wire: hosts.wire, ...dutiesOf(daemons) },
    };
  },
};
