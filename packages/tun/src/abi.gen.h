/* Generated from packages/dataplane-wasm/abi/spec.ts by `npm run gen`. Do not edit. */
#ifndef WEFT_ABI_GEN_H
#define WEFT_ABI_GEN_H

#include <stddef.h>
#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "WebAssembly memory is little-endian; so must this machine be"
#endif

/* identity of this table */
#define WEFT_ABI_HASH 0x47118d37u
/* Header.magic */
#define WEFT_MAGIC 0x54464557u
/* octet of the first region table entry */
#define WEFT_REGION_TABLE 0x40u
/* receive descriptors, and slots, of one worker: the most frames one call is given */
#define WEFT_BATCH_MAX 0x80u
/* octets of a slot: 64 KiB super-frame, headroom, tail (68 KiB), and one cache line so that the headers of a batch do not share cache sets */
#define WEFT_SLOT_SIZE 0x11040u
/* octets in front of a received frame for outer headers; frames start here in their slot */
#define WEFT_HEADROOM 0x100u
/* octets of virtio_net_hdr in front of a TAP frame (TUNSETVNETHDRSZ) */
#define WEFT_VNET_HDR_LEN 0xau
/* octets of an Ethernet header without tags */
#define WEFT_ETH_LEN 0xeu
/* longest frame accepted: Ethernet header and 65,535 octets */
#define WEFT_FRAME_MAX 0x1000du
/* octets of a VXLAN header (RFC 7348 §5) */
#define WEFT_VXLAN_LEN 0x8u
/* UDP sending sockets per worker and address family (RFC 7348 §5: source port by inner flow) */
#define WEFT_SOURCE_PORTS 0x10u
/* entries in one 64-octet FDB bucket */
#define WEFT_FDB_CELLS 0x3u
/* entries in one 128-octet neighbour bucket */
#define WEFT_NEIGHBOUR_CELLS 0x3u
/* conversations in one bucket */
#define WEFT_TALK_CELLS 0x4u
/* after this time without a frame a conversation is forgotten */
#define WEFT_TALK_AGE_MS 0x927c0u
/* header areas of one worker: headers made by the switch, sent in front of payload that stays in its slot */
#define WEFT_HEADERS_MAX 0x800u
/* octets of one of them: VXLAN, Ethernet with tags, IP with options, TCP with options */
#define WEFT_HEADER_AREA 0xc0u
/* operations of one batch that may still take further frames */
#define WEFT_ITEMS_MAX 0x80u
/* iovecs kept for each of them: frames of one UDP_SEGMENT send, or pieces of one super-frame */
#define WEFT_ITEM_IOVS 0x80u
/* events a worker can hold for the main thread before it counts events_lost */
#define WEFT_EVENTS_MAX 0x400u
/* UDP sending sockets of one worker: SOURCE_PORTS for IPv4, as many for IPv6, two of WireGuard */
#define WEFT_SENDERS 0x22u
/* the first of those two: IPv4, then IPv6; they are WireGuard's receiving sockets too */
#define WEFT_SENDER_WIREGUARD 0x20u
/* octets in front of sealed data: type, receiver index, counter (WireGuard paper §5.4.6) */
#define WEFT_TUNNEL_HEAD 0x10u
/* octets of Poly1305 behind it */
#define WEFT_TUNNEL_TAG 0x10u
/* handshake messages that can wait for the main thread before punt_full counts */
#define WEFT_PUNTS_MAX 0x100u
/* octets of the longest of them, an initiation */
#define WEFT_PUNT_LEN 0x94u
/* initiations in a tick from which on WireGuard is under load: mac2 is asked for, also in the next */
#define WEFT_LOAD_PER_TICK 0x80u
/* allowed prefixes that there is room for, times the peers there may be */
#define WEFT_PREFIXES_PER_PEER 0x8u
/* a peer's need of a session, or its new address, is told of at most once in this time */
#define WEFT_PEER_QUIET_MS 0x64u
/* hop limit of a sealed message that others relay */
#define WEFT_HOP_LIMIT 0x8u
/* octets of a probe's payload that the main thread gets */
#define WEFT_PROBE_LEN 0x80u
/* probes of one peer in a tick that are handed on */
#define WEFT_PROBES_PER_TICK 0x40u
/* too-big answers in a tick that one port gets */
#define WEFT_TOO_BIG_PER_TICK 0x64u
/* REJECT_AFTER_TIME: an older key neither seals nor opens (WireGuard paper §6.1) */
#define WEFT_KEY_AGE_MS 0x2bf20u
/* words of 64 counters in the ring of a replay window: twice the 8,192 that may come late */
#define WEFT_REPLAY_WORDS 0x100u
/* age is counted in ticks of 2^10 ms: tick = nowMs >> TICK_SHIFT, modulo 2^16 */
#define WEFT_TICK_SHIFT 0xau
/* worker.generation while the worker holds no table (asleep or stopped) */
#define WEFT_GENERATION_PARKED 0xffffffffu
/* tries at a bucket that another worker writes, then the lookup counts as a miss */
#define WEFT_LATCH_SPINS 0x1000u
/* histogram buckets of frames per batch: ≤1, 2, 4 … 128, more */
#define WEFT_BATCH_BUCKETS 0x9u
/* histogram buckets of loop time: ≤1 µs, 2 µs … 16.4 ms, more */
#define WEFT_LOOP_BUCKETS 0x10u
/* TAP to underlay, and local port to local port */
#define WEFT_PLANE_EGRESS 0x0u
/* underlay to TAP */
#define WEFT_PLANE_INGRESS 0x1u
/* empty */
#define WEFT_OP_NONE 0x0u
/* writev(virtio_net_hdr, iovecs) to a port */
#define WEFT_OP_TAP 0x1u
/* sendmsg(iovecs) to addr:port through a sending socket */
#define WEFT_OP_UDP 0x2u
/* no entry */
#define WEFT_KIND_NONE 0x0u
/* a local port; index is the port index */
#define WEFT_KIND_PORT 0x1u
/* a VTEP; index is the VTEP index */
#define WEFT_KIND_VTEP 0x2u
/* the network's own gateway address (reserved) */
#define WEFT_KIND_GATEWAY 0x3u
/* a WireGuard peer; index is the peer index */
#define WEFT_KIND_L3PEER 0x4u
/* drop and count */
#define WEFT_KIND_BLACKHOLE 0x5u
/* free cell */
#define WEFT_ROUTE_NONE 0x0u
/* static MAC address of a network → port, VTEP or blackhole */
#define WEFT_ROUTE_MAC 0x1u
/* IPv4 prefix of a network → port, VTEP or blackhole */
#define WEFT_ROUTE_IPV4 0x2u
/* IPv6 prefix of a network → port, VTEP or blackhole */
#define WEFT_ROUTE_IPV6 0x3u
/* outer source address of a network → VTEP index */
#define WEFT_ROUTE_VTEP 0x4u
/* VNI → network index */
#define WEFT_ROUTE_VNI 0x5u
/* source address inside the tunnel, of a network → VTEP index */
#define WEFT_ROUTE_TUNNEL_VTEP 0x6u
/* one of our own addresses inside the tunnel */
#define WEFT_ROUTE_TUNNEL 0x7u
/* allowed IPv4 prefix → WireGuard peer */
#define WEFT_ROUTE_PEER4 0x8u
/* allowed IPv6 prefix → WireGuard peer */
#define WEFT_ROUTE_PEER6 0x9u
/* IP address of a network → the MAC that has it */
#define WEFT_ROUTE_BINDING 0xau
/* address of a layer-3 port of a network → that port, which the switch answers for */
#define WEFT_ROUTE_OWN 0xbu
/* IPv4 prefix in the routes of a layer-3 port (in the network's place) → HOP << 8 | length */
#define WEFT_ROUTE_HOP4 0xcu
/* IPv6 prefix in them */
#define WEFT_ROUTE_HOP6 0xdu
/* to the destination itself */
#define WEFT_HOP_ON_LINK 0x1u
/* to the port's gateway of that family */
#define WEFT_HOP_GATEWAY 0x2u
/* nothing: it ended with a short piece, or something of its flow went past it */
#define WEFT_JOIN_CLOSED 0x0u
/* more; its first frame's checksum has not been looked at */
#define WEFT_JOIN_UNVERIFIED 0x1u
/* more; every piece's checksum was verified */
#define WEFT_JOIN_OPEN 0x2u
/* more; every piece's checksum is the kernel's to finish (NEEDS_CSUM) */
#define WEFT_JOIN_PARTIAL 0x3u
/* more datagrams of the same length */
#define WEFT_JOIN_GROUP 0x4u
/* a MAC was seen for the first time */
#define WEFT_EVENT_LEARNED 0x1u
/* a MAC was seen behind another port or VTEP */
#define WEFT_EVENT_MOVED 0x2u
/* a MAC was not seen for the network's age limit */
#define WEFT_EVENT_AGED 0x3u
/* a MAC made room for another */
#define WEFT_EVENT_EVICTED 0x4u
/* VXLAN from an address that is no VTEP of the network; at most one a second per worker */
#define WEFT_EVENT_REFUSED_VTEP 0x5u
/* VXLAN for a VNI of no network here; at most one a second per worker */
#define WEFT_EVENT_REFUSED_VNI 0x6u
/* a peer's authenticated data came from another address, or to another of ours */
#define WEFT_EVENT_ROAMED 0x7u
/* something was to be sent to a peer that has no usable key */
#define WEFT_EVENT_NO_SESSION 0x8u
/* the first authenticated data of a key: the peer has it */
#define WEFT_EVENT_KEY_USED 0x9u
/* a key has sealed as many messages as it should */
#define WEFT_EVENT_KEY_WORN 0xau
/* VXLAN over IPv4 */
#define WEFT_RECEIVER_VXLAN4 0x0u
/* VXLAN over IPv6 */
#define WEFT_RECEIVER_VXLAN6 0x1u
/* WireGuard over IPv4 */
#define WEFT_RECEIVER_WIREGUARD4 0x2u
/* WireGuard over IPv6 */
#define WEFT_RECEIVER_WIREGUARD6 0x3u
/* nobody uses the slot */
#define WEFT_KEY_FREE 0x0u
/* the index is given out; there are no keys yet */
#define WEFT_KEY_HANDSHAKE 0x1u
/* opens, and seals for the peer that names it */
#define WEFT_KEY_VALID 0x2u
/* does neither; wiped when no worker can still be at it */
#define WEFT_KEY_RETIRING 0x3u
/* under load and without a right mac2: deserves a cookie and no work */
#define WEFT_PUNT_LOAD 0x1u
/* a probe of a peer, authenticated */
#define WEFT_PUNT_PROBE 0x2u
/* the datagram was longer than the slot (MSG_TRUNC) */
#define WEFT_RX_TRUNCATED 0x1u
/* a TCP super-frame may be written to a port */
#define WEFT_OFFLOAD_TCP 0x1u
/* a UDP super-frame may be written to a port */
#define WEFT_OFFLOAD_UDP 0x2u
/* a frame with an unfinished checksum may be written to a port (there is a virtio_net_hdr) */
#define WEFT_OFFLOAD_CHECKSUM 0x4u
/* the record is in use */
#define WEFT_NETWORK_USED 0x1u
/* VXLAN from an address that is no VTEP is accepted (and not learned from) */
#define WEFT_NETWORK_ACCEPT_ANY 0x2u
/* a frame whose source MAC belongs to another port or route is dropped */
#define WEFT_NETWORK_GUARD_SPOOF 0x4u
/* router advertisements from a port are dropped */
#define WEFT_NETWORK_GUARD_RA 0x8u
/* DHCP server answers from a port are dropped */
#define WEFT_NETWORK_GUARD_DHCP 0x10u
/* VXLAN that did not come through a tunnel is dropped */
#define WEFT_NETWORK_ENCRYPTED 0x20u
/* the record is in use */
#define WEFT_PORT_USED 0x1u
/* frames are delivered to the port */
#define WEFT_PORT_UP 0x2u
/* the TUN device of the tunnel addresses: IP packets, and no network */
#define WEFT_PORT_L3 0x4u
/* the TUN device of a container: IP packets, whose Ethernet header the switch makes and takes away */
#define WEFT_PORT_ROUTED 0x8u
/* the record is in use */
#define WEFT_VTEP_USED 0x1u
/* the address lies inside the tunnel: what goes there is sealed, or dropped */
#define WEFT_VTEP_TUNNEL 0x2u
/* the record is in use */
#define WEFT_PEER_USED 0x1u
/* part of a fragmented packet: no ports in it, or only in the first */
#define WEFT_L3_FRAGMENT 0x1u
/* IPv6 header chain does not end inside this frame */
#define WEFT_L3_CHAIN_BAD 0x2u
/* l4Off points to a TCP, UDP or ICMP header that is wholly in the frame */
#define WEFT_L3_L4 0x4u
/* shorter than an Ethernet header (with virtio_net_hdr or VXLAN header in front) */
#define WEFT_DROP_FRAME_SHORT 0x0u
/* longer than 65,549 octets */
#define WEFT_DROP_FRAME_LONG 0x1u
/* datagram longer than a slot */
#define WEFT_DROP_TRUNCATED 0x2u
/* virtio_net_hdr whose checksum lies outside the frame, or a super-frame whose open checksum is not its own TCP or UDP one */
#define WEFT_DROP_VNET_HDR 0x3u
/* super-frame that cannot be cut: not of the type its headers say, a fragment, or headers longer than a header area */
#define WEFT_DROP_GSO_HEADER 0x4u
/* super-frame that would become more segments than there are header areas */
#define WEFT_DROP_GSO_SEGMENTS 0x5u
/* UDP super-frame without a segment size: cannot be cut again */
#define WEFT_DROP_GSO_UNKNOWN 0x6u
/* source MAC is a group address or zero */
#define WEFT_DROP_SOURCE_MAC 0x7u
/* destination 01:80:c2:00:00:00 to 0f, which no bridge forwards (IEEE 802.1Q §8.6.3) */
#define WEFT_DROP_RESERVED_GROUP 0x8u
/* from a port that is being added or removed */
#define WEFT_DROP_PORT_INACTIVE 0x9u
/* container uses the MAC of another local port or of a static route */
#define WEFT_DROP_SPOOFED_MAC 0xau
/* IPv6 router advertisement from a container (RFC 6105), or a header chain or pile of VLAN tags that hides one (RFC 7113) */
#define WEFT_DROP_RA_GUARD 0xbu
/* DHCP or DHCPv6 server answer from a container, or VLAN tags that hide one */
#define WEFT_DROP_DHCP_GUARD 0xcu
/* broadcast, unknown unicast or multicast beyond the port's rate */
#define WEFT_DROP_BUM_RATE 0xdu
/* destination is behind the port the frame came from */
#define WEFT_DROP_REFLECT 0xeu
/* nobody else is in the network (yet) */
#define WEFT_DROP_NO_DESTINATION 0xfu
/* a route says so */
#define WEFT_DROP_BLACKHOLE 0x10u
/* VXLAN I flag clear (RFC 7348 §5) */
#define WEFT_DROP_VXLAN_FLAGS 0x11u
/* VNI of no network here */
#define WEFT_DROP_UNKNOWN_VNI 0x12u
/* from an address that is no VTEP of the network */
#define WEFT_DROP_UNKNOWN_VTEP 0x13u
/* source MAC belongs to a local port or to another VTEP's static route */
#define WEFT_DROP_STATIC_CONFLICT 0x14u
/* from a VTEP, for a MAC behind a VTEP: never sent back to the underlay */
#define WEFT_DROP_SPLIT_HORIZON 0x15u
/* outer CE on an inner packet that is not ECN-capable (RFC 6040 §4.2) */
#define WEFT_DROP_ECN_CE 0x16u
/* the device or its namespace is gone (EBADF, EBADFD, ENODEV) */
#define WEFT_DROP_PORT_GONE 0x17u
/* the device is down (EIO) */
#define WEFT_DROP_PORT_DOWN 0x18u
/* the device takes no frame now (EAGAIN, ENOBUFS, ENOMEM) */
#define WEFT_DROP_PORT_FULL 0x19u
/* the device refused the frame (any other errno) */
#define WEFT_DROP_PORT_REFUSED 0x1au
/* the socket or the underlay queue is full (EAGAIN, ENOBUFS, ENOMEM) */
#define WEFT_DROP_UDP_FULL 0x1bu
/* longer than the underlay takes (EMSGSIZE) */
#define WEFT_DROP_UDP_TOO_BIG 0x1cu
/* no route, interface down or address gone */
#define WEFT_DROP_UDP_UNREACHABLE 0x1du
/* the underlay refused the datagram (any other errno) */
#define WEFT_DROP_UDP_REFUSED 0x1eu
/* copies that did not fit the transmit region (a network with too many members) */
#define WEFT_DROP_NO_ROOM 0x1fu
/* for a WireGuard peer that there is no usable key for (a handshake is asked for), or for no peer any more */
#define WEFT_DROP_NO_SESSION 0x20u
/* for a WireGuard peer whose address nobody has told and that has not yet written */
#define WEFT_DROP_NO_ENDPOINT 0x21u
/* from the host to an address that no WireGuard peer's allowedIps cover */
#define WEFT_DROP_NO_PEER 0x22u
/* VXLAN in clear for a network with encryption: required */
#define WEFT_DROP_PLAINTEXT_REFUSED 0x23u
/* on the WireGuard port, but no message of WireGuard */
#define WEFT_DROP_WIREGUARD_MESSAGE 0x24u
/* handshake message whose mac1 is wrong: its sender does not know our public key */
#define WEFT_DROP_MAC1 0x25u
/* handshake message while too many wait for the control plane */
#define WEFT_DROP_PUNT_FULL 0x26u
/* WireGuard message for a receiver index of no key here */
#define WEFT_DROP_UNKNOWN_INDEX 0x27u
/* WireGuard data under a key that is older than 180 s, or is being wiped */
#define WEFT_DROP_KEY_EXPIRED 0x28u
/* WireGuard data whose tag is wrong */
#define WEFT_DROP_AUTH_FAILED 0x29u
/* WireGuard data whose counter was seen before, or is too old to tell */
#define WEFT_DROP_REPLAY 0x2au
/* authenticated data that is no whole IP packet, or one whose IPv6 addresses pass for IPv4 ones */
#define WEFT_DROP_TUNNEL_PACKET 0x2bu
/* packet inside the tunnel whose source is not in the peer's allowedIps */
#define WEFT_DROP_ALLOWED_IPS 0x2cu
/* packet inside the tunnel for an address that is not ours */
#define WEFT_DROP_TUNNEL_ADDRESS 0x2du
/* packet inside the tunnel for us that is neither VXLAN in one piece nor an echo request */
#define WEFT_DROP_TUNNEL_PROTOCOL 0x2eu
/* from the host to a WireGuard peer, but VXLAN, which only the switch sends, or WireGuard's own message going round */
#define WEFT_DROP_TUNNEL_OWN 0x2fu
/* from or to the network's gateway through a tunnel, or to a gateway that is not here: it is every host's own */
#define WEFT_DROP_GATEWAY_LEAK 0x30u
/* from or for a layer-3 port, but no untagged IP packet */
#define WEFT_DROP_L3_NOT_IP 0x31u
/* from a layer-3 port to a next hop whose MAC is not known yet (it is asked for) */
#define WEFT_DROP_NO_NEIGHBOUR 0x32u
/* longer than the path to the WireGuard peer carries: the sender was told, if it is IP */
#define WEFT_DROP_PATH_MTU 0x33u
/* to be relayed, but its hop limit is used up */
#define WEFT_DROP_HOP_LIMIT 0x34u
/* to be relayed to the peer that it came from */
#define WEFT_DROP_RELAY_LOOP 0x35u
/* more probes of a WireGuard peer than are handed on */
#define WEFT_DROP_PROBE_RATE 0x36u
/* frames read from ports */
#define WEFT_COUNT_IN_EGRESS 0x0u
/* further copies made when flooding them */
#define WEFT_COUNT_MADE_EGRESS 0x1u
/* frames taken by the kernel from egress */
#define WEFT_COUNT_OUT_EGRESS 0x2u
/* frames that the switch itself was meant to get: answered, or read for what they tell */
#define WEFT_COUNT_CONSUMED_EGRESS 0x3u
/* frames that went into another by coalescing */
#define WEFT_COUNT_MERGED_EGRESS 0x4u
/* datagrams read from the underlay, after UDP_GRO was undone */
#define WEFT_COUNT_IN_INGRESS 0x5u
/* further copies made when flooding them */
#define WEFT_COUNT_MADE_INGRESS 0x6u
/* frames taken by the kernel from ingress */
#define WEFT_COUNT_OUT_INGRESS 0x7u
/* the same for datagrams */
#define WEFT_COUNT_CONSUMED_INGRESS 0x8u
/* datagrams that went into another by coalescing */
#define WEFT_COUNT_MERGED_INGRESS 0x9u
/* MACs not learned because their port or the table was full; the frame was forwarded */
#define WEFT_COUNT_LEARN_REFUSED 0xau
/* lookups given up because another worker held the bucket */
#define WEFT_COUNT_LATCH_MISSES 0xbu
/* events that found the ring full */
#define WEFT_COUNT_EVENTS_LOST 0xcu
/* inner packets marked CE because the underlay was congested */
#define WEFT_COUNT_ECN_MARKED 0xdu
/* frames flooded from ports */
#define WEFT_COUNT_FLOOD_EGRESS 0xeu
/* frames flooded from VTEPs */
#define WEFT_COUNT_FLOOD_INGRESS 0xfu
/* super-frames: cut for the underlay (egress), made of datagrams from it (ingress) */
#define WEFT_COUNT_SUPER_FRAMES_EGRESS 0x10u
/* super-frames: cut for the underlay (egress), made of datagrams from it (ingress) */
#define WEFT_COUNT_SUPER_FRAMES_INGRESS 0x11u
/* UDP_SEGMENT sends made of several frames */
#define WEFT_COUNT_GROUPED_SENDS 0x12u
/* UDP_SEGMENT sends that the kernel refused and that went out as single datagrams */
#define WEFT_COUNT_GSO_FALLBACKS 0x13u
/* handshake messages handed to the control plane */
#define WEFT_COUNT_PUNTED 0x14u
/* initiations and responses that deserved only a cookie, because WireGuard was under load */
#define WEFT_COUNT_UNDER_LOAD 0x15u
/* WireGuard data without data in it */
#define WEFT_COUNT_KEEPALIVES 0x16u
/* WireGuard data messages sealed */
#define WEFT_COUNT_SEALED 0x17u
/* WireGuard data messages opened */
#define WEFT_COUNT_OPENED 0x18u
/* sealed messages of WireGuard peers handed on to others */
#define WEFT_COUNT_RELAYED_PACKETS 0x19u
/* octets of them */
#define WEFT_COUNT_RELAYED_BYTES 0x1au
/* probes of WireGuard peers handed to the control plane */
#define WEFT_COUNT_PROBES 0x1bu
/* ICMP and ICMPv6 messages that told a container how long a packet may be */
#define WEFT_COUNT_TOO_BIG_ANSWERS 0x1cu
/* frames that a prefix route kept from being flooded */
#define WEFT_COUNT_PREFIX_EGRESS 0x1du
/* ARP requests answered by the switch */
#define WEFT_COUNT_ARP_ANSWERED 0x1eu
/* neighbour solicitations answered by the switch */
#define WEFT_COUNT_ND_ANSWERED 0x1fu
/* ARP requests and neighbour solicitations made for layer-3 ports */
#define WEFT_COUNT_NEIGHBOUR_ASKED 0x20u
/* frames in all egress batches */
#define WEFT_COUNT_BATCH_SUM_EGRESS 0x21u
/* receive buffers in all ingress batches (one holds many datagrams after UDP_GRO) */
#define WEFT_COUNT_BATCH_SUM_INGRESS 0x22u
/* nanoseconds spent between two polls that brought frames */
#define WEFT_COUNT_LOOP_NS 0x23u
/* loops that had work */
#define WEFT_COUNT_LOOPS 0x24u
/* epoll_wait calls */
#define WEFT_COUNT_SYS_POLL 0x25u
/* TAP read calls */
#define WEFT_COUNT_SYS_READ 0x26u
/* TAP writev calls */
#define WEFT_COUNT_SYS_WRITEV 0x27u
/* recvmmsg calls */
#define WEFT_COUNT_SYS_RECVMMSG 0x28u
/* sendmmsg calls */
#define WEFT_COUNT_SYS_SENDMMSG 0x29u
/* first drop cell; cell = DROP_BASE + reason * 2 + plane */
#define WEFT_DROP_BASE 0x2au
/* first cell of the batch histogram */
#define WEFT_BATCH_BASE 0x98u
/* first cell of the loop time histogram */
#define WEFT_LOOP_BASE 0xaau
/* u64 cells of a worker's counter block */
#define WEFT_COUNTER_CELLS 0xc0u
#define WEFT_REGION_WORKER 0u
#define WEFT_REGION_NETWORKS 1u
#define WEFT_REGION_PORTS 2u
#define WEFT_REGION_VTEPS 3u
#define WEFT_REGION_ROUTES 4u
#define WEFT_REGION_TUNNEL 5u
#define WEFT_REGION_PEERS 6u
#define WEFT_REGION_KEYS 7u
#define WEFT_REGION_FDB 8u
#define WEFT_REGION_NEIGHBOURS 9u
#define WEFT_REGION_PORT_LIVE 10u
#define WEFT_REGION_COUNTERS 11u
#define WEFT_REGION_PORT_COUNTERS 12u
#define WEFT_REGION_VTEP_COUNTERS 13u
#define WEFT_REGION_NETWORK_COUNTERS 14u
#define WEFT_REGION_PEER_LIVE 15u
#define WEFT_REGION_PEER_COUNTERS 16u
#define WEFT_REGION_TALKS 17u
#define WEFT_REGION_PUNTS 18u
#define WEFT_REGION_EVENTS 19u
#define WEFT_REGION_RX_DESCS 20u
#define WEFT_REGION_TX_OPS 21u
#define WEFT_REGION_IOVS 22u
#define WEFT_REGION_HEADERS 23u
#define WEFT_REGION_ITEM_HEADS 24u
#define WEFT_REGION_ITEMS 25u
#define WEFT_REGION_AEADS 26u
#define WEFT_REGION_BLAKE2S 27u
#define WEFT_REGION_SEALED 28u
#define WEFT_REGION_SLOTS 29u

