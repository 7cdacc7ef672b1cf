// Generated from abi/spec.ts by `npm run gen`. Do not edit.

/** identity of this table */
// @ts-ignore: decorator
@inline export const ABI_HASH: u32 = 0x47118d37;
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
/** conversations in one bucket */
// @ts-ignore: decorator
@inline export const TALK_CELLS: u32 = 0x4;
/** after this time without a frame a conversation is forgotten */
// @ts-ignore: decorator
@inline export const TALK_AGE_MS: u32 = 0x927c0;
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
/** UDP sending sockets of one worker: SOURCE_PORTS for IPv4, as many for IPv6, two of WireGuard */
// @ts-ignore: decorator
@inline export const SENDERS: u32 = 0x22;
/** the first of those two: IPv4, then IPv6; they are WireGuard's receiving sockets too */
// @ts-ignore: decorator
@inline export const SENDER_WIREGUARD: u32 = 0x20;
/** octets in front of sealed data: type, receiver index, counter (WireGuard paper §5.4.6) */
// @ts-ignore: decorator
@inline export const TUNNEL_HEAD: u32 = 0x10;
/** octets of Poly1305 behind it */
// @ts-ignore: decorator
@inline export const TUNNEL_TAG: u32 = 0x10;
/** handshake messages that can wait for the main thread before punt_full counts */
// @ts-ignore: decorator
@inline export const PUNTS_MAX: u32 = 0x100;
/** octets of the longest of them, an initiation */
// @ts-ignore: decorator
@inline export const PUNT_LEN: u32 = 0x94;
/** initiations in a tick from which on WireGuard is under load: mac2 is asked for, also in the next */
// @ts-ignore: decorator
@inline export const LOAD_PER_TICK: u32 = 0x80;
/** allowed prefixes that there is room for, times the peers there may be */
// @ts-ignore: decorator
@inline export const PREFIXES_PER_PEER: u32 = 0x8;
/** a peer's need of a session, or its new address, is told of at most once in this time */
// @ts-ignore: decorator
@inline export const PEER_QUIET_MS: u32 = 0x64;
/** hop limit of a sealed message that others relay */
// @ts-ignore: decorator
@inline export const HOP_LIMIT: u32 = 0x8;
/** octets of a probe's payload that the main thread gets */
// @ts-ignore: decorator
@inline export const PROBE_LEN: u32 = 0x80;
/** probes of one peer in a tick that are handed on */
// @ts-ignore: decorator
@inline export const PROBES_PER_TICK: u32 = 0x40;
/** too-big answers in a tick that one port gets */
// @ts-ignore: decorator
@inline export const TOO_BIG_PER_TICK: u32 = 0x64;
/** REJECT_AFTER_TIME: an older key neither seals nor opens (WireGuard paper §6.1) */
// @ts-ignore: decorator
@inline export const KEY_AGE_MS: u32 = 0x2bf20;
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
/** a WireGuard peer; index is the peer index */
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
/** source address inside the tunnel, of a network → VTEP index */
// @ts-ignore: decorator
@inline export const ROUTE_TUNNEL_VTEP: u32 = 0x6;
/** one of our own addresses inside the tunnel */
// @ts-ignore: decorator
@inline export const ROUTE_TUNNEL: u32 = 0x7;
/** allowed IPv4 prefix → WireGuard peer */
// @ts-ignore: decorator
@inline export const ROUTE_PEER4: u32 = 0x8;
/** allowed IPv6 prefix → WireGuard peer */
// @ts-ignore: decorator
@inline export const ROUTE_PEER6: u32 = 0x9;
/** IP address of a network → the MAC that has it */
// @ts-ignore: decorator
@inline export const ROUTE_BINDING: u32 = 0xa;
/** address of a layer-3 port of a network → that port, which the switch answers for */
// @ts-ignore: decorator
@inline export const ROUTE_OWN: u32 = 0xb;
/** IPv4 prefix in the routes of a layer-3 port (in the network's place) → HOP << 8 | length */
// @ts-ignore: decorator
@inline export const ROUTE_HOP4: u32 = 0xc;
/** IPv6 prefix in them */
// @ts-ignore: decorator
@inline export const ROUTE_HOP6: u32 = 0xd;
/** to the destination itself */
// @ts-ignore: decorator
@inline export const HOP_ON_LINK: u32 = 0x1;
/** to the port's gateway of that family */
// @ts-ignore: decorator
@inline export const HOP_GATEWAY: u32 = 0x2;
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
/** a peer's authenticated data came from another address, or to another of ours */
// @ts-ignore: decorator
@inline export const EVENT_ROAMED: u32 = 0x7;
/** something was to be sent to a peer that has no usable key */
// @ts-ignore: decorator
@inline export const EVENT_NO_SESSION: u32 = 0x8;
/** the first authenticated data of a key: the peer has it */
// @ts-ignore: decorator
@inline export const EVENT_KEY_USED: u32 = 0x9;
/** a key has sealed as many messages as it should */
// @ts-ignore: decorator
@inline export const EVENT_KEY_WORN: u32 = 0xa;
/** VXLAN over IPv4 */
// @ts-ignore: decorator
@inline export const RECEIVER_VXLAN4: u32 = 0x0;
/** VXLAN over IPv6 */
// @ts-ignore: decorator
@inline export const RECEIVER_VXLAN6: u32 = 0x1;
/** WireGuard over IPv4 */
// @ts-ignore: decorator
@inline export const RECEIVER_WIREGUARD4: u32 = 0x2;
/** WireGuard over IPv6 */
// @ts-ignore: decorator
@inline export const RECEIVER_WIREGUARD6: u32 = 0x3;
/** nobody uses the slot */
// @ts-ignore: decorator
@inline export const KEY_FREE: u32 = 0x0;
/** the index is given out; there are no keys yet */
// @ts-ignore: decorator
@inline export const KEY_HANDSHAKE: u32 = 0x1;
/** opens, and seals for the peer that names it */
// @ts-ignore: decorator
@inline export const KEY_VALID: u32 = 0x2;
/** does neither; wiped when no worker can still be at it */
// @ts-ignore: decorator
@inline export const KEY_RETIRING: u32 = 0x3;
/** under load and without a right mac2: deserves a cookie and no work */
// @ts-ignore: decorator
@inline export const PUNT_LOAD: u32 = 0x1;
/** a probe of a peer, authenticated */
// @ts-ignore: decorator
@inline export const PUNT_PROBE: u32 = 0x2;
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
/** VXLAN that did not come through a tunnel is dropped */
// @ts-ignore: decorator
@inline export const NETWORK_ENCRYPTED: u32 = 0x20;
/** the record is in use */
// @ts-ignore: decorator
@inline export const PORT_USED: u32 = 0x1;
/** frames are delivered to the port */
// @ts-ignore: decorator
@inline export const PORT_UP: u32 = 0x2;
/** the TUN device of the tunnel addresses: IP packets, and no network */
// @ts-ignore: decorator
@inline export const PORT_L3: u32 = 0x4;
/** the TUN device of a container: IP packets, whose Ethernet header the switch makes and takes away */
// @ts-ignore: decorator
@inline export const PORT_ROUTED: u32 = 0x8;
/** the record is in use */
// @ts-ignore: decorator
@inline export const VTEP_USED: u32 = 0x1;
/** the address lies inside the tunnel: what goes there is sealed, or dropped */
// @ts-ignore: decorator
@inline export const VTEP_TUNNEL: u32 = 0x2;
/** the record is in use */
// @ts-ignore: decorator
@inline export const PEER_USED: u32 = 0x1;
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
/** for a WireGuard peer that there is no usable key for (a handshake is asked for), or for no peer any more */
// @ts-ignore: decorator
@inline export const DROP_NO_SESSION: u32 = 0x20;
/** for a WireGuard peer whose address nobody has told and that has not yet written */
// @ts-ignore: decorator
@inline export const DROP_NO_ENDPOINT: u32 = 0x21;
/** from the host to an address that no WireGuard peer's allowedIps cover */
// @ts-ignore: decorator
@inline export const DROP_NO_PEER: u32 = 0x22;
/** VXLAN in clear for a network with encryption: required */
// @ts-ignore: decorator
@inline export const DROP_PLAINTEXT_REFUSED: u32 = 0x23;
/** on the WireGuard port, but no message of WireGuard */
// @ts-ignore: decorator
@inline export const DROP_WIREGUARD_MESSAGE: u32 = 0x24;
/** handshake message whose mac1 is wrong: its sender does not know our public key */
// @ts-ignore: decorator
@inline export const DROP_MAC1: u32 = 0x25;
/** handshake message while too many wait for the control plane */
// @ts-ignore: decorator
@inline export const DROP_PUNT_FULL: u32 = 0x26;
/** WireGuard message for a receiver index of no key here */
// @ts-ignore: decorator
@inline export const DROP_UNKNOWN_INDEX: u32 = 0x27;
/** WireGuard data under a key that is older than 180 s, or is being wiped */
// @ts-ignore: decorator
@inline export const DROP_KEY_EXPIRED: u32 = 0x28;
/** WireGuard data whose tag is wrong */
// @ts-ignore: decorator
@inline export const DROP_AUTH_FAILED: u32 = 0x29;
/** WireGuard data whose counter was seen before, or is too old to tell */
// @ts-ignore: decorator
@inline export const DROP_REPLAY: u32 = 0x2a;
/** authenticated data that is no whole IP packet, or one whose IPv6 addresses pass for IPv4 ones */
// @ts-ignore: decorator
@inline export const DROP_TUNNEL_PACKET: u32 = 0x2b;
/** packet inside the tunnel whose source is not in the peer's allowedIps */
// @ts-ignore: decorator
@inline export const DROP_ALLOWED_IPS: u32 = 0x2c;
/** packet inside the tunnel for an address that is not ours */
// @ts-ignore: decorator
@inline export const DROP_TUNNEL_ADDRESS: u32 = 0x2d;
/** packet inside the tunnel for us that is neither VXLAN in one piece nor an echo request */
// @ts-ignore: decorator
@inline export const DROP_TUNNEL_PROTOCOL: u32 = 0x2e;
/** from the host to a WireGuard peer, but VXLAN, which only the switch sends, or WireGuard's own message going round */
// @ts-ignore: decorator
@inline export const DROP_TUNNEL_OWN: u32 = 0x2f;
/** from or to the network's gateway through a tunnel, or to a gateway that is not here: it is every host's own */
// @ts-ignore: decorator
@inline export const DROP_GATEWAY_LEAK: u32 = 0x30;
/** from or for a layer-3 port, but no untagged IP packet */
// @ts-ignore: decorator
@inline export const DROP_L3_NOT_IP: u32 = 0x31;
/** from a layer-3 port to a next hop whose MAC is not known yet (it is asked for) */
// @ts-ignore: decorator
@inline export const DROP_NO_NEIGHBOUR: u32 = 0x32;
/** longer than the path to the WireGuard peer carries: the sender was told, if it is IP */
// @ts-ignore: decorator
@inline export const DROP_PATH_MTU: u32 = 0x33;
/** to be relayed, but its hop limit is used up */
// @ts-ignore: decorator
@inline export const DROP_HOP_LIMIT: u32 = 0x34;
/** to be relayed to the peer that it came from */
// @ts-ignore: decorator
@inline export const DROP_RELAY_LOOP: u32 = 0x35;
/** more probes of a WireGuard peer than are handed on */
// @ts-ignore: decorator
@inline export const DROP_PROBE_RATE: u32 = 0x36;
/** frames read from ports */
// @ts-ignore: decorator
@inline export const COUNT_IN_EGRESS: u32 = 0x0;
/** further copies made when flooding them */
// @ts-ignore: decorator
@inline export const COUNT_MADE_EGRESS: u32 = 0x1;
/** frames taken by the kernel from egress */
// @ts-ignore: decorator
@inline export const COUNT_OUT_EGRESS: u32 = 0x2;
/** frames that the switch itself was meant to get: answered, or read for what they tell */
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
/** the same for datagrams */
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
/** handshake messages handed to the control plane */
// @ts-ignore: decorator
@inline export const COUNT_PUNTED: u32 = 0x14;
/** initiations and responses that deserved only a cookie, because WireGuard was under load */
// @ts-ignore: decorator
@inline export const COUNT_UNDER_LOAD: u32 = 0x15;
/** WireGuard data without data in it */
// @ts-ignore: decorator
@inline export const COUNT_KEEPALIVES: u32 = 0x16;
/** WireGuard data messages sealed */
// @ts-ignore: decorator
@inline export const COUNT_SEALED: u32 = 0x17;
/** WireGuard data messages opened */
// @ts-ignore: decorator
@inline export const COUNT_OPENED: u32 = 0x18;
/** sealed messages of WireGuard peers handed on to others */
// @ts-ignore: decorator
@inline export const COUNT_RELAYED_PACKETS: u32 = 0x19;
/** octets of them */
// @ts-ignore: decorator
@inline export const COUNT_RELAYED_BYTES: u32 = 0x1a;
/** probes of WireGuard peers handed to the control plane */
// @ts-ignore: decorator
@inline export const COUNT_PROBES: u32 = 0x1b;
/** ICMP and ICMPv6 messages that told a container how long a packet may be */
// @ts-ignore: decorator
@inline export const COUNT_TOO_BIG_ANSWERS: u32 = 0x1c;
/** frames that a prefix route kept from being flooded */
// @ts-ignore: decorator
@inline export const COUNT_PREFIX_EGRESS: u32 = 0x1d;
/** ARP requests answered by the switch */
// @ts-ignore: decorator
@inline export const COUNT_ARP_ANSWERED: u32 = 0x1e;
/** neighbour solicitations answered by the switch */
// @ts-ignore: decorator
@inline export const COUNT_ND_ANSWERED: u32 = 0x1f;
/** ARP requests and neighbour solicitations made for layer-3 ports */
// @ts-ignore: decorator
@inline export const COUNT_NEIGHBOUR_ASKED: u32 = 0x20;
/** frames in all egress batches */
// @ts-ignore: decorator
@inline export const COUNT_BATCH_SUM_EGRESS: u32 = 0x21;
/** receive buffers in all ingress batches (one holds many datagrams after UDP_GRO) */
// @ts-ignore: decorator
@inline export const COUNT_BATCH_SUM_INGRESS: u32 = 0x22;
/** nanoseconds spent between two polls that brought frames */
// @ts-ignore: decorator
@inline export const COUNT_LOOP_NS: u32 = 0x23;
/** loops that had work */
// @ts-ignore: decorator
@inline export const COUNT_LOOPS: u32 = 0x24;
/** epoll_wait calls */
// @ts-ignore: decorator
@inline export const COUNT_SYS_POLL: u32 = 0x25;
/** TAP read calls */
// @ts-ignore: decorator
@inline export const COUNT_SYS_READ: u32 = 0x26;
/** TAP writev calls */
// @ts-ignore: decorator
@inline export const COUNT_SYS_WRITEV: u32 = 0x27;
/** recvmmsg calls */
// @ts-ignore: decorator
@inline export const COUNT_SYS_RECVMMSG: u32 = 0x28;
/** sendmmsg calls */
// @ts-ignore: decorator
@inline export const COUNT_SYS_SENDMMSG: u32 = 0x29;
/** first drop cell; cell = DROP_BASE + reason * 2 + plane */
// @ts-ignore: decorator
@inline export const DROP_BASE: u32 = 0x2a;
/** first cell of the batch histogram */
// @ts-ignore: decorator
@inline export const BATCH_BASE: u32 = 0x98;
/** first cell of the loop time histogram */
// @ts-ignore: decorator
@inline export const LOOP_BASE: u32 = 0xaa;
/** u64 cells of a worker's counter block */
// @ts-ignore: decorator
@inline export const COUNTER_CELLS: u32 = 0xc0;
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
/** Octet of the region table that holds the base of TUNNEL (Tunnel). */
// @ts-ignore: decorator
@inline export const REGION_TUNNEL: usize = 184;
/** Octet of the region table that holds the base of PEERS (Peer). */
// @ts-ignore: decorator
@inline export const REGION_PEERS: usize = 208;
/** Octet of the region table that holds the base of KEYS (Key). */
// @ts-ignore: decorator
@inline export const REGION_KEYS: usize = 232;
/** Octet of the region table that holds the base of FDB (FdbBucket). */
// @ts-ignore: decorator
@inline export const REGION_FDB: usize = 256;
/** Octet of the region table that holds the base of NEIGHBOURS (NeighbourBucket). */
// @ts-ignore: decorator
@inline export const REGION_NEIGHBOURS: usize = 280;
/** Octet of the region table that holds the base of PORT_LIVE (PortLive). */
// @ts-ignore: decorator
@inline export const REGION_PORT_LIVE: usize = 304;
/** Octet of the region table that holds the base of COUNTERS (u64). */
// @ts-ignore: decorator
@inline export const REGION_COUNTERS: usize = 328;
/** Octet of the region table that holds the base of PORT_COUNTERS (PortCounters). */
// @ts-ignore: decorator
@inline export const REGION_PORT_COUNTERS: usize = 352;
/** Octet of the region table that holds the base of VTEP_COUNTERS (VtepCounters). */
// @ts-ignore: decorator
@inline export const REGION_VTEP_COUNTERS: usize = 376;
/** Octet of the region table that holds the base of NETWORK_COUNTERS (NetworkCounters). */
// @ts-ignore: decorator
@inline export const REGION_NETWORK_COUNTERS: usize = 400;
/** Octet of the region table that holds the base of PEER_LIVE (PeerLive). */
// @ts-ignore: decorator
@inline export const REGION_PEER_LIVE: usize = 424;
/** Octet of the region table that holds the base of PEER_COUNTERS (PeerCounters). */
// @ts-ignore: decorator
@inline export const REGION_PEER_COUNTERS: usize = 448;
/** Octet of the region table that holds the base of TALKS (TalkBucket). */
// @ts-ignore: decorator
@inline export const REGION_TALKS: usize = 472;
/** Octet of the region table that holds the base of PUNTS (Punt). */
// @ts-ignore: decorator
@inline export const REGION_PUNTS: usize = 496;
/** Octet of the region table that holds the base of EVENTS (Event). */
// @ts-ignore: decorator
@inline export const REGION_EVENTS: usize = 520;
/** Octet of the region table that holds the base of RX_DESCS (RxDesc). */
// @ts-ignore: decorator
@inline export const REGION_RX_DESCS: usize = 544;
/** Octet of the region table that holds the base of TX_OPS (TxOp). */
// @ts-ignore: decorator
@inline export const REGION_TX_OPS: usize = 568;
/** Octet of the region table that holds the base of IOVS (Iov). */
// @ts-ignore: decorator
@inline export const REGION_IOVS: usize = 592;
/** Octet of the region table that holds the base of HEADERS (octets:192). */
// @ts-ignore: decorator
@inline export const REGION_HEADERS: usize = 616;
/** Octet of the region table that holds the base of ITEM_HEADS (octets:256). */
// @ts-ignore: decorator
@inline export const REGION_ITEM_HEADS: usize = 640;
/** Octet of the region table that holds the base of ITEMS (JoinItem). */
// @ts-ignore: decorator
@inline export const REGION_ITEMS: usize = 664;
/** Octet of the region table that holds the base of AEADS (Aead). */
// @ts-ignore: decorator
@inline export const REGION_AEADS: usize = 688;
/** Octet of the region table that holds the base of BLAKE2S (Blake2s). */
// @ts-ignore: decorator
@inline export const REGION_BLAKE2S: usize = 712;
/** Octet of the region table that holds the base of SEALED (octets:65536). */
// @ts-ignore: decorator
@inline export const REGION_SEALED: usize = 736;
/** Octet of the region table that holds the base of SLOTS (octets:69696). */
// @ts-ignore: decorator
@inline export const REGION_SLOTS: usize = 760;

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
@inline export const WORKER_SIZE: usize = 264;
// @ts-ignore: decorator
@inline export const WORKER_TUNNEL_SOURCE: usize = 200;
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
  tunnel: u32; // address of the Tunnel record
  peers: u32; // address of the Peer records
  peerLive: u32; // address of this worker's PeerLive
  peerCounters: u32; // address of this worker's PeerCounters
  aead: u32; // address of this worker's Aead record
  sealed: u32; // address of this worker's part of SEALED
  sealedMax: u32; // octets of it
  sealedUsed: u32; // octets of it that waiting operations name
  opened: u32; // 1: the datagram that ingress was cut off at is opened already
  loadTick: u32; // tick + 1 in which initiations are counted; 0: none yet
  loadCount: u32; // initiations in it with a right mac1
  loadUntil: u32; // tick + 1 up to which WireGuard is under load
  puntHead: u32; // messages put into PUNTS, modulo 2^32 (atomic)
  puntTail: u32; // messages taken from it (atomic, written by the main thread)
  attention: u32; // 1: there is something the main thread should look at now (atomic, cleared by the main thread)
  tunnelSource_0: u64;
  tunnelSource_1: u64;
  talks: u32; // address of this worker's conversations
  talkBucket: u32; // next bucket of them to age
  lastSent: u32; // conversation that the last frame from a port was counted for; 0: none
  lastReceived: u32; // the same for a frame to a port
  lastHopHi: u64; // destination that this egress call has found the next hop of last, IPv4 mapped
  lastHopLo: u64; // second half
  lastHopMac: u64; // MAC of that next hop; 0: none found
  lastHopPort: u32; // port index + 1 it was found for; 0: none
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
if (offsetof<Worker>("tunnel") != 140) ERROR("abi: Worker.tunnel");
if (offsetof<Worker>("peers") != 144) ERROR("abi: Worker.peers");
if (offsetof<Worker>("peerLive") != 148) ERROR("abi: Worker.peerLive");
if (offsetof<Worker>("peerCounters") != 152) ERROR("abi: Worker.peerCounters");
if (offsetof<Worker>("aead") != 156) ERROR("abi: Worker.aead");
if (offsetof<Worker>("sealed") != 160) ERROR("abi: Worker.sealed");
if (offsetof<Worker>("sealedMax") != 164) ERROR("abi: Worker.sealedMax");
if (offsetof<Worker>("sealedUsed") != 168) ERROR("abi: Worker.sealedUsed");
if (offsetof<Worker>("opened") != 172) ERROR("abi: Worker.opened");
if (offsetof<Worker>("loadTick") != 176) ERROR("abi: Worker.loadTick");
if (offsetof<Worker>("loadCount") != 180) ERROR("abi: Worker.loadCount");
if (offsetof<Worker>("loadUntil") != 184) ERROR("abi: Worker.loadUntil");
if (offsetof<Worker>("puntHead") != 188) ERROR("abi: Worker.puntHead");
if (offsetof<Worker>("puntTail") != 192) ERROR("abi: Worker.puntTail");
if (offsetof<Worker>("attention") != 196) ERROR("abi: Worker.attention");
if (offsetof<Worker>("talks") != 216) ERROR("abi: Worker.talks");
if (offsetof<Worker>("talkBucket") != 220) ERROR("abi: Worker.talkBucket");
if (offsetof<Worker>("lastSent") != 224) ERROR("abi: Worker.lastSent");
if (offsetof<Worker>("lastReceived") != 228) ERROR("abi: Worker.lastReceived");
if (offsetof<Worker>("lastHopHi") != 232) ERROR("abi: Worker.lastHopHi");
if (offsetof<Worker>("lastHopLo") != 240) ERROR("abi: Worker.lastHopLo");
if (offsetof<Worker>("lastHopMac") != 248) ERROR("abi: Worker.lastHopMac");
if (offsetof<Worker>("lastHopPort") != 256) ERROR("abi: Worker.lastHopPort");
if (offsetof<Worker>("pad") != 260) ERROR("abi: Worker.pad");
if (offsetof<Worker>() != 264) ERROR("abi: size of Worker");

