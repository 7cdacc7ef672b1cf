/** ICMP echo requests to the tunnel address (RFC 792, RFC 4443 §4.1): answered by the switch, through the same session. */
import { COUNT_CONSUMED_INGRESS, COUNT_MADE_INGRESS, RxDesc, Worker } from "../abi.gen";
import * as checksum from "../wire/checksum";
import * as icmp from "../wire/icmp";
import * as ipv4 from "../wire/ipv4";
import * as ipv6 from "../wire/ipv6";
import * as deliver from "./deliver";
import * as seal from "./seal";
import { add } from "./verdict";

/** Octets of an echo message without data. */
const ECHO_LEN: u32 = 8;

/** Octets of the IP header of a packet that can hold an echo message in one piece; 0 else. */
function headOf(p: usize): u32 {
  if (load<u8>(p) >> 4 == 4) return ipv4.proto(p) == icmp.PROTO && !ipv4.isFragment(p) ? ipv4.headerLen(p) : 0;
  return ipv6.nextHeader(p) == icmp.PROTO_V6 ? ipv6.HEADER_LEN : 0;
}

/** True for an echo request whose checksum is right. */
export function isRequest(p: usize, len: u32): bool {
  const head = headOf(p);
  if (head == 0 || len < head + ECHO_LEN) return false;
  const m = p + head;
  if (load<u8>(p) >> 4 == 4) return load<u16>(m) == icmp.ECHO && checksum.sum(m, len - head) == 0xffff;
  if (load<u16>(m) != icmp.ECHO_V6) return false;
  const pseudo = bswap<u16>(<u16>checksum.pseudo6(p, icmp.PROTO_V6, len - head));
  return checksum.fold(checksum.sumLe(m, len - head, pseudo)) == 0xffff;
}

/** Turns the request into its answer and sends that. False when the transmit region must be emptied first. */
export function answer(w: Worker, d: RxDesc, peer: u32, p: usize, len: u32): bool {
  if (!deliver.hasRoom(w, 1) || !seal.hasRoom(w, seal.bound(len, 1))) return false;
  const m = p + headOf(p);
  if (load<u8>(p) >> 4 == 4) {
    const src = load<u32>(p, 12);
    store<u32>(p, load<u32>(p, 16), 12);
    store<u32>(p, src, 16);
    icmp.setType(m, icmp.ECHO_REPLY);
  } else {
    const src = v128.load(p + 8);
    v128.store(p + 8, v128.load(p + 24));
    v128.store(p + 24, src);
    icmp.setType(m, icmp.ECHO_REPLY_V6);
  }
  add(w, COUNT_CONSUMED_INGRESS, 1);
  add(w, COUNT_MADE_INGRESS, 1);
  d.hash = 0;
  d.network = 0;
  d.run = 0;
  d.frameLen = len;
  d.ipVersion = 0;
  seal.toPeer(w, d, peer, p, len, 0);
  return true;
}
