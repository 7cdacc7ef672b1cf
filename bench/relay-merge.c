/*
 * The relay's way in: packets of one flow behind each other become one super-frame for the TAP, by the rules of the
 * kernel's GRO, after their checksums have been verified.
 */
#define _GNU_SOURCE
#include "relay.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <sys/uio.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

/* A TCP or UDP packet that can be merged: offsets from the start of its frame. */
struct packet {
    uint8_t *frame;
    unsigned length, l4, headers, payload;
    bool v6, tcp;
};

/* Packets of one flow behind each other, to become one super-frame. */
struct run {
    struct packet head;
    struct iovec iovecs[SEGMENTS_MAX + 1];
    unsigned count, payload;
    uint32_t next_seq;
    bool head_verified, closed;
};

static struct run run;

/* Not inline: the compiler makes vector code of the loop only where it takes it for a hot one. */
__attribute__((noinline)) uint64_t sum(const uint8_t *p, size_t n) {
    uint64_t low = 0, high = 0;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t value;
        memcpy(&value, p, 8);
        low += value & 0xffffffff;
        high += value >> 32;
    }
    if (n & 4) {
        uint32_t value;
        memcpy(&value, p, 4);
        low += value;
        p += 4;
    }
    if (n & 2) {
        uint16_t value;
        memcpy(&value, p, 2);
        low += value;
        p += 2;
    }
    return low + high + (n & 1 ? *p : 0);
}

static void write_frame(struct virtio_net_hdr *h, struct iovec *iovecs, unsigned count) {
    iovecs[0] = (struct iovec){h, sizeof *h};
    /* A TAP that is down or gone takes nothing: lost, as on a cable. */
    while (writev(tap, iovecs, (int)count) < 0 && errno == EINTR) {}
}

static bool verified(const struct packet *p) {
    unsigned length = p->length - p->l4;
    uint64_t total = pseudo(p->frame + ETHERNET, p->v6, p->tcp ? IPPROTO_TCP : IPPROTO_UDP) + word(length);
    return fold(total + sum(p->frame + p->l4, length)) == 0xffff;
}

/* Writes the run: one packet untouched, for the kernel to verify, several as a super-frame. */
void end_run(void) {
    struct run *r = &run;
    struct packet *p = &r->head;
    struct virtio_net_hdr h = {0};
    if (r->count == 0) return;
    if (r->count > 1) {
        uint8_t *ip = p->frame + ETHERNET, *l4 = p->frame + p->l4;
        unsigned l4_length = p->headers - p->l4 + r->payload;
        if (p->v6) {
            put16(ip + 4, l4_length);
        } else {
            put16(ip + 2, 20 + l4_length);
            put_sum(ip + 10, 0);
            put_sum(ip + 10, (uint16_t)~fold(sum(ip, 20)));
        }
        if (!p->tcp) put16(l4 + 4, l4_length);
        uint64_t total = pseudo(ip, p->v6, p->tcp ? IPPROTO_TCP : IPPROTO_UDP) + word(l4_length);
        put_sum(l4 + (p->tcp ? 16 : 6), fold(total));
        h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        h.gso_type = !p->tcp ? VIRTIO_NET_HDR_GSO_UDP_L4 : p->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
        h.gso_size = (uint16_t)p->payload;
        h.hdr_len = (uint16_t)p->headers;
        h.csum_start = (uint16_t)p->l4;
        h.csum_offset = p->tcp ? 16 : 6;
    }
    write_frame(&h, r->iovecs, r->count + 1);
    r->count = 0;
}