/** One received frame or datagram. The first 40 octets are written by the addon, the rest by parse(). */
// @ts-ignore: decorator
@inline export const RX_DESC_SIZE: usize = 128;
// @ts-ignore: decorator
@inline export const RX_DESC_ADDR: usize = 16;
// @ts-ignore: decorator
@inline export const RX_DESC_LOCAL: usize = 104;
// @ts-ignore: decorator
@unmanaged
export class RxDesc {
  off: u32; // first octet received: virtio_net_hdr (TAP) or UDP payload
  len: u32; // octets received
  source: u32; // TAP: port index; UDP: RECEIVER
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
  local_0: u64;
  local_1: u64;
  reserved_0: u64;
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
  dest: u32; // TAP: port index; UDP: sending socket, 0..15 IPv4, 16..31 IPv6, SENDER_WIREGUARD IPv4, then IPv6
  iovStart: u32; // first iovec in this worker's Iov region
  iovCount: u16; // iovecs, 1..1023
  gsoSize: u16; // UDP_SEGMENT size; 0: one datagram
  addr_0: u64;
  addr_1: u64;
  port: u16; // UDP: destination port, host order
  family: u8; // UDP: 4 or 6
  plane: u8; // PLANE of the frame, for counting
  bytes: u32; // octets of the inner frames, for counting
  owner: u32; // KIND << 24 | index of the port, VTEP or WireGuard peer to count for
  result: i32; // octets taken by the kernel, or -errno; written by the addon
  vnetHdr_0: u64;
  vnetHdr_1: u16;
  network: u16; // network index, for counting
  local: u32; // UDP: where the 16 octets of the source address lie (IP_PKTINFO); 0: the kernel chooses
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
if (offsetof<TxOp>("local") != 60) ERROR("abi: TxOp.local");
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
  skip: u32; // octets in front of the packet that are not written: the made-up Ethernet header of a TUN packet
  pad: u32;
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
if (offsetof<JoinItem>("skip") != 40) ERROR("abi: JoinItem.skip");
if (offsetof<JoinItem>("pad") != 44) ERROR("abi: JoinItem.pad");
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
  gatewayPort: u32; // port with the gateway's MAC: index + 1, 0: there is none here
  gateway: u64; // MAC of the network's gateway; 0: it has none
  pad1_0: u64;
  pad1_1: u64;
  pad1_2: u64;
  pad1_3: u64;
  pad1_4: u64;
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
if (offsetof<Network>("gatewayPort") != 76) ERROR("abi: Network.gatewayPort");
if (offsetof<Network>("gateway") != 80) ERROR("abi: Network.gateway");
if (offsetof<Network>() != 128) ERROR("abi: size of Network");

/** A local port. Double-buffered; written by the main thread. */
// @ts-ignore: decorator
@inline export const PORT_SIZE: usize = 128;
// @ts-ignore: decorator
@inline export const PORT_GATEWAY6: usize = 64;
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
  gateway4: u32; // PORT_ROUTED: IPv4 gateway; 0: none
  v4Lens: u64; // bit n: the port has a HOP4 route of length n (0..32)
  v6Lens0: u64; // bit n: a HOP6 route of length n (0..63)
  v6Lens1: u64; // the same for 64..127
  v6Lens2: u64; // bit 0: a HOP6 route of length 128
  gateway6_0: u64;
  gateway6_1: u64;
  pad_0: u64;
  pad_1: u64;
  pad_2: u64;
  pad_3: u64;
  pad_4: u64;
  pad_5: u64;
}
if (offsetof<Port>("flags") != 0) ERROR("abi: Port.flags");
if (offsetof<Port>("network") != 4) ERROR("abi: Port.network");
if (offsetof<Port>("generation") != 6) ERROR("abi: Port.generation");
if (offsetof<Port>("next") != 8) ERROR("abi: Port.next");
if (offsetof<Port>("identity") != 12) ERROR("abi: Port.identity");
if (offsetof<Port>("mac") != 16) ERROR("abi: Port.mac");
if (offsetof<Port>("mtu") != 24) ERROR("abi: Port.mtu");
if (offsetof<Port>("gateway4") != 28) ERROR("abi: Port.gateway4");
if (offsetof<Port>("v4Lens") != 32) ERROR("abi: Port.v4Lens");
if (offsetof<Port>("v6Lens0") != 40) ERROR("abi: Port.v6Lens0");
if (offsetof<Port>("v6Lens1") != 48) ERROR("abi: Port.v6Lens1");
if (offsetof<Port>("v6Lens2") != 56) ERROR("abi: Port.v6Lens2");
if (offsetof<Port>() != 128) ERROR("abi: size of Port");

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
  peer: u32; // VTEP_TUNNEL: WireGuard peer index + 1; 0: none covers the address any more
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
  value: u32; // KIND << 24 | index; BINDING: the last four octets of the MAC; HOP4, HOP6: as there
  keyHi: u64; // first eight key octets as a big-endian number (MAC, VNI: 0)
  keyLo: u64; // last eight key octets; MAC or VNI as a number; IPv4 as ::ffff:a.b.c.d
  generation: u16; // generation of the port or VTEP; BINDING: the first two octets of the MAC
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
  mac0: u64; // tick in which a layer-3 port asked for it last << 48 | MAC; MAC 0: nobody has answered yet
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
  tooBig: u32; // tick << 8 | too-big answers in it; written by the port's worker
}
if (offsetof<PortLive>("macs") != 0) ERROR("abi: PortLive.macs");
if (offsetof<PortLive>("bumTokens") != 4) ERROR("abi: PortLive.bumTokens");
if (offsetof<PortLive>("bumStampMs") != 8) ERROR("abi: PortLive.bumStampMs");
if (offsetof<PortLive>("tooBig") != 12) ERROR("abi: PortLive.tooBig");
if (offsetof<PortLive>() != 16) ERROR("abi: size of PortLive");

