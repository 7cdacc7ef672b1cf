// Generated from abi/spec.ts by `npm run gen`. Do not edit.

/** identity of this table */
// @ts-ignore: decorator
@inline export const ABI_HASH: u32 = 0xc93b2b66;
/** Header.magic */
// @ts-ignore: decorator
@inline export const MAGIC: u32 = 0x54464557;
/** octet of the first region table entry */
// @ts-ignore: decorator
@inline export const REGION_TABLE: u32 = 0x40;
/** receive descriptors, and slots, of one worker: the most frames one call is given */
// @ts-ignore: decorator
@inline export const BATCH_MAX: u32 = 0x80;
/** octets of a slot: 64 KiB super-frame, headroom, tail (68 KiB), and one cache line so that the headers of a batch do not share cache sets */
// @ts-ignore: decorator
@inline export const SLOT_SIZE: u32 = 0x11040;
/** octets in front of a received frame for outer headers; frames start here in their slot */
// @ts-ignore: decorator
@inline export const HEADROOM: u32 = 0x100;
/** octets of virtio_net_hdr in front of a TAP frame (TUNSETVNETHDRSZ) */
// @ts-ignore: decorator
@inline export const VNET_HDR_LEN: u32 = 0xa;
/** octets of an Ethernet header without tags */
// @ts-ignore: decorator
@inline export const ETH_LEN: u32 = 0xe;
/** longest frame accepted: Ethernet header and 65,535 octets */
// @ts-ignore: decorator
@inline export const FRAME_MAX: u32 = 0x1000d;
/** octets of a VXLAN header (RFC 7348 §5) */
// @ts-ignore: decorator
@inline export const VXLAN_LEN: u32 = 0x8;
/** UDP sending sockets per worker and address family (RFC 7348 §5: source port by inner flow) */
// @ts-ignore: decorator
@inline export const SOURCE_PORTS: u32 = 0x10;
/** entries in one 64-octet FDB bucket */
// @ts-ignore: decorator
@inline export const FDB_CELLS: u32 = 0x3;
/** entries in one 128-octet neighbour bucket */
// @ts-ignore: decorator
@inline export const NEIGHBOUR_CELLS: u32 = 0x3;
/** header areas of one worker: headers made by the switch, sent in front of payload that stays in its slot */
// @ts-ignore: decorator
@inline export const HEADERS_MAX: u32 = 0x800;
/** octets of one of them: VXLAN, Ethernet with tags, IP with options, TCP with options */
// @ts-ignore: decorator
@inline export const HEADER_AREA: u32 = 0xc0;
/** operations of one batch that may still take further frames */
// @ts-ignore: decorator
@inline export const ITEMS_MAX: u32 = 0x80;
/** iovecs kept for each of them: frames of one UDP_SEGMENT send, or pieces of one super-frame */
// @ts-ignore: decorator
@inline export const ITEM_IOVS: u32 = 0x80;
/** events a worker can hold for the main thread before it counts events_lost */
// @ts-ignore: decorator
@inline export const EVENTS_MAX: u32 = 0x400;
/** words of 64 counters in the ring of a replay window: twice the 8,192 that may come late */
// @ts-ignore: decorator
@inline export const REPLAY_WORDS: u32 = 0x100;
/** age is counted in ticks of 2^10 ms: tick = nowMs >> TICK_SHIFT, modulo 2^16 */
// @ts-ignore: decorator
@inline export const TICK_SHIFT: u32 = 0xa;
/** worker.generation while the worker holds no table (asleep or stopped) */
// @ts-ignore: decorator
@inline export const GENERATION_PARKED: u32 = 0xffffffff;
/** tries at a bucket that another worker writes, then the lookup counts as a miss */
// @ts-ignore: decorator
@inline export const LATCH_SPINS: u32 = 0x1000;
/** histogram buckets of frames per batch: ≤1, 2, 4 … 128, more */
// @ts-ignore: decorator
@inline export const BATCH_BUCKETS: u32 = 0x9;
/** histogram buckets of loop time: ≤1 µs, 2 µs … 16.4 ms, more */
// @ts-ignore: decorator
@inline export const LOOP_BUCKETS: u32 = 0x10;
/** TAP to underlay, and local port to local port */
// @ts-ignore: decorator
@inline export const PLANE_EGRESS: u32 = 0x0;
/** underlay to TAP */
// @ts-ignore: decorator
@inline export const PLANE_INGRESS: u32 = 0x1;
/** empty */
// @ts-ignore: decorator
@inline export const OP_NONE: u32 = 0x0;
/** writev(virtio_net_hdr, iovecs) to a port */
// @ts-ignore: decorator
@inline export const OP_TAP: u32 = 0x1;
/** sendmsg(iovecs) to addr:port through a sending socket */
// @ts-ignore: decorator
@inline export const OP_UDP: u32 = 0x2;
/** no entry */
// @ts-ignore: decorator
@inline export const KIND_NONE: u32 = 0x0;
/** a local port; index is the port index */
// @ts-ignore: decorator
@inline export const KIND_PORT: u32 = 0x1;
/** a VTEP; index is the VTEP index */
// @ts-ignore: decorator
@inline export const KIND_VTEP: u32 = 0x2;
/** the network's own gateway address (reserved) */
// @ts-ignore: decorator
@inline export const KIND_GATEWAY: u32 = 0x3;
/** a layer-3 peer (reserved) */
// @ts-ignore: decorator
@inline export const KIND_L3PEER: u32 = 0x4;
/** drop and count */
// @ts-ignore: decorator
@inline export const KIND_BLACKHOLE: u32 = 0x5;
/** free cell */
// @ts-ignore: decorator
@inline export const ROUTE_NONE: u32 = 0x0;
/** static MAC address of a network → port, VTEP or blackhole */
// @ts-ignore: decorator
@inline export const ROUTE_MAC: u32 = 0x1;
/** IPv4 prefix of a network → port, VTEP or blackhole */
// @ts-ignore: decorator
@inline export const ROUTE_IPV4: u32 = 0x2;
/** IPv6 prefix of a network → port, VTEP or blackhole */
// @ts-ignore: decorator
@inline export const ROUTE_IPV6: u32 = 0x3;
/** outer source address of a network → VTEP index */
// @ts-ignore: decorator
@inline export const ROUTE_VTEP: u32 = 0x4;
/** VNI → network index */
// @ts-ignore: decorator
@inline export const ROUTE_VNI: u32 = 0x5;
/** nothing: it ended with a short piece, or something of its flow went past it */
// @ts-ignore: decorator
@inline export const JOIN_CLOSED: u32 = 0x0;
/** more; its first frame's checksum has not been looked at */
// @ts-ignore: decorator
@inline export const JOIN_UNVERIFIED: u32 = 0x1;
/** more; every piece's checksum was verified */
// @ts-ignore: decorator
@inline export const JOIN_OPEN: u32 = 0x2;
/** more; every piece's checksum is the kernel's to finish (NEEDS_CSUM) */
// @ts-ignore: decorator
@inline export const JOIN_PARTIAL: u32 = 0x3;
/** more datagrams of the same length */
// @ts-ignore: decorator
@inline export const JOIN_GROUP: u32 = 0x4;
/** a MAC was seen for the first time */
// @ts-ignore: decorator
@inline export const EVENT_LEARNED: u32 = 0x1;
/** a MAC was seen behind another port or VTEP */
// @ts-ignore: decorator
@inline export const EVENT_MOVED: u32 = 0x2;
/** a MAC was not seen for the network's age limit */
// @ts-ignore: decorator
@inline export const EVENT_AGED: u32 = 0x3;
/** a MAC made room for another */
// @ts-ignore: decorator
@inline export const EVENT_EVICTED: u32 = 0x4;
/** VXLAN from an address that is no VTEP of the network; at most one a second per worker */
// @ts-ignore: decorator
@inline export const EVENT_REFUSED_VTEP: u32 = 0x5;
/** VXLAN for a VNI of no network here; at most one a second per worker */
// @ts-ignore: decorator
@inline export const EVENT_REFUSED_VNI: u32 = 0x6;
/** the datagram was longer than the slot (MSG_TRUNC) */
// @ts-ignore: decorator
@inline export const RX_TRUNCATED: u32 = 0x1;
/** a TCP super-frame may be written to a port */
// @ts-ignore: decorator
@inline export const OFFLOAD_TCP: u32 = 0x1;
/** a UDP super-frame may be written to a port */
// @ts-ignore: decorator
@inline export const OFFLOAD_UDP: u32 = 0x2;
/** a frame with an unfinished checksum may be written to a port (there is a virtio_net_hdr) */
// @ts-ignore: decorator
@inline export const OFFLOAD_CHECKSUM: u32 = 0x4;
/** the record is in use */
// @ts-ignore: decorator
@inline export const NETWORK_USED: u32 = 0x1;
/** VXLAN from an address that is no VTEP is accepted (and not learned from) */
// @ts-ignore: decorator
@inline export const NETWORK_ACCEPT_ANY: u32 = 0x2;
/** a frame whose source MAC belongs to another port or route is dropped */
// @ts-ignore: decorator
@inline export const NETWORK_GUARD_SPOOF: u32 = 0x4;
/** router advertisements from a port are dropped */
// @ts-ignore: decorator
@inline export const NETWORK_GUARD_RA: u32 = 0x8;
/** DHCP server answers from a port are dropped */
// @ts-ignore: decorator
@inline export const NETWORK_GUARD_DHCP: u32 = 0x10;
/** the record is in use */
// @ts-ignore: decorator
@inline export const PORT_USED: u32 = 0x1;
/** frames are delivered to the port */
// @ts-ignore: decorator
@inline export const PORT_UP: u32 = 0x2;
/** the record is in use */
// @ts-ignore: decorator
@inline export const VTEP_USED: u32 = 0x1;
/** part of a fragmented packet: no ports in it, or only in the first */
// @ts-ignore: decorator
@inline export const L3_FRAGMENT: u32 = 0x1;
/** IPv6 header chain does not end inside this frame */
// @ts-ignore: decorator
@inline export const L3_CHAIN_BAD: u32 = 0x2;
/** l4Off points to a TCP, UDP or ICMP header that is wholly in the frame */
// @ts-ignore: decorator
@inline export const L3_L4: u32 = 0x4;
/** shorter than an Ethernet header (with virtio_net_hdr or VXLAN header in front) */
// @ts-ignore: decorator
@inline export const DROP_FRAME_SHORT: u32 = 0x0;
/** longer than 65,549 octets */
// @ts-ignore: decorator
@inline export const DROP_FRAME_LONG: u32 = 0x1;
/** datagram longer than a slot */
// @ts-ignore: decorator
@inline export const DROP_TRUNCATED: u32 = 0x2;
/** virtio_net_hdr whose checksum lies outside the frame, or a super-frame whose open checksum is not its own TCP or UDP one */
// @ts-ignore: decorator
@inline export const DROP_VNET_HDR: u32 = 0x3;
/** super-frame that cannot be cut: not of the type its headers say, a fragment, or headers longer than a header area */
// @ts-ignore: decorator
@inline export const DROP_GSO_HEADER: u32 = 0x4;
/** super-frame that would become more segments than there are header areas */
// @ts-ignore: decorator
@inline export const DROP_GSO_SEGMENTS: u32 = 0x5;
/** UDP super-frame without a segment size: cannot be cut again */
// @ts-ignore: decorator
@inline export const DROP_GSO_UNKNOWN: u32 = 0x6;
/** source MAC is a group address or zero */
// @ts-ignore: decorator
@inline export const DROP_SOURCE_MAC: u32 = 0x7;
/** destination 01:80:c2:00:00:00 to 0f, which no bridge forwards (IEEE 802.1Q §8.6.3) */
// @ts-ignore: decorator
@inline export const DROP_RESERVED_GROUP: u32 = 0x8;
/** from a port that is being added or removed */
// @ts-ignore: decorator
@inline export const DROP_PORT_INACTIVE: u32 = 0x9;
/** container uses the MAC of another local port or of a static route */
// @ts-ignore: decorator
@inline export const DROP_SPOOFED_MAC: u32 = 0xa;
/** IPv6 router advertisement from a container (RFC 6105), or a header chain or pile of VLAN tags that hides one (RFC 7113) */
// @ts-ignore: decorator
@inline export const DROP_RA_GUARD: u32 = 0xb;
/** DHCP or DHCPv6 server answer from a container, or VLAN tags that hide one */
// @ts-ignore: decorator
@inline export const DROP_DHCP_GUARD: u32 = 0xc;
/** broadcast, unknown unicast or multicast beyond the port's rate */
// @ts-ignore: decorator
@inline export const DROP_BUM_RATE: u32 = 0xd;
/** destination is behind the port the frame came from */
// @ts-ignore: decorator
@inline export const DROP_REFLECT: u32 = 0xe;
/** nobody else is in the network (yet) */
// @ts-ignore: decorator
@inline export const DROP_NO_DESTINATION: u32 = 0xf;
/** a route says so */
// @ts-ignore: decorator
@inline export const DROP_BLACKHOLE: u32 = 0x10;
/** VXLAN I flag clear (RFC 7348 §5) */
// @ts-ignore: decorator
@inline export const DROP_VXLAN_FLAGS: u32 = 0x11;
/** VNI of no network here */
// @ts-ignore: decorator
@inline export const DROP_UNKNOWN_VNI: u32 = 0x12;
/** from an address that is no VTEP of the network */
// @ts-ignore: decorator
@inline export const DROP_UNKNOWN_VTEP: u32 = 0x13;
/** source MAC belongs to a local port or to another VTEP's static route */
// @ts-ignore: decorator
@inline export const DROP_STATIC_CONFLICT: u32 = 0x14;
/** from a VTEP, for a MAC behind a VTEP: never sent back to the underlay */
// @ts-ignore: decorator
@inline export const DROP_SPLIT_HORIZON: u32 = 0x15;
/** outer CE on an inner packet that is not ECN-capable (RFC 6040 §4.2) */
// @ts-ignore: decorator
@inline export const DROP_ECN_CE: u32 = 0x16;
/** the device or its namespace is gone (EBADF, EBADFD, ENODEV) */
// @ts-ignore: decorator
@inline export const DROP_PORT_GONE: u32 = 0x17;
/** the device is down (EIO) */
// @ts-ignore: decorator
@inline export const DROP_PORT_DOWN: u32 = 0x18;
/** the device takes no frame now (EAGAIN, ENOBUFS, ENOMEM) */
// @ts-ignore: decorator
@inline export const DROP_PORT_FULL: u32 = 0x19;
/** the device refused the frame (any other errno) */
// @ts-ignore: decorator
@inline export const DROP_PORT_REFUSED: u32 = 0x1a;
/** the socket or the underlay queue is full (EAGAIN, ENOBUFS, ENOMEM) */
// @ts-ignore: decorator
@inline export const DROP_UDP_FULL: u32 = 0x1b;
/** longer than the underlay takes (EMSGSIZE) */
// @ts-ignore: decorator
@inline export const DROP_UDP_TOO_BIG: u32 = 0x1c;
/** no route, interface down or address gone */
// @ts-ignore: decorator
@inline export const DROP_UDP_UNREACHABLE: u32 = 0x1d;
/** the underlay refused the datagram (any other errno) */
// @ts-ignore: decorator
@inline export const DROP_UDP_REFUSED: u32 = 0x1e;
/** copies that did not fit the transmit region (a network with too many members) */
// @ts-ignore: decorator
@inline export const DROP_NO_ROOM: u32 = 0x1f;
/** frames read from ports */
// @ts-ignore: decorator
@inline export const COUNT_IN_EGRESS: u32 = 0x0;
/** further copies made when flooding them */
// @ts-ignore: decorator
@inline export const COUNT_MADE_EGRESS: u32 = 0x1;
/** frames taken by the kernel from egress */
// @ts-ignore: decorator
@inline export const COUNT_OUT_EGRESS: u32 = 0x2;
/** frames answered by the switch itself */
// @ts-ignore: decorator
@inline export const COUNT_CONSUMED_EGRESS: u32 = 0x3;
/** frames that went into another by coalescing */
// @ts-ignore: decorator
@inline export const COUNT_MERGED_EGRESS: u32 = 0x4;
/** datagrams read from the underlay, after UDP_GRO was undone */
// @ts-ignore: decorator
@inline export const COUNT_IN_INGRESS: u32 = 0x5;
/** further copies made when flooding them */
// @ts-ignore: decorator
@inline export const COUNT_MADE_INGRESS: u32 = 0x6;
/** frames taken by the kernel from ingress */
// @ts-ignore: decorator
@inline export const COUNT_OUT_INGRESS: u32 = 0x7;
/** datagrams answered by the switch itself */
// @ts-ignore: decorator
@inline export const COUNT_CONSUMED_INGRESS: u32 = 0x8;
/** datagrams that went into another by coalescing */
// @ts-ignore: decorator
@inline export const COUNT_MERGED_INGRESS: u32 = 0x9;
/** MACs not learned because their port or the table was full; the frame was forwarded */
// @ts-ignore: decorator
@inline export const COUNT_LEARN_REFUSED: u32 = 0xa;
/** lookups given up because another worker held the bucket */
// @ts-ignore: decorator
@inline export const COUNT_LATCH_MISSES: u32 = 0xb;
/** events that found the ring full */
// @ts-ignore: decorator
@inline export const COUNT_EVENTS_LOST: u32 = 0xc;
/** inner packets marked CE because the underlay was congested */
// @ts-ignore: decorator
@inline export const COUNT_ECN_MARKED: u32 = 0xd;
/** frames flooded from ports */
// @ts-ignore: decorator
@inline export const COUNT_FLOOD_EGRESS: u32 = 0xe;
/** frames flooded from VTEPs */
// @ts-ignore: decorator
@inline export const COUNT_FLOOD_INGRESS: u32 = 0xf;
/** super-frames: cut for the underlay (egress), made of datagrams from it (ingress) */
// @ts-ignore: decorator
@inline export const COUNT_SUPER_FRAMES_EGRESS: u32 = 0x10;
/** super-frames: cut for the underlay (egress), made of datagrams from it (ingress) */
// @ts-ignore: decorator
@inline export const COUNT_SUPER_FRAMES_INGRESS: u32 = 0x11;
/** UDP_SEGMENT sends made of several frames */
// @ts-ignore: decorator
@inline export const COUNT_GROUPED_SENDS: u32 = 0x12;
/** UDP_SEGMENT sends that the kernel refused and that went out as single datagrams */
// @ts-ignore: decorator
@inline export const COUNT_GSO_FALLBACKS: u32 = 0x13;
/** frames that a prefix route kept from being flooded */
// @ts-ignore: decorator
@inline export const COUNT_PREFIX_EGRESS: u32 = 0x14;
/** frames in all egress batches */
// @ts-ignore: decorator
@inline export const COUNT_BATCH_SUM_EGRESS: u32 = 0x15;
/** receive buffers in all ingress batches (one holds many datagrams after UDP_GRO) */
// @ts-ignore: decorator
@inline export const COUNT_BATCH_SUM_INGRESS: u32 = 0x16;
/** nanoseconds spent between two polls that brought frames */
// @ts-ignore: decorator
@inline export const COUNT_LOOP_NS: u32 = 0x17;
/** loops that had work */
// @ts-ignore: decorator
@inline export const COUNT_LOOPS: u32 = 0x18;
/** epoll_wait calls */
// @ts-ignore: decorator
@inline export const COUNT_SYS_POLL: u32 = 0x19;
/** TAP read calls */
// @ts-ignore: decorator
@inline export const COUNT_SYS_READ: u32 = 0x1a;
/** TAP writev calls */
// @ts-ignore: decorator
@inline export const COUNT_SYS_WRITEV: u32 = 0x1b;
/** recvmmsg calls */
// @ts-ignore: decorator
@inline export const COUNT_SYS_RECVMMSG: u32 = 0x1c;
/** sendmmsg calls */
// @ts-ignore: decorator
@inline export const COUNT_SYS_SENDMMSG: u32 = 0x1d;
/** first drop cell; cell = DROP_BASE + reason * 2 + plane */
// @ts-ignore: decorator
@inline export const DROP_BASE: u32 = 0x1e;
/** first cell of the batch histogram */
// @ts-ignore: decorator
@inline export const BATCH_BASE: u32 = 0x5e;
/** first cell of the loop time histogram */
// @ts-ignore: decorator
@inline export const LOOP_BASE: u32 = 0x70;
/** u64 cells of a worker's counter block */
// @ts-ignore: decorator
@inline export const COUNTER_CELLS: u32 = 0x80;
/** Octet of the region table that holds the base of WORKER (Worker). */
// @ts-ignore: decorator
@inline export const REGION_WORKER: usize = 64;
/** Octet of the region table that holds the base of NETWORKS (Network). */
// @ts-ignore: decorator
@inline export const REGION_NETWORKS: usize = 88;
/** Octet of the region table that holds the base of PORTS (Port). */
// @ts-ignore: decorator
@inline export const REGION_PORTS: usize = 112;
/** Octet of the region table that holds the base of VTEPS (Vtep). */
// @ts-ignore: decorator
@inline export const REGION_VTEPS: usize = 136;
/** Octet of the region table that holds the base of ROUTES (Route). */
// @ts-ignore: decorator
@inline export const REGION_ROUTES: usize = 160;
/** Octet of the region table that holds the base of FDB (FdbBucket). */
// @ts-ignore: decorator
@inline export const REGION_FDB: usize = 184;
/** Octet of the region table that holds the base of NEIGHBOURS (NeighbourBucket). */
// @ts-ignore: decorator
@inline export const REGION_NEIGHBOURS: usize = 208;
/** Octet of the region table that holds the base of PORT_LIVE (PortLive). */
// @ts-ignore: decorator
@inline export const REGION_PORT_LIVE: usize = 232;
/** Octet of the region table that holds the base of COUNTERS (u64). */
// @ts-ignore: decorator
@inline export const REGION_COUNTERS: usize = 256;
/** Octet of the region table that holds the base of PORT_COUNTERS (PortCounters). */
// @ts-ignore: decorator
@inline export const REGION_PORT_COUNTERS: usize = 280;
/** Octet of the region table that holds the base of VTEP_COUNTERS (VtepCounters). */
// @ts-ignore: decorator
@inline export const REGION_VTEP_COUNTERS: usize = 304;
/** Octet of the region table that holds the base of NETWORK_COUNTERS (NetworkCounters). */
// @ts-ignore: decorator
@inline export const REGION_NETWORK_COUNTERS: usize = 328;
/** Octet of the region table that holds the base of EVENTS (Event). */
// @ts-ignore: decorator
@inline export const REGION_EVENTS: usize = 352;
/** Octet of the region table that holds the base of RX_DESCS (RxDesc). */
// @ts-ignore: decorator
@inline export const REGION_RX_DESCS: usize = 376;
/** Octet of the region table that holds the base of TX_OPS (TxOp). */
// @ts-ignore: decorator
@inline export const REGION_TX_OPS: usize = 400;
/** Octet of the region table that holds the base of IOVS (Iov). */
// @ts-ignore: decorator
@inline export const REGION_IOVS: usize = 424;
/** Octet of the region table that holds the base of HEADERS (octets:192). */
// @ts-ignore: decorator
@inline export const REGION_HEADERS: usize = 448;
/** Octet of the region table that holds the base of ITEM_HEADS (octets:256). */
// @ts-ignore: decorator
@inline export const REGION_ITEM_HEADS: usize = 472;
/** Octet of the region table that holds the base of ITEMS (JoinItem). */
// @ts-ignore: decorator
@inline export const REGION_ITEMS: usize = 496;
/** Octet of the region table that holds the base of AEADS (Aead). */
// @ts-ignore: decorator
@inline export const REGION_AEADS: usize = 520;
/** Octet of the region table that holds the base of BLAKE2S (Blake2s). */
// @ts-ignore: decorator
@inline export const REGION_BLAKE2S: usize = 544;
/** Octet of the region table that holds the base of SLOTS (octets:69696). */
// @ts-ignore: decorator
@inline export const REGION_SLOTS: usize = 568;