/* Octet 0 of the memory. Written once at start, except generation. */
struct weft_header {
    uint32_t magic;
    uint32_t abi_hash;
    uint32_t memory_bytes;
    uint32_t region_count;
    uint32_t workers;
    uint32_t generation;
    uint32_t hash_seed_lo;
    uint32_t hash_seed_hi;
    uint32_t fdb_max;
    uint32_t fdb_count;
    uint32_t neighbour_max;
    uint32_t neighbour_count;
    uint32_t gso_segments;
    uint32_t offloads;
    uint64_t pad;
};
_Static_assert(sizeof(struct weft_header) == 64, "Header");
_Static_assert(offsetof(struct weft_header, magic) == 0, "Header.magic");
_Static_assert(offsetof(struct weft_header, abi_hash) == 4, "Header.abiHash");
_Static_assert(offsetof(struct weft_header, memory_bytes) == 8, "Header.memoryBytes");
_Static_assert(offsetof(struct weft_header, region_count) == 12, "Header.regionCount");
_Static_assert(offsetof(struct weft_header, workers) == 16, "Header.workers");
_Static_assert(offsetof(struct weft_header, generation) == 20, "Header.generation");
_Static_assert(offsetof(struct weft_header, hash_seed_lo) == 24, "Header.hashSeedLo");
_Static_assert(offsetof(struct weft_header, hash_seed_hi) == 28, "Header.hashSeedHi");
_Static_assert(offsetof(struct weft_header, fdb_max) == 32, "Header.fdbMax");
_Static_assert(offsetof(struct weft_header, fdb_count) == 36, "Header.fdbCount");
_Static_assert(offsetof(struct weft_header, neighbour_max) == 40, "Header.neighbourMax");
_Static_assert(offsetof(struct weft_header, neighbour_count) == 44, "Header.neighbourCount");
_Static_assert(offsetof(struct weft_header, gso_segments) == 48, "Header.gsoSegments");
_Static_assert(offsetof(struct weft_header, offloads) == 52, "Header.offloads");
_Static_assert(offsetof(struct weft_header, pad) == 56, "Header.pad");

