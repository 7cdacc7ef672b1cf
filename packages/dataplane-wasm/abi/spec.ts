/**
 * The ABI table: every size, struct, verdict, drop reason and counter that AssemblyScript, C and TypeScript share.
 *
 * This file holds data and doc strings, no logic. `generate.ts` prints it as `assembly/abi.gen.ts` (constants and
 * @unmanaged classes), `../tun/src/abi.gen.h` (structs with _Static_assert) and the tables in ARCHITECTURE.md;
 * TypeScript imports it through `layout.ts`.
 *
 * Rules the generator enforces: types are u8 u16 u32 i32 u64 and octets:N; every field lies on its natural
 * alignment without implicit padding; a struct's size is a multiple of 8; memory is little-endian, network order
 * exists only inside packets; offsets are u32 from octet 0 of the memory, never machine pointers.
 */

export { structs } from "./structs.js";

/** Fixed numbers. Everything that a configuration may change is a region count instead (see `regions`). */
export const limits = [
  ["BATCH_MAX", 128, "receive descriptors, and slots, of one worker: the most frames one call is given"],
  [
    "SLOT_SIZE",
    69_696,
    "octets of a slot: 64 KiB super-frame, headroom, tail (68 KiB), and one cache line so that the headers of a batch do not share cache sets",
  ],
  ["HEADROOM", 256, "octets in front of a received frame for outer headers; frames start here in their slot"],
  ["VNET_HDR_LEN", 10, "octets of virtio_net_hdr in front of a TAP frame (TUNSETVNETHDRSZ)"],
  ["ETH_LEN", 14, "octets of an Ethernet header without tags"],
  ["FRAME_MAX", 65_549, "longest frame accepted: Ethernet header and 65,535 octets"],
  ["VXLAN_LEN", 8, "octets of a VXLAN header (RFC 7348 §5)"],
  ["SOURCE_PORTS", 16, "UDP sending sockets per worker and address family (RFC 7348 §5: source port by inner flow)"],
  ["FDB_CELLS", 3, "entries in one 64-octet FDB bucket"],
  ["NEIGHBOUR_CELLS", 3, "entries in one 128-octet neighbour bucket"],
  ["TALK_CELLS", 4, "conversations in one bucket"],
  ["TALK_AGE_MS", 600_000, "after this time without a frame a conversation is forgotten"],
  [
    "HEADERS_MAX",
    2048,
    "header areas of one worker: headers made by the switch, sent in front of payload that stays in its slot",
  ],
  ["HEADER_AREA", 192, "octets of one of them: VXLAN, Ethernet with tags, IP with options, TCP with options"],
  ["ITEMS_MAX", 128, "operations of one batch that may still take further frames"],
  ["ITEM_IOVS", 128, "iovecs kept for each of them: frames of one UDP_SEGMENT send, or pieces of one super-frame"],
  ["EVENTS_MAX", 1024, "events a worker can hold for the main thread before it counts events_lost"],
  ["SENDERS", 34, "UDP sending sockets of one worker: SOURCE_PORTS for IPv4, as many for IPv6, two of WireGuard"],
  ["SENDER_WIREGUARD", 32, "the first of those two: IPv4, then IPv6; they are WireGuard's receiving sockets too"],
  ["TUNNEL_HEAD", 16, "octets in front of sealed data: type, receiver index, counter (WireGuard paper §5.4.6)"],
  ["TUNNEL_TAG", 16, "octets of Poly1305 behind it"],
  ["PUNTS_MAX", 256, "handshake messages that can wait for the main thread before punt_full counts"],
  ["PUNT_LEN", 148, "octets of the longest of them, an initiation"],
  [
    "LOAD_PER_TICK",
    128,
    "initiations in a tick from which on WireGuard is under load: mac2 is asked for, also in the next",
  ],
  ["PREFIXES_PER_PEER", 8, "allowed prefixes that there is room for, times the peers there may be"],
  ["PEER_QUIET_MS", 100, "a peer's need of a session, or its new address, is told of at most once in this time"],
  ["HOP_LIMIT", 8, "hop limit of a sealed message that others relay"],
  ["PROBE_LEN", 128, "octets of a probe's payload that the main thread gets"],
  ["PROBES_PER_TICK", 64, "probes of one peer in a tick that are handed on"],
  ["TOO_BIG_PER_TICK", 100, "too-big answers in a tick that one port gets"],
  ["KEY_AGE_MS", 180_000, "REJECT_AFTER_TIME: an older key neither seals nor opens (WireGuard paper §6.1)"],
  ["REPLAY_WORDS", 256, "words of 64 counters in the ring of a replay window: twice the 8,192 that may come late"],
  ["TICK_SHIFT", 10, "age is counted in ticks of 2^10 ms: tick = nowMs >> TICK_SHIFT, modulo 2^16"],
  ["GENERATION_PARKED", 0xffff_ffff, "worker.generation while the worker holds no table (asleep or stopped)"],
  ["LATCH_SPINS", 4096, "tries at a bucket that another worker writes, then the lookup counts as a miss"],
  ["BATCH_BUCKETS", 9, "histogram buckets of frames per batch: ≤1, 2, 4 … 128, more"],
  ["LOOP_BUCKETS", 16, "histogram buckets of loop time: ≤1 µs, 2 µs … 16.4 ms, more"],
] as const;

