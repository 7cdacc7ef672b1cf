/**
 * Writes transmit operations: one copy of a frame to a local port or to a VTEP. The payload stays in its slot; many
 * operations may name the same octets.
 */
import {
  ETH_LEN, IOV_SIZE, Iov, JOIN_CLOSED, KIND_PORT, KIND_VTEP, OP_TAP, OP_UDP, PEER_ADDR, PEER_LOCAL, PORT_L3, PORT_ROUTED, Peer, RxDesc, SOURCE_PORTS,
  TX_OP_ADDR, TX_OP_SIZE, TX_OP_VNET_HDR, TxOp, VTEP_ADDR, VXLAN_LEN, Vtep, Worker,
} from "../abi.gen";
import { ownerOf, port, vtep } from "../table/config";
import * as checksum from "../wire/checksum";
import * as virtio from "../wire/virtio";
import * as vxlan from "../wire/vxlan";
import * as ecn from "./ecn";
import * as group from "./group";

/** Room for `copies` more operations of one iovec each? */
export function hasRoom(w: Worker, copies: u32): bool {
  return w.txCount + copies <= w.txMax && w.iovCount + copies <= w.iovMax;
}

/** A new iovec. @returns its index */
function newIov(w: Worker, off: u32, len: u32): u32 {
  const index = w.iovCount;
  const iov = changetype<Iov>(<usize>w.iovs + <usize>index * IOV_SIZE);
  iov.off = off;
  iov.len = len;
  w.iovCount = index + 1;
  return index;
}

/** A new operation. The caller has asked hasRoom(). */
function newOp(w: Worker, d: RxDesc, iovStart: u32, iovCount: u32): TxOp {
  const op = changetype<TxOp>(<usize>w.txOps + <usize>w.txCount * TX_OP_SIZE);
  op.iovStart = iovStart;
  op.iovCount = <u16>iovCount;
  op.gsoSize = 0;
  op.segs = 1;
  op.bytes = d.frameLen;
  op.plane = d.plane;
  op.network = d.network;
  op.result = 0;
  op.local = 0;
  w.txCount++;
  return op;
}

/** Octets of a frame that a port does not get: packets for TUN devices have a made-up Ethernet header (layer3.ts, to-routed.ts). */
export function skipOf(w: Worker, index: u32): u32 {
  return (port(w, index).flags & (PORT_L3 | PORT_ROUTED)) != 0 ? ETH_LEN : 0;
}

/** One copy to a local port, with the virtio_net_hdr that the descriptor says. */
export function toPort(w: Worker, d: RxDesc, index: u32): TxOp {
  const skip = skipOf(w, index);
  const op = newOp(w, d, newIov(w, d.frame + skip, d.frameLen - skip), 1);
  op.bytes -= skip;
  op.kind = <u8>OP_TAP;
  op.tos = 0;
  op.dest = index;
  op.owner = ownerOf(KIND_PORT, index);
  virtio.write(
    changetype<usize>(op) + TX_OP_VNET_HDR, d.vnetFlags, d.gsoType, d.hdrLen < <u16>skip ? 0 : d.hdrLen - <u16>skip, d.gsoSize,
    d.csumStart == 0 ? 0 : d.csumStart - <u16>skip, d.csumOffset,
  );
  return op;
}

/** A frame of two pieces that the switch has made for a port; no octet of a made-up Ethernet header is left out of `head`. */
export function answer(w: Worker, d: RxDesc, index: u32, head: u32, headLen: u32, rest: u32, restLen: u32): void {
  const skip = skipOf(w, index);
  const first = newIov(w, head + skip, headLen - skip);
  newIov(w, rest, restLen);
  const op = newOp(w, d, first, 2);
  op.bytes = headLen - skip + restLen;
  op.kind = <u8>OP_TAP;
  op.tos = 0;
  op.dest = index;
  op.owner = ownerOf(KIND_PORT, index);
  virtio.write(changetype<usize>(op) + TX_OP_VNET_HDR, 0, 0, 0, 0, 0, 0);
}

/** Finishes the checksum that the kernel left open. */
export function finishChecksum(d: RxDesc): void {
  if ((<u32>d.vnetFlags & virtio.NEEDS_CSUM) == 0) return;
  checksum.finish(<usize>d.frame, d.frameLen, d.csumStart, d.csumOffset);
  d.vnetFlags = 0;
  d.csumStart = 0;
  d.csumOffset = 0;
  d.hdrLen = 0;
}

/**
 * Makes the frame ready for VTEPs: the checksum that the kernel left open is finished, the VXLAN header is written into the
 * eight octets in front of the frame. Once per frame; all VTEPs of a network share the VNI and so the header.
 */
export function encapsulate(d: RxDesc, vni: u32): void {
  finishChecksum(d);
  vxlan.write(<usize>d.frame - VXLAN_LEN, vni);
}

/** 4 or 6: what the VTEP is reached by. */
export function familyOf(w: Worker, index: u32): u32 {
  return vtep(w, index).family;
}

/** Sending socket, and so the outer source port: it follows the inner flow. */
function socketOf(d: RxDesc, v: Vtep): u32 {
  return (v.family == 6 ? SOURCE_PORTS : 0) + (d.hash & (SOURCE_PORTS - 1));
}

/** A new operation to a VTEP over iovecs that exist. */
export function newVtepOp(w: Worker, d: RxDesc, index: u32, iovStart: u32, iovCount: u32): TxOp {
  const v = vtep(w, index);
  const op = newOp(w, d, iovStart, iovCount);
  op.kind = <u8>OP_UDP;
  op.tos = <u8>ecn.inner(d);
  op.dest = socketOf(d, v);
  op.owner = ownerOf(KIND_VTEP, index);
  op.port = v.port;
  op.family = v.family;
  v128.store(changetype<usize>(op) + TX_OP_ADDR, v128.load(changetype<usize>(v) + VTEP_ADDR));
  return op;
}

/** A new operation of `len` octets at `off` to a WireGuard peer. */
export function newPeerOp(w: Worker, d: RxDesc, p: Peer, owner: u32, socket: u32, off: u32, len: u32): TxOp {
  const op = newOp(w, d, newIov(w, off, len), 1);
  const local = changetype<usize>(p) + PEER_LOCAL;
  op.kind = <u8>OP_UDP;
  op.tos = <u8>ecn.inner(d);
  op.dest = socket;
  op.owner = owner;
  op.port = p.port;
  op.family = p.family;
  op.local = v128.any_true(v128.load(local)) ? <u32>local : 0;
  v128.store(changetype<usize>(op) + TX_OP_ADDR, v128.load(changetype<usize>(p) + PEER_ADDR));
  return op;
}

/** Ends the group that frames to this VTEP would join: something goes past it. */
export function closeGroup(w: Worker, d: RxDesc, index: u32): void {
  const it = group.find(w, socketOf(d, vtep(w, index)), ownerOf(KIND_VTEP, index));
  if (it != null) it.state = <u8>JOIN_CLOSED;
}

/** One copy to a VTEP, after encapsulate(); it shares a send with others of its length. */
export function toVtep(w: Worker, d: RxDesc, index: u32): void {
  const off = d.frame - VXLAN_LEN;
  const len = d.frameLen + VXLAN_LEN;
  const it = group.find(w, socketOf(d, vtep(w, index)), ownerOf(KIND_VTEP, index));
  if (it != null && group.append(w, it, off, len, ecn.inner(d), d.frameLen)) return;
  const op = newVtepOp(w, d, index, newIov(w, off, len), 1);
  group.open(w, op, len);
}