/* One entry of the region table. address(worker, copy, i) = base + worker*perWorker + copy*perCopy + i*stride. */
struct weft_region {
    uint32_t base;
    uint32_t stride;
    uint32_t count;
    uint32_t per_worker;
    uint32_t per_copy;
    uint32_t pad;
};
_Static_assert(sizeof(struct weft_region) == 24, "Region");
_Static_assert(offsetof(struct weft_region, base) == 0, "Region.base");
_Static_assert(offsetof(struct weft_region, stride) == 4, "Region.stride");
_Static_assert(offsetof(struct weft_region, count) == 8, "Region.count");
_Static_assert(offsetof(struct weft_region, per_worker) == 12, "Region.perWorker");
_Static_assert(offsetof(struct weft_region, per_copy) == 16, "Region.perCopy");
_Static_assert(offsetof(struct weft_region, pad) == 20, "Region.pad");

/* State of one worker between calls. Written by the worker; generation is read by the main thread. */
struct weft_worker {
    uint32_t generation;
    uint32_t index;
    uint32_t tx_count;
    uint32_t iov_count;
    uint32_t resume_seg;
    uint32_t age_bucket;
    uint32_t now_ms;
    uint32_t event_head;
    uint32_t event_tail;
    uint32_t networks;
    uint32_t ports;
    uint32_t vteps;
    uint32_t routes;
    uint32_t counters;
    uint32_t port_counters;
    uint32_t vtep_counters;
    uint32_t network_counters;
    uint32_t rx_descs;
    uint32_t tx_ops;
    uint32_t iovs;
    uint32_t tx_max;
    uint32_t iov_max;
    uint32_t neighbour_bucket;
    uint32_t refused_vtep_tick;
    uint32_t refused_vni_tick;
    uint32_t headers;
    uint32_t header_count;
    uint32_t items;
    uint32_t item_count;
    uint32_t last_item;
    uint32_t item_heads;
    uint32_t clock_ms;
    uint64_t last_dst;
    uint32_t last_owner;
    uint32_t tunnel;
    uint32_t peers;
    uint32_t peer_live;
    uint32_t peer_counters;
    uint32_t aead;
    uint32_t sealed;
    uint32_t sealed_max;
    uint32_t sealed_used;
    uint32_t opened;
    uint32_t load_tick;
    uint32_t load_count;
    uint32_t load_until;
    uint32_t punt_head;
    uint32_t punt_tail;
    uint32_t attention;
    uint8_t tunnel_source[16];
    uint32_t talks;
    uint32_t talk_bucket;
    uint32_t last_sent;
    uint32_t last_received;
    uint64_t last_hop_hi;
    uint64_t last_hop_lo;
    uint64_t last_hop_mac;
    uint32_t last_hop_port;
    uint32_t pad;
};
_Static_assert(sizeof(struct weft_worker) == 264, "Worker");
_Static_assert(offsetof(struct weft_worker, generation) == 0, "Worker.generation");
_Static_assert(offsetof(struct weft_worker, index) == 4, "Worker.index");
_Static_assert(offsetof(struct weft_worker, tx_count) == 8, "Worker.txCount");
_Static_assert(offsetof(struct weft_worker, iov_count) == 12, "Worker.iovCount");
_Static_assert(offsetof(struct weft_worker, resume_seg) == 16, "Worker.resumeSeg");
_Static_assert(offsetof(struct weft_worker, age_bucket) == 20, "Worker.ageBucket");
_Static_assert(offsetof(struct weft_worker, now_ms) == 24, "Worker.nowMs");
_Static_assert(offsetof(struct weft_worker, event_head) == 28, "Worker.eventHead");
_Static_assert(offsetof(struct weft_worker, event_tail) == 32, "Worker.eventTail");
_Static_assert(offsetof(struct weft_worker, networks) == 36, "Worker.networks");
_Static_assert(offsetof(struct weft_worker, ports) == 40, "Worker.ports");
_Static_assert(offsetof(struct weft_worker, vteps) == 44, "Worker.vteps");
_Static_assert(offsetof(struct weft_worker, routes) == 48, "Worker.routes");
_Static_assert(offsetof(struct weft_worker, counters) == 52, "Worker.counters");
_Static_assert(offsetof(struct weft_worker, port_counters) == 56, "Worker.portCounters");
_Static_assert(offsetof(struct weft_worker, vtep_counters) == 60, "Worker.vtepCounters");
_Static_assert(offsetof(struct weft_worker, network_counters) == 64, "Worker.networkCounters");
_Static_assert(offsetof(struct weft_worker, rx_descs) == 68, "Worker.rxDescs");
_Static_assert(offsetof(struct weft_worker, tx_ops) == 72, "Worker.txOps");
_Static_assert(offsetof(struct weft_worker, iovs) == 76, "Worker.iovs");
_Static_assert(offsetof(struct weft_worker, tx_max) == 80, "Worker.txMax");
_Static_assert(offsetof(struct weft_worker, iov_max) == 84, "Worker.iovMax");
_Static_assert(offsetof(struct weft_worker, neighbour_bucket) == 88, "Worker.neighbourBucket");
_Static_assert(offsetof(struct weft_worker, refused_vtep_tick) == 92, "Worker.refusedVtepTick");
_Static_assert(offsetof(struct weft_worker, refused_vni_tick) == 96, "Worker.refusedVniTick");
_Static_assert(offsetof(struct weft_worker, headers) == 100, "Worker.headers");
_Static_assert(offsetof(struct weft_worker, header_count) == 104, "Worker.headerCount");
_Static_assert(offsetof(struct weft_worker, items) == 108, "Worker.items");
_Static_assert(offsetof(struct weft_worker, item_count) == 112, "Worker.itemCount");
_Static_assert(offsetof(struct weft_worker, last_item) == 116, "Worker.lastItem");
_Static_assert(offsetof(struct weft_worker, item_heads) == 120, "Worker.itemHeads");
_Static_assert(offsetof(struct weft_worker, clock_ms) == 124, "Worker.clockMs");
_Static_assert(offsetof(struct weft_worker, last_dst) == 128, "Worker.lastDst");
_Static_assert(offsetof(struct weft_worker, last_owner) == 136, "Worker.lastOwner");
_Static_assert(offsetof(struct weft_worker, tunnel) == 140, "Worker.tunnel");
_Static_assert(offsetof(struct weft_worker, peers) == 144, "Worker.peers");
_Static_assert(offsetof(struct weft_worker, peer_live) == 148, "Worker.peerLive");
_Static_assert(offsetof(struct weft_worker, peer_counters) == 152, "Worker.peerCounters");
_Static_assert(offsetof(struct weft_worker, aead) == 156, "Worker.aead");
_Static_assert(offsetof(struct weft_worker, sealed) == 160, "Worker.sealed");
_Static_assert(offsetof(struct weft_worker, sealed_max) == 164, "Worker.sealedMax");
_Static_assert(offsetof(struct weft_worker, sealed_used) == 168, "Worker.sealedUsed");
_Static_assert(offsetof(struct weft_worker, opened) == 172, "Worker.opened");
_Static_assert(offsetof(struct weft_worker, load_tick) == 176, "Worker.loadTick");
_Static_assert(offsetof(struct weft_worker, load_count) == 180, "Worker.loadCount");
_Static_assert(offsetof(struct weft_worker, load_until) == 184, "Worker.loadUntil");
_Static_assert(offsetof(struct weft_worker, punt_head) == 188, "Worker.puntHead");
_Static_assert(offsetof(struct weft_worker, punt_tail) == 192, "Worker.puntTail");
_Static_assert(offsetof(struct weft_worker, attention) == 196, "Worker.attention");
_Static_assert(offsetof(struct weft_worker, tunnel_source) == 200, "Worker.tunnelSource");
_Static_assert(offsetof(struct weft_worker, talks) == 216, "Worker.talks");
_Static_assert(offsetof(struct weft_worker, talk_bucket) == 220, "Worker.talkBucket");
_Static_assert(offsetof(struct weft_worker, last_sent) == 224, "Worker.lastSent");
_Static_assert(offsetof(struct weft_worker, last_received) == 228, "Worker.lastReceived");
_Static_assert(offsetof(struct weft_worker, last_hop_hi) == 232, "Worker.lastHopHi");
_Static_assert(offsetof(struct weft_worker, last_hop_lo) == 240, "Worker.lastHopLo");
_Static_assert(offsetof(struct weft_worker, last_hop_mac) == 248, "Worker.lastHopMac");
_Static_assert(offsetof(struct weft_worker, last_hop_port) == 256, "Worker.lastHopPort");
_Static_assert(offsetof(struct weft_worker, pad) == 260, "Worker.pad");

