/**
 * Addresses of records: the self-describing memory's header, and the tables that the main thread writes.
 *
 * A worker reads the double-buffered tables only between begin() and park(), through the addresses that begin() put
 * into its Worker record; all of them belong to one generation.
 */
import {
  Header, ITEMS_MAX, ITEM_IOVS, KEY_SIZE, KIND_PORT, KIND_VTEP, Key, NETWORK_COUNTERS_SIZE, NETWORK_SIZE, Network, NetworkCounters,
  PEER_COUNTERS_SIZE, PEER_LIVE_SIZE, PEER_SIZE, PORT_COUNTERS_SIZE, PORT_LIVE_SIZE, PORT_SIZE, PORT_USED, Peer, PeerCounters, PeerLive,
  Port, PortCounters, PortLive, REGION_AEADS, REGION_COUNTERS, REGION_EVENTS, REGION_HEADERS, REGION_IOVS, REGION_ITEMS,
  REGION_ITEM_HEADS, REGION_KEYS, REGION_NETWORKS, REGION_NETWORK_COUNTERS, REGION_PEERS, REGION_PEER_COUNTERS, REGION_PEER_LIVE,
  REGION_PORTS, REGION_PORT_COUNTERS, REGION_PORT_LIVE, REGION_PUNTS, REGION_ROUTES, REGION_RX_DESCS, REGION_SEALED, REGION_TALKS, REGION_TUNNEL,
  REGION_TX_OPS, REGION_VTEPS, REGION_VTEP_COUNTERS, REGION_WORKER, RX_DESC_SIZE, Region, RxDesc, Tunnel, VTEP_COUNTERS_SIZE, VTEP_SIZE,
  VTEP_USED, Vtep, VtepCounters, Worker,
} from "../abi.gen";

// @ts-ignore: decorator
@inline
export function header(): Header {
  return changetype<Header>(0);
}
// @ts-ignore: decorator
@inline
export function region(at: usize): Region {
  return changetype<Region>(at);
}
export function worker(index: u32): Worker {
  const r = region(REGION_WORKER);
  return changetype<Worker>(r.base + index * r.perWorker);
}

/** First octet of a worker's part of a region. */
function part(at: usize, index: u32): u32 {
  const r = region(at);
  return r.base + index * r.perWorker;
}

/** Fills the fixed addresses of a worker's record. Once per worker. */
export function setup(index: u32): void {
  const w = worker(index);
  w.index = index;
  w.counters = part(REGION_COUNTERS, index);
  w.portCounters = part(REGION_PORT_COUNTERS, index);
  w.vtepCounters = part(REGION_VTEP_COUNTERS, index);
  w.networkCounters = part(REGION_NETWORK_COUNTERS, index);
  w.rxDescs = part(REGION_RX_DESCS, index);
  w.txOps = part(REGION_TX_OPS, index);
  w.iovs = part(REGION_IOVS, index);
  w.headers = part(REGION_HEADERS, index);
  w.items = part(REGION_ITEMS, index);
  w.itemHeads = part(REGION_ITEM_HEADS, index);
  w.peerLive = part(REGION_PEER_LIVE, index);
  w.peerCounters = part(REGION_PEER_COUNTERS, index);
  w.talks = part(REGION_TALKS, index);
  w.aead = part(REGION_AEADS, index);
  w.sealed = part(REGION_SEALED, index);
  w.sealedMax = region(REGION_SEALED).count * region(REGION_SEALED).stride;
  // A batch that an earlier thread left half-done is gone: none of the next may pass for its opened datagram.
  w.resumeSeg = 0;
  w.opened = 0;
  w.txMax = region(REGION_TX_OPS).count;
  // The rest of the iovecs belongs to the join items, a fixed part each.
  w.iovMax = region(REGION_IOVS).count - ITEMS_MAX * ITEM_IOVS;
}

/**
 * Takes the configuration in force. The generation is stored before it is read again: when the main thread publishes
 * between the two, it either sees this worker's old word and waits, or this worker sees the new one and takes it.
 */
export function begin(w: Worker): void {
  const at = offsetof<Worker>("generation") + changetype<usize>(w);
  const source = offsetof<Header>("generation");
  let g = atomic.load<u32>(source);
  for (;;) {
    atomic.store<u32>(at, g);
    const again = atomic.load<u32>(source);
    if (again == g) break;
    g = again;
  }
  const copy = g & 1;
  w.networks = region(REGION_NETWORKS).base + copy * region(REGION_NETWORKS).perCopy;
  w.ports = region(REGION_PORTS).base + copy * region(REGION_PORTS).perCopy;
  w.vteps = region(REGION_VTEPS).base + copy * region(REGION_VTEPS).perCopy;
  w.routes = region(REGION_ROUTES).base + copy * region(REGION_ROUTES).perCopy;
  w.tunnel = region(REGION_TUNNEL).base + copy * region(REGION_TUNNEL).perCopy;
  w.peers = region(REGION_PEERS).base + copy * region(REGION_PEERS).perCopy;
}