/** Octet 0 of the memory. Written once at start, except generation. */
// @ts-ignore: decorator
@inline export const HEADER_SIZE: usize = 64;
// @ts-ignore: decorator
@unmanaged
export class Header {
  magic: u32; // 0x54464557, "WEFT"
  abiHash: u32; // first 32 bits of SHA-256 over this table
  memoryBytes: u32; // size of the memory; 0 means 4 GiB
  regionCount: u32; // entries of the region table that follows at octet 64
  workers: u32; // worker threads
  generation: u32; // configuration in force; low bit picks the copy of double-buffered regions (atomic)
  hashSeedLo: u32; // secret of the FDB, neighbour and route hashes, random at start
  hashSeedHi: u32; // its upper half
  fdbMax: u32; // dynamic FDB entries allowed
  fdbCount: u32; // dynamic FDB entries held (atomic)
  neighbourMax: u32; // neighbour entries allowed
  neighbourCount: u32; // neighbour entries held (atomic)
  gsoSegments: u32; // datagrams one UDP_SEGMENT send takes; 1: the kernel has no UDP_SEGMENT
  offloads: u32; // OFFLOAD bits: what the devices of ports take
  pad: u64;
}
if (offsetof<Header>("magic") != 0) ERROR("abi: Header.magic");
if (offsetof<Header>("abiHash") != 4) ERROR("abi: Header.abiHash");
if (offsetof<Header>("memoryBytes") != 8) ERROR("abi: Header.memoryBytes");
if (offsetof<Header>("regionCount") != 12) ERROR("abi: Header.regionCount");
if (offsetof<Header>("workers") != 16) ERROR("abi: Header.workers");
if (offsetof<Header>("generation") != 20) ERROR("abi: Header.generation");
if (offsetof<Header>("hashSeedLo") != 24) ERROR("abi: Header.hashSeedLo");
if (offsetof<Header>("hashSeedHi") != 28) ERROR("abi: Header.hashSeedHi");
if (offsetof<Header>("fdbMax") != 32) ERROR("abi: Header.fdbMax");
if (offsetof<Header>("fdbCount") != 36) ERROR("abi: Header.fdbCount");
if (offsetof<Header>("neighbourMax") != 40) ERROR("abi: Header.neighbourMax");
if (offsetof<Header>("neighbourCount") != 44) ERROR("abi: Header.neighbourCount");
if (offsetof<Header>("gsoSegments") != 48) ERROR("abi: Header.gsoSegments");
if (offsetof<Header>("offloads") != 52) ERROR("abi: Header.offloads");
if (offsetof<Header>("pad") != 56) ERROR("abi: Header.pad");
if (offsetof<Header>() != 64) ERROR("abi: size of Header");