/** A conversation as a local port sees it. Octets of Ethernet frames. */
// @ts-ignore: decorator
@inline export const TALK_SIZE: usize = 64;
// @ts-ignore: decorator
@unmanaged
export class Talk {
  local: u64; // generation of the port << 48 | MAC of the local station; 0: free
  remote: u64; // port index << 48 | MAC of the remote station
  rxPackets: u64; // to the local station
  rxBytes: u64;
  txPackets: u64; // from the local station
  txBytes: u64;
  seenMs: u32; // time of the last frame, monotonic, modulo 2^32
  version: u32; // odd while the cell gets another conversation (atomic)
  pad: u64;
}
if (offsetof<Talk>("local") != 0) ERROR("abi: Talk.local");
if (offsetof<Talk>("remote") != 8) ERROR("abi: Talk.remote");
if (offsetof<Talk>("rxPackets") != 16) ERROR("abi: Talk.rxPackets");
if (offsetof<Talk>("rxBytes") != 24) ERROR("abi: Talk.rxBytes");
if (offsetof<Talk>("txPackets") != 32) ERROR("abi: Talk.txPackets");
if (offsetof<Talk>("txBytes") != 40) ERROR("abi: Talk.txBytes");
if (offsetof<Talk>("seenMs") != 48) ERROR("abi: Talk.seenMs");
if (offsetof<Talk>("version") != 52) ERROR("abi: Talk.version");
if (offsetof<Talk>("pad") != 56) ERROR("abi: Talk.pad");
if (offsetof<Talk>() != 64) ERROR("abi: size of Talk");

