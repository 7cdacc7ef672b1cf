/**
 * What a container may not send: another's MAC, router advertisements, DHCP answers. One function per guard; each says
 * whether the frame must go.
 */
import { L3_CHAIN_BAD, L3_L4, RxDesc } from "../abi.gen";
import * as eth from "../wire/ethernet";
import * as icmp from "../wire/icmp";
import * as udp from "../wire/udp";

const DHCP_CLIENT: u32 = 68;
const DHCPV6_CLIENT: u32 = 546;

/** More VLAN tags than parse() looks through: whatever is behind them, no guard has seen it. */
function isHidden(d: RxDesc): bool {
  return eth.isTag(d.etherType);
}

/**
 * Router advertisement (RFC 6105), or something that could hide one: an IPv6 header chain that does not end in this frame
 * (RFC 7113 §3 drops those too), or too many VLAN tags.
 */
export function isRouterAdvertisement(d: RxDesc): bool {
  if (isHidden(d)) return true;
  if (d.ipVersion != 6) return false;
  if ((d.l3Flags & <u8>L3_CHAIN_BAD) != 0) return true;
  return (
    <u32>d.ipProto == icmp.PROTO_V6 &&
    (d.l3Flags & <u8>L3_L4) != 0 &&
    icmp.type(<usize>d.frame + d.l4Off) == icmp.ROUTER_ADVERTISEMENT
  );
}

/**
 * Something for a DHCP or DHCPv6 client's port (RFC 2131 §4.1, RFC 8415 §7.2). Clients do not look at the source port, so
 * neither does the guard.
 */
export function isDhcpAnswer(d: RxDesc): bool {
  if (isHidden(d)) return true;
  if (<u32>d.ipProto != udp.PROTO || (d.l3Flags & <u8>L3_L4) == 0) return false;
  const to = udp.dstPort(<usize>d.frame + d.l4Off);
  return d.ipVersion == 4 ? to == DHCP_CLIENT : to == DHCPV6_CLIENT;
}