/** One entry of the region table. address(worker, copy, i) = base + worker*perWorker + copy*perCopy + i*stride. */
// @ts-ignore: decorator
@inline export const REGION_SIZE: usize = 24;
// @ts-ignore: decorator
@unmanaged
export class Region {
  base: u32; // first octet
  stride: u32; // octets of one element
  count: u32; // elements of one worker's and one copy's part
  perWorker: u32; // octets from one worker's part to the next; 0: shared by all
  perCopy: u32; // octets from copy 0 to copy 1; 0: not double-buffered
  pad: u32;
}
if (offsetof<Region>("base") != 0) ERROR("abi: Region.base");
if (offsetof<Region>("stride") != 4) ERROR("abi: Region.stride");
if (offsetof<Region>("count") != 8) ERROR("abi: Region.count");
if (offsetof<Region>("perWorker") != 12) ERROR("abi: Region.perWorker");
if (offsetof<Region>("perCopy") != 16) ERROR("abi: Region.perCopy");
if (offsetof<Region>("pad") != 20) ERROR("abi: Region.pad");
if (offsetof<Region>() != 24) ERROR("abi: size of Region");

/** State of one worker between calls. Written by the worker; generation is read by the main thread. */
// @ts-ignore: decorator
@inline export const WORKER_SIZE: usize = 144;
// @ts-ignore: decorator
@unmanaged
export class Worker {
  generation: u32; // configuration this worker runs under, or GENERATION_PARKED (atomic)
  index: u32; // worker number
  txCount: u32; // transmit operations waiting in the TxOp region
  iovCount: u32; // iovecs used by them
  resumeSeg: u32; // segments of the first descriptor that an earlier ingress call has already judged
  ageBucket: u32; // next FDB bucket to age
  nowMs: u32; // time of the running batch, monotonic, modulo 2^32
  eventHead: u32; // events written, modulo 2^32 (atomic)
  eventTail: u32; // events read by the main thread (atomic, written by the main thread)
  networks: u32; // address of the Network records of the generation in force
  ports: u32; // address of the Port records
  vteps: u32; // address of the Vtep records
  routes: u32; // address of the Route cells
  counters: u32; // address of this worker's counter block
  portCounters: u32; // address of this worker's PortCounters
  vtepCounters: u32; // address of this worker's VtepCounters
  networkCounters: u32; // address of this worker's NetworkCounters
  rxDescs: u32; // address of this worker's receive descriptors
  txOps: u32; // address of this worker's transmit operations
  iovs: u32; // address of this worker's iovecs
  txMax: u32; // transmit operations there is room for
  iovMax: u32; // iovecs there is room for
  neighbourBucket: u32; // next neighbour bucket to age
  refusedVtepTick: u32; // tick + 1 of the last REFUSED_VTEP event; 0: none yet
  refusedVniTick: u32; // tick + 1 of the last REFUSED_VNI event; 0: none yet
  headers: u32; // address of this worker's header areas
  headerCount: u32; // header areas used by the waiting operations
  items: u32; // address of this worker's join items
  itemCount: u32; // join items used by the waiting operations
  lastItem: u32; // join item that took the last frame, index + 1: runs come one after the other; 0: none
  itemHeads: u32; // address of the hash heads of join items
  clockMs: u32; // monotonic time when poll() last returned, modulo 2^32; written by the Io
  lastDst: u64; // FDB key of the destination that this egress call has looked up last; all ones: none
  lastOwner: u32; // what was found for it
  pad: u32;
}
if (offsetof<Worker>("generation") != 0) ERROR("abi: Worker.generation");
if (offsetof<Worker>("index") != 4) ERROR("abi: Worker.index");
if (offsetof<Worker>("txCount") != 8) ERROR("abi: Worker.txCount");
if (offsetof<Worker>("iovCount") != 12) ERROR("abi: Worker.iovCount");
if (offsetof<Worker>("resumeSeg") != 16) ERROR("abi: Worker.resumeSeg");
if (offsetof<Worker>("ageBucket") != 20) ERROR("abi: Worker.ageBucket");
if (offsetof<Worker>("nowMs") != 24) ERROR("abi: Worker.nowMs");
if (offsetof<Worker>("eventHead") != 28) ERROR("abi: Worker.eventHead");
if (offsetof<Worker>("eventTail") != 32) ERROR("abi: Worker.eventTail");
if (offsetof<Worker>("networks") != 36) ERROR("abi: Worker.networks");
if (offsetof<Worker>("ports") != 40) ERROR("abi: Worker.ports");
if (offsetof<Worker>("vteps") != 44) ERROR("abi: Worker.vteps");
if (offsetof<Worker>("routes") != 48) ERROR("abi: Worker.routes");
if (offsetof<Worker>("counters") != 52) ERROR("abi: Worker.counters");
if (offsetof<Worker>("portCounters") != 56) ERROR("abi: Worker.portCounters");
if (offsetof<Worker>("vtepCounters") != 60) ERROR("abi: Worker.vtepCounters");
if (offsetof<Worker>("networkCounters") != 64) ERROR("abi: Worker.networkCounters");
if (offsetof<Worker>("rxDescs") != 68) ERROR("abi: Worker.rxDescs");
if (offsetof<Worker>("txOps") != 72) ERROR("abi: Worker.txOps");
if (offsetof<Worker>("iovs") != 76) ERROR("abi: Worker.iovs");
if (offsetof<Worker>("txMax") != 80) ERROR("abi: Worker.txMax");
if (offsetof<Worker>("iovMax") != 84) ERROR("abi: Worker.iovMax");
if (offsetof<Worker>("neighbourBucket") != 88) ERROR("abi: Worker.neighbourBucket");
if (offsetof<Worker>("refusedVtepTick") != 92) ERROR("abi: Worker.refusedVtepTick");
if (offsetof<Worker>("refusedVniTick") != 96) ERROR("abi: Worker.refusedVniTick");
if (offsetof<Worker>("headers") != 100) ERROR("abi: Worker.headers");
if (offsetof<Worker>("headerCount") != 104) ERROR("abi: Worker.headerCount");
if (offsetof<Worker>("items") != 108) ERROR("abi: Worker.items");
if (offsetof<Worker>("itemCount") != 112) ERROR("abi: Worker.itemCount");
if (offsetof<Worker>("lastItem") != 116) ERROR("abi: Worker.lastItem");
if (offsetof<Worker>("itemHeads") != 120) ERROR("abi: Worker.itemHeads");
if (offsetof<Worker>("clockMs") != 124) ERROR("abi: Worker.clockMs");
if (offsetof<Worker>("lastDst") != 128) ERROR("abi: Worker.lastDst");
if (offsetof<Worker>("lastOwner") != 136) ERROR("abi: Worker.lastOwner");
if (offsetof<Worker>("pad") != 140) ERROR("abi: Worker.pad");
if (offsetof<Worker>() != 144) ERROR("abi: size of Worker");

