/** Packets that the main thread puts into sessions itself: probes, and messages that another peer relays. */
import { octetsOf } from "@weft/dataplane-wasm";
import { LIMIT } from "@weft/dataplane-wasm/abi";
import type { Address } from "./address.js";

const HEAD = 40;
const UDP_HEAD = 8;
const UDP = 17;
/** What sealed data is filled up to (WireGuard paper §5.4.6). */
const BLOCK = 16;

export interface Datagram {
  readonly from: Address["key"];
  readonly to: Address["key"];
  /** Source and destination port. */
  readonly port: number;
  readonly payload: Uint8Array;
  /** Octets of the whole packet, by zeros behind the payload; absent: as long as it must be. */
  readonly packetBytes?: number | undefined;
}

/** An IPv6 packet with UDP in it. No checksum: the session vouches for every octet (RFC 6935 §5). */
export function packetOf({ from, to, port, payload, packetBytes }: Datagram): Buffer {
  const length = Math.max(HEAD + UDP_HEAD + payload.length, packetBytes ?? 0);
  // A packet of a given length is to take up that much on its way, and no more.
  const packet = Buffer.alloc(packetBytes === undefined ? Math.ceil(length / BLOCK) * BLOCK : length);
  packet.writeUInt8(0x60, 0);
  packet.writeUInt16BE(length - HEAD, 4);
  packet.writeUInt8(UDP, 6);
  packet.writeUInt8(LIMIT.HOP_LIMIT, 7);
  packet.set(octetsOf(from), 8);
  packet.set(octetsOf(to), 24);
  packet.writeUInt16BE(port, HEAD);
  packet.writeUInt16BE(port, HEAD + 2);
  packet.writeUInt16BE(length - HEAD, HEAD + 4);
  packet.set(payload, HEAD + UDP_HEAD);
  return packet;
}
