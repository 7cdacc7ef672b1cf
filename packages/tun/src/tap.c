#define _GNU_SOURCE
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "abi.gen.h"
#include "netns.h"

/* Newer than the oldest kernel headers we build with. */
#ifndef TUNGETDEVNETNS
#define TUNGETDEVNETNS _IO('T', 227)
#endif
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#endif
#ifndef TUN_F_USO6
#define TUN_F_USO6 0x40
#endif

struct opening {
    struct tap_spec *spec;
    const char *syscall;
};

/* Index of the interface with that name in the thread's namespace, or -errno. */
static int interface_index(const char *name)
{
    struct ifreq ifr;
    int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int result;

    if (sock < 0)
        return -errno;
    memset(&ifr, 0, sizeof(ifr));
    memcpy(ifr.ifr_name, name, IFNAMSIZ);
    result = ioctl(sock, SIOCGIFINDEX, &ifr) == 0 ? ifr.ifr_ifindex : -errno;
    close(sock);
    return result;
}

static int open_here(void *data)
{
    struct opening *opening = data;
    struct tap_spec *spec = opening->spec;
    struct ifreq ifr;
    int fd, index = 0, err, header = WEFT_VNET_HDR_LEN;

    /* TUNSETIFF by name makes a new device where there is none: look first, and once more afterwards. */
    if (spec->flags & TAP_MUST_EXIST) {
        opening->syscall = "ioctl(SIOCGIFINDEX)";
        index = interface_index(spec->name);
        if (index < 0)
            return index;
    }
    opening->syscall = "open(/dev/net/tun)";
    fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;

    memset(&ifr, 0, sizeof(ifr));
    memcpy(ifr.ifr_name, spec->name, IFNAMSIZ);
    ifr.ifr_flags = IFF_NO_PI;
    ifr.ifr_flags |= spec->flags & TAP_IS_TUN ? IFF_TUN : IFF_TAP;
    if (spec->flags & TAP_VNET_HDR)
        ifr.ifr_flags |= IFF_VNET_HDR;
    if (spec->flags & TAP_MULTI_QUEUE)
        ifr.ifr_flags |= IFF_MULTI_QUEUE;
    opening->syscall = "ioctl(TUNSETIFF)";
    if (ioctl(fd, TUNSETIFF, &ifr) != 0)
        goto fail;
    memcpy(spec->name, ifr.ifr_name, IFNAMSIZ);

    if ((spec->flags & TAP_MUST_EXIST) && interface_index(spec->name) != index) {
        opening->syscall = "ioctl(SIOCGIFINDEX)";
        errno = ENODEV;
        goto fail;
    }
    /* A further queue of a device opened otherwise is accepted silently, with the other's framing. */
    memset(&ifr, 0, sizeof(ifr));
    opening->syscall = "ioctl(TUNGETIFF)";
    if (ioctl(fd, TUNGETIFF, &ifr) != 0)
        goto fail;
    if (!(ifr.ifr_flags & IFF_VNET_HDR) != !(spec->flags & TAP_VNET_HDR)) {
        errno = EINVAL;
        goto fail;
    }
    if (spec->flags & TAP_VNET_HDR) {
        opening->syscall = "ioctl(TUNSETVNETHDRSZ)";
        if (ioctl(fd, TUNSETVNETHDRSZ, &header) != 0)
            goto fail;
    }
    return fd;

fail:
    err = errno;
    close(fd);
    return -err;
}

int tap_open(struct tap_spec *spec, const char **syscall)
{
    struct opening opening = { spec, NULL };
    int result = netns_run(spec->netns_fd, open_here, &opening, syscall);

    if (opening.syscall != NULL)
        *syscall = opening.syscall;
    return result;
}

int tap_describe(int fd, char name[IFNAMSIZ], const char **syscall)
{
    struct ifreq ifr;
    int bits = 0;

    memset(&ifr, 0, sizeof(ifr));
    *syscall = "ioctl(TUNGETIFF)";
    if (ioctl(fd, TUNGETIFF, &ifr) != 0)
        return -errno;
    memcpy(name, ifr.ifr_name, IFNAMSIZ);
    name[IFNAMSIZ - 1] = 0;
    if (ifr.ifr_flags & IFF_VNET_HDR)
        bits |= TAP_VNET_HDR;
    if (ifr.ifr_flags & IFF_MULTI_QUEUE)
        bits |= TAP_MULTI_QUEUE;
    if (ifr.ifr_flags & IFF_PERSIST)
        bits |= TAP_PERSIST;
    if (ifr.ifr_flags & IFF_TUN)
        bits |= TAP_IS_TUN;
    return bits;
}

int tap_offload(int fd, int bits, const char **syscall)
{
    unsigned long flags = 0;

    if (bits & TAP_CSUM)
        flags |= TUN_F_CSUM;
    if (bits & TAP_TSO4)
        flags |= TUN_F_TSO4;
    if (bits & TAP_TSO6)
        flags |= TUN_F_TSO6;
    if (bits & (TAP_TSO4 | TAP_TSO6))
        flags |= TUN_F_TSO_ECN;
    /* One without the other is EINVAL. */
    if (bits & TAP_USO)
        flags |= TUN_F_USO4 | TUN_F_USO6;
    *syscall = "ioctl(TUNSETOFFLOAD)";
    return ioctl(fd, TUNSETOFFLOAD, flags) == 0 ? 0 : -errno;
}

int tap_persist(int fd, bool on, const char **syscall)
{
    *syscall = "ioctl(TUNSETPERSIST)";
    return ioctl(fd, TUNSETPERSIST, on ? 1UL : 0UL) == 0 ? 0 : -errno;
}

int tap_netns(int fd, const char **syscall)
{
    int netns;

    *syscall = "ioctl(TUNGETDEVNETNS)";
    netns = ioctl(fd, TUNGETDEVNETNS);
    if (netns >= 0)
        return netns;
    /* The namespace has no user any more, and the kernel is about to remove its devices (net/core/net_namespace.c, get_net_ns). */
    return errno == EINVAL ? -EBADFD : -errno;
}