/** TALK_CELLS conversations. */
// @ts-ignore: decorator
@inline export const TALK_BUCKET_SIZE: usize = 256;
// @ts-ignore: decorator
@inline export const TALK_BUCKET_CELLS: usize = 0;
// @ts-ignore: decorator
@unmanaged
export class TalkBucket {
  cells_0: u64;
  cells_1: u64;
  cells_2: u64;
  cells_3: u64;
  cells_4: u64;
  cells_5: u64;
  cells_6: u64;
  cells_7: u64;
  cells_8: u64;
  cells_9: u64;
  cells_10: u64;
  cells_11: u64;
  cells_12: u64;
  cells_13: u64;
  cells_14: u64;
  cells_15: u64;
  cells_16: u64;
  cells_17: u64;
  cells_18: u64;
  cells_19: u64;
  cells_20: u64;
  cells_21: u64;
  cells_22: u64;
  cells_23: u64;
  cells_24: u64;
  cells_25: u64;
  cells_26: u64;
  cells_27: u64;
  cells_28: u64;
  cells_29: u64;
  cells_30: u64;
  cells_31: u64;
}
if (offsetof<TalkBucket>() != 256) ERROR("abi: size of TalkBucket");

/** One event for the main thread. */
// @ts-ignore: decorator
@inline export const EVENT_SIZE: usize = 64;
// @ts-ignore: decorator
@inline export const EVENT_SOURCE: usize = 24;
// @ts-ignore: decorator
@inline export const EVENT_LOCAL: usize = 40;
// @ts-ignore: decorator
@unmanaged
export class Event {
  kind: u32; // EVENT
  network: u32; // network index; REFUSED_VNI: the VNI; KEY_*: the receiver index
  mac: u64; // the MAC
  owner: u32; // KIND << 24 | index of where it is, or was for AGED and EVICTED; of the WireGuard peer
  previous: u32; // MOVED: where it was; KEY_*: key slot
  source_0: u64;
  source_1: u64;
  local_0: u64;
  local_1: u64;
  port: u32; // ROAMED: outer source port
  pad: u32;
}
if (offsetof<Event>("kind") != 0) ERROR("abi: Event.kind");
if (offsetof<Event>("network") != 4) ERROR("abi: Event.network");
if (offsetof<Event>("mac") != 8) ERROR("abi: Event.mac");
if (offsetof<Event>("owner") != 16) ERROR("abi: Event.owner");
if (offsetof<Event>("previous") != 20) ERROR("abi: Event.previous");
if (offsetof<Event>("port") != 56) ERROR("abi: Event.port");
if (offsetof<Event>("pad") != 60) ERROR("abi: Event.pad");
if (offsetof<Event>() != 64) ERROR("abi: size of Event");

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

