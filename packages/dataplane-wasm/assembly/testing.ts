/**
 * Further exports of debug.wasm and test.wasm: the inside of the module for unit tests. Not part of release.wasm.
 *
 * Header functions go out under HEADER_NAME; functions of tables take a worker index, because a test has no record
 * addresses. u64 values are BigInt on the other side, bool is 0 or 1.
 */
import { FDB_BUCKET_SIZE, REGION_AEADS, REGION_BLAKE2S, REGION_FDB, Replay } from "./abi.gen";
import * as aead from "./crypto/aead";
import * as blake2s from "./crypto/blake2s";
import * as poly1305 from "./crypto/poly1305";
import { recognise } from "./path/offload";
import { parse } from "./path/parse";
import { desc, network, region, worker } from "./table/config";
import * as fdb from "./table/fdb";
import * as replay from "./table/replay";
import * as neighbour from "./table/neighbour";
import * as route from "./table/route";

export { be16, be32, be48, be64, setBe16, setBe32, setBe48 } from "./wire/bytes";
export {
  check as ethCheck, dst as ethDst, etherType as ethEtherType, isGroup as ethIsGroup, isReservedGroup as ethIsReservedGroup,
  isTag as ethIsTag, src as ethSrc,
} from "./wire/ethernet";
export {
  check as arpCheck, operation as arpOperation, senderIp as arpSenderIp, senderMac as arpSenderMac, targetIp as arpTargetIp,
} from "./wire/arp";
export {
  check as ipv4Check, dst as ipv4Dst, fragmentOffset as ipv4FragmentOffset, headerLen as ipv4HeaderLen,
  isFragment as ipv4IsFragment, proto as ipv4Proto, setTos as ipv4SetTos, src as ipv4Src, tos as ipv4Tos,
  totalLen as ipv4TotalLen,
} from "./wire/ipv4";
export {
  check as ipv6Check, dstHi as ipv6DstHi, dstLo as ipv6DstLo, extensionLen as ipv6ExtensionLen,
  fragmentOffset as ipv6FragmentOffset, isExtension as ipv6IsExtension, moreFragments as ipv6MoreFragments,
  nextHeader as ipv6NextHeader, payloadLen as ipv6PayloadLen, setTrafficClass as ipv6SetTrafficClass, srcHi as ipv6SrcHi,
  srcLo as ipv6SrcLo, trafficClass as ipv6TrafficClass,
} from "./wire/ipv6";
export { check as udpCheck, dstPort as udpDstPort, length as udpLength, srcPort as udpSrcPort } from "./wire/udp";
export { check as tcpCheck, dstPort as tcpDstPort, headerLen as tcpHeaderLen, srcPort as tcpSrcPort } from "./wire/tcp";
export {
  check as icmpCheck, targetHi as icmpTargetHi, targetLo as icmpTargetLo, targetMac as icmpTargetMac, type as icmpType,
} from "./wire/icmp";
export { check as vxlanCheck, hasVni as vxlanHasVni, vni as vxlanVni, write as vxlanWrite } from "./wire/vxlan";
export {
  csumOffset as virtioCsumOffset, csumStart as virtioCsumStart, flags as virtioFlags, gsoSize as virtioGsoSize,
  gsoType as virtioGsoType, hdrLen as virtioHdrLen, write as virtioWrite,
} from "./wire/virtio";
export {
  finish as checksumFinish, fold as checksumFold, pseudo4 as checksumPseudo4, pseudo6 as checksumPseudo6, sum as checksumSum,
  sumLe as checksumSumLe,
} from "./wire/checksum";
export { keyHash, mix32, routeHash } from "./table/hash";
export { release as latchRelease, releaseBoth as latchReleaseBoth, take as latchTake, takeBoth as latchTakeBoth } from "./table/latch";

export {
  checksumBatch, copyBatch, decapBatch, encapBatch, learnBatch, lookupBatch, openBatch, parseBatch, sealBatch,
} from "./batches";

/** Parses the frame that a worker's descriptor names (frame, frameLen). */
export function parseDesc(workerIndex: u32, index: u32): void {
  parse(desc(worker(workerIndex), index));
}
/** Looks for unfinished checksums and super-frames in a parsed descriptor. */
export function recogniseDesc(workerIndex: u32, index: u32, mtu: u32): bool {
  return recognise(desc(worker(workerIndex), index), mtu);
}