/** One received frame or datagram. The first 40 octets are written by the addon, the rest by parse(). */
// @ts-ignore: decorator
@inline export const RX_DESC_SIZE: usize = 128;
// @ts-ignore: decorator
@inline export const RX_DESC_ADDR: usize = 16;
// @ts-ignore: decorator
@unmanaged
export class RxDesc {
  off: u32; // first octet received: virtio_net_hdr (TAP) or UDP payload
  len: u32; // octets received
  source: u32; // TAP: port index; UDP: 0 for the IPv4 socket, 1 for the IPv6 socket
  segLen: u32; // UDP_GRO segment length; 0: one datagram
  addr_0: u64;
  addr_1: u64;
  addrPort: u16; // UDP: outer source port, host order
  tos: u8; // UDP: outer TOS or traffic class
  rxFlags: u8; // RX bits
  pad0: u32;
  frame: u32; // first octet of the Ethernet header
  frameLen: u32; // octets of the frame
  network: u16; // network index
  etherType: u16; // EtherType behind any VLAN tags, host order
  l3Off: u16; // octets from frame to the IP or ARP header; 0: neither
  l4Off: u16; // octets from frame to the transport header; valid with L3_L4
  ipVersion: u8; // 4, 6, or 0
  ipProto: u8; // transport protocol, or 0
  l3Flags: u8; // L3 bits
  vnetFlags: u8; // virtio_net_hdr flags to hand on
  gsoType: u8; // virtio_net_hdr gso_type to hand on
  pad1: u8;
  hdrLen: u16; // virtio_net_hdr hdr_len
  gsoSize: u16; // virtio_net_hdr gso_size
  csumStart: u16; // virtio_net_hdr csum_start, from the Ethernet header
  csumOffset: u16; // virtio_net_hdr csum_offset
  pad2: u16;
  hash: u32; // symmetric flow hash
  identity: u32; // source identity for policy
  owner: u32; // KIND << 24 | index of where the frame came from
  ownerGeneration: u16; // generation of that port or VTEP
  plane: u8; // PLANE
  pad3: u8;
  conntrack: u32; // reserved for connection tracking
  trace: u32; // reserved for tracing
  run: u32; // port index + 1 that the last datagram of this buffer went to, when the next may follow it; 0: it may not
  vtep: u32; // VTEP index + 1 that this buffer is from; 0: none
  reserved_0: u64;
  reserved_1: u64;
  reserved_2: u64;
}
if (offsetof<RxDesc>("off") != 0) ERROR("abi: RxDesc.off");
if (offsetof<RxDesc>("len") != 4) ERROR("abi: RxDesc.len");
if (offsetof<RxDesc>("source") != 8) ERROR("abi: RxDesc.source");
if (offsetof<RxDesc>("segLen") != 12) ERROR("abi: RxDesc.segLen");
if (offsetof<RxDesc>("addrPort") != 32) ERROR("abi: RxDesc.addrPort");
if (offsetof<RxDesc>("tos") != 34) ERROR("abi: RxDesc.tos");
if (offsetof<RxDesc>("rxFlags") != 35) ERROR("abi: RxDesc.rxFlags");
if (offsetof<RxDesc>("pad0") != 36) ERROR("abi: RxDesc.pad0");
if (offsetof<RxDesc>("frame") != 40) ERROR("abi: RxDesc.frame");
if (offsetof<RxDesc>("frameLen") != 44) ERROR("abi: RxDesc.frameLen");
if (offsetof<RxDesc>("network") != 48) ERROR("abi: RxDesc.network");
if (offsetof<RxDesc>("etherType") != 50) ERROR("abi: RxDesc.etherType");
if (offsetof<RxDesc>("l3Off") != 52) ERROR("abi: RxDesc.l3Off");
if (offsetof<RxDesc>("l4Off") != 54) ERROR("abi: RxDesc.l4Off");
if (offsetof<RxDesc>("ipVersion") != 56) ERROR("abi: RxDesc.ipVersion");
if (offsetof<RxDesc>("ipProto") != 57) ERROR("abi: RxDesc.ipProto");
if (offsetof<RxDesc>("l3Flags") != 58) ERROR("abi: RxDesc.l3Flags");
if (offsetof<RxDesc>("vnetFlags") != 59) ERROR("abi: RxDesc.vnetFlags");
if (offsetof<RxDesc>("gsoType") != 60) ERROR("abi: RxDesc.gsoType");
if (offsetof<RxDesc>("pad1") != 61) ERROR("abi: RxDesc.pad1");
if (offsetof<RxDesc>("hdrLen") != 62) ERROR("abi: RxDesc.hdrLen");
if (offsetof<RxDesc>("gsoSize") != 64) ERROR("abi: RxDesc.gsoSize");
if (offsetof<RxDesc>("csumStart") != 66) ERROR("abi: RxDesc.csumStart");
if (offsetof<RxDesc>("csumOffset") != 68) ERROR("abi: RxDesc.csumOffset");
if (offsetof<RxDesc>("pad2") != 70) ERROR("abi: RxDesc.pad2");
if (offsetof<RxDesc>("hash") != 72) ERROR("abi: RxDesc.hash");
if (offsetof<RxDesc>("identity") != 76) ERROR("abi: RxDesc.identity");
if (offsetof<RxDesc>("owner") != 80) ERROR("abi: RxDesc.owner");
if (offsetof<RxDesc>("ownerGeneration") != 84) ERROR("abi: RxDesc.ownerGeneration");
if (offsetof<RxDesc>("plane") != 86) ERROR("abi: RxDesc.plane");
if (offsetof<RxDesc>("pad3") != 87) ERROR("abi: RxDesc.pad3");
if (offsetof<RxDesc>("conntrack") != 88) ERROR("abi: RxDesc.conntrack");
if (offsetof<RxDesc>("trace") != 92) ERROR("abi: RxDesc.trace");
if (offsetof<RxDesc>("run") != 96) ERROR("abi: RxDesc.run");
if (offsetof<RxDesc>("vtep") != 100) ERROR("abi: RxDesc.vtep");
if (offsetof<RxDesc>() != 128) ERROR("abi: size of RxDesc");