/* One received frame or datagram. The first 40 octets are written by the addon, the rest by parse(). */
struct weft_rx_desc {
    uint32_t off;
    uint32_t len;
    uint32_t source;
    uint32_t seg_len;
    uint8_t addr[16];
    uint16_t addr_port;
    uint8_t tos;
    uint8_t rx_flags;
    uint32_t pad0;
    uint32_t frame;
    uint32_t frame_len;
    uint16_t network;
    uint16_t ether_type;
    uint16_t l3off;
    uint16_t l4off;
    uint8_t ip_version;
    uint8_t ip_proto;
    uint8_t l3flags;
    uint8_t vnet_flags;
    uint8_t gso_type;
    uint8_t pad1;
    uint16_t hdr_len;
    uint16_t gso_size;
    uint16_t csum_start;
    uint16_t csum_offset;
    uint16_t pad2;
    uint32_t hash;
    uint32_t identity;
    uint32_t owner;
    uint16_t owner_generation;
    uint8_t plane;
    uint8_t pad3;
    uint32_t conntrack;
    uint32_t trace;
    uint32_t run;
    uint32_t vtep;
    uint8_t local[16];
    uint8_t reserved[8];
};
_Static_assert(sizeof(struct weft_rx_desc) == 128, "RxDesc");
_Static_assert(offsetof(struct weft_rx_desc, off) == 0, "RxDesc.off");
_Static_assert(offsetof(struct weft_rx_desc, len) == 4, "RxDesc.len");
_Static_assert(offsetof(struct weft_rx_desc, source) == 8, "RxDesc.source");
_Static_assert(offsetof(struct weft_rx_desc, seg_len) == 12, "RxDesc.segLen");
_Static_assert(offsetof(struct weft_rx_desc, addr) == 16, "RxDesc.addr");
_Static_assert(offsetof(struct weft_rx_desc, addr_port) == 32, "RxDesc.addrPort");
_Static_assert(offsetof(struct weft_rx_desc, tos) == 34, "RxDesc.tos");
_Static_assert(offsetof(struct weft_rx_desc, rx_flags) == 35, "RxDesc.rxFlags");
_Static_assert(offsetof(struct weft_rx_desc, pad0) == 36, "RxDesc.pad0");
_Static_assert(offsetof(struct weft_rx_desc, frame) == 40, "RxDesc.frame");
_Static_assert(offsetof(struct weft_rx_desc, frame_len) == 44, "RxDesc.frameLen");
_Static_assert(offsetof(struct weft_rx_desc, network) == 48, "RxDesc.network");
_Static_assert(offsetof(struct weft_rx_desc, ether_type) == 50, "RxDesc.etherType");
_Static_assert(offsetof(struct weft_rx_desc, l3off) == 52, "RxDesc.l3Off");
_Static_assert(offsetof(struct weft_rx_desc, l4off) == 54, "RxDesc.l4Off");
_Static_assert(offsetof(struct weft_rx_desc, ip_version) == 56, "RxDesc.ipVersion");
_Static_assert(offsetof(struct weft_rx_desc, ip_proto) == 57, "RxDesc.ipProto");
_Static_assert(offsetof(struct weft_rx_desc, l3flags) == 58, "RxDesc.l3Flags");
_Static_assert(offsetof(struct weft_rx_desc, vnet_flags) == 59, "RxDesc.vnetFlags");
_Static_assert(offsetof(struct weft_rx_desc, gso_type) == 60, "RxDesc.gsoType");
_Static_assert(offsetof(struct weft_rx_desc, pad1) == 61, "RxDesc.pad1");
_Static_assert(offsetof(struct weft_rx_desc, hdr_len) == 62, "RxDesc.hdrLen");
_Static_assert(offsetof(struct weft_rx_desc, gso_size) == 64, "RxDesc.gsoSize");
_Static_assert(offsetof(struct weft_rx_desc, csum_start) == 66, "RxDesc.csumStart");
_Static_assert(offsetof(struct weft_rx_desc, csum_offset) == 68, "RxDesc.csumOffset");
_Static_assert(offsetof(struct weft_rx_desc, pad2) == 70, "RxDesc.pad2");
_Static_assert(offsetof(struct weft_rx_desc, hash) == 72, "RxDesc.hash");
_Static_assert(offsetof(struct weft_rx_desc, identity) == 76, "RxDesc.identity");
_Static_assert(offsetof(struct weft_rx_desc, owner) == 80, "RxDesc.owner");
_Static_assert(offsetof(struct weft_rx_desc, owner_generation) == 84, "RxDesc.ownerGeneration");
_Static_assert(offsetof(struct weft_rx_desc, plane) == 86, "RxDesc.plane");
_Static_assert(offsetof(struct weft_rx_desc, pad3) == 87, "RxDesc.pad3");
_Static_assert(offsetof(struct weft_rx_desc, conntrack) == 88, "RxDesc.conntrack");
_Static_assert(offsetof(struct weft_rx_desc, trace) == 92, "RxDesc.trace");
_Static_assert(offsetof(struct weft_rx_desc, run) == 96, "RxDesc.run");
_Static_assert(offsetof(struct weft_rx_desc, vtep) == 100, "RxDesc.vtep");
_Static_assert(offsetof(struct weft_rx_desc, local) == 104, "RxDesc.local");
_Static_assert(offsetof(struct weft_rx_desc, reserved) == 120, "RxDesc.reserved");

