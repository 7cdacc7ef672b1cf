/**
 * How a container comes to ask weft: its /etc/resolv.conf names the gateway. weft does not write into a container's file system;
 * whoever makes the container does. For a namespace of `ip netns` it is `/etc/netns/NAME/resolv.conf`, which `ip netns exec` puts in
 * place of /etc/resolv.conf.
 */
import { DOMAIN } from "./zone.js";

/**
 * Text of a resolv.conf for a container.
 * @param gateways addresses of its networks' gateways without prefix length, the preferred network's first
 */
export function resolvConfText(network: string, gateways: readonly string[]): string {
  // glibc looks at three servers.
  const servers = gateways.slice(0, 3).map((address) => `nameserver ${address.replace(/\/.*$/, "")}`);
  return `${[`search ${network}.${DOMAIN} ${DOMAIN}`, ...servers].join("\n")}\n`;
}
