#define _GNU_SOURCE
#include "probe.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netns.h"
#include "tap.h"
#include "udp.h"

static void probe_tap(struct probe *out)
{
    struct tap_spec spec = { .name = "weftprobe%d", .flags = TAP_VNET_HDR, .netns_fd = NETNS_OWN };
    const char *syscall;
    int fd = tap_open(&spec, &syscall), netns;

    if (fd < 0)
        return;
    out->vnet_hdr = true;
    out->tap_checksum = tap_offload(fd, TAP_CSUM, &syscall) == 0;
    out->tso = tap_offload(fd, TAP_CSUM | TAP_TSO4 | TAP_TSO6, &syscall) == 0;
    out->uso = tap_offload(fd, TAP_CSUM | TAP_TSO4 | TAP_TSO6 | TAP_USO, &syscall) == 0;
    netns = tap_netns(fd, &syscall);
    if (netns >= 0) {
        out->tun_get_dev_netns = true;
        close(netns);
    }
    close(fd);
}

/* Whether the kernel takes `segments` datagrams of one octet in one send. */
static bool sends_segments(int fd, const struct sockaddr_in *to, int segments)
{
    char payload[128] = { 0 };

    return sendto(fd, payload, (size_t)segments, MSG_DONTWAIT, (const struct sockaddr *)to, sizeof(*to)) == segments;
}

static void probe_udp(struct probe *out)
{
    struct sockaddr_in lo = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(lo);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), value = 1;
    struct ifreq ifr;

    out->udp_gso_max = 1;
    if (fd < 0)
        return;
    value = 1 << 16;
    out->buffer_force = setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &value, sizeof(value)) == 0;
    value = 1;
    out->udp_gro = setsockopt(fd, SOL_UDP, UDP_GRO, &value, sizeof(value)) == 0;
    /* In the probe's own namespace lo is down; elsewhere this changes nothing. */
    memset(&ifr, 0, sizeof(ifr));
    memcpy(ifr.ifr_name, "lo", 3);
    if (ioctl(fd, SIOCGIFFLAGS, &ifr) == 0 && !(ifr.ifr_flags & IFF_UP)) {
        ifr.ifr_flags |= IFF_UP;
        (void)ioctl(fd, SIOCSIFFLAGS, &ifr);
    }
    if (setsockopt(fd, SOL_UDP, UDP_SEGMENT, &value, sizeof(value)) == 0 &&
        bind(fd, (struct sockaddr *)&lo, sizeof(lo)) == 0 && getsockname(fd, (struct sockaddr *)&lo, &len) == 0) {
        out->udp_gso = sends_segments(fd, &lo, 2);
        if (out->udp_gso)
            out->udp_gso_max = sends_segments(fd, &lo, 128) ? 128 : 64;
    }
    close(fd);
}

static int probe_here(void *data)
{
    struct probe *out = data;

    memset(out, 0, sizeof(*out));
    probe_tap(out);
    probe_udp(out);
    return 0;
}

void probe_features(struct probe *out)
{
    const char *syscall = NULL;

    /* Without the privilege for a namespace the device flashes up in our own. */
    if (netns_run(NETNS_NEW, probe_here, out, &syscall) < 0)
        probe_here(out);
}
