/* UDP senders: as fast as they go or paced, one size or a mix, one flow or many. */
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

/* Datagrams that fall due within this time are sent together. */
#define TICK 50e-6
/* A sender that fell behind by more does not catch up: it would measure its own burst. */
#define BEHIND_MAX 20e-3
#define FIRST_SOURCE_PORT 20000

/*
 * "Simple IMIX", 7:4:1 frames of 64, 594 and 1418 octets, as a TAP sees them (no frame check sequence): the UDP payload
 * is 42 octets less over IPv4. The largest fits an inner MTU of 1404 and more.
 */
static const uint16_t mix[12] = {22, 552, 22, 22, 552, 22, 1376, 22, 552, 22, 552, 22};

size_t size_of(size_t octets, uint32_t number) { return octets ? octets : mix[number % 12]; }

size_t parse_octets(const char *text) {
    if (!strcmp(text, "imix")) return 0;
    long octets = atol(text);
    if (octets < (long)sizeof(struct stamp) || octets > OCTETS_MAX) fail_plain("OCTETS: 16 to 2048, or imix");
    return (size_t)octets;
}

struct sent send_paced(int fd, double rate, double seconds, fill_function *fill, void *context) {
    struct batch *b = make_batch(OCTETS_MAX + 64);
    struct sent sent = {0};
    /* Sleeps end when they should, not up to 50 µs later. */
    prctl(PR_SET_TIMERSLACK, 1);
    double begin = now(), from = begin;
    uint64_t before = 0;
    while (!stop) {
        double t = now();
        if (seconds > 0 && t >= begin + seconds) break;
        unsigned count = BATCH;
        if (rate > 0) {
            double due = (t - from) * rate - (double)(sent.sent - before);
            if (due < 1) {
                double most = rate * TICK > 1 ? rate * TICK : 1;
                sleep_until(from + ((double)(sent.sent - before) + most) / rate);
                continue;
            }
            if (due > rate * BEHIND_MAX + 1) {
                from = t;
                before = sent.sent;
                continue;
            }
            if (due < BATCH) count = (unsigned)due;
        }
        struct stamp stamp = {.time = (uint64_t)(t * 1e9)};
        for (unsigned i = 0; i < count; i++) {
            stamp.number = (uint32_t)(sent.sent + i + 1);
            fill(context, &b->iovecs[i], stamp);
        }
        int n = sendmmsg(fd, b->messages, count, 0);
        if (n > 0) sent.sent += (uint64_t)n;
        else if (errno == ENOBUFS || errno == EAGAIN || errno == ECONNREFUSED) sent.refused++;
        else if (errno != EINTR) fail("sendmmsg");
    }
    sent.seconds = now() - begin;
    return sent;
}

struct udp_plan {
    size_t octets;
    unsigned flows;
    /* Raw IPv4 only: sum of addresses, protocol and destination port; the kernel sums for raw IPv6. */
    uint32_t sum;
    uint16_t port;
    bool v6;
};

static void fill_plain(void *context, struct iovec *to, struct stamp stamp) {
    const struct udp_plan *p = context;
    memcpy(to->iov_base, &stamp, sizeof stamp);
    to->iov_len = size_of(p->octets, stamp.number);
}

static void fill_flow(void *context, struct iovec *to, struct stamp stamp) {
    const struct udp_plan *p = context;
    size_t length = 8 + size_of(p->octets, stamp.number);
    uint8_t *datagram = to->iov_base;
    stamp.flow = stamp.number % p->flows;
    struct udphdr h = {.source = htons((uint16_t)(FIRST_SOURCE_PORT + stamp.flow % 40000)),
                       .dest = p->port,
                       .len = htons((uint16_t)length)};
    if (!p->v6) {
        /* The payload behind the stamp is zeros. */
        uint32_t total = p->sum + h.source + h.len + h.len;
        uint16_t words[sizeof stamp / 2];
        memcpy(words, &stamp, sizeof stamp);
        for (size_t i = 0; i < sizeof stamp / 2; i++) total += words[i];
        total = (total >> 16) + (total & 0xffff);
        total = (total >> 16) + (total & 0xffff);
        h.check = (uint16_t)~total;
        if (h.check == 0) h.check = 0xffff;
    }
    memcpy(datagram, &h, 8);
    memcpy(datagram + 8, &stamp, sizeof stamp);
    to->iov_len = length;
}

/* Sum of the pseudo header's addresses, which needs the source that the route chooses. */
static uint32_t sum_addresses(struct address to) {
    int fd = open_socket(SOCK_DGRAM, to, true);
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    if (getsockname(fd, (struct sockaddr *)&from, &length) < 0) fail("getsockname");
    const struct sockaddr_in *other = (const struct sockaddr_in *)&to.storage;
    uint32_t a = from.sin_addr.s_addr, b = other->sin_addr.s_addr;
    return (a & 0xffff) + (a >> 16) + (b & 0xffff) + (b >> 16) + htons(IPPROTO_UDP) + other->sin_port;
}

struct sent udp_send(struct address to, size_t octets, double rate, unsigned flows, double seconds) {
    struct udp_plan plan = {.octets = octets, .flows = flows, .v6 = to.storage.ss_family == AF_INET6};
    if (flows == 0) return send_paced(open_socket(SOCK_DGRAM, to, true), rate, seconds, fill_plain, &plan);
    int fd = socket(to.storage.ss_family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP), check = 6;
    if (fd < 0) fail("raw socket");
    plan.port = htons((uint16_t)port_of(&to));
    if (plan.v6) {
        if (setsockopt(fd, IPPROTO_IPV6, IPV6_CHECKSUM, &check, sizeof check) < 0) fail("IPV6_CHECKSUM");
        set_port(&to, 0);
    } else {
        plan.sum = sum_addresses(to);
    }
    if (connect(fd, (struct sockaddr *)&to.storage, to.length) < 0) fail("connect");
    return send_paced(fd, rate, seconds, fill_flow, &plan);
}

void print_sent(struct sent s) {
    printf("{\"sent\":%llu,\"refused\":%llu,\"seconds\":%.6f,\"offeredPps\":%.1f}\n", (unsigned long long)s.sent,
           (unsigned long long)s.refused, s.seconds, (double)s.sent / s.seconds);
}