/* One transmit operation: written by the WASM, carried out by the addon, which writes result, and counted by complete(). */
struct weft_tx_op {
    uint8_t kind;
    uint8_t tos;
    uint16_t segs;
    uint32_t dest;
    uint32_t iov_start;
    uint16_t iov_count;
    uint16_t gso_size;
    uint8_t addr[16];
    uint16_t port;
    uint8_t family;
    uint8_t plane;
    uint32_t bytes;
    uint32_t owner;
    int32_t result;
    uint8_t vnet_hdr[10];
    uint16_t network;
    uint32_t local;
};
_Static_assert(sizeof(struct weft_tx_op) == 64, "TxOp");
_Static_assert(offsetof(struct weft_tx_op, kind) == 0, "TxOp.kind");
_Static_assert(offsetof(struct weft_tx_op, tos) == 1, "TxOp.tos");
_Static_assert(offsetof(struct weft_tx_op, segs) == 2, "TxOp.segs");
_Static_assert(offsetof(struct weft_tx_op, dest) == 4, "TxOp.dest");
_Static_assert(offsetof(struct weft_tx_op, iov_start) == 8, "TxOp.iovStart");
_Static_assert(offsetof(struct weft_tx_op, iov_count) == 12, "TxOp.iovCount");
_Static_assert(offsetof(struct weft_tx_op, gso_size) == 14, "TxOp.gsoSize");
_Static_assert(offsetof(struct weft_tx_op, addr) == 16, "TxOp.addr");
_Static_assert(offsetof(struct weft_tx_op, port) == 32, "TxOp.port");
_Static_assert(offsetof(struct weft_tx_op, family) == 34, "TxOp.family");
_Static_assert(offsetof(struct weft_tx_op, plane) == 35, "TxOp.plane");
_Static_assert(offsetof(struct weft_tx_op, bytes) == 36, "TxOp.bytes");
_Static_assert(offsetof(struct weft_tx_op, owner) == 40, "TxOp.owner");
_Static_assert(offsetof(struct weft_tx_op, result) == 44, "TxOp.result");
_Static_assert(offsetof(struct weft_tx_op, vnet_hdr) == 48, "TxOp.vnetHdr");
_Static_assert(offsetof(struct weft_tx_op, network) == 58, "TxOp.network");
_Static_assert(offsetof(struct weft_tx_op, local) == 60, "TxOp.local");

/* An operation that may still take further frames: a super-frame for a port, or a UDP_SEGMENT send. Lives until complete(). */
struct weft_join_item {
    uint32_t op;
    uint32_t key;
    uint32_t next;
    uint32_t frame;
    uint32_t header_len;
    uint32_t next_seq;
    uint32_t seg_len;
    uint32_t octets;
    uint16_t l3off;
    uint16_t l4off;
    uint8_t ip_version;
    uint8_t ip_proto;
    uint8_t state;
    uint8_t flags;
    uint32_t skip;
    uint32_t pad;
};
_Static_assert(sizeof(struct weft_join_item) == 48, "JoinItem");
_Static_assert(offsetof(struct weft_join_item, op) == 0, "JoinItem.op");
_Static_assert(offsetof(struct weft_join_item, key) == 4, "JoinItem.key");
_Static_assert(offsetof(struct weft_join_item, next) == 8, "JoinItem.next");
_Static_assert(offsetof(struct weft_join_item, frame) == 12, "JoinItem.frame");
_Static_assert(offsetof(struct weft_join_item, header_len) == 16, "JoinItem.headerLen");
_Static_assert(offsetof(struct weft_join_item, next_seq) == 20, "JoinItem.nextSeq");
_Static_assert(offsetof(struct weft_join_item, seg_len) == 24, "JoinItem.segLen");
_Static_assert(offsetof(struct weft_join_item, octets) == 28, "JoinItem.octets");
_Static_assert(offsetof(struct weft_join_item, l3off) == 32, "JoinItem.l3Off");
_Static_assert(offsetof(struct weft_join_item, l4off) == 34, "JoinItem.l4Off");
_Static_assert(offsetof(struct weft_join_item, ip_version) == 36, "JoinItem.ipVersion");
_Static_assert(offsetof(struct weft_join_item, ip_proto) == 37, "JoinItem.ipProto");
_Static_assert(offsetof(struct weft_join_item, state) == 38, "JoinItem.state");
_Static_assert(offsetof(struct weft_join_item, flags) == 39, "JoinItem.flags");
_Static_assert(offsetof(struct weft_join_item, skip) == 40, "JoinItem.skip");
_Static_assert(offsetof(struct weft_join_item, pad) == 44, "JoinItem.pad");