/** Named small integers. Values are the position in the list unless a number is given. */
export const enums = {
  PLANE: [
    ["EGRESS", 0, "TAP to underlay, and local port to local port"],
    ["INGRESS", 1, "underlay to TAP"],
  ],
  OP: [
    ["NONE", 0, "empty"],
    ["TAP", 1, "writev(virtio_net_hdr, iovecs) to a port"],
    ["UDP", 2, "sendmsg(iovecs) to addr:port through a sending socket"],
  ],
  /** What an FDB entry or a route points to. */
  KIND: [
    ["NONE", 0, "no entry"],
    ["PORT", 1, "a local port; index is the port index"],
    ["VTEP", 2, "a VTEP; index is the VTEP index"],
    ["GATEWAY", 3, "the network's own gateway address (reserved)"],
    ["L3PEER", 4, "a WireGuard peer; index is the peer index"],
    ["BLACKHOLE", 5, "drop and count"],
  ],
  /** First octet of a route key: what the sixteen key octets mean. */
  ROUTE: [
    ["NONE", 0, "free cell"],
    ["MAC", 1, "static MAC address of a network → port, VTEP or blackhole"],
    ["IPV4", 2, "IPv4 prefix of a network → port, VTEP or blackhole"],
    ["IPV6", 3, "IPv6 prefix of a network → port, VTEP or blackhole"],
    ["VTEP", 4, "outer source address of a network → VTEP index"],
    ["VNI", 5, "VNI → network index"],
    ["TUNNEL_VTEP", 6, "source address inside the tunnel, of a network → VTEP index"],
    ["TUNNEL", 7, "one of our own addresses inside the tunnel"],
    ["PEER4", 8, "allowed IPv4 prefix → WireGuard peer"],
    ["PEER6", 9, "allowed IPv6 prefix → WireGuard peer"],
    ["BINDING", 10, "IP address of a network → the MAC that has it"],
    ["OWN", 11, "address of a layer-3 port of a network → that port, which the switch answers for"],
    ["HOP4", 12, "IPv4 prefix in the routes of a layer-3 port (in the network's place) → HOP << 8 | length"],
    ["HOP6", 13, "IPv6 prefix in them"],
  ],
  /** Where packets of a layer-3 port go for a prefix. */
  HOP: [
    ["ON_LINK", 1, "to the destination itself"],
    ["GATEWAY", 2, "to the port's gateway of that family"],
  ],
  /** What a join item still takes. */
  JOIN: [
    ["CLOSED", 0, "nothing: it ended with a short piece, or something of its flow went past it"],
    ["UNVERIFIED", 1, "more; its first frame's checksum has not been looked at"],
    ["OPEN", 2, "more; every piece's checksum was verified"],
    ["PARTIAL", 3, "more; every piece's checksum is the kernel's to finish (NEEDS_CSUM)"],
    ["GROUP", 4, "more datagrams of the same length"],
  ],
  EVENT: [
    ["LEARNED", 1, "a MAC was seen for the first time"],
    ["MOVED", 2, "a MAC was seen behind another port or VTEP"],
    ["AGED", 3, "a MAC was not seen for the network's age limit"],
    ["EVICTED", 4, "a MAC made room for another"],
    ["REFUSED_VTEP", 5, "VXLAN from an address that is no VTEP of the network; at most one a second per worker"],
    ["REFUSED_VNI", 6, "VXLAN for a VNI of no network here; at most one a second per worker"],
    ["ROAMED", 7, "a peer's authenticated data came from another address, or to another of ours"],
    ["NO_SESSION", 8, "something was to be sent to a peer that has no usable key"],
    ["KEY_USED", 9, "the first authenticated data of a key: the peer has it"],
    ["KEY_WORN", 10, "a key has sealed as many messages as it should"],
  ],
  /** Receiving sockets of a worker, in RxDesc.source. */
  RECEIVER: [
    ["VXLAN4", 0, "VXLAN over IPv4"],
    ["VXLAN6", 1, "VXLAN over IPv6"],
    ["WIREGUARD4", 2, "WireGuard over IPv4"],
    ["WIREGUARD6", 3, "WireGuard over IPv6"],
  ],
  /** Key.state. */
  KEY: [
    ["FREE", 0, "nobody uses the slot"],
    ["HANDSHAKE", 1, "the index is given out; there are no keys yet"],
    ["VALID", 2, "opens, and seals for the peer that names it"],
    ["RETIRING", 3, "does neither; wiped when no worker can still be at it"],
  ],
  /** Bits of Punt.flags. */
  PUNT: [
    ["LOAD", 1, "under load and without a right mac2: deserves a cookie and no work"],
    ["PROBE", 2, "a probe of a peer, authenticated"],
  ],
  /** Bits of RxDesc.rxFlags. */
  RX: [["TRUNCATED", 1, "the datagram was longer than the slot (MSG_TRUNC)"]],
  /** Bits of Header.offloads. */
  OFFLOAD: [
    ["TCP", 1, "a TCP super-frame may be written to a port"],
    ["UDP", 2, "a UDP super-frame may be written to a port"],
    ["CHECKSUM", 4, "a frame with an unfinished checksum may be written to a port (there is a virtio_net_hdr)"],
  ],
  /** Bits of Network.flags. */
  NETWORK: [
    ["USED", 1, "the record is in use"],
    ["ACCEPT_ANY", 2, "VXLAN from an address that is no VTEP is accepted (and not learned from)"],
    ["GUARD_SPOOF", 4, "a frame whose source MAC belongs to another port or route is dropped"],
    ["GUARD_RA", 8, "router advertisements from a port are dropped"],
    ["GUARD_DHCP", 16, "DHCP server answers from a port are dropped"],
    ["ENCRYPTED", 32, "VXLAN that did not come through a tunnel is dropped"],
  ],
  /** Bits of Port.flags. */
  PORT: [
    ["USED", 1, "the record is in use"],
    ["UP", 2, "frames are delivered to the port"],
    ["L3", 4, "the TUN device of the tunnel addresses: IP packets, and no network"],
    ["ROUTED", 8, "the TUN device of a container: IP packets, whose Ethernet header the switch makes and takes away"],
  ],
  /** Bits of Vtep.flags. */
  VTEP: [
    ["USED", 1, "the record is in use"],
    ["TUNNEL", 2, "the address lies inside the tunnel: what goes there is sealed, or dropped"],
  ],
  /** Bits of Peer.flags. */
  PEER: [["USED", 1, "the record is in use"]],
  /** Bits of RxDesc.l3Flags. */
  L3: [
    ["FRAGMENT", 1, "part of a fragmented packet: no ports in it, or only in the first"],
    ["CHAIN_BAD", 2, "IPv6 header chain does not end inside this frame"],
    ["L4", 4, "l4Off points to a TCP, UDP or ICMP header that is wholly in the frame"],
  ],
} as const;