/** One transmit operation: written by the WASM, carried out by the addon, which writes result, and counted by complete(). */
// @ts-ignore: decorator
@inline export const TX_OP_SIZE: usize = 64;
// @ts-ignore: decorator
@inline export const TX_OP_ADDR: usize = 16;
// @ts-ignore: decorator
@inline export const TX_OP_VNET_HDR: usize = 48;
// @ts-ignore: decorator
@unmanaged
export class TxOp {
  kind: u8; // OP
  tos: u8; // UDP: outer TOS or traffic class
  segs: u16; // frames in this operation
  dest: u32; // TAP: port index; UDP: sending socket, 0..15 IPv4, 16..31 IPv6
  iovStart: u32; // first iovec in this worker's Iov region
  iovCount: u16; // iovecs, 1..1023
  gsoSize: u16; // UDP_SEGMENT size; 0: one datagram
  addr_0: u64;
  addr_1: u64;
  port: u16; // UDP: destination port, host order
  family: u8; // UDP: 4 or 6
  plane: u8; // PLANE of the frame, for counting
  bytes: u32; // octets of the inner frames, for counting
  owner: u32; // KIND << 24 | index of the port or VTEP to count for
  result: i32; // octets taken by the kernel, or -errno; written by the addon
  vnetHdr_0: u64;
  vnetHdr_1: u16;
  network: u16; // network index, for counting
  pad: u32;
}
if (offsetof<TxOp>("kind") != 0) ERROR("abi: TxOp.kind");
if (offsetof<TxOp>("tos") != 1) ERROR("abi: TxOp.tos");
if (offsetof<TxOp>("segs") != 2) ERROR("abi: TxOp.segs");
if (offsetof<TxOp>("dest") != 4) ERROR("abi: TxOp.dest");
if (offsetof<TxOp>("iovStart") != 8) ERROR("abi: TxOp.iovStart");
if (offsetof<TxOp>("iovCount") != 12) ERROR("abi: TxOp.iovCount");
if (offsetof<TxOp>("gsoSize") != 14) ERROR("abi: TxOp.gsoSize");
if (offsetof<TxOp>("port") != 32) ERROR("abi: TxOp.port");
if (offsetof<TxOp>("family") != 34) ERROR("abi: TxOp.family");
if (offsetof<TxOp>("plane") != 35) ERROR("abi: TxOp.plane");
if (offsetof<TxOp>("bytes") != 36) ERROR("abi: TxOp.bytes");
if (offsetof<TxOp>("owner") != 40) ERROR("abi: TxOp.owner");
if (offsetof<TxOp>("result") != 44) ERROR("abi: TxOp.result");
if (offsetof<TxOp>("network") != 58) ERROR("abi: TxOp.network");
if (offsetof<TxOp>("pad") != 60) ERROR("abi: TxOp.pad");
if (offsetof<TxOp>() != 64) ERROR("abi: size of TxOp");

/** An operation that may still take further frames: a super-frame for a port, or a UDP_SEGMENT send. Lives until complete(). */
// @ts-ignore: decorator
@inline export const JOIN_ITEM_SIZE: usize = 48;
// @ts-ignore: decorator
@unmanaged
export class JoinItem {
  op: u32; // address of the TxOp
  key: u32; // hash it is found by
  next: u32; // next item of the same hash head: index + 1, 0 for none
  frame: u32; // first frame: Ethernet header
  headerLen: u32; // octets of Ethernet, IP and transport header
  nextSeq: u32; // TCP sequence number that would continue it
  segLen: u32; // octets of payload (port) or of datagram (UDP_SEGMENT) that all but the last piece have
  octets: u32; // IP packet (port) or datagrams (UDP_SEGMENT) so far
  l3Off: u16; // octets from frame to the IP header
  l4Off: u16; // octets from frame to the transport header
  ipVersion: u8; // 4 or 6
  ipProto: u8; // TCP or UDP
  state: u8; // JOIN
  flags: u8; // PSH of the pieces: 8 or 0
  pad: u64;
}
if (offsetof<JoinItem>("op") != 0) ERROR("abi: JoinItem.op");
if (offsetof<JoinItem>("key") != 4) ERROR("abi: JoinItem.key");
if (offsetof<JoinItem>("next") != 8) ERROR("abi: JoinItem.next");
if (offsetof<JoinItem>("frame") != 12) ERROR("abi: JoinItem.frame");
if (offsetof<JoinItem>("headerLen") != 16) ERROR("abi: JoinItem.headerLen");
if (offsetof<JoinItem>("nextSeq") != 20) ERROR("abi: JoinItem.nextSeq");
if (offsetof<JoinItem>("segLen") != 24) ERROR("abi: JoinItem.segLen");
if (offsetof<JoinItem>("octets") != 28) ERROR("abi: JoinItem.octets");
if (offsetof<JoinItem>("l3Off") != 32) ERROR("abi: JoinItem.l3Off");
if (offsetof<JoinItem>("l4Off") != 34) ERROR("abi: JoinItem.l4Off");
if (offsetof<JoinItem>("ipVersion") != 36) ERROR("abi: JoinItem.ipVersion");
if (offsetof<JoinItem>("ipProto") != 37) ERROR("abi: JoinItem.ipProto");
if (offsetof<JoinItem>("state") != 38) ERROR("abi: JoinItem.state");
if (offsetof<JoinItem>("flags") != 39) ERROR("abi: JoinItem.flags");
if (offsetof<JoinItem>("pad") != 40) ERROR("abi: JoinItem.pad");
if (offsetof<JoinItem>() != 48) ERROR("abi: size of JoinItem");

/** A piece of a frame to send. */
// @ts-ignore: decorator
@inline export const IOV_SIZE: usize = 8;
// @ts-ignore: decorator
@unmanaged
export class Iov {
  off: u32; // first octet
  len: u32; // octets
}
if (offsetof<Iov>("off") != 0) ERROR("abi: Iov.off");
if (offsetof<Iov>("len") != 4) ERROR("abi: Iov.len");
if (offsetof<Iov>() != 8) ERROR("abi: size of Iov");