/** ChaCha20-Poly1305 at work: one per worker. Holds key material only while a message is sealed or opened. */
// @ts-ignore: decorator
@inline export const AEAD_SIZE: usize = 960;
// @ts-ignore: decorator
@inline export const AEAD_MATRIX: usize = 0;
// @ts-ignore: decorator
@inline export const AEAD_H: usize = 64;
// @ts-ignore: decorator
@inline export const AEAD_R: usize = 96;
// @ts-ignore: decorator
@inline export const AEAD_ADDEND: usize = 160;
// @ts-ignore: decorator
@inline export const AEAD_BLOCK: usize = 176;
// @ts-ignore: decorator
@inline export const AEAD_HEAD: usize = 192;
// @ts-ignore: decorator
@inline export const AEAD_TAIL: usize = 448;
// @ts-ignore: decorator
@inline export const AEAD_ZEROS: usize = 704;
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
  r_0: u64;
  r_1: u64;
  r_2: u64;
  r_3: u64;
  r_4: u64;
  r_5: u64;
  r_6: u64;
  pad: u64;
  addend_0: u64;
  addend_1: u64;
  block_0: u64;
  block_1: u64;
  head_0: u64;
  head_1: u64;
  head_2: u64;
  head_3: u64;
  head_4: u64;
  head_5: u64;
  head_6: u64;
  head_7: u64;
  head_8: u64;
  head_9: u64;
  head_10: u64;
  head_11: u64;
  head_12: u64;
  head_13: u64;
  head_14: u64;
  head_15: u64;
  head_16: u64;
  head_17: u64;
  head_18: u64;
  head_19: u64;
  head_20: u64;
  head_21: u64;
  head_22: u64;
  head_23: u64;
  head_24: u64;
  head_25: u64;
  head_26: u64;
  head_27: u64;
  head_28: u64;
  head_29: u64;
  head_30: u64;
  head_31: u64;
  tail_0: u64;
  tail_1: u64;
  tail_2: u64;
  tail_3: u64;
  tail_4: u64;
  tail_5: u64;
  tail_6: u64;
  tail_7: u64;
  tail_8: u64;
  tail_9: u64;
  tail_10: u64;
  tail_11: u64;
  tail_12: u64;
  tail_13: u64;
  tail_14: u64;
  tail_15: u64;
  tail_16: u64;
  tail_17: u64;
  tail_18: u64;
  tail_19: u64;
  tail_20: u64;
  tail_21: u64;
  tail_22: u64;
  tail_23: u64;
  tail_24: u64;
  tail_25: u64;
  tail_26: u64;
  tail_27: u64;
  tail_28: u64;
  tail_29: u64;
  tail_30: u64;
  tail_31: u64;
  zeros_0: u64;
  zeros_1: u64;
  zeros_2: u64;
  zeros_3: u64;
  zeros_4: u64;
  zeros_5: u64;
  zeros_6: u64;
  zeros_7: u64;
  zeros_8: u64;
  zeros_9: u64;
  zeros_10: u64;
  zeros_11: u64;
  zeros_12: u64;
  zeros_13: u64;
  zeros_14: u64;
  zeros_15: u64;
  zeros_16: u64;
  zeros_17: u64;
  zeros_18: u64;
  zeros_19: u64;
  zeros_20: u64;
  zeros_21: u64;
  zeros_22: u64;
  zeros_23: u64;
  zeros_24: u64;
  zeros_25: u64;
  zeros_26: u64;
  zeros_27: u64;
  zeros_28: u64;
  zeros_29: u64;
  zeros_30: u64;
  zeros_31: u64;
}
if (offsetof<Aead>("pad") != 152) ERROR("abi: Aead.pad");
if (offsetof<Aead>() != 960) ERROR("abi: size of Aead");

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