/* A piece of a frame to send. */
struct weft_iov {
    uint32_t off;
    uint32_t len;
};
_Static_assert(sizeof(struct weft_iov) == 8, "Iov");
_Static_assert(offsetof(struct weft_iov, off) == 0, "Iov.off");
_Static_assert(offsetof(struct weft_iov, len) == 4, "Iov.len");

/* A virtual Ethernet. Double-buffered; written by the main thread. */
struct weft_network {
    uint32_t flags;
    uint32_t vni;
    uint32_t port_head;
    uint32_t vtep_head;
    uint32_t mtu;
    uint32_t age_ticks;
    uint32_t bum_rate;
    uint32_t bum_burst;
    uint32_t macs_per_port;
    uint32_t pad0;
    uint64_t v4lens;
    uint64_t v6lens0;
    uint64_t v6lens1;
    uint64_t v6lens2;
    uint32_t fanout;
    uint32_t gateway_port;
    uint64_t gateway;
    uint8_t pad1[40];
};
_Static_assert(sizeof(struct weft_network) == 128, "Network");
_Static_assert(offsetof(struct weft_network, flags) == 0, "Network.flags");
_Static_assert(offsetof(struct weft_network, vni) == 4, "Network.vni");
_Static_assert(offsetof(struct weft_network, port_head) == 8, "Network.portHead");
_Static_assert(offsetof(struct weft_network, vtep_head) == 12, "Network.vtepHead");
_Static_assert(offsetof(struct weft_network, mtu) == 16, "Network.mtu");
_Static_assert(offsetof(struct weft_network, age_ticks) == 20, "Network.ageTicks");
_Static_assert(offsetof(struct weft_network, bum_rate) == 24, "Network.bumRate");
_Static_assert(offsetof(struct weft_network, bum_burst) == 28, "Network.bumBurst");
_Static_assert(offsetof(struct weft_network, macs_per_port) == 32, "Network.macsPerPort");
_Static_assert(offsetof(struct weft_network, pad0) == 36, "Network.pad0");
_Static_assert(offsetof(struct weft_network, v4lens) == 40, "Network.v4Lens");
_Static_assert(offsetof(struct weft_network, v6lens0) == 48, "Network.v6Lens0");
_Static_assert(offsetof(struct weft_network, v6lens1) == 56, "Network.v6Lens1");
_Static_assert(offsetof(struct weft_network, v6lens2) == 64, "Network.v6Lens2");
_Static_assert(offsetof(struct weft_network, fanout) == 72, "Network.fanout");
_Static_assert(offsetof(struct weft_network, gateway_port) == 76, "Network.gatewayPort");
_Static_assert(offsetof(struct weft_network, gateway) == 80, "Network.gateway");
_Static_assert(offsetof(struct weft_network, pad1) == 88, "Network.pad1");

/* A local port. Double-buffered; written by the main thread. */
struct weft_port {
    uint32_t flags;
    uint16_t network;
    uint16_t generation;
    uint32_t next;
    uint32_t identity;
    uint64_t mac;
    uint32_t mtu;
    uint32_t gateway4;
    uint64_t v4lens;
    uint64_t v6lens0;
    uint64_t v6lens1;
    uint64_t v6lens2;
    uint8_t gateway6[16];
    uint8_t pad[48];
};
_Static_assert(sizeof(struct weft_port) == 128, "Port");
_Static_assert(offsetof(struct weft_port, flags) == 0, "Port.flags");
_Static_assert(offsetof(struct weft_port, network) == 4, "Port.network");
_Static_assert(offsetof(struct weft_port, generation) == 6, "Port.generation");
_Static_assert(offsetof(struct weft_port, next) == 8, "Port.next");
_Static_assert(offsetof(struct weft_port, identity) == 12, "Port.identity");
_Static_assert(offsetof(struct weft_port, mac) == 16, "Port.mac");
_Static_assert(offsetof(struct weft_port, mtu) == 24, "Port.mtu");
_Static_assert(offsetof(struct weft_port, gateway4) == 28, "Port.gateway4");
_Static_assert(offsetof(struct weft_port, v4lens) == 32, "Port.v4Lens");
_Static_assert(offsetof(struct weft_port, v6lens0) == 40, "Port.v6Lens0");
_Static_assert(offsetof(struct weft_port, v6lens1) == 48, "Port.v6Lens1");
_Static_assert(offsetof(struct weft_port, v6lens2) == 56, "Port.v6Lens2");
_Static_assert(offsetof(struct weft_port, gateway6) == 64, "Port.gateway6");
_Static_assert(offsetof(struct weft_port, pad) == 80, "Port.pad");

/* A VTEP of one network. Double-buffered; written by the main thread. */
struct weft_vtep {
    uint32_t flags;
    uint16_t network;
    uint16_t generation;
    uint32_t next;
    uint16_t port;
    uint8_t family;
    uint8_t pad0;
    uint8_t addr[16];
    uint32_t peer;
    uint8_t pad1[28];
};
_Static_assert(sizeof(struct weft_vtep) == 64, "Vtep");
_Static_assert(offsetof(struct weft_vtep, flags) == 0, "Vtep.flags");
_Static_assert(offsetof(struct weft_vtep, network) == 4, "Vtep.network");
_Static_assert(offsetof(struct weft_vtep, generation) == 6, "Vtep.generation");
_Static_assert(offsetof(struct weft_vtep, next) == 8, "Vtep.next");
_Static_assert(offsetof(struct weft_vtep, port) == 12, "Vtep.port");
_Static_assert(offsetof(struct weft_vtep, family) == 14, "Vtep.family");
_Static_assert(offsetof(struct weft_vtep, pad0) == 15, "Vtep.pad0");
_Static_assert(offsetof(struct weft_vtep, addr) == 16, "Vtep.addr");
_Static_assert(offsetof(struct weft_vtep, peer) == 32, "Vtep.peer");
_Static_assert(offsetof(struct weft_vtep, pad1) == 36, "Vtep.pad1");

/* One cell of the route hash (open addressing, linear probing). Double-buffered; written by the main thread. */
struct weft_route {
    uint32_t tag;
    uint32_t value;
    uint64_t key_hi;
    uint64_t key_lo;
    uint16_t generation;
    uint8_t pad[6];
};
_Static_assert(sizeof(struct weft_route) == 32, "Route");
_Static_assert(offsetof(struct weft_route, tag) == 0, "Route.tag");
_Static_assert(offsetof(struct weft_route, value) == 4, "Route.value");
_Static_assert(offsetof(struct weft_route, key_hi) == 8, "Route.keyHi");
_Static_assert(offsetof(struct weft_route, key_lo) == 16, "Route.keyLo");
_Static_assert(offsetof(struct weft_route, generation) == 24, "Route.generation");
_Static_assert(offsetof(struct weft_route, pad) == 26, "Route.pad");

/* Three learned MACs. key = network << 48 | MAC; value = stamp << 48 | generation << 32 | KIND << 24 | index. */
struct weft_fdb_bucket {
    uint32_t latch;
    uint32_t pad;
    uint64_t key0;
    uint64_t value0;
    uint64_t key1;
    uint64_t value1;
    uint64_t key2;
    uint64_t value2;
    uint64_t pad1;
};
_Static_assert(sizeof(struct weft_fdb_bucket) == 64, "FdbBucket");
_Static_assert(offsetof(struct weft_fdb_bucket, latch) == 0, "FdbBucket.latch");
_Static_assert(offsetof(struct weft_fdb_bucket, pad) == 4, "FdbBucket.pad");
_Static_assert(offsetof(struct weft_fdb_bucket, key0) == 8, "FdbBucket.key0");
_Static_assert(offsetof(struct weft_fdb_bucket, value0) == 16, "FdbBucket.value0");
_Static_assert(offsetof(struct weft_fdb_bucket, key1) == 24, "FdbBucket.key1");
_Static_assert(offsetof(struct weft_fdb_bucket, value1) == 32, "FdbBucket.value1");
_Static_assert(offsetof(struct weft_fdb_bucket, key2) == 40, "FdbBucket.key2");
_Static_assert(offsetof(struct weft_fdb_bucket, value2) == 48, "FdbBucket.value2");
_Static_assert(offsetof(struct weft_fdb_bucket, pad1) == 56, "FdbBucket.pad1");