/** A virtual Ethernet. Double-buffered; written by the main thread. */
// @ts-ignore: decorator
@inline export const NETWORK_SIZE: usize = 128;
// @ts-ignore: decorator
@unmanaged
export class Network {
  flags: u32; // NETWORK bits
  vni: u32; // VXLAN network identifier, 1..2^24-1
  portHead: u32; // first port of the network: index + 1, 0 for none
  vtepHead: u32; // first VTEP of the network: index + 1, 0 for none
  mtu: u32; // octets of the longest IP packet inside
  ageTicks: u32; // ticks after which an unseen MAC is forgotten, 1..32767; 0 never
  bumRate: u32; // BUM frames per second and port; 0: unlimited
  bumBurst: u32; // BUM frames a port may send at once
  macsPerPort: u32; // MACs learned per port
  pad0: u32;
  v4Lens: u64; // bit n: an IPv4 prefix of length n exists (0..32)
  v6Lens0: u64; // bit n: an IPv6 prefix of length n exists (0..63)
  v6Lens1: u64; // the same for 64..127
  v6Lens2: u64; // bit 0: an IPv6 prefix of length 128 exists
  fanout: u32; // ports and VTEPs of the network: the most copies one frame can become
  pad1_0: u32;
  pad1_1: u64;
  pad1_2: u64;
  pad1_3: u64;
  pad1_4: u64;
  pad1_5: u64;
  pad1_6: u64;
}
if (offsetof<Network>("flags") != 0) ERROR("abi: Network.flags");
if (offsetof<Network>("vni") != 4) ERROR("abi: Network.vni");
if (offsetof<Network>("portHead") != 8) ERROR("abi: Network.portHead");
if (offsetof<Network>("vtepHead") != 12) ERROR("abi: Network.vtepHead");
if (offsetof<Network>("mtu") != 16) ERROR("abi: Network.mtu");
if (offsetof<Network>("ageTicks") != 20) ERROR("abi: Network.ageTicks");
if (offsetof<Network>("bumRate") != 24) ERROR("abi: Network.bumRate");
if (offsetof<Network>("bumBurst") != 28) ERROR("abi: Network.bumBurst");
if (offsetof<Network>("macsPerPort") != 32) ERROR("abi: Network.macsPerPort");
if (offsetof<Network>("pad0") != 36) ERROR("abi: Network.pad0");
if (offsetof<Network>("v4Lens") != 40) ERROR("abi: Network.v4Lens");
if (offsetof<Network>("v6Lens0") != 48) ERROR("abi: Network.v6Lens0");
if (offsetof<Network>("v6Lens1") != 56) ERROR("abi: Network.v6Lens1");
if (offsetof<Network>("v6Lens2") != 64) ERROR("abi: Network.v6Lens2");
if (offsetof<Network>("fanout") != 72) ERROR("abi: Network.fanout");
if (offsetof<Network>() != 128) ERROR("abi: size of Network");

/** A local port. Double-buffered; written by the main thread. */
// @ts-ignore: decorator
@inline export const PORT_SIZE: usize = 64;
// @ts-ignore: decorator
@unmanaged
export class Port {
  flags: u32; // PORT bits
  network: u16; // network index
  generation: u16; // changes with each use of the index, so that stale FDB entries are seen
  next: u32; // next port of the network: index + 1, 0 for none
  identity: u32; // source identity for policy
  mac: u64; // the port's own MAC: first octet in bits 47..40
  mtu: u32; // octets of the longest IP packet the device takes
  pad_0: u32;
  pad_1: u64;
  pad_2: u64;
  pad_3: u64;
  pad_4: u64;
}
if (offsetof<Port>("flags") != 0) ERROR("abi: Port.flags");
if (offsetof<Port>("network") != 4) ERROR("abi: Port.network");
if (offsetof<Port>("generation") != 6) ERROR("abi: Port.generation");
if (offsetof<Port>("next") != 8) ERROR("abi: Port.next");
if (offsetof<Port>("identity") != 12) ERROR("abi: Port.identity");
if (offsetof<Port>("mac") != 16) ERROR("abi: Port.mac");
if (offsetof<Port>("mtu") != 24) ERROR("abi: Port.mtu");
if (offsetof<Port>() != 64) ERROR("abi: size of Port");

/** A VTEP of one network. Double-buffered; written by the main thread. */
// @ts-ignore: decorator
@inline export const VTEP_SIZE: usize = 64;
// @ts-ignore: decorator
@inline export const VTEP_ADDR: usize = 16;
// @ts-ignore: decorator
@unmanaged
export class Vtep {
  flags: u32; // VTEP bits
  network: u16; // network index
  generation: u16; // changes with each use of the index
  next: u32; // next VTEP of the network: index + 1, 0 for none
  port: u16; // UDP port, host order
  family: u8; // 4 or 6
  pad0: u8;
  addr_0: u64;
  addr_1: u64;
  peer: u32; // WireGuard peer index + 1; 0: an underlay address
  pad1_0: u32;
  pad1_1: u64;
  pad1_2: u64;
  pad1_3: u64;
}
if (offsetof<Vtep>("flags") != 0) ERROR("abi: Vtep.flags");
if (offsetof<Vtep>("network") != 4) ERROR("abi: Vtep.network");
if (offsetof<Vtep>("generation") != 6) ERROR("abi: Vtep.generation");
if (offsetof<Vtep>("next") != 8) ERROR("abi: Vtep.next");
if (offsetof<Vtep>("port") != 12) ERROR("abi: Vtep.port");
if (offsetof<Vtep>("family") != 14) ERROR("abi: Vtep.family");
if (offsetof<Vtep>("pad0") != 15) ERROR("abi: Vtep.pad0");
if (offsetof<Vtep>("peer") != 32) ERROR("abi: Vtep.peer");
if (offsetof<Vtep>() != 64) ERROR("abi: size of Vtep");

/** One cell of the route hash (open addressing, linear probing). Double-buffered; written by the main thread. */
// @ts-ignore: decorator
@inline export const ROUTE_SIZE: usize = 32;
// @ts-ignore: decorator
@unmanaged
export class Route {
  tag: u32; // ROUTE << 24 | prefix length << 16 | network; 0: free
  value: u32; // KIND << 24 | index
  keyHi: u64; // first eight key octets as a big-endian number (MAC, VNI: 0)
  keyLo: u64; // last eight key octets; MAC or VNI as a number; IPv4 as ::ffff:a.b.c.d
  generation: u16; // generation of the port or VTEP
  pad_0: u16;
  pad_1: u32;
}
if (offsetof<Route>("tag") != 0) ERROR("abi: Route.tag");
if (offsetof<Route>("value") != 4) ERROR("abi: Route.value");
if (offsetof<Route>("keyHi") != 8) ERROR("abi: Route.keyHi");
if (offsetof<Route>("keyLo") != 16) ERROR("abi: Route.keyLo");
if (offsetof<Route>("generation") != 24) ERROR("abi: Route.generation");
if (offsetof<Route>() != 32) ERROR("abi: size of Route");

/** Three learned MACs. key = network << 48 | MAC; value = stamp << 48 | generation << 32 | KIND << 24 | index. */
// @ts-ignore: decorator
@inline export const FDB_BUCKET_SIZE: usize = 64;
// @ts-ignore: decorator
@unmanaged
export class FdbBucket {
  latch: u32; // odd while a worker writes (atomic); readers retry when it changed
  pad: u32;
  key0: u64; // first cell; 0: free
  value0: u64;
  key1: u64;
  value1: u64;
  key2: u64;
  value2: u64;
  pad1: u64;
}
if (offsetof<FdbBucket>("latch") != 0) ERROR("abi: FdbBucket.latch");
if (offsetof<FdbBucket>("pad") != 4) ERROR("abi: FdbBucket.pad");
if (offsetof<FdbBucket>("key0") != 8) ERROR("abi: FdbBucket.key0");
if (offsetof<FdbBucket>("value0") != 16) ERROR("abi: FdbBucket.value0");
if (offsetof<FdbBucket>("key1") != 24) ERROR("abi: FdbBucket.key1");
if (offsetof<FdbBucket>("value1") != 32) ERROR("abi: FdbBucket.value1");
if (offsetof<FdbBucket>("key2") != 40) ERROR("abi: FdbBucket.key2");
if (offsetof<FdbBucket>("value2") != 48) ERROR("abi: FdbBucket.value2");
if (offsetof<FdbBucket>("pad1") != 56) ERROR("abi: FdbBucket.pad1");
if (offsetof<FdbBucket>() != 64) ERROR("abi: size of FdbBucket");