/** Parts of the memory, in order. `count` names the size option or limit that sets it. */
export const regions = [
  ["WORKER", "Worker", "per worker", "one", "worker", "main (generation)"],
  ["NETWORKS", "Network", "double", "networksMax", "main", "workers"],
  ["PORTS", "Port", "double", "portsMax", "main", "workers, addon"],
  ["VTEPS", "Vtep", "double", "vtepsMax", "main", "workers"],
  ["ROUTES", "Route", "double", "routeCells", "main", "workers"],
  ["TUNNEL", "Tunnel", "double", "one", "main", "workers"],
  ["PEERS", "Peer", "double", "peersMax", "main", "workers"],
  ["KEYS", "Key", "shared", "keysMax", "main, workers (counter, replay, used)", "workers"],
  ["FDB", "FdbBucket", "shared", "fdbBuckets", "workers (latch)", "workers, main"],
  ["NEIGHBOURS", "NeighbourBucket", "shared", "neighbourBuckets", "workers (latch)", "workers, main"],
  ["PORT_LIVE", "PortLive", "shared", "portsMax", "workers", "main"],
  ["COUNTERS", "u64", "per worker", "counterCells", "worker, its addon", "main"],
  ["PORT_COUNTERS", "PortCounters", "per worker", "portsMax", "worker", "main"],
  ["VTEP_COUNTERS", "VtepCounters", "per worker", "vtepsMax", "worker", "main"],
  ["NETWORK_COUNTERS", "NetworkCounters", "per worker", "networksMax", "worker", "main"],
  ["PEER_LIVE", "PeerLive", "per worker", "peersMax", "worker", "main"],
  ["PEER_COUNTERS", "PeerCounters", "per worker", "peersMax", "worker", "main"],
  ["TALKS", "TalkBucket", "per worker", "talkBuckets", "worker", "main"],
  ["PUNTS", "Punt", "per worker", "puntsMax", "worker", "main"],
  ["EVENTS", "Event", "per worker", "eventsMax", "worker", "main"],
  ["RX_DESCS", "RxDesc", "per worker", "batchMax", "addon, worker", "worker"],
  ["TX_OPS", "TxOp", "per worker", "txMax", "worker, addon (result)", "addon, worker"],
  ["IOVS", "Iov", "per worker", "iovMax", "worker", "addon"],
  ["HEADERS", "octets:192", "per worker", "headerMax", "worker", "addon"],
  ["ITEM_HEADS", "octets:256", "per worker", "one", "worker", "worker"],
  ["ITEMS", "JoinItem", "per worker", "itemMax", "worker", "worker"],
  ["AEADS", "Aead", "per worker", "one", "worker", "worker"],
  ["BLAKE2S", "Blake2s", "per worker", "one", "worker", "worker"],
  ["SEALED", "octets:65536", "per worker", "sealedMax", "worker", "addon"],
  ["SLOTS", "octets:69696", "per worker", "batchMax", "addon, worker", "worker, addon"],
] as const;

