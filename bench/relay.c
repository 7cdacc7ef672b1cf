/*
 * The yardstick of the end-to-end bench: what plain C reaches with the same system calls. One TAP, one UDP socket that
 * carries VXLAN (RFC 7348) to one peer; no switch, no learning, no policy. Compiled by the bench itself (relay.ts).
 *
 *   relay DEVICE LOCAL REMOTE PORT VNI
 *
 * Makes the TAP, prints "ready" and relays until it is ended. DEVICE gets CSUM, TSO4, TSO6 and (where the kernel has
 * it) USO; LOCAL and REMOTE are IPv4 addresses, PORT is the port at both. Errors go to stderr with exit code 1.
 *
 *   out   read() a super-frame, cut it: headers in an area, payload left where it is, iovecs, UDP_SEGMENT, sendmmsg.
 *         Frames of equal length behind each other share one UDP_SEGMENT send, so small ones do too.
 *   in    recvmmsg with UDP_GRO into 64 KiB slots; runs of TCP or UDP of one flow become one super-frame by writev
 *         with a virtio_net_hdr, after their checksums have been verified.
 *
 * One thread; sends block, so that a full socket holds back the TAP.
 */
#define _GNU_SOURCE
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Newer than the oldest kernel headers this is built with. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define VXLAN 8
#define VNET sizeof(struct virtio_net_hdr)
/* Longest frame a TAP hands over or takes, with room to start the next one aligned. */
#define FRAME_MAX (65536 + 64)
/* Octets of longest headers of one segment: VXLAN, Ethernet, IPv4 with options or IPv6 with some, TCP. */
#define HEADERS_MAX 256
/*
 * Read in one go before sending: two super-frames, so that the other host has work while these are cut (four measured
 * slower), or many small frames, which lie close together so that few cache lines are touched.
 */
#define ARENA (2 * FRAME_MAX)
#define FRAMES_MAX 128
/* One send: UDP_MAX_SEGMENTS of older kernels, longest UDP payload over IPv4. */
#define DATAGRAM_MAX 65507
#define MESSAGES_MAX 64
#define IOVECS_MAX 4096
#define CALL_IOVECS_MAX 1024
/* Receive slots of one recvmmsg. */
#define SLOTS 8
#define SLOT 65536
#define SOCKET_BUFFER (8 << 20)