/** Three IP addresses seen in ARP and ND. meta = KIND << 56 | index << 32 | stamp << 16 | network + 1. */
// @ts-ignore: decorator
@inline export const NEIGHBOUR_BUCKET_SIZE: usize = 128;
// @ts-ignore: decorator
@unmanaged
export class NeighbourBucket {
  latch: u32; // as in FdbBucket (atomic)
  pad_0: u32;
  pad_1: u64;
  pad_2: u64;
  pad_3: u64;
  hi0: u64; // IP address, first half (big-endian number)
  lo0: u64; // second half; IPv4 as ::ffff:a.b.c.d
  mac0: u64; // MAC
  meta0: u64; // 0: free
  hi1: u64;
  lo1: u64;
  mac1: u64;
  meta1: u64;
  hi2: u64;
  lo2: u64;
  mac2: u64;
  meta2: u64;
}
if (offsetof<NeighbourBucket>("latch") != 0) ERROR("abi: NeighbourBucket.latch");
if (offsetof<NeighbourBucket>("hi0") != 32) ERROR("abi: NeighbourBucket.hi0");
if (offsetof<NeighbourBucket>("lo0") != 40) ERROR("abi: NeighbourBucket.lo0");
if (offsetof<NeighbourBucket>("mac0") != 48) ERROR("abi: NeighbourBucket.mac0");
if (offsetof<NeighbourBucket>("meta0") != 56) ERROR("abi: NeighbourBucket.meta0");
if (offsetof<NeighbourBucket>("hi1") != 64) ERROR("abi: NeighbourBucket.hi1");
if (offsetof<NeighbourBucket>("lo1") != 72) ERROR("abi: NeighbourBucket.lo1");
if (offsetof<NeighbourBucket>("mac1") != 80) ERROR("abi: NeighbourBucket.mac1");
if (offsetof<NeighbourBucket>("meta1") != 88) ERROR("abi: NeighbourBucket.meta1");
if (offsetof<NeighbourBucket>("hi2") != 96) ERROR("abi: NeighbourBucket.hi2");
if (offsetof<NeighbourBucket>("lo2") != 104) ERROR("abi: NeighbourBucket.lo2");
if (offsetof<NeighbourBucket>("mac2") != 112) ERROR("abi: NeighbourBucket.mac2");
if (offsetof<NeighbourBucket>("meta2") != 120) ERROR("abi: NeighbourBucket.meta2");
if (offsetof<NeighbourBucket>() != 128) ERROR("abi: size of NeighbourBucket");

/** What workers know of a port beside its configuration. Zeroed by the main thread while nobody uses the index. */
// @ts-ignore: decorator
@inline export const PORT_LIVE_SIZE: usize = 16;
// @ts-ignore: decorator
@unmanaged
export class PortLive {
  macs: u32; // learned MACs (atomic)
  bumTokens: u32; // tokens left, in 1/1000 of a frame; written by the port's worker
  bumStampMs: u32; // time of the last refill
  pad: u32;
}
if (offsetof<PortLive>("macs") != 0) ERROR("abi: PortLive.macs");
if (offsetof<PortLive>("bumTokens") != 4) ERROR("abi: PortLive.bumTokens");
if (offsetof<PortLive>("bumStampMs") != 8) ERROR("abi: PortLive.bumStampMs");
if (offsetof<PortLive>("pad") != 12) ERROR("abi: PortLive.pad");
if (offsetof<PortLive>() != 16) ERROR("abi: size of PortLive");

/** One event for the main thread. */
// @ts-ignore: decorator
@inline export const EVENT_SIZE: usize = 48;
// @ts-ignore: decorator
@inline export const EVENT_SOURCE: usize = 24;
// @ts-ignore: decorator
@unmanaged
export class Event {
  kind: u32; // EVENT
  network: u32; // network index; REFUSED_VNI: the VNI
  mac: u64; // the MAC
  owner: u32; // KIND << 24 | index of where it is, or was for AGED and EVICTED
  previous: u32; // MOVED: where it was
  source_0: u64;
  source_1: u64;
  pad: u64;
}
if (offsetof<Event>("kind") != 0) ERROR("abi: Event.kind");
if (offsetof<Event>("network") != 4) ERROR("abi: Event.network");
if (offsetof<Event>("mac") != 8) ERROR("abi: Event.mac");
if (offsetof<Event>("owner") != 16) ERROR("abi: Event.owner");
if (offsetof<Event>("previous") != 20) ERROR("abi: Event.previous");
if (offsetof<Event>("pad") != 40) ERROR("abi: Event.pad");
if (offsetof<Event>() != 48) ERROR("abi: size of Event");

/** ChaCha20-Poly1305 at work: one per worker. Holds key material only while a message is sealed or opened. */
// @ts-ignore: decorator
@inline export const AEAD_SIZE: usize = 688;
// @ts-ignore: decorator
@inline export const AEAD_MATRIX: usize = 0;
// @ts-ignore: decorator
@inline export const AEAD_H: usize = 64;
// @ts-ignore: decorator
@inline export const AEAD_R: usize = 104;
// @ts-ignore: decorator
@inline export const AEAD_R2: usize = 176;
// @ts-ignore: decorator
@inline export const AEAD_R3: usize = 248;
// @ts-ignore: decorator
@inline export const AEAD_R4: usize = 320;
// @ts-ignore: decorator
@inline export const AEAD_ADDEND: usize = 392;
// @ts-ignore: decorator
@inline export const AEAD_BLOCK: usize = 416;
// @ts-ignore: decorator
@inline export const AEAD_KEYSTREAM: usize = 432;
// @ts-ignore: decorator
@unmanaged
export class Aead {
  matrix_0: u64;
  matrix_1: u64;
  matrix_2: u64;
  matrix_3: u64;
  matrix_4: u64;
  matrix_5: u64;
  matrix_6: u64;
  matrix_7: u64;
  h_0: u64;
  h_1: u64;
  h_2: u64;
  h_3: u64;
  h_4: u64;
  r_0: u64;
  r_1: u64;
  r_2: u64;
  r_3: u64;
  r_4: u64;
  r_5: u64;
  r_6: u64;
  r_7: u64;
  r_8: u64;
  r2_0: u64;
  r2_1: u64;
  r2_2: u64;
  r2_3: u64;
  r2_4: u64;
  r2_5: u64;
  r2_6: u64;
  r2_7: u64;
  r2_8: u64;
  r3_0: u64;
  r3_1: u64;
  r3_2: u64;
  r3_3: u64;
  r3_4: u64;
  r3_5: u64;
  r3_6: u64;
  r3_7: u64;
  r3_8: u64;
  r4_0: u64;
  r4_1: u64;
  r4_2: u64;
  r4_3: u64;
  r4_4: u64;
  r4_5: u64;
  r4_6: u64;
  r4_7: u64;
  r4_8: u64;
  addend_0: u64;
  addend_1: u64;
  pad: u64;
  block_0: u64;
  block_1: u64;
  keystream_0: u64;
  keystream_1: u64;
  keystream_2: u64;
  keystream_3: u64;
  keystream_4: u64;
  keystream_5: u64;
  keystream_6: u64;
  keystream_7: u64;
  keystream_8: u64;
  keystream_9: u64;
  keystream_10: u64;
  keystream_11: u64;
  keystream_12: u64;
  keystream_13: u64;
  keystream_14: u64;
  keystream_15: u64;
  keystream_16: u64;
  keystream_17: u64;
  keystream_18: u64;
  keystream_19: u64;
  keystream_20: u64;
  keystream_21: u64;
  keystream_22: u64;
  keystream_23: u64;
  keystream_24: u64;
  keystream_25: u64;
  keystream_26: u64;
  keystream_27: u64;
  keystream_28: u64;
  keystream_29: u64;
  keystream_30: u64;
  keystream_31: u64;
}
if (offsetof<Aead>("pad") != 408) ERROR("abi: Aead.pad");
if (offsetof<Aead>() != 688) ERROR("abi: size of Aead");

/** BLAKE2s at work: one per worker. */
// @ts-ignore: decorator
@inline export const BLAKE2S_SIZE: usize = 160;
// @ts-ignore: decorator
@inline export const BLAKE2S_H: usize = 0;
// @ts-ignore: decorator
@inline export const BLAKE2S_V: usize = 32;
// @ts-ignore: decorator
@inline export const BLAKE2S_BLOCK: usize = 96;
// @ts-ignore: decorator
@unmanaged
export class Blake2s {
  h_0: u64;
  h_1: u64;
  h_2: u64;
  h_3: u64;
  v_0: u64;
  v_1: u64;
  v_2: u64;
  v_3: u64;
  v_4: u64;
  v_5: u64;
  v_6: u64;
  v_7: u64;
  block_0: u64;
  block_1: u64;
  block_2: u64;
  block_3: u64;
  block_4: u64;
  block_5: u64;
  block_6: u64;
  block_7: u64;
}
if (offsetof<Blake2s>() != 160) ERROR("abi: size of Blake2s");