/* Three IP addresses seen in ARP and ND. meta = KIND << 56 | index << 32 | stamp << 16 | network + 1. */
struct weft_neighbour_bucket {
    uint32_t latch;
    uint8_t pad[28];
    uint64_t hi0;
    uint64_t lo0;
    uint64_t mac0;
    uint64_t meta0;
    uint64_t hi1;
    uint64_t lo1;
    uint64_t mac1;
    uint64_t meta1;
    uint64_t hi2;
    uint64_t lo2;
    uint64_t mac2;
    uint64_t meta2;
};
_Static_assert(sizeof(struct weft_neighbour_bucket) == 128, "NeighbourBucket");
_Static_assert(offsetof(struct weft_neighbour_bucket, latch) == 0, "NeighbourBucket.latch");
_Static_assert(offsetof(struct weft_neighbour_bucket, pad) == 4, "NeighbourBucket.pad");
_Static_assert(offsetof(struct weft_neighbour_bucket, hi0) == 32, "NeighbourBucket.hi0");
_Static_assert(offsetof(struct weft_neighbour_bucket, lo0) == 40, "NeighbourBucket.lo0");
_Static_assert(offsetof(struct weft_neighbour_bucket, mac0) == 48, "NeighbourBucket.mac0");
_Static_assert(offsetof(struct weft_neighbour_bucket, meta0) == 56, "NeighbourBucket.meta0");
_Static_assert(offsetof(struct weft_neighbour_bucket, hi1) == 64, "NeighbourBucket.hi1");
_Static_assert(offsetof(struct weft_neighbour_bucket, lo1) == 72, "NeighbourBucket.lo1");
_Static_assert(offsetof(struct weft_neighbour_bucket, mac1) == 80, "NeighbourBucket.mac1");
_Static_assert(offsetof(struct weft_neighbour_bucket, meta1) == 88, "NeighbourBucket.meta1");
_Static_assert(offsetof(struct weft_neighbour_bucket, hi2) == 96, "NeighbourBucket.hi2");
_Static_assert(offsetof(struct weft_neighbour_bucket, lo2) == 104, "NeighbourBucket.lo2");
_Static_assert(offsetof(struct weft_neighbour_bucket, mac2) == 112, "NeighbourBucket.mac2");
_Static_assert(offsetof(struct weft_neighbour_bucket, meta2) == 120, "NeighbourBucket.meta2");

/* What workers know of a port beside its configuration. Zeroed by the main thread while nobody uses the index. */
struct weft_port_live {
    uint32_t macs;
    uint32_t bum_tokens;
    uint32_t bum_stamp_ms;
    uint32_t too_big;
};
_Static_assert(sizeof(struct weft_port_live) == 16, "PortLive");
_Static_assert(offsetof(struct weft_port_live, macs) == 0, "PortLive.macs");
_Static_assert(offsetof(struct weft_port_live, bum_tokens) == 4, "PortLive.bumTokens");
_Static_assert(offsetof(struct weft_port_live, bum_stamp_ms) == 8, "PortLive.bumStampMs");
_Static_assert(offsetof(struct weft_port_live, too_big) == 12, "PortLive.tooBig");

/* A conversation as a local port sees it. Octets of Ethernet frames. */
struct weft_talk {
    uint64_t local;
    uint64_t remote;
    uint64_t rx_packets;
    uint64_t rx_bytes;
    uint64_t tx_packets;
    uint64_t tx_bytes;
    uint32_t seen_ms;
    uint32_t version;
    uint64_t pad;
};
_Static_assert(sizeof(struct weft_talk) == 64, "Talk");
_Static_assert(offsetof(struct weft_talk, local) == 0, "Talk.local");
_Static_assert(offsetof(struct weft_talk, remote) == 8, "Talk.remote");
_Static_assert(offsetof(struct weft_talk, rx_packets) == 16, "Talk.rxPackets");
_Static_assert(offsetof(struct weft_talk, rx_bytes) == 24, "Talk.rxBytes");
_Static_assert(offsetof(struct weft_talk, tx_packets) == 32, "Talk.txPackets");
_Static_assert(offsetof(struct weft_talk, tx_bytes) == 40, "Talk.txBytes");
_Static_assert(offsetof(struct weft_talk, seen_ms) == 48, "Talk.seenMs");
_Static_assert(offsetof(struct weft_talk, version) == 52, "Talk.version");
_Static_assert(offsetof(struct weft_talk, pad) == 56, "Talk.pad");

/* TALK_CELLS conversations. */
struct weft_talk_bucket {
    uint8_t cells[256];
};
_Static_assert(sizeof(struct weft_talk_bucket) == 256, "TalkBucket");
_Static_assert(offsetof(struct weft_talk_bucket, cells) == 0, "TalkBucket.cells");

/* One event for the main thread. */
struct weft_event {
    uint32_t kind;
    uint32_t network;
    uint64_t mac;
    uint32_t owner;
    uint32_t previous;
    uint8_t source[16];
    uint8_t local[16];
    uint32_t port;
    uint32_t pad;
};
_Static_assert(sizeof(struct weft_event) == 64, "Event");
_Static_assert(offsetof(struct weft_event, kind) == 0, "Event.kind");
_Static_assert(offsetof(struct weft_event, network) == 4, "Event.network");
_Static_assert(offsetof(struct weft_event, mac) == 8, "Event.mac");
_Static_assert(offsetof(struct weft_event, owner) == 16, "Event.owner");
_Static_assert(offsetof(struct weft_event, previous) == 20, "Event.previous");
_Static_assert(offsetof(struct weft_event, source) == 24, "Event.source");
_Static_assert(offsetof(struct weft_event, local) == 40, "Event.local");
_Static_assert(offsetof(struct weft_event, port) == 56, "Event.port");
_Static_assert(offsetof(struct weft_event, pad) == 60, "Event.pad");

/* Traffic of a port, one block per worker. Receive is into the switch. Octets of Ethernet frames. */
struct weft_port_counters {
    uint64_t rx_packets;
    uint64_t rx_bytes;
    uint64_t tx_packets;
    uint64_t tx_bytes;
};
_Static_assert(sizeof(struct weft_port_counters) == 32, "PortCounters");
_Static_assert(offsetof(struct weft_port_counters, rx_packets) == 0, "PortCounters.rxPackets");
_Static_assert(offsetof(struct weft_port_counters, rx_bytes) == 8, "PortCounters.rxBytes");
_Static_assert(offsetof(struct weft_port_counters, tx_packets) == 16, "PortCounters.txPackets");
_Static_assert(offsetof(struct weft_port_counters, tx_bytes) == 24, "PortCounters.txBytes");

/* Traffic of a VTEP, one block per worker. Receive is into the switch. Octets of inner Ethernet frames. */
struct weft_vtep_counters {
    uint64_t rx_packets;
    uint64_t rx_bytes;
    uint64_t tx_packets;
    uint64_t tx_bytes;
};
_Static_assert(sizeof(struct weft_vtep_counters) == 32, "VtepCounters");
_Static_assert(offsetof(struct weft_vtep_counters, rx_packets) == 0, "VtepCounters.rxPackets");
_Static_assert(offsetof(struct weft_vtep_counters, rx_bytes) == 8, "VtepCounters.rxBytes");
_Static_assert(offsetof(struct weft_vtep_counters, tx_packets) == 16, "VtepCounters.txPackets");
_Static_assert(offsetof(struct weft_vtep_counters, tx_bytes) == 24, "VtepCounters.txBytes");

/* Sums of a network that survive its ports, one block per worker. */
struct weft_network_counters {
    uint64_t rx_packets;
    uint64_t rx_bytes;
    uint64_t tx_packets;
    uint64_t tx_bytes;
    uint64_t fdb_ports;
    uint64_t fdb_vteps;
    uint64_t moves;
    uint64_t evictions;
};
_Static_assert(sizeof(struct weft_network_counters) == 64, "NetworkCounters");
_Static_assert(offsetof(struct weft_network_counters, rx_packets) == 0, "NetworkCounters.rxPackets");
_Static_assert(offsetof(struct weft_network_counters, rx_bytes) == 8, "NetworkCounters.rxBytes");
_Static_assert(offsetof(struct weft_network_counters, tx_packets) == 16, "NetworkCounters.txPackets");
_Static_assert(offsetof(struct weft_network_counters, tx_bytes) == 24, "NetworkCounters.txBytes");
_Static_assert(offsetof(struct weft_network_counters, fdb_ports) == 32, "NetworkCounters.fdbPorts");
_Static_assert(offsetof(struct weft_network_counters, fdb_vteps) == 40, "NetworkCounters.fdbVteps");
_Static_assert(offsetof(struct weft_network_counters, moves) == 48, "NetworkCounters.moves");
_Static_assert(offsetof(struct weft_network_counters, evictions) == 56, "NetworkCounters.evictions");

/* ChaCha20-Poly1305 at work: one per worker. Holds key material only while a message is sealed or opened. */
struct weft_aead {
    uint8_t matrix[64];
    uint8_t h[32];
    uint8_t r[56];
    uint64_t pad;
    uint8_t addend[16];
    uint8_t block[16];
    uint8_t head[256];
    uint8_t tail[256];
    uint8_t zeros[256];
};
_Static_assert(sizeof(struct weft_aead) == 960, "Aead");
_Static_assert(offsetof(struct weft_aead, matrix) == 0, "Aead.matrix");
_Static_assert(offsetof(struct weft_aead, h) == 64, "Aead.h");
_Static_assert(offsetof(struct weft_aead, r) == 96, "Aead.r");
_Static_assert(offsetof(struct weft_aead, pad) == 152, "Aead.pad");
_Static_assert(offsetof(struct weft_aead, addend) == 160, "Aead.addend");
_Static_assert(offsetof(struct weft_aead, block) == 176, "Aead.block");
_Static_assert(offsetof(struct weft_aead, head) == 192, "Aead.head");
_Static_assert(offsetof(struct weft_aead, tail) == 448, "Aead.tail");
_Static_assert(offsetof(struct weft_aead, zeros) == 704, "Aead.zeros");

/* BLAKE2s at work: one per worker. */
struct weft_blake2s {
    uint8_t h[32];
    uint8_t v[64];
    uint8_t block[64];
};
_Static_assert(sizeof(struct weft_blake2s) == 160, "Blake2s");
_Static_assert(offsetof(struct weft_blake2s, h) == 0, "Blake2s.h");
_Static_assert(offsetof(struct weft_blake2s, v) == 32, "Blake2s.v");
_Static_assert(offsetof(struct weft_blake2s, block) == 96, "Blake2s.block");