/** WireGuard as a whole. Double-buffered; written by the main thread. */
// @ts-ignore: decorator
@inline export const TUNNEL_SIZE: usize = 160;
// @ts-ignore: decorator
@inline export const TUNNEL_MAC1KEY: usize = 24;
// @ts-ignore: decorator
@inline export const TUNNEL_COOKIE_SECRET: usize = 56;
// @ts-ignore: decorator
@inline export const TUNNEL_SOURCE4: usize = 88;
// @ts-ignore: decorator
@inline export const TUNNEL_SOURCE6: usize = 104;
// @ts-ignore: decorator
@unmanaged
export class Tunnel {
  isOn: u32; // 1: there is a WireGuard interface
  device: u32; // port index + 1 of the TUN device that has the tunnel addresses; 0: none
  vxlanPort: u32; // UDP port of VXLAN inside the tunnel
  listenPort: u32; // UDP port of WireGuard itself
  rekeyAfter: u64; // messages under one key after which KEY_WORN is told; at most 2^60 (REKEY_AFTER_MESSAGES)
  mac1Key_0: u64;
  mac1Key_1: u64;
  mac1Key_2: u64;
  mac1Key_3: u64;
  cookieSecret_0: u64;
  cookieSecret_1: u64;
  cookieSecret_2: u64;
  cookieSecret_3: u64;
  source4_0: u64;
  source4_1: u64;
  source6_0: u64;
  source6_1: u64;
  v4Lens: u64; // bit n: allowedIps have an IPv4 prefix of length n (0..32)
  v6Lens0: u64; // bit n: an IPv6 prefix of length n (0..63)
  v6Lens1: u64; // the same for 64..127
  v6Lens2: u64; // bit 0: an IPv6 prefix of length 128
  probePort: u32; // UDP port of probes inside the tunnel; 0: no mesh, that is no relaying either
  leastMtu: u32; // octets of the longest packet on the narrowest path; 0: no mesh
}
if (offsetof<Tunnel>("isOn") != 0) ERROR("abi: Tunnel.isOn");
if (offsetof<Tunnel>("device") != 4) ERROR("abi: Tunnel.device");
if (offsetof<Tunnel>("vxlanPort") != 8) ERROR("abi: Tunnel.vxlanPort");
if (offsetof<Tunnel>("listenPort") != 12) ERROR("abi: Tunnel.listenPort");
if (offsetof<Tunnel>("rekeyAfter") != 16) ERROR("abi: Tunnel.rekeyAfter");
if (offsetof<Tunnel>("v4Lens") != 120) ERROR("abi: Tunnel.v4Lens");
if (offsetof<Tunnel>("v6Lens0") != 128) ERROR("abi: Tunnel.v6Lens0");
if (offsetof<Tunnel>("v6Lens1") != 136) ERROR("abi: Tunnel.v6Lens1");
if (offsetof<Tunnel>("v6Lens2") != 144) ERROR("abi: Tunnel.v6Lens2");
if (offsetof<Tunnel>("probePort") != 152) ERROR("abi: Tunnel.probePort");
if (offsetof<Tunnel>("leastMtu") != 156) ERROR("abi: Tunnel.leastMtu");
if (offsetof<Tunnel>() != 160) ERROR("abi: size of Tunnel");

/** A WireGuard peer. Double-buffered; written by the main thread. */
// @ts-ignore: decorator
@inline export const PEER_SIZE: usize = 64;
// @ts-ignore: decorator
@inline export const PEER_ADDR: usize = 16;
// @ts-ignore: decorator
@inline export const PEER_LOCAL: usize = 32;
// @ts-ignore: decorator
@inline export const PEER_TUNNEL_ADDR: usize = 48;
// @ts-ignore: decorator
@unmanaged
export class Peer {
  flags: u16; // PEER bits
  via: u16; // peer index + 1 that messages for this one are sent to, sealed once more; 0: directly
  sendKey: u32; // key slot + 1 that seals; 0: none
  port: u16; // UDP port of its endpoint, host order; 0: not known
  family: u8; // 4 or 6
  pad0: u8;
  mtu: u32; // octets of the longest packet inside the session that the path carries; not padded beyond
  addr_0: u64;
  addr_1: u64;
  local_0: u64;
  local_1: u64;
  tunnelAddr_0: u64;
  tunnelAddr_1: u64;
}
if (offsetof<Peer>("flags") != 0) ERROR("abi: Peer.flags");
if (offsetof<Peer>("via") != 2) ERROR("abi: Peer.via");
if (offsetof<Peer>("sendKey") != 4) ERROR("abi: Peer.sendKey");
if (offsetof<Peer>("port") != 8) ERROR("abi: Peer.port");
if (offsetof<Peer>("family") != 10) ERROR("abi: Peer.family");
if (offsetof<Peer>("pad0") != 11) ERROR("abi: Peer.pad0");
if (offsetof<Peer>("mtu") != 12) ERROR("abi: Peer.mtu");
if (offsetof<Peer>() != 64) ERROR("abi: size of Peer");