/** Counters of a receiving key that have been seen (RFC 6479). */
// @ts-ignore: decorator
@inline export const REPLAY_SIZE: usize = 2056;
// @ts-ignore: decorator
@inline export const REPLAY_BITS: usize = 8;
// @ts-ignore: decorator
@unmanaged
export class Replay {
  next: u64; // newest counter seen + 1; 0: none yet
  bits_0: u64;
  bits_1: u64;
  bits_2: u64;
  bits_3: u64;
  bits_4: u64;
  bits_5: u64;
  bits_6: u64;
  bits_7: u64;
  bits_8: u64;
  bits_9: u64;
  bits_10: u64;
  bits_11: u64;
  bits_12: u64;
  bits_13: u64;
  bits_14: u64;
  bits_15: u64;
  bits_16: u64;
  bits_17: u64;
  bits_18: u64;
  bits_19: u64;
  bits_20: u64;
  bits_21: u64;
  bits_22: u64;
  bits_23: u64;
  bits_24: u64;
  bits_25: u64;
  bits_26: u64;
  bits_27: u64;
  bits_28: u64;
  bits_29: u64;
  bits_30: u64;
  bits_31: u64;
  bits_32: u64;
  bits_33: u64;
  bits_34: u64;
  bits_35: u64;
  bits_36: u64;
  bits_37: u64;
  bits_38: u64;
  bits_39: u64;
  bits_40: u64;
  bits_41: u64;
  bits_42: u64;
  bits_43: u64;
  bits_44: u64;
  bits_45: u64;
  bits_46: u64;
  bits_47: u64;
  bits_48: u64;
  bits_49: u64;
  bits_50: u64;
  bits_51: u64;
  bits_52: u64;
  bits_53: u64;
  bits_54: u64;
  bits_55: u64;
  bits_56: u64;
  bits_57: u64;
  bits_58: u64;
  bits_59: u64;
  bits_60: u64;
  bits_61: u64;
  bits_62: u64;
  bits_63: u64;
  bits_64: u64;
  bits_65: u64;
  bits_66: u64;
  bits_67: u64;
  bits_68: u64;
  bits_69: u64;
  bits_70: u64;
  bits_71: u64;
  bits_72: u64;
  bits_73: u64;
  bits_74: u64;
  bits_75: u64;
  bits_76: u64;
  bits_77: u64;
  bits_78: u64;
  bits_79: u64;
  bits_80: u64;
  bits_81: u64;
  bits_82: u64;
  bits_83: u64;
  bits_84: u64;
  bits_85: u64;
  bits_86: u64;
  bits_87: u64;
  bits_88: u64;
  bits_89: u64;
  bits_90: u64;
  bits_91: u64;
  bits_92: u64;
  bits_93: u64;
  bits_94: u64;
  bits_95: u64;
  bits_96: u64;
  bits_97: u64;
  bits_98: u64;
  bits_99: u64;
  bits_100: u64;
  bits_101: u64;
  bits_102: u64;
  bits_103: u64;
  bits_104: u64;
  bits_105: u64;
  bits_106: u64;
  bits_107: u64;
  bits_108: u64;
  bits_109: u64;
  bits_110: u64;
  bits_111: u64;
  bits_112: u64;
  bits_113: u64;
  bits_114: u64;
  bits_115: u64;
  bits_116: u64;
  bits_117: u64;
  bits_118: u64;
  bits_119: u64;
  bits_120: u64;
  bits_121: u64;
  bits_122: u64;
  bits_123: u64;
  bits_124: u64;
  bits_125: u64;
  bits_126: u64;
  bits_127: u64;
  bits_128: u64;
  bits_129: u64;
  bits_130: u64;
  bits_131: u64;
  bits_132: u64;
  bits_133: u64;
  bits_134: u64;
  bits_135: u64;
  bits_136: u64;
  bits_137: u64;
  bits_138: u64;
  bits_139: u64;
  bits_140: u64;
  bits_141: u64;
  bits_142: u64;
  bits_143: u64;
  bits_144: u64;
  bits_145: u64;
  bits_146: u64;
  bits_147: u64;
  bits_148: u64;
  bits_149: u64;
  bits_150: u64;
  bits_151: u64;
  bits_152: u64;
  bits_153: u64;
  bits_154: u64;
  bits_155: u64;
  bits_156: u64;
  bits_157: u64;
  bits_158: u64;
  bits_159: u64;
  bits_160: u64;
  bits_161: u64;
  bits_162: u64;
  bits_163: u64;
  bits_164: u64;
  bits_165: u64;
  bits_166: u64;
  bits_167: u64;
  bits_168: u64;
  bits_169: u64;
  bits_170: u64;
  bits_171: u64;
  bits_172: u64;
  bits_173: u64;
  bits_174: u64;
  bits_175: u64;
  bits_176: u64;
  bits_177: u64;
  bits_178: u64;
  bits_179: u64;
  bits_180: u64;
  bits_181: u64;
  bits_182: u64;
  bits_183: u64;
  bits_184: u64;
  bits_185: u64;
  bits_186: u64;
  bits_187: u64;
  bits_188: u64;
  bits_189: u64;
  bits_190: u64;
  bits_191: u64;
  bits_192: u64;
  bits_193: u64;
  bits_194: u64;
  bits_195: u64;
  bits_196: u64;
  bits_197: u64;
  bits_198: u64;
  bits_199: u64;
  bits_200: u64;
  bits_201: u64;
  bits_202: u64;
  bits_203: u64;
  bits_204: u64;
  bits_205: u64;
  bits_206: u64;
  bits_207: u64;
  bits_208: u64;
  bits_209: u64;
  bits_210: u64;
  bits_211: u64;
  bits_212: u64;
  bits_213: u64;
  bits_214: u64;
  bits_215: u64;
  bits_216: u64;
  bits_217: u64;
  bits_218: u64;
  bits_219: u64;
  bits_220: u64;
  bits_221: u64;
  bits_222: u64;
  bits_223: u64;
  bits_224: u64;
  bits_225: u64;
  bits_226: u64;
  bits_227: u64;
  bits_228: u64;
  bits_229: u64;
  bits_230: u64;
  bits_231: u64;
  bits_232: u64;
  bits_233: u64;
  bits_234: u64;
  bits_235: u64;
  bits_236: u64;
  bits_237: u64;
  bits_238: u64;
  bits_239: u64;
  bits_240: u64;
  bits_241: u64;
  bits_242: u64;
  bits_243: u64;
  bits_244: u64;
  bits_245: u64;
  bits_246: u64;
  bits_247: u64;
  bits_248: u64;
  bits_249: u64;
  bits_250: u64;
  bits_251: u64;
  bits_252: u64;
  bits_253: u64;
  bits_254: u64;
  bits_255: u64;
}
if (offsetof<Replay>("next") != 0) ERROR("abi: Replay.next");
if (offsetof<Replay>() != 2056) ERROR("abi: size of Replay");

/** Traffic of a port, one block per worker. Receive is into the switch. Octets of Ethernet frames. */
// @ts-ignore: decorator
@inline export const PORT_COUNTERS_SIZE: usize = 32;
// @ts-ignore: decorator
@unmanaged
export class PortCounters {
  rxPackets: u64;
  rxBytes: u64;
  txPackets: u64;
  txBytes: u64;
}
if (offsetof<PortCounters>("rxPackets") != 0) ERROR("abi: PortCounters.rxPackets");
if (offsetof<PortCounters>("rxBytes") != 8) ERROR("abi: PortCounters.rxBytes");
if (offsetof<PortCounters>("txPackets") != 16) ERROR("abi: PortCounters.txPackets");
if (offsetof<PortCounters>("txBytes") != 24) ERROR("abi: PortCounters.txBytes");
if (offsetof<PortCounters>() != 32) ERROR("abi: size of PortCounters");

/** Traffic of a VTEP, one block per worker. Receive is into the switch. Octets of inner Ethernet frames. */
// @ts-ignore: decorator
@inline export const VTEP_COUNTERS_SIZE: usize = 32;
// @ts-ignore: decorator
@unmanaged
export class VtepCounters {
  rxPackets: u64;
  rxBytes: u64;
  txPackets: u64;
  txBytes: u64;
}
if (offsetof<VtepCounters>("rxPackets") != 0) ERROR("abi: VtepCounters.rxPackets");
if (offsetof<VtepCounters>("rxBytes") != 8) ERROR("abi: VtepCounters.rxBytes");
if (offsetof<VtepCounters>("txPackets") != 16) ERROR("abi: VtepCounters.txPackets");
if (offsetof<VtepCounters>("txBytes") != 24) ERROR("abi: VtepCounters.txBytes");
if (offsetof<VtepCounters>() != 32) ERROR("abi: size of VtepCounters");

/** Sums of a network that survive its ports, one block per worker. */
// @ts-ignore: decorator
@inline export const NETWORK_COUNTERS_SIZE: usize = 64;
// @ts-ignore: decorator
@unmanaged
export class NetworkCounters {
  rxPackets: u64; // frames from local ports
  rxBytes: u64;
  txPackets: u64; // frames to local ports
  txBytes: u64;
  fdbPorts: u64; // entries learned from ports minus those removed, modulo 2^64
  fdbVteps: u64; // entries learned from VTEPs minus those removed, modulo 2^64
  moves: u64; // MACs that changed place
  evictions: u64; // MACs that made room for others
}
if (offsetof<NetworkCounters>("rxPackets") != 0) ERROR("abi: NetworkCounters.rxPackets");
if (offsetof<NetworkCounters>("rxBytes") != 8) ERROR("abi: NetworkCounters.rxBytes");
if (offsetof<NetworkCounters>("txPackets") != 16) ERROR("abi: NetworkCounters.txPackets");
if (offsetof<NetworkCounters>("txBytes") != 24) ERROR("abi: NetworkCounters.txBytes");
if (offsetof<NetworkCounters>("fdbPorts") != 32) ERROR("abi: NetworkCounters.fdbPorts");
if (offsetof<NetworkCounters>("fdbVteps") != 40) ERROR("abi: NetworkCounters.fdbVteps");
if (offsetof<NetworkCounters>("moves") != 48) ERROR("abi: NetworkCounters.moves");
if (offsetof<NetworkCounters>("evictions") != 56) ERROR("abi: NetworkCounters.evictions");
if (offsetof<NetworkCounters>() != 64) ERROR("abi: size of NetworkCounters");