/**
 * Drop reasons: [name, planes, help]. A row is the AS and C constant DROP_NAME, one counter cell per plane, the label
 * of weft_drops_total{plane,reason} and a line in ARCHITECTURE.md. Append only.
 */
export const drops = [
  ["frame_short", "both", "shorter than an Ethernet header (with virtio_net_hdr or VXLAN header in front)"],
  ["frame_long", "both", "longer than 65,549 octets"],
  ["truncated", "ingress", "datagram longer than a slot"],
  [
    "vnet_hdr",
    "egress",
    "virtio_net_hdr whose checksum lies outside the frame, or a super-frame whose open checksum is not its own TCP or UDP one",
  ],
  [
    "gso_header",
    "egress",
    "super-frame that cannot be cut: not of the type its headers say, a fragment, or headers longer than a header area",
  ],
  ["gso_segments", "egress", "super-frame that would become more segments than there are header areas"],
  ["gso_unknown", "ingress", "UDP super-frame without a segment size: cannot be cut again"],
  ["source_mac", "both", "source MAC is a group address or zero"],
  ["reserved_group", "both", "destination 01:80:c2:00:00:00 to 0f, which no bridge forwards (IEEE 802.1Q §8.6.3)"],
  ["port_inactive", "egress", "from a port that is being added or removed"],
  ["spoofed_mac", "egress", "container uses the MAC of another local port or of a static route"],
  [
    "ra_guard",
    "egress",
    "IPv6 router advertisement from a container (RFC 6105), or a header chain or pile of VLAN tags that hides one (RFC 7113)",
  ],
  ["dhcp_guard", "egress", "DHCP or DHCPv6 server answer from a container, or VLAN tags that hide one"],
  ["bum_rate", "egress", "broadcast, unknown unicast or multicast beyond the port's rate"],
  ["reflect", "egress", "destination is behind the port the frame came from"],
  ["no_destination", "both", "nobody else is in the network (yet)"],
  ["blackhole", "both", "a route says so"],
  ["vxlan_flags", "ingress", "VXLAN I flag clear (RFC 7348 §5)"],
  ["unknown_vni", "ingress", "VNI of no network here"],
  ["unknown_vtep", "ingress", "from an address that is no VTEP of the network"],
  ["static_conflict", "ingress", "source MAC belongs to a local port or to another VTEP's static route"],
  ["split_horizon", "ingress", "from a VTEP, for a MAC behind a VTEP: never sent back to the underlay"],
  ["ecn_ce", "ingress", "outer CE on an inner packet that is not ECN-capable (RFC 6040 §4.2)"],
  ["port_gone", "both", "the device or its namespace is gone (EBADF, EBADFD, ENODEV)"],
  ["port_down", "both", "the device is down (EIO)"],
  ["port_full", "both", "the device takes no frame now (EAGAIN, ENOBUFS, ENOMEM)"],
  ["port_refused", "both", "the device refused the frame (any other errno)"],
  ["udp_full", "both", "the socket or the underlay queue is full (EAGAIN, ENOBUFS, ENOMEM)"],
  ["udp_too_big", "both", "longer than the underlay takes (EMSGSIZE)"],
  ["udp_unreachable", "both", "no route, interface down or address gone"],
  ["udp_refused", "both", "the underlay refused the datagram (any other errno)"],
  ["no_room", "both", "copies that did not fit the transmit region (a network with too many members)"],
  [
    "no_session",
    "both",
    "for a WireGuard peer that there is no usable key for (a handshake is asked for), or for no peer any more",
  ],
  ["no_endpoint", "both", "for a WireGuard peer whose address nobody has told and that has not yet written"],
  ["no_peer", "egress", "from the host to an address that no WireGuard peer's allowedIps cover"],
  ["plaintext_refused", "ingress", "VXLAN in clear for a network with encryption: required"],
  ["wireguard_message", "ingress", "on the WireGuard port, but no message of WireGuard"],
  ["mac1", "ingress", "handshake message whose mac1 is wrong: its sender does not know our public key"],
  ["punt_full", "ingress", "handshake message while too many wait for the control plane"],
  ["unknown_index", "ingress", "WireGuard message for a receiver index of no key here"],
  ["key_expired", "ingress", "WireGuard data under a key that is older than 180 s, or is being wiped"],
  ["auth_failed", "ingress", "WireGuard data whose tag is wrong"],
  ["replay", "ingress", "WireGuard data whose counter was seen before, or is too old to tell"],
  [
    "tunnel_packet",
    "ingress",
    "authenticated data that is no whole IP packet, or one whose IPv6 addresses pass for IPv4 ones",
  ],
  ["allowed_ips", "ingress", "packet inside the tunnel whose source is not in the peer's allowedIps"],
  ["tunnel_address", "ingress", "packet inside the tunnel for an address that is not ours"],
  [
    "tunnel_protocol",
    "ingress",
    "packet inside the tunnel for us that is neither VXLAN in one piece nor an echo request",
  ],
  [
    "tunnel_own",
    "egress",
    "from the host to a WireGuard peer, but VXLAN, which only the switch sends, or WireGuard's own message going round",
  ],
  [
    "gateway_leak",
    "both",
    "from or to the network's gateway through a tunnel, or to a gateway that is not here: it is every host's own",
  ],
  ["l3_not_ip", "both", "from or for a layer-3 port, but no untagged IP packet"],
  ["no_neighbour", "egress", "from a layer-3 port to a next hop whose MAC is not known yet (it is asked for)"],
  ["path_mtu", "egress", "longer than the path to the WireGuard peer carries: the sender was told, if it is IP"],
  ["hop_limit", "ingress", "to be relayed, but its hop limit is used up"],
  ["relay_loop", "ingress", "to be relayed to the peer that it came from"],
  ["probe_rate", "ingress", "more probes of a WireGuard peer than are handed on"],
] as const;

