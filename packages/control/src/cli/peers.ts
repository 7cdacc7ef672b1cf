/** `weft status peers`: what `wg show` shows, and in its words. */
import type { PeerInfo, WireguardInfo } from "../dataplane/types.js";
import { keylogText } from "../keylog.js";
import { octets } from "./table.js";

/** @param nowMs milliseconds since 1970 */
export function peersText(wireguard: WireguardInfo | null, nowMs: number): string {
  if (!wireguard) return "no WireGuard: the configuration file has no wireguard section";
  const { publicKey, listenPort, address, device, mtu, keylog, peers } = wireguard;
  const own: Line[] = [
    ["public key", publicKey],
    ["listening port", String(listenPort)],
    ["addresses", address.join(", ")],
    ["device", device ?? "(none)"],
    ["mtu", String(mtu)],
    ...(keylog === null ? [] : [["WARNING", keylogText(keylog)] as const]),
  ];
  return [block("interface", own), ...peers.map((peer) => block(`peer: ${peer.publicKey}`, linesOf(peer, nowMs)))].join(
    "\n\n",
  );
}

/** One line about all of it. */
export function wireguardLine({ listenPort, address, device, mtu, peers }: WireguardInfo): string {
  const established = peers.filter((p) => p.session === "established").length;
  const count = `${peers.length} peer${peers.length === 1 ? "" : "s"}, ${established} with a session`;
  return `UDP ${listenPort}, ${address.join(", ")}${device === null ? "" : ` on ${device}`}, MTU ${mtu}, ${count}`;
}

type Line = readonly [name: string, value: string];

function block(head: string, lines: readonly Line[]): string {
  return [head, ...lines.map(([name, value]) => `  ${name}: ${value}`)].join("\n");
}

function linesOf(peer: PeerInfo, nowMs: number): Line[] {
  const { receive, transmit, lastHandshake, persistentKeepalive: keepalive } = peer;
  return [
    ...(peer.presharedKey ? [["preshared key", "(hidden)"] as const] : []),
    ["endpoint", peer.endpoint ?? "(not known yet)"],
    ["allowed ips", peer.allowedIps.join(", ") || "(none)"],
    ["session", peer.session],
    ["latest handshake", lastHandshake === null ? "(never)" : ago((nowMs - lastHandshake) / 1000)],
    ["transfer", `${octets(receive.bytes, 2)} received, ${octets(transmit.bytes, 2)} sent`],
    ["persistent keepalive", keepalive === 0 ? "off" : `every ${amount(keepalive, "second")}`],
  ];
}

/** Seconds as `1 minute, 12 seconds ago`. */
export function ago(seconds: number): string {
  const s = Math.floor(seconds);
  // The clock was set back since.
  if (s < 0) return "in the future: the clock was set back";
  if (s === 0) return "now";
  const parts: [number, string][] = [
    [Math.floor(s / 86_400), "day"],
    [Math.floor(s / 3600) % 24, "hour"],
    [Math.floor(s / 60) % 60, "minute"],
    [s % 60, "second"],
  ];
  const named = parts.filter(([n]) => n > 0).map(([n, unit]) => amount(n, unit));
  return `${named.join(", ")} ago`;
}

function amount(n: number, unit: string): string {
  return `${n} ${unit}${n === 1 ? "" : "s"}`;
}