export function fdbLearn(workerIndex: u32, networkIndex: u32, mac: u64, owner: u32, generation: u32, tick: u32): void {
  fdb.learn(worker(workerIndex), fdb.keyOf(networkIndex, mac), owner, generation, tick);
}
/** The packed value, 0 for none. */
export function fdbLookup(workerIndex: u32, networkIndex: u32, mac: u64, tick: u32): u64 {
  return fdb.lookup(worker(workerIndex), fdb.keyOf(networkIndex, mac), tick);
}
export function fdbAgeBucket(workerIndex: u32, bucket: u32, tick: u32): void {
  fdb.ageBucket(worker(workerIndex), bucket, tick);
}
/** Address of a bucket. */
export function fdbBucket(number: u32): usize {
  return <usize>region(REGION_FDB).base + <usize>number * FDB_BUCKET_SIZE;
}

export function neighbourLearn(workerIndex: u32, networkIndex: u32, hi: u64, lo: u64, mac: u64, owner: u32, tick: u32): void {
  neighbour.learn(worker(workerIndex), networkIndex, hi, lo, mac, owner, tick);
}
export function neighbourAgeBucket(workerIndex: u32, bucket: u32, tick: u32): void {
  neighbour.ageBucket(worker(workerIndex), bucket, tick);
}

export function routeMac(workerIndex: u32, networkIndex: u32, mac: u64): u32 {
  return route.mac(worker(workerIndex), networkIndex, mac);
}
export function routeVtepOf(workerIndex: u32, networkIndex: u32, hi: u64, lo: u64): u32 {
  return route.vtepOf(worker(workerIndex), networkIndex, hi, lo);
}
export function routeNetworkOf(workerIndex: u32, vni: u32): u32 {
  return route.networkOf(worker(workerIndex), vni);
}
export function routePrefix4(workerIndex: u32, networkIndex: u32, address: u32): u32 {
  const w = worker(workerIndex);
  return route.prefix4(w, networkIndex, network(w, networkIndex), address);
}
export function routePrefix6(workerIndex: u32, networkIndex: u32, hi: u64, lo: u64): u32 {
  const w = worker(workerIndex);
  return route.prefix6(w, networkIndex, network(w, networkIndex), hi, lo);
}

/** Seals; see crypto/aead.ts. */
export function aeadSeal(
  key: usize, nonceHead: u32, nonce: u64, aad: usize, aadLen: u32, from: usize, to: usize, len: u32,
): void {
  aead.seal(region(REGION_AEADS).base, key, nonceHead, nonce, aad, aadLen, from, to, len);
}
/** Opens; see crypto/aead.ts. */
export function aeadOpen(
  key: usize, nonceHead: u32, nonce: u64, aad: usize, aadLen: u32, from: usize, to: usize, len: u32,
): bool {
  return aead.open(region(REGION_AEADS).base, key, nonceHead, nonce, aad, aadLen, from, to, len);
}
/** Seals a run of messages; see crypto/aead.ts. */
export function aeadSealRun(
  key: usize, counter: u64, at: usize, stride: usize, count: u32, len: u32, lastLen: u32,
): void {
  aead.sealRun(region(REGION_AEADS).base, key, counter, at, stride, count, len, lastLen);
}
/** Tag of any message under a one-time key: a last block that is not whole gets its 1 here (RFC 8439 §2.5.1). */
export function poly1305Tag(key: usize, p: usize, len: u32, tag: usize): void {
  const s = <usize>region(REGION_AEADS).base;
  const left = len & 15;
  const rest = p + len - left;
  poly1305.begin(s, key);
  poly1305.blocks(s, p, rest, poly1305.WHOLE);
  if (left != 0) {
    v128.store(tag, i64x2.splat(0));
    memory.copy(tag, rest, left);
    store<u8>(tag + left, 1);
    poly1305.blocks(s, tag, tag + 16, 0);
  }
  poly1305.finish(s, tag);
}
export function blake2sDigest(key: usize, keyLen: u32, p: usize, len: u32, out: usize, outLen: u32): void {
  blake2s.digest(region(REGION_BLAKE2S).base, key, keyLen, p, len, out, outLen);
}
/** What a receiver does with the counter of an authentic packet. @returns whether it is taken */
export function replayTake(p: usize, counter: u64): bool {
  const r = changetype<Replay>(p);
  if (!replay.isFresh(r, counter)) return false;
  replay.mark(r, counter);
  return true;
}
