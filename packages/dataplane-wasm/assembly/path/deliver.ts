/**
 * Writes transmit operations: one copy of a frame to a local port or to a VTEP. The payload stays in its slot; many
 * operations may name the same octets.
 */
import {
  IOV_SIZE, Iov, KIND_PORT, KIND_VTEP, OP_TAP, OP_UDP, RX_DESC_ADDR, RxDesc, SOURCE_PORTS, TX_OP_ADDR, TX_OP_SIZE,
  TX_OP_VNET_HDR, TxOp, VTEP_ADDR, VXLAN_LEN, Worker,
} from "../abi.gen";
import { ownerOf, vtep } from "../table/config";
import * as checksum from "../wire/checksum";
import * as virtio from "../wire/virtio";
import * as vxlan from "../wire/vxlan";
import * as ecn from "./ecn";

/** Room for `copies` more operations of one iovec each? */
export function hasRoom(w: Worker, copies: u32): bool {
  return w.txCount + copies <= w.txMax && w.iovCount + copies <= w.iovMax;
}

/** A new operation with one iovec. The caller has asked hasRoom(). */
function newOp(w: Worker, d: RxDesc, off: u32, len: u32): TxOp {
  const op = changetype<TxOp>(<usize>w.txOps + <usize>w.txCount * TX_OP_SIZE);
  const iov = changetype<Iov>(<usize>w.iovs + <usize>w.iovCount * IOV_SIZE);
  iov.off = off;
  iov.len = len;
  op.iovStart = w.iovCount;
  op.iovCount = 1;
  op.gsoSize = 0;
  op.segs = 1;
  op.bytes = d.frameLen;
  op.plane = d.plane;
  op.network = d.network;
  op.result = 0;
  w.txCount++;
  w.iovCount++;
  return op;
}

/** One copy to a local port, with the virtio_net_hdr that the descriptor says. */
export function toPort(w: Worker, d: RxDesc, index: u32): void {
  const op = newOp(w, d, d.frame, d.frameLen);
  op.kind = <u8>OP_TAP;
  op.tos = 0;
  op.dest = index;
  op.owner = ownerOf(KIND_PORT, index);
  virtio.write(
    changetype<usize>(op) + TX_OP_VNET_HDR, d.vnetFlags, d.gsoType, d.hdrLen, d.gsoSize, d.csumStart, d.csumOffset,
  );
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

/** One copy to a VTEP, after encapsulate(). The sending socket, and so the outer source port, follows the inner flow. */
export function toVtep(w: Worker, d: RxDesc, index: u32): void {
  const v = vtep(w, index);
  const op = newOp(w, d, d.frame - VXLAN_LEN, d.frameLen + VXLAN_LEN);
  op.kind = <u8>OP_UDP;
  op.tos = <u8>ecn.inner(d);
  op.dest = (v.family == 6 ? SOURCE_PORTS : 0) + (d.hash & (SOURCE_PORTS - 1));
  op.owner = ownerOf(KIND_VTEP, index);
  op.port = v.port;
  op.family = v.family;
  memory.copy(changetype<usize>(op) + TX_OP_ADDR, changetype<usize>(v) + VTEP_ADDR, 16);
}