union control {
    char octets[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

/* What goes out with the next sendmmsg. The last message is open: datagrams of its unit may still join it. */
struct outbox {
    struct mmsghdr messages[MESSAGES_MAX];
    union control controls[MESSAGES_MAX];
    struct iovec iovecs[IOVECS_MAX];
    uint8_t headers[IOVECS_MAX / 2][HEADERS_MAX];
    unsigned message_count, iovec_count, header_count;
    /* Of the open message: octets of each datagram, how many there are, and the sum of their lengths. */
    size_t unit, segments, total;
    bool closed;
};

int tap;
static int udp;
static uint8_t vxlan[VXLAN] = {0x08};
static struct outbox out;
static uint8_t *arena, *slots;

static void fail(const char *what) {
    fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- out: TAP to socket ---- */

static void send_all(void) {
    struct outbox *o = &out;
    for (unsigned done = 0; done < o->message_count;) {
        int sent = sendmmsg(udp, o->messages + done, o->message_count - done, 0);
        /* A refused one (nobody listens over there, no route) is lost, as on a cable; those behind it go on. */
        if (sent > 0) done += (unsigned)sent;
        else if (errno != EINTR) done++;
    }
    o->message_count = o->iovec_count = o->header_count = 0;
    o->closed = true;
}

/* Makes room for a datagram of that length in `parts` iovecs, in the open message if it fits there. */
static void begin_datagram(size_t length, unsigned parts) {
    struct outbox *o = &out;
    struct msghdr *m;
    if (o->message_count > 0) {
        m = &o->messages[o->message_count - 1].msg_hdr;
        if (!o->closed && length <= o->unit && o->segments < SEGMENTS_MAX && o->total + length <= DATAGRAM_MAX &&
            m->msg_iovlen + parts <= CALL_IOVECS_MAX && o->iovec_count + parts <= IOVECS_MAX) {
            if (o->segments == 1) {
                uint16_t unit = (uint16_t)o->unit;
                struct cmsghdr *c = &o->controls[o->message_count - 1].align;
                c->cmsg_level = IPPROTO_UDP;
                c->cmsg_type = UDP_SEGMENT;
                c->cmsg_len = CMSG_LEN(sizeof unit);
                memcpy(CMSG_DATA(c), &unit, sizeof unit);
                m->msg_control = c;
                m->msg_controllen = CMSG_SPACE(sizeof unit);
            }
            o->segments++;
            o->total += length;
            o->closed = length < o->unit;
            return;
        }
    }
    if (o->message_count == MESSAGES_MAX || o->iovec_count + parts > IOVECS_MAX) send_all();
    m = &o->messages[o->message_count++].msg_hdr;
    m->msg_iov = &o->iovecs[o->iovec_count];
    m->msg_iovlen = 0;
    m->msg_control = NULL;
    m->msg_controllen = 0;
    o->unit = o->total = length;
    o->segments = 1;
    o->closed = false;
}

static void add_part(uint8_t *start, size_t length) {
    out.iovecs[out.iovec_count++] = (struct iovec){start, length};
    out.messages[out.message_count - 1].msg_hdr.msg_iovlen++;
}

/* A frame that is sent as it is. The VXLAN header goes where the virtio_net_hdr was. */
static void put_frame(uint8_t *frame, size_t length) {
    begin_datagram(VXLAN + length, 1);
    memcpy(frame - VXLAN, vxlan, VXLAN);
    add_part(frame - VXLAN, VXLAN + length);
}

/* Cuts a super-frame as the kernel's GSO does. Malformed ones are dropped. */
static void put_segments(uint8_t *frame, size_t length, const struct virtio_net_hdr *h) {
    unsigned l4 = h->csum_start, size = h->gso_size, type = h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
    bool tcp = type != VIRTIO_NET_HDR_GSO_UDP_L4, v6 = get16(frame + 12) == 0x86dd;
    if (type != VIRTIO_NET_HDR_GSO_TCPV4 && type != VIRTIO_NET_HDR_GSO_TCPV6 && tcp) return;
    if (size == 0 || l4 < ETHERNET + (v6 ? 40 : 20) || l4 + 20 > length) return;
    /* hdr_len may be more than the headers: they are measured here. */
    unsigned headers = l4 + (tcp ? (frame[l4 + 12] >> 4) * 4u : 8), check = tcp ? 16 : 6;
    if (headers >= length || headers + VXLAN > HEADERS_MAX) return;
    uint8_t *ip = frame + ETHERNET;
    unsigned id = get16(ip + 4), flags = tcp ? frame[l4 + 13] : 0;
    uint32_t seq = tcp ? get32(frame + l4 + 4) : 0;

    /* What is the same in every segment is summed once: with the fields that differ as zero. */
    put_sum(frame + l4 + check, 0);
    if (tcp) {
        put32(frame + l4 + 4, 0);
        frame[l4 + 13] = 0;
    } else {
        put16(frame + l4 + 4, 0);
    }
    uint64_t l4_sum = pseudo(ip, v6, tcp ? IPPROTO_TCP : IPPROTO_UDP) + sum(frame + l4, headers - l4);
    uint64_t ip_sum = 0;
    if (!v6) {
        put32(ip + 2, 0);
        ip[4] = ip[5] = 0;
        put_sum(ip + 10, 0);
        ip_sum = sum(ip, l4 - ETHERNET);
    }
    unsigned more_flags = flags & ~(TCP_FIN | TCP_PSH);
    for (size_t at = headers; at < length; at += size) {
        size_t part = length - at < size ? length - at : size;
        bool last = at + part == length;
        begin_datagram(VXLAN + headers + part, 2);
        uint8_t *start = out.headers[out.header_count++], *copy = start + VXLAN;
        memcpy(start, vxlan, VXLAN);
        memcpy(copy, frame, headers);
        unsigned l4_length = headers - l4 + (unsigned)part;
        uint64_t total = l4_sum + word(l4_length) + sum(frame + at, part);
        if (v6) {
            put16(copy + ETHERNET + 4, l4 - ETHERNET - 40 + l4_length);
        } else {
            unsigned ip_length = l4 - ETHERNET + l4_length;
            put16(copy + ETHERNET + 2, ip_length);
            put16(copy + ETHERNET + 4, id);
            put_sum(copy + ETHERNET + 10, (uint16_t)~fold(ip_sum + word(ip_length) + word(id)));
            id = (id + 1) & 0xffff;
        }
        if (tcp) {
            unsigned own = last ? (more_flags | (flags & (TCP_FIN | TCP_PSH))) : more_flags;
            put32(copy + l4 + 4, seq);
            copy[l4 + 13] = (uint8_t)own;
            total += sum(copy + l4 + 4, 4) + word(own);
            seq += size;
            more_flags &= ~(unsigned)TCP_CWR;
            put_sum(copy + l4 + 16, (uint16_t)~fold(total));
        } else {
            put16(copy + l4 + 4, l4_length);
            uint16_t folded = (uint16_t)~fold(total + word(l4_length));
            put_sum(copy + l4 + 6, folded ? folded : 0xffff);
        }
        add_part(start, VXLAN + headers);
        add_part(frame + at, part);
    }
}

static void take_frame(uint8_t *frame, size_t length) {
    struct virtio_net_hdr h;
    memcpy(&h, frame - VNET, VNET);
    if (length < ETHERNET) return;
    if (h.gso_type != VIRTIO_NET_HDR_GSO_NONE) {
        put_segments(frame, length, &h);
        return;
    }
    if (h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        size_t field = (size_t)h.csum_start + h.csum_offset;
        if (field + 2 > length) return;
        /* The field holds the pseudo header's sum already. */
        uint16_t folded = (uint16_t)~fold(sum(frame + h.csum_start, length - h.csum_start));
        put_sum(frame + field, folded == 0 && h.csum_offset == 6 ? 0xffff : folded);
    }
    put_frame(frame, length);
}

/* Returns whether there may be more to read. */
static bool from_tap(void) {
    size_t at = 0;
    unsigned frames = 0;
    bool more = true;
    for (; frames < FRAMES_MAX && at + FRAME_MAX <= ARENA; frames++) {
        /* Headers at 16 octets: their frame starts at 26, the IP header aligned. */
        uint8_t *start = arena + at + 16;
        ssize_t got = read(tap, start, FRAME_MAX - 16);
        if (got < (ssize_t)VNET) {
            if (got < 0 && errno == EINTR) continue;
            if (got < 0 && errno != EAGAIN && errno != EIO) fail("read from the TAP");
            more = false;
            break;
        }
        take_frame(start + VNET, (size_t)got - VNET);
        at += ((size_t)got + 16 + 63) & ~(size_t)63;
    }
    if (out.message_count > 0) send_all();
    return more;
}

/* ---- in: socket to TAP, with relay-merge.c ---- */

/* Returns whether there may be more to receive. */
static bool from_socket(void) {
    static struct mmsghdr messages[SLOTS];
    static union control controls[SLOTS];
    static struct iovec iovecs[SLOTS];
    for (unsigned i = 0; i < SLOTS; i++) {
        iovecs[i] = (struct iovec){slots + (size_t)i * SLOT, SLOT};
        messages[i].msg_hdr = (struct msghdr){
            .msg_iov = &iovecs[i], .msg_iovlen = 1, .msg_control = &controls[i], .msg_controllen = sizeof controls[i]};
    }
    int got = recvmmsg(udp, messages, SLOTS, MSG_DONTWAIT, NULL);
    if (got < 0) return false;
    for (int i = 0; i < got; i++) {
        uint8_t *start = iovecs[i].iov_base;
        unsigned length = messages[i].msg_len, unit = length;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&messages[i].msg_hdr); c; c = CMSG_NXTHDR(&messages[i].msg_hdr, c)) {
            int value;
            if (c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_GRO) continue;
            memcpy(&value, CMSG_DATA(c), sizeof value);
            if (value > 0 && (unsigned)value < length) unit = (unsigned)value;
        }
        for (unsigned at = 0; at < length; at += unit) {
            unsigned part = length - at < unit ? length - at : unit;
            if (part >= VXLAN + ETHERNET && memcmp(start + at, vxlan, VXLAN) == 0)
                deliver(start + at + VXLAN, part - VXLAN);
        }
    }
    end_run();
    return got == SLOTS;
}

/* ---- */

static void open_tap(const char *name) {
    struct ifreq ifr;
    unsigned long offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
    memset(&ifr, 0, sizeof ifr);
    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", name);
    ifr.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tap < 0) fail("/dev/net/tun");
    if (ioctl(tap, TUNSETIFF, &ifr) < 0) fail(name);
    if (ioctl(tap, TUNSETOFFLOAD, offloads | TUN_F_USO4 | TUN_F_USO6) < 0 && ioctl(tap, TUNSETOFFLOAD, offloads) < 0)
        fail("offloads of the TAP");
}