// @ts-ignore: decorator
@inline
export function network(w: Worker, index: u32): Network {
  return changetype<Network>(<usize>w.networks + <usize>index * NETWORK_SIZE);
}
// @ts-ignore: decorator
@inline
export function port(w: Worker, index: u32): Port {
  return changetype<Port>(<usize>w.ports + <usize>index * PORT_SIZE);
}
// @ts-ignore: decorator
@inline
export function vtep(w: Worker, index: u32): Vtep {
  return changetype<Vtep>(<usize>w.vteps + <usize>index * VTEP_SIZE);
}
// @ts-ignore: decorator
@inline
export function tunnel(w: Worker): Tunnel {
  return changetype<Tunnel>(<usize>w.tunnel);
}
// @ts-ignore: decorator
@inline
export function peer(w: Worker, index: u32): Peer {
  return changetype<Peer>(<usize>w.peers + <usize>index * PEER_SIZE);
}
// @ts-ignore: decorator
@inline
export function key(slot: u32): Key {
  return changetype<Key>(<usize>region(REGION_KEYS).base + <usize>slot * KEY_SIZE);
}
// @ts-ignore: decorator
@inline
export function peerLive(w: Worker, index: u32): PeerLive {
  return changetype<PeerLive>(<usize>w.peerLive + <usize>index * PEER_LIVE_SIZE);
}
// @ts-ignore: decorator
@inline
export function peerCounters(w: Worker, index: u32): PeerCounters {
  return changetype<PeerCounters>(<usize>w.peerCounters + <usize>index * PEER_COUNTERS_SIZE);
}
// @ts-ignore: decorator
@inline
export function desc(w: Worker, index: u32): RxDesc {
  return changetype<RxDesc>(<usize>w.rxDescs + <usize>index * RX_DESC_SIZE);
}
// @ts-ignore: decorator
@inline
export function portLive(index: u32): PortLive {
  return changetype<PortLive>(<usize>region(REGION_PORT_LIVE).base + <usize>index * PORT_LIVE_SIZE);
}
// @ts-ignore: decorator
@inline
export function portCounters(w: Worker, index: u32): PortCounters {
  return changetype<PortCounters>(<usize>w.portCounters + <usize>index * PORT_COUNTERS_SIZE);
}
// @ts-ignore: decorator
@inline
export function vtepCounters(w: Worker, index: u32): VtepCounters {
  return changetype<VtepCounters>(<usize>w.vtepCounters + <usize>index * VTEP_COUNTERS_SIZE);
}
// @ts-ignore: decorator
@inline
export function networkCounters(w: Worker, index: u32): NetworkCounters {
  return changetype<NetworkCounters>(<usize>w.networkCounters + <usize>index * NETWORK_COUNTERS_SIZE);
}

/** KIND and index packed as entries hold them. */
// @ts-ignore: decorator
@inline
export function ownerOf(kind: u32, index: u32): u32 {
  return (kind << 24) | index;
}
// @ts-ignore: decorator
@inline
export function kindOf(owner: u32): u32 {
  return owner >> 24;
}
// @ts-ignore: decorator
@inline
export function indexOf(owner: u32): u32 {
  return owner & 0xff_ffff;
}

/** True while the port or VTEP that an entry names is still the one it was learned from. */
export function isCurrent(w: Worker, owner: u32, generation: u32): bool {
  const kind = kindOf(owner);
  const index = indexOf(owner);
  if (kind == KIND_PORT) {
    if (index >= region(REGION_PORTS).count) return false;
    const p = port(w, index);
    return (p.flags & PORT_USED) != 0 && p.generation == <u16>generation;
  }
  if (kind == KIND_VTEP) {
    if (index >= region(REGION_VTEPS).count) return false;
    const v = vtep(w, index);
    return (v.flags & VTEP_USED) != 0 && v.generation == <u16>generation;
  }
  return false;
}

/** Address of a worker's ring of handshake messages. */
export function puntRing(w: Worker): usize {
  return part(REGION_PUNTS, w.index);
}
/** Address of a worker's event ring. */
export function eventRing(w: Worker): usize {
  return part(REGION_EVENTS, w.index);
}