/* Counters of a receiving key that have been seen (RFC 6479). */
struct weft_replay {
    uint64_t next;
    uint8_t bits[2048];
};
_Static_assert(sizeof(struct weft_replay) == 2056, "Replay");
_Static_assert(offsetof(struct weft_replay, next) == 0, "Replay.next");
_Static_assert(offsetof(struct weft_replay, bits) == 8, "Replay.bits");

/* WireGuard as a whole. Double-buffered; written by the main thread. */
struct weft_tunnel {
    uint32_t is_on;
    uint32_t device;
    uint32_t vxlan_port;
    uint32_t listen_port;
    uint64_t rekey_after;
    uint8_t mac1key[32];
    uint8_t cookie_secret[32];
    uint8_t source4[16];
    uint8_t source6[16];
    uint64_t v4lens;
    uint64_t v6lens0;
    uint64_t v6lens1;
    uint64_t v6lens2;
    uint32_t probe_port;
    uint32_t least_mtu;
};
_Static_assert(sizeof(struct weft_tunnel) == 160, "Tunnel");
_Static_assert(offsetof(struct weft_tunnel, is_on) == 0, "Tunnel.isOn");
_Static_assert(offsetof(struct weft_tunnel, device) == 4, "Tunnel.device");
_Static_assert(offsetof(struct weft_tunnel, vxlan_port) == 8, "Tunnel.vxlanPort");
_Static_assert(offsetof(struct weft_tunnel, listen_port) == 12, "Tunnel.listenPort");
_Static_assert(offsetof(struct weft_tunnel, rekey_after) == 16, "Tunnel.rekeyAfter");
_Static_assert(offsetof(struct weft_tunnel, mac1key) == 24, "Tunnel.mac1Key");
_Static_assert(offsetof(struct weft_tunnel, cookie_secret) == 56, "Tunnel.cookieSecret");
_Static_assert(offsetof(struct weft_tunnel, source4) == 88, "Tunnel.source4");
_Static_assert(offsetof(struct weft_tunnel, source6) == 104, "Tunnel.source6");
_Static_assert(offsetof(struct weft_tunnel, v4lens) == 120, "Tunnel.v4Lens");
_Static_assert(offsetof(struct weft_tunnel, v6lens0) == 128, "Tunnel.v6Lens0");
_Static_assert(offsetof(struct weft_tunnel, v6lens1) == 136, "Tunnel.v6Lens1");
_Static_assert(offsetof(struct weft_tunnel, v6lens2) == 144, "Tunnel.v6Lens2");
_Static_assert(offsetof(struct weft_tunnel, probe_port) == 152, "Tunnel.probePort");
_Static_assert(offsetof(struct weft_tunnel, least_mtu) == 156, "Tunnel.leastMtu");

/* A WireGuard peer. Double-buffered; written by the main thread. */
struct weft_peer {
    uint16_t flags;
    uint16_t via;
    uint32_t send_key;
    uint16_t port;
    uint8_t family;
    uint8_t pad0;
    uint32_t mtu;
    uint8_t addr[16];
    uint8_t local[16];
    uint8_t tunnel_addr[16];
};
_Static_assert(sizeof(struct weft_peer) == 64, "Peer");
_Static_assert(offsetof(struct weft_peer, flags) == 0, "Peer.flags");
_Static_assert(offsetof(struct weft_peer, via) == 2, "Peer.via");
_Static_assert(offsetof(struct weft_peer, send_key) == 4, "Peer.sendKey");
_Static_assert(offsetof(struct weft_peer, port) == 8, "Peer.port");
_Static_assert(offsetof(struct weft_peer, family) == 10, "Peer.family");
_Static_assert(offsetof(struct weft_peer, pad0) == 11, "Peer.pad0");
_Static_assert(offsetof(struct weft_peer, mtu) == 12, "Peer.mtu");
_Static_assert(offsetof(struct weft_peer, addr) == 16, "Peer.addr");
_Static_assert(offsetof(struct weft_peer, local) == 32, "Peer.local");
_Static_assert(offsetof(struct weft_peer, tunnel_addr) == 48, "Peer.tunnelAddr");

/* The two keys of a session. Written by the main thread while state is FREE or HANDSHAKE, then by workers as said. */
struct weft_key {
    uint32_t state;
    uint32_t local;
    uint32_t remote;
    uint32_t peer;
    uint32_t born_ms;
    uint32_t used;
    uint32_t worn;
    uint32_t pad;
    uint64_t counter;
    uint8_t send[32];
    uint8_t receive[32];
    uint8_t replay[2056];
};
_Static_assert(sizeof(struct weft_key) == 2160, "Key");
_Static_assert(offsetof(struct weft_key, state) == 0, "Key.state");
_Static_assert(offsetof(struct weft_key, local) == 4, "Key.local");
_Static_assert(offsetof(struct weft_key, remote) == 8, "Key.remote");
_Static_assert(offsetof(struct weft_key, peer) == 12, "Key.peer");
_Static_assert(offsetof(struct weft_key, born_ms) == 16, "Key.bornMs");
_Static_assert(offsetof(struct weft_key, used) == 20, "Key.used");
_Static_assert(offsetof(struct weft_key, worn) == 24, "Key.worn");
_Static_assert(offsetof(struct weft_key, pad) == 28, "Key.pad");
_Static_assert(offsetof(struct weft_key, counter) == 32, "Key.counter");
_Static_assert(offsetof(struct weft_key, send) == 40, "Key.send");
_Static_assert(offsetof(struct weft_key, receive) == 72, "Key.receive");
_Static_assert(offsetof(struct weft_key, replay) == 104, "Key.replay");

/* When something last happened with a peer, as Worker.nowMs (0: never), one block per worker. Timers run on the main thread. */
struct weft_peer_live {
    uint32_t sent_ms;
    uint32_t sent_data_ms;
    uint32_t received_ms;
    uint32_t received_data_ms;
    uint32_t asked_ms;
    uint32_t roamed_ms;
    uint32_t probe_tick;
    uint32_t probe_count;
};
_Static_assert(sizeof(struct weft_peer_live) == 32, "PeerLive");
_Static_assert(offsetof(struct weft_peer_live, sent_ms) == 0, "PeerLive.sentMs");
_Static_assert(offsetof(struct weft_peer_live, sent_data_ms) == 4, "PeerLive.sentDataMs");
_Static_assert(offsetof(struct weft_peer_live, received_ms) == 8, "PeerLive.receivedMs");
_Static_assert(offsetof(struct weft_peer_live, received_data_ms) == 12, "PeerLive.receivedDataMs");
_Static_assert(offsetof(struct weft_peer_live, asked_ms) == 16, "PeerLive.askedMs");
_Static_assert(offsetof(struct weft_peer_live, roamed_ms) == 20, "PeerLive.roamedMs");
_Static_assert(offsetof(struct weft_peer_live, probe_tick) == 24, "PeerLive.probeTick");
_Static_assert(offsetof(struct weft_peer_live, probe_count) == 28, "PeerLive.probeCount");

/* Traffic of a WireGuard peer, one block per worker. Data messages; octets of UDP payload, as `wg show` counts. */
struct weft_peer_counters {
    uint64_t rx_packets;
    uint64_t rx_bytes;
    uint64_t tx_packets;
    uint64_t tx_bytes;
};
_Static_assert(sizeof(struct weft_peer_counters) == 32, "PeerCounters");
_Static_assert(offsetof(struct weft_peer_counters, rx_packets) == 0, "PeerCounters.rxPackets");
_Static_assert(offsetof(struct weft_peer_counters, rx_bytes) == 8, "PeerCounters.rxBytes");
_Static_assert(offsetof(struct weft_peer_counters, tx_packets) == 16, "PeerCounters.txPackets");
_Static_assert(offsetof(struct weft_peer_counters, tx_bytes) == 24, "PeerCounters.txBytes");

/* A handshake message, or a probe, for the main thread. */
struct weft_punt {
    uint32_t len;
    uint32_t flags;
    uint32_t source;
    uint32_t port;
    uint8_t addr[16];
    uint8_t local[16];
    uint32_t peer;
    uint32_t via;
    uint32_t total;
    uint32_t pad;
    uint8_t message[152];
};
_Static_assert(sizeof(struct weft_punt) == 216, "Punt");
_Static_assert(offsetof(struct weft_punt, len) == 0, "Punt.len");
_Static_assert(offsetof(struct weft_punt, flags) == 4, "Punt.flags");
_Static_assert(offsetof(struct weft_punt, source) == 8, "Punt.source");
_Static_assert(offsetof(struct weft_punt, port) == 12, "Punt.port");
_Static_assert(offsetof(struct weft_punt, addr) == 16, "Punt.addr");
_Static_assert(offsetof(struct weft_punt, local) == 32, "Punt.local");
_Static_assert(offsetof(struct weft_punt, peer) == 48, "Punt.peer");
_Static_assert(offsetof(struct weft_punt, via) == 52, "Punt.via");
_Static_assert(offsetof(struct weft_punt, total) == 56, "Punt.total");
_Static_assert(offsetof(struct weft_punt, pad) == 60, "Punt.pad");
_Static_assert(offsetof(struct weft_punt, message) == 64, "Punt.message");

#endif
