/*
 * Raw frames for the sweeps: more flows and more MAC addresses than sockets can have. Compiled by the bench (sweep-raw.ts).
 *
 *   raw send  DEV SECONDS DST MACS FLOWS OCTETS   UDP datagrams as fast as the device takes them, for MACS destination
 *                                                 addresses from DST upwards and FLOWS source ports, in turn
 *   raw teach DEV DST SRC MACS                    one frame to DST from each of MACS source addresses from SRC upwards
 *
 * OCTETS of UDP payload. Prints one line of JSON when it is done; errors go to stderr with exit code 1.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define ETH 14
#define IPV4 20
#define UDP 8
#define PAYLOAD_MAX 1400
#define FRAME_MAX (ETH + IPV4 + UDP + PAYLOAD_MAX)
/* Between two batches of frames that are to be learned from: none may be lost. */
#define TEACH_PAUSE_NS 400000
/* Neighbours in the list are far apart in the order of sending, as addresses of strangers are. */
#define STRIDE 7919

static void fail(const char *what) {
    fprintf(stderr, "raw: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t parse_mac(const char *text) {
    unsigned o[6];
    if (sscanf(text, "%x:%x:%x:%x:%x:%x", &o[0], &o[1], &o[2], &o[3], &o[4], &o[5]) != 6) {
        errno = EINVAL;
        fail(text);
    }
    uint64_t mac = 0;
    for (int i = 0; i < 6; i++) mac = mac << 8 | (o[i] & 0xff);
    return mac;
}

static void put_mac(uint8_t *at, uint64_t mac) {
    for (int i = 5; i >= 0; i--, mac >>= 8) at[i] = (uint8_t)mac;
}

static uint16_t checksum(const uint8_t *octets, size_t length) {
    uint32_t sum = 0;
    for (size_t i = 0; i < length; i += 2) sum += (uint32_t)octets[i] << 8 | octets[i + 1];
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void put16(uint8_t *at, unsigned value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

struct sender {
    int fd;
    uint64_t mac;
    size_t length;
    uint8_t frames[BATCH][FRAME_MAX];
    struct iovec iovecs[BATCH];
    struct mmsghdr messages[BATCH];
};

/* A socket on the device, and BATCH equal frames from its address. UDP checksum zero: none (RFC 768). */
static struct sender *open_device(const char *device, size_t payload) {
    struct sender *s = calloc(1, sizeof *s);
    if (!s) fail("calloc");
    s->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (s->fd < 0) fail("socket");
    struct ifreq request = {0};
    strncpy(request.ifr_name, device, IFNAMSIZ - 1);
    if (ioctl(s->fd, SIOCGIFHWADDR, &request) < 0) fail(device);
    for (int i = 0; i < 6; i++) s->mac = s->mac << 8 | (uint8_t)request.ifr_hwaddr.sa_data[i];
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(device)};
    if (bind(s->fd, (struct sockaddr *)&at, sizeof at) < 0) fail("bind");
    s->length = ETH + IPV4 + UDP + payload;
    for (int i = 0; i < BATCH; i++) {
        uint8_t *frame = s->frames[i], *ip = frame + ETH, *udp = ip + IPV4;
        put_mac(frame + 6, s->mac);
        put16(frame + 12, ETHERTYPE_IP);
        ip[0] = 0x45;
        put16(ip + 2, (unsigned)(IPV4 + UDP + payload));
        ip[8] = 64;
        ip[9] = 17;
        memcpy(ip + 12, (uint8_t[]){10, 7, 0, 1, 10, 7, 0, 2}, 8);
        put16(ip + 10, checksum(ip, IPV4));
        put16(udp, 1024);
        put16(udp + 2, 5201);
        put16(udp + 4, (unsigned)(UDP + payload));
        s->iovecs[i] = (struct iovec){frame, s->length};
        s->messages[i].msg_hdr.msg_iov = &s->iovecs[i];
        s->messages[i].msg_hdr.msg_iovlen = 1;
    }
    return s;
}

static void push(struct sender *s, unsigned count, uint64_t *sent) {
    for (unsigned done = 0; done < count;) {
        int n = sendmmsg(s->fd, s->messages + done, count - done, 0);
        if (n > 0) {
            done += (unsigned)n;
            *sent += (uint64_t)n;
        } else if (errno != ENOBUFS && errno != EAGAIN) {
            fail("sendmmsg");
        }
    }
}

static void teach(struct sender *s, uint64_t to, uint64_t first, uint64_t macs) {
    uint64_t sent = 0;
    for (uint64_t i = 0; i < macs;) {
        unsigned n = 0;
        for (; n < BATCH && i < macs; n++, i++) {
            put_mac(s->frames[n], to);
            put_mac(s->frames[n] + 6, first + i);
        }
        push(s, n, &sent);
        nanosleep(&(struct timespec){.tv_nsec = TEACH_PAUSE_NS}, NULL);
    }
    printf("{\"sent\":%llu}\n", (unsigned long long)sent);
}

static void flood(struct sender *s, double seconds, uint64_t to, uint64_t macs, uint64_t flows) {
    double begin = now(), t = begin;
    uint64_t sent = 0, mac = 0, flow = 0;
    for (; t - begin < seconds; t = now()) {
        for (int i = 0; i < BATCH; i++) {
            put_mac(s->frames[i], to + mac);
            put16(s->frames[i] + ETH + IPV4, (unsigned)(1024 + flow));
            mac = (mac + STRIDE) % macs;
            flow = (flow + STRIDE) % flows;
        }
        push(s, BATCH, &sent);
    }
    printf("{\"sent\":%llu,\"seconds\":%.6f}\n", (unsigned long long)sent, t - begin);
}

int main(int argc, char **argv) {
    if (argc == 8 && !strcmp(argv[1], "send")) {
        uint64_t macs = strtoull(argv[5], NULL, 10), flows = strtoull(argv[6], NULL, 10);
        size_t payload = (size_t)strtoul(argv[7], NULL, 10);
        if (macs > 0 && flows > 0 && flows <= 60000 && payload <= PAYLOAD_MAX) {
            flood(open_device(argv[2], payload), atof(argv[3]), parse_mac(argv[4]), macs, flows);
            return 0;
        }
    } else if (argc == 6 && !strcmp(argv[1], "teach")) {
        teach(open_device(argv[2], 18), parse_mac(argv[3]), parse_mac(argv[4]), strtoull(argv[5], NULL, 10));
        return 0;
    }
    fprintf(stderr, "raw: wrong arguments: see the head of raw.c\n");
    return 2;
}