/* Whether a frame can be merged with others of its kind at all. */
static bool inspect(uint8_t *frame, unsigned length, struct packet *p) {
    unsigned protocol, ip_length;
    if (length < ETHERNET + 28) return false;
    uint8_t *ip = frame + ETHERNET;
    unsigned type = get16(frame + 12);
    if (type == 0x0800) {
        /* No options, no fragment, a header that is right: it will be summed anew. */
        if (ip[0] != 0x45 || (get16(ip + 6) & 0x3fff) != 0 || fold(sum(ip, 20)) != 0xffff) return false;
        protocol = ip[9];
        ip_length = get16(ip + 2);
        p->l4 = ETHERNET + 20;
        p->v6 = false;
    } else if (type == 0x86dd && length >= ETHERNET + 48) {
        protocol = ip[6];
        ip_length = get16(ip + 4) + 40u;
        p->l4 = ETHERNET + 40;
        p->v6 = true;
    } else {
        return false;
    }
    if (ip_length + ETHERNET != length) return false;
    if (protocol == IPPROTO_TCP) {
        if (length < p->l4 + 20) return false;
        unsigned flags = frame[p->l4 + 13];
        p->headers = p->l4 + (frame[p->l4 + 12] >> 4) * 4u;
        if (p->headers < p->l4 + 20 || (flags & TCP_ACK) == 0 || (flags & ~(TCP_ACK | TCP_PSH | TCP_ECE)) != 0)
            return false;
    } else if (protocol == IPPROTO_UDP) {
        p->headers = p->l4 + 8;
        if (get16(frame + p->l4 + 4) + p->l4 != length || (frame[p->l4 + 6] | frame[p->l4 + 7]) == 0) return false;
    } else {
        return false;
    }
    if (p->headers >= length) return false;
    p->tcp = protocol == IPPROTO_TCP;
    p->frame = frame;
    p->length = length;
    p->payload = length - p->headers;
    return true;
}

/* Whether a packet continues the run: the rules of the kernel's GRO, checksums aside. */
static bool continues(const struct packet *p) {
    const struct run *r = &run;
    const struct packet *h = &r->head;
    if (r->count == 0 || r->closed || r->count == SEGMENTS_MAX || p->payload > h->payload) return false;
    if (p->headers != h->headers || p->v6 != h->v6 || p->tcp != h->tcp) return false;
    if (p->headers - ETHERNET + r->payload + p->payload > 65535) return false;
    const uint8_t *a = h->frame, *b = p->frame;
    if (memcmp(a, b, ETHERNET + 2) != 0) return false;
    const uint8_t *x = a + ETHERNET, *y = b + ETHERNET;
    if (p->v6 ? memcmp(x, y, 4) != 0 || memcmp(x + 6, y + 6, 34) != 0
              : memcmp(x + 6, y + 6, 4) != 0 || memcmp(x + 12, y + 12, 8) != 0)
        return false;
    if (memcmp(a + h->l4, b + p->l4, 4) != 0) return false;
    if (!p->tcp) return true;
    const uint8_t *s = a + h->l4, *t = b + p->l4;
    return get32(t + 4) == r->next_seq && memcmp(s + 8, t + 8, 5) == 0 && ((s[13] ^ t[13]) & TCP_ECE) == 0 &&
           memcmp(s + 20, t + 20, p->headers - p->l4 - 20) == 0;
}

void deliver(uint8_t *frame, unsigned length) {
    struct run *r = &run;
    struct packet p;
    if (!inspect(frame, length, &p)) {
        struct virtio_net_hdr h = {0};
        struct iovec iovecs[2] = {{0}, {frame, length}};
        end_run();
        write_frame(&h, iovecs, 2);
        return;
    }
    if (continues(&p) && (r->head_verified || verified(&r->head)) && verified(&p)) {
        r->head_verified = true;
        r->iovecs[++r->count] = (struct iovec){frame + p.headers, p.payload};
        r->payload += p.payload;
        r->next_seq += p.payload;
        r->closed = p.payload < r->head.payload;
    } else {
        end_run();
        r->head = p;
        r->iovecs[1] = (struct iovec){frame, length};
        r->count = 1;
        r->payload = p.payload;
        r->next_seq = p.tcp ? get32(frame + p.l4 + 4) + p.payload : 0;
        r->head_verified = r->closed = false;
    }
    if (p.tcp && (frame[p.l4 + 13] & TCP_PSH)) {
        r->head.frame[p.l4 + 13] |= TCP_PSH;
        r->closed = true;
    }
}