/** The two keys of a session. Written by the main thread while state is FREE or HANDSHAKE, then by workers as said. */
// @ts-ignore: decorator
@inline export const KEY_SIZE: usize = 2160;
// @ts-ignore: decorator
@inline export const KEY_SEND: usize = 40;
// @ts-ignore: decorator
@inline export const KEY_RECEIVE: usize = 72;
// @ts-ignore: decorator
@inline export const KEY_REPLAY: usize = 104;
// @ts-ignore: decorator
@unmanaged
export class Key {
  state: u32; // KEY (atomic)
  local: u32; // receiver index that the peer writes: worker in the low octet, then 16 bits of slot, 8 random
  remote: u32; // receiver index that we write
  peer: u32; // peer index
  bornMs: u32; // when the handshake ended, as Worker.nowMs
  used: u32; // 1: authenticated data has come; written by the worker that receives
  worn: u32; // 1: KEY_WORN was told (atomic)
  pad: u32;
  counter: u64; // messages sealed: the counter of the next (atomic)
  send_0: u64;
  send_1: u64;
  send_2: u64;
  send_3: u64;
  receive_0: u64;
  receive_1: u64;
  receive_2: u64;
  receive_3: u64;
  replay_0: u64;
  replay_1: u64;
  replay_2: u64;
  replay_3: u64;
  replay_4: u64;
  replay_5: u64;
  replay_6: u64;
  replay_7: u64;
  replay_8: u64;
  replay_9: u64;
  replay_10: u64;
  replay_11: u64;
  replay_12: u64;
  replay_13: u64;
  replay_14: u64;
  replay_15: u64;
  replay_16: u64;
  replay_17: u64;
  replay_18: u64;
  replay_19: u64;
  replay_20: u64;
  replay_21: u64;
  replay_22: u64;
  replay_23: u64;
  replay_24: u64;
  replay_25: u64;
  replay_26: u64;
  replay_27: u64;
  replay_28: u64;
  replay_29: u64;
  replay_30: u64;
  replay_31: u64;
  replay_32: u64;
  replay_33: u64;
  replay_34: u64;
  replay_35: u64;
  replay_36: u64;
  replay_37: u64;
  replay_38: u64;
  replay_39: u64;
  replay_40: u64;
  replay_41: u64;
  replay_42: u64;
  replay_43: u64;
  replay_44: u64;
  replay_45: u64;
  replay_46: u64;
  replay_47: u64;
  replay_48: u64;
  replay_49: u64;
  replay_50: u64;
  replay_51: u64;
  replay_52: u64;
  replay_53: u64;
  replay_54: u64;
  replay_55: u64;
  replay_56: u64;
  replay_57: u64;
  replay_58: u64;
  replay_59: u64;
  replay_60: u64;
  replay_61: u64;
  replay_62: u64;
  replay_63: u64;
  replay_64: u64;
  replay_65: u64;
  replay_66: u64;
  replay_67: u64;
  replay_68: u64;
  replay_69: u64;
  replay_70: u64;
  replay_71: u64;
  replay_72: u64;
  replay_73: u64;
  replay_74: u64;
  replay_75: u64;
  replay_76: u64;
  replay_77: u64;
  replay_78: u64;
  replay_79: u64;
  replay_80: u64;
  replay_81: u64;
  replay_82: u64;
  replay_83: u64;
  replay_84: u64;
  replay_85: u64;
  replay_86: u64;
  replay_87: u64;
  replay_88: u64;
  replay_89: u64;
  replay_90: u64;
  replay_91: u64;
  replay_92: u64;
  replay_93: u64;
  replay_94: u64;
  replay_95: u64;
  replay_96: u64;
  replay_97: u64;
  replay_98: u64;
  replay_99: u64;
  replay_100: u64;
  replay_101: u64;
  replay_102: u64;
  replay_103: u64;
  replay_104: u64;
  replay_105: u64;
  replay_106: u64;
  replay_107: u64;
  replay_108: u64;
  replay_109: u64;
  replay_110: u64;
  replay_111: u64;
  replay_112: u64;
  replay_113: u64;
  replay_114: u64;
  replay_115: u64;
  replay_116: u64;
  replay_117: u64;
  replay_118: u64;
  replay_119: u64;
  replay_120: u64;
  replay_121: u64;
  replay_122: u64;
  replay_123: u64;
  replay_124: u64;
  replay_125: u64;
  replay_126: u64;
  replay_127: u64;
  replay_128: u64;
  replay_129: u64;
  replay_130: u64;
  replay_131: u64;
  replay_132: u64;
  replay_133: u64;
  replay_134: u64;
  replay_135: u64;
  replay_136: u64;
  replay_137: u64;
  replay_138: u64;
  replay_139: u64;
  replay_140: u64;
  replay_141: u64;
  replay_142: u64;
  replay_143: u64;
  replay_144: u64;
  replay_145: u64;
  replay_146: u64;
  replay_147: u64;
  replay_148: u64;
  replay_149: u64;
  replay_150: u64;
  replay_151: u64;
  replay_152: u64;
  replay_153: u64;
  replay_154: u64;
  replay_155: u64;
  replay_156: u64;
  replay_157: u64;
  replay_158: u64;
  replay_159: u64;
  replay_160: u64;
  replay_161: u64;
  replay_162: u64;
  replay_163: u64;
  replay_164: u64;
  replay_165: u64;
  replay_166: u64;
  replay_167: u64;
  replay_168: u64;
  replay_169: u64;
  replay_170: u64;
  replay_171: u64;
  replay_172: u64;
  replay_173: u64;
  replay_174: u64;
  replay_175: u64;
  replay_176: u64;
  replay_177: u64;
  replay_178: u64;
  replay_179: u64;
  replay_180: u64;
  replay_181: u64;
  replay_182: u64;
  replay_183: u64;
  replay_184: u64;
  replay_185: u64;
  replay_186: u64;
  replay_187: u64;
  replay_188: u64;
  replay_189: u64;
  replay_190: u64;
  replay_191: u64;
  replay_192: u64;
  replay_193: u64;
  replay_194: u64;
  replay_195: u64;
  replay_196: u64;
  replay_197: u64;
  replay_198: u64;
  replay_199: u64;
  replay_200: u64;
  replay_201: u64;
  replay_202: u64;
  replay_203: u64;
  replay_204: u64;
  replay_205: u64;
  replay_206: u64;
  replay_207: u64;
  replay_208: u64;
  replay_209: u64;
  replay_210: u64;
  replay_211: u64;
  replay_212: u64;
  replay_213: u64;
  replay_214: u64;
  replay_215: u64;
  replay_216: u64;
  replay_217: u64;
  replay_218: u64;
  replay_219: u64;
  replay_220: u64;
  replay_221: u64;
  replay_222: u64;
  replay_223: u64;
  replay_224: u64;
  replay_225: u64;
  replay_226: u64;
  replay_227: u64;
  replay_228: u64;
  replay_229: u64;
  replay_230: u64;
  replay_231: u64;
  replay_232: u64;
  replay_233: u64;
  replay_234: u64;
  replay_235: u64;
  replay_236: u64;
  replay_237: u64;
  replay_238: u64;
  replay_239: u64;
  replay_240: u64;
  replay_241: u64;
  replay_242: u64;
  replay_243: u64;
  replay_244: u64;
  replay_245: u64;
  replay_246: u64;
  replay_247: u64;
  replay_248: u64;
  replay_249: u64;
  replay_250: u64;
  replay_251: u64;
  replay_252: u64;
  replay_253: u64;
  replay_254: u64;
  replay_255: u64;
  replay_256: u64;
}
if (offsetof<Key>("state") != 0) ERROR("abi: Key.state");
if (offsetof<Key>("local") != 4) ERROR("abi: Key.local");
if (offsetof<Key>("remote") != 8) ERROR("abi: Key.remote");
if (offsetof<Key>("peer") != 12) ERROR("abi: Key.peer");
if (offsetof<Key>("bornMs") != 16) ERROR("abi: Key.bornMs");
if (offsetof<Key>("used") != 20) ERROR("abi: Key.used");
if (offsetof<Key>("worn") != 24) ERROR("abi: Key.worn");
if (offsetof<Key>("pad") != 28) ERROR("abi: Key.pad");
if (offsetof<Key>("counter") != 32) ERROR("abi: Key.counter");
if (offsetof<Key>() != 2160) ERROR("abi: size of Key");