static void open_socket(const char *local, const char *remote, const char *port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    int one = 1, size = SOCKET_BUFFER, omit = IP_PMTUDISC_OMIT;
    udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (udp < 0) fail("socket");
    if (setsockopt(udp, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
        setsockopt(udp, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (setsockopt(udp, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
        setsockopt(udp, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(udp, IPPROTO_IP, IP_MTU_DISCOVER, &omit, sizeof omit);
    if (setsockopt(udp, IPPROTO_UDP, UDP_GRO, &one, sizeof one) < 0) fail("UDP_GRO");
    if (inet_pton(AF_INET, local, &a.sin_addr) != 1 || bind(udp, (struct sockaddr *)&a, sizeof a) < 0) fail(local);
    if (inet_pton(AF_INET, remote, &a.sin_addr) != 1 || connect(udp, (struct sockaddr *)&a, sizeof a) < 0) fail(remote);
}

static uint8_t *buffer(size_t size) {
    uint8_t *p = aligned_alloc(2 << 20, (size + (2 << 20) - 1) & ~(size_t)((2 << 20) - 1));
    if (!p) fail("memory");
    madvise(p, size, MADV_HUGEPAGE);
    memset(p, 0, size);
    return p;
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "relay: wrong arguments: see the head of relay.c\n");
        return 2;
    }
    put32(vxlan + 4, (uint32_t)atoi(argv[5]) << 8);
    arena = buffer(ARENA);
    slots = buffer((size_t)SLOTS * SLOT);
    /* The device comes last: whoever sees it may send. */
    open_socket(argv[2], argv[3], argv[4]);
    open_tap(argv[1]);
    puts("ready");
    fflush(stdout);
    struct pollfd fds[2] = {{.fd = tap, .events = POLLIN}, {.fd = udp, .events = POLLIN}};
    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR) fail("poll");
        bool tap_more = fds[0].revents != 0, udp_more = fds[1].revents != 0;
        while (tap_more || udp_more) {
            if (udp_more) udp_more = from_socket();
            if (tap_more) tap_more = from_tap();
        }
    }
}