/** Plain counters of a worker: [name, help]. `_egress` and `_ingress` make up the law of the data path. */
export const counters = [
  ["in_egress", "frames read from ports"],
  ["made_egress", "further copies made when flooding them"],
  ["out_egress", "frames taken by the kernel from egress"],
  ["consumed_egress", "frames that the switch itself was meant to get: answered, or read for what they tell"],
  ["merged_egress", "frames that went into another by coalescing"],
  ["in_ingress", "datagrams read from the underlay, after UDP_GRO was undone"],
  ["made_ingress", "further copies made when flooding them"],
  ["out_ingress", "frames taken by the kernel from ingress"],
  ["consumed_ingress", "the same for datagrams"],
  ["merged_ingress", "datagrams that went into another by coalescing"],
  ["learn_refused", "MACs not learned because their port or the table was full; the frame was forwarded"],
  ["latch_misses", "lookups given up because another worker held the bucket"],
  ["events_lost", "events that found the ring full"],
  ["ecn_marked", "inner packets marked CE because the underlay was congested"],
  ["flood_egress", "frames flooded from ports"],
  ["flood_ingress", "frames flooded from VTEPs"],
  ["super_frames_egress", "super-frames: cut for the underlay (egress), made of datagrams from it (ingress)"],
  ["super_frames_ingress", "super-frames: cut for the underlay (egress), made of datagrams from it (ingress)"],
  ["grouped_sends", "UDP_SEGMENT sends made of several frames"],
  ["gso_fallbacks", "UDP_SEGMENT sends that the kernel refused and that went out as single datagrams"],
  ["punted", "handshake messages handed to the control plane"],
  ["under_load", "initiations and responses that deserved only a cookie, because WireGuard was under load"],
  ["keepalives", "WireGuard data without data in it"],
  ["sealed", "WireGuard data messages sealed"],
  ["opened", "WireGuard data messages opened"],
  ["relayed_packets", "sealed messages of WireGuard peers handed on to others"],
  ["relayed_bytes", "octets of them"],
  ["probes", "probes of WireGuard peers handed to the control plane"],
  ["too_big_answers", "ICMP and ICMPv6 messages that told a container how long a packet may be"],
  ["prefix_egress", "frames that a prefix route kept from being flooded"],
  ["arp_answered", "ARP requests answered by the switch"],
  ["nd_answered", "neighbour solicitations answered by the switch"],
  ["neighbour_asked", "ARP requests and neighbour solicitations made for layer-3 ports"],
  ["batch_sum_egress", "frames in all egress batches"],
  ["batch_sum_ingress", "receive buffers in all ingress batches (one holds many datagrams after UDP_GRO)"],
  ["loop_ns", "nanoseconds spent between two polls that brought frames"],
  ["loops", "loops that had work"],
  ["sys_poll", "epoll_wait calls"],
  ["sys_read", "TAP read calls"],
  ["sys_writev", "TAP writev calls"],
  ["sys_recvmmsg", "recvmmsg calls"],
  ["sys_sendmmsg", "sendmmsg calls"],
] as const;
