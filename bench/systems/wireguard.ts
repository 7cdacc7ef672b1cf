/** wireguard-go: alone, which carries IP packets, and with the kernel's VXLAN inside, which carries Ethernet frames. */
import { createPrivateKey, createPublicKey, randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { type Device, type Hosts, makeContainers, moveToContainer, other, raise, run, SIDES, VNI } from "../lab.js";
import { type Program, startProgram, together, untilDevice, versionOf } from "./program.js";
import { type Definition, factsOf } from "./system.js";

export const CIPHER = "ChaCha20-Poly1305";
/** What WireGuard leaves of an underlay MTU of 1500, for an underlay of either family; wg-quick's choice. */
const TUNNEL_MTU = 1420;
const needs = [
  { program: "wireguard-go", package: "wireguard-go" },
  { program: "wg", package: "wireguard-tools" },
];

/** DER in front of the raw octets of a private key of X25519 (RFC 8410 §7). */
const DER_HEAD = Buffer.from("302e020100300506032b656e04220420", "hex");

/**
 * A private and a public key, as `wg` writes them. Not by generateKeyPairSync(): in Node.js 20 exporting one of its keys as a JWK while another
 * is collected stops the thread for good.
 */
export function keyPair(): { secret: string; public: string } {
  const secret = randomBytes(32);
  const key = createPrivateKey({ key: Buffer.concat([DER_HEAD, secret]), format: "der", type: "pkcs8" });
  const spki = createPublicKey(key).export({ format: "der", type: "spki" });
  return { secret: secret.toString("base64"), public: spki.subarray(-32).toString("base64") };
}

/** A tunnel between the hosts, its devices in the hosts' namespaces, down. */
async function makeTunnel(
  hosts: Hosts,
  name: string,
  port: number,
): Promise<{ devices: Device[]; programs: Program[] }> {
  const folder = `/run/bench-${name}`;
  mkdirSync(folder, { mode: 0o700 });
  const keys = { a: keyPair(), b: keyPair() };
  const devices = SIDES.map((side) => ({ netns: hosts.netns(side), device: `${name}-${side}` }));
  const programs = devices.map(({ netns, device }) => startProgram(netns, ["wireguard-go", "-f", device]));
  for (const [i, side] of SIDES.entries()) {
    const device = devices[i] as Device;
    await untilDevice(device, programs);
    const file = `${folder}/${side}.key`;
    writeFileSync(file, keys[side].secret, { mode: 0o600 });
    const far = other(side);
    run(
      ...(["wg", "set", device.device, "listen-port", String(port), "private-key", file] as const),
      ...(["peer", keys[far].public, "endpoint", `${hosts.address(far)}:${port}`, "allowed-ips", "0.0.0.0/0"] as const),
    );
  }
  return { devices, programs };
}

const version = (): string => versionOf("wireguard-go", "--version");

export const wireguard: Definition = {
  ...{
    name: "wireguard-go",
    title: "wireguard-go",
    layer: 3,
    cipher: CIPHER,
    mtu: TUNNEL_MTU,
    scope: "overlay",
    needs,
  },
  async start(hosts) {
    const containers = makeContainers("wireguard");
    const { devices, programs } = await makeTunnel(hosts, "wg", 51820);
    for (const [i, side] of SIDES.entries()) {
      moveToContainer(devices[i] as Device, containers.container(side), TUNNEL_MTU, containers.address(side));
    }
    return {
      ...{ ...factsOf(wireguard), version: version(), ...containers, wire: hosts.wire, ...together(programs) },
    };
  },
};

const VXLAN_MTU = TUNNEL_MTU - 50;

export const wireguardVxlan: Definition = {
  ...{ name: "wireguard-vxlan", title: "wireguard-go + kernel VXLAN", scope: "overlay", needs },
  ...{ layer: 2, cipher: CIPHER, mtu: VXLAN_MTU },
  async start(hosts) {
    const containers = makeContainers("wg-vxlan");
    const { devices, programs } = await makeTunnel(hosts, "wgv", 51821);
    const inner = (side: "a" | "b"): string => `10.7.0.${side === "a" ? 1 : 2}`;
    for (const [i, side] of SIDES.entries()) {
      const tunnel = devices[i] as Device;
      raise(tunnel, TUNNEL_MTU, inner(side));
      const device = { netns: tunnel.netns, device: "vxlan1" };
      run(
        ...(["ip", "-n", device.netns, "link", "add", device.device, "type", "vxlan", "id", String(VNI)] as const),
        ...(["local", inner(side), "remote", inner(other(side)), "dstport", "4791", "dev", tunnel.device] as const),
      );
      moveToContainer(device, containers.container(side), VXLAN_MTU, containers.address(side));
    }
    return {
      ...{ ...factsOf(wireguardVxlan), version: version(), ...containers, wire: hosts.wire, ...together(programs) },
    };
  },
};
