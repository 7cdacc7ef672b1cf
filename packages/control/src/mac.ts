/** MAC addresses that follow from something, so that nobody has to be told of them. */

/** First three octets of every gateway's MAC. No container can have one. */
export const GATEWAY_MACS = "02:77:66:";

/** MAC of a network's gateway, the same on every host: 02:77:66 and the VNI. */
export function gatewayMac(vni: number): string {
  return `${GATEWAY_MACS}${hex((vni >>> 16) & 0xff, (vni >>> 8) & 0xff, vni & 0xff)}`;
}

/**
 * MAC of a container by its number in the network (ipam/prefix.ts), where nobody has asked for another: whoever gets an address again
 * is found at once by those who remember the MAC that was at it. The last octet of the VNI keeps devices of one container apart.
 */
export function containerMac(vni: number, index: number): string {
  return hex(0x06, vni & 0xff, index >>> 24, (index >>> 16) & 0xff, (index >>> 8) & 0xff, index & 0xff);
}

function hex(...octets: readonly number[]): string {
  return octets.map((octet) => octet.toString(16).padStart(2, "0")).join(":");
}
