/* Trying UDP_SEGMENT and UDP_GRO over lo, with a look at what arrives. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "probe.h"
#include "udp.h"

/* Four equal datagrams: kernels that mangle such runs exist, and spare those with a shorter last one. */
#define SIZE 1000
#define COUNT 4

void probe_fill(unsigned char *payload, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        payload[i] = (unsigned char)(i ^ (i >> 8) * 31);
}

bool probe_arrives(int fd, const unsigned char *payload, unsigned len, unsigned size, bool joined)
{
    unsigned char got[COUNT * SIZE + 1];
    unsigned at = 0;

    while (at < len) {
        _Alignas(struct cmsghdr) unsigned char control[CMSG_SPACE(sizeof(int))];
        struct iovec iov = { got, sizeof(got) };
        struct msghdr head = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control),
        };
        struct pollfd wait = { .fd = fd, .events = POLLIN };
        unsigned want = joined ? len : len - at < size ? len - at : size;
        int segment = 0;

        if (poll(&wait, 1, PROBE_ARRIVAL_MS) != 1 || recvmsg(fd, &head, MSG_DONTWAIT) != (ssize_t)want)
            return false;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&head); c != NULL; c = CMSG_NXTHDR(&head, c))
            if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO && c->cmsg_len >= CMSG_LEN(sizeof(segment)))
                memcpy(&segment, CMSG_DATA(c), sizeof(segment));
        if (segment != (joined ? (int)size : 0) || memcmp(got, payload + at, want) != 0)
            return false;
        at += want;
    }
    return true;
}

/* Sends `len` octets to the socket `to` as datagrams of `size` in one UDP_SEGMENT send. */
static bool send_segments(int to, const unsigned char *payload, unsigned len, int size)
{
    struct sockaddr_in address;
    socklen_t address_len = sizeof(address);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool sent;

    if (fd < 0)
        return false;
    sent = getsockname(to, (struct sockaddr *)&address, &address_len) == 0 &&
        setsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, sizeof(size)) == 0 &&
        sendto(fd, payload, len, MSG_DONTWAIT, (struct sockaddr *)&address, address_len) == (ssize_t)len;
    close(fd);
    return sent;
}

/* A socket on lo, up in the probe's own namespace; -1 when there is none. */
static int open_receiver(void)
{
    struct sockaddr_in lo = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq ifr;

    if (fd < 0)
        return -1;
    /* A new namespace has its lo down; elsewhere this changes nothing. */
    memset(&ifr, 0, sizeof(ifr));
    memcpy(ifr.ifr_name, "lo", 3);
    if (ioctl(fd, SIOCGIFFLAGS, &ifr) == 0 && !(ifr.ifr_flags & IFF_UP)) {
        ifr.ifr_flags |= IFF_UP;
        (void)ioctl(fd, SIOCSIFFLAGS, &ifr);
    }
    if (bind(fd, (struct sockaddr *)&lo, sizeof(lo)) == 0)
        return fd;
    close(fd);
    return -1;
}

void probe_udp(struct probe *out)
{
    unsigned char payload[COUNT * SIZE];
    int plain = open_receiver(), joining = open_receiver(), value = 1 << 16;
    socklen_t len = sizeof(value);

    probe_fill(payload, sizeof(payload));
    if (plain >= 0) {
        out->buffer_force = setsockopt(plain, SOL_SOCKET, SO_RCVBUFFORCE, &value, sizeof(value)) == 0;
        out->gso = send_segments(plain, payload, sizeof(payload), SIZE) &&
            probe_arrives(plain, payload, sizeof(payload), SIZE, false);
    }
    value = 1;
    if (joining >= 0 && setsockopt(joining, SOL_UDP, UDP_GRO, &value, sizeof(value)) == 0 &&
        getsockopt(joining, SOL_UDP, UDP_GRO, &value, &len) == 0 && value == 1) {
        const unsigned shorter = sizeof(payload) - 1;

        out->gro = send_segments(joining, payload, shorter, SIZE) &&
            probe_arrives(joining, payload, shorter, SIZE, true);
        /* What is joined must also be right where every datagram has the same length. */
        if (out->gso && out->gro)
            out->gso = send_segments(joining, payload, sizeof(payload), SIZE) &&
                probe_arrives(joining, payload, sizeof(payload), SIZE, true);
    }
    if (out->gso)
        out->gso_max = send_segments(plain, payload, 128, 1) && probe_arrives(plain, payload, 128, 1, false) ? 128 : 64;
    if (plain >= 0)
        close(plain);
    if (joining >= 0)
        close(joining);
}