/** When something last happened with a peer, as Worker.nowMs (0: never), one block per worker. Timers run on the main thread. */
// @ts-ignore: decorator
@inline export const PEER_LIVE_SIZE: usize = 32;
// @ts-ignore: decorator
@unmanaged
export class PeerLive {
  sentMs: u32; // authenticated message sent
  sentDataMs: u32; // the same, with data in it
  receivedMs: u32; // authenticated message received
  receivedDataMs: u32; // the same, with data in it
  askedMs: u32; // NO_SESSION told
  roamedMs: u32; // ROAMED told
  probeTick: u32; // tick + 1 in which probes are counted; 0: none yet
  probeCount: u32; // probes in it
}
if (offsetof<PeerLive>("sentMs") != 0) ERROR("abi: PeerLive.sentMs");
if (offsetof<PeerLive>("sentDataMs") != 4) ERROR("abi: PeerLive.sentDataMs");
if (offsetof<PeerLive>("receivedMs") != 8) ERROR("abi: PeerLive.receivedMs");
if (offsetof<PeerLive>("receivedDataMs") != 12) ERROR("abi: PeerLive.receivedDataMs");
if (offsetof<PeerLive>("askedMs") != 16) ERROR("abi: PeerLive.askedMs");
if (offsetof<PeerLive>("roamedMs") != 20) ERROR("abi: PeerLive.roamedMs");
if (offsetof<PeerLive>("probeTick") != 24) ERROR("abi: PeerLive.probeTick");
if (offsetof<PeerLive>("probeCount") != 28) ERROR("abi: PeerLive.probeCount");
if (offsetof<PeerLive>() != 32) ERROR("abi: size of PeerLive");

/** Traffic of a WireGuard peer, one block per worker. Data messages; octets of UDP payload, as `wg show` counts. */
// @ts-ignore: decorator
@inline export const PEER_COUNTERS_SIZE: usize = 32;
// @ts-ignore: decorator
@unmanaged
export class PeerCounters {
  rxPackets: u64;
  rxBytes: u64;
  txPackets: u64;
  txBytes: u64;
}
if (offsetof<PeerCounters>("rxPackets") != 0) ERROR("abi: PeerCounters.rxPackets");
if (offsetof<PeerCounters>("rxBytes") != 8) ERROR("abi: PeerCounters.rxBytes");
if (offsetof<PeerCounters>("txPackets") != 16) ERROR("abi: PeerCounters.txPackets");
if (offsetof<PeerCounters>("txBytes") != 24) ERROR("abi: PeerCounters.txBytes");
if (offsetof<PeerCounters>() != 32) ERROR("abi: size of PeerCounters");

/** A handshake message, or a probe, for the main thread. */
// @ts-ignore: decorator
@inline export const PUNT_SIZE: usize = 216;
// @ts-ignore: decorator
@inline export const PUNT_ADDR: usize = 16;
// @ts-ignore: decorator
@inline export const PUNT_LOCAL: usize = 32;
// @ts-ignore: decorator
@inline export const PUNT_MESSAGE: usize = 64;
// @ts-ignore: decorator
@unmanaged
export class Punt {
  len: u32; // octets of it, or of what is kept of a probe
  flags: u32; // PUNT bits
  source: u32; // RECEIVER
  port: u32; // outer source port; of a relayed message, the one inside the tunnel
  addr_0: u64;
  addr_1: u64;
  local_0: u64;
  local_1: u64;
  peer: u32; // PUNT_PROBE: index of the peer that has sealed it
  via: u32; // peer index + 1 that it came through; 0: directly
  total: u32; // PUNT_PROBE: octets of the IP packet
  pad: u32;
  message_0: u64;
  message_1: u64;
  message_2: u64;
  message_3: u64;
  message_4: u64;
  message_5: u64;
  message_6: u64;
  message_7: u64;
  message_8: u64;
  message_9: u64;
  message_10: u64;
  message_11: u64;
  message_12: u64;
  message_13: u64;
  message_14: u64;
  message_15: u64;
  message_16: u64;
  message_17: u64;
  message_18: u64;
}
if (offsetof<Punt>("len") != 0) ERROR("abi: Punt.len");
if (offsetof<Punt>("flags") != 4) ERROR("abi: Punt.flags");
if (offsetof<Punt>("source") != 8) ERROR("abi: Punt.source");
if (offsetof<Punt>("port") != 12) ERROR("abi: Punt.port");
if (offsetof<Punt>("peer") != 48) ERROR("abi: Punt.peer");
if (offsetof<Punt>("via") != 52) ERROR("abi: Punt.via");
if (offsetof<Punt>("total") != 56) ERROR("abi: Punt.total");
if (offsetof<Punt>("pad") != 60) ERROR("abi: Punt.pad");
if (offsetof<Punt>() != 216) ERROR("abi: size of Punt");
