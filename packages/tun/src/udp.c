#define _GNU_SOURCE
#include "udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IP_PMTUDISC_OMIT
#define IP_PMTUDISC_OMIT 5
#endif
#ifndef IPV6_PMTUDISC_OMIT
#define IPV6_PMTUDISC_OMIT 5
#endif
#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

static int set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value));
}

static int get(int fd, int level, int name)
{
    int value = 0;
    socklen_t len = sizeof(value);

    return getsockopt(fd, level, name, &value, &len) == 0 ? value : 0;
}

/* SO_*BUFFORCE passes the system's limit but needs privilege in the first user namespace; else take what is given. */
static int set_buffer(int fd, bool force, int force_name, int name, int octets)
{
    if (octets <= 0)
        return 0;
    if (force && set(fd, SOL_SOCKET, force_name, octets) == 0)
        return 0;
    return set(fd, SOL_SOCKET, name, octets);
}

int udp_open(const struct udp_spec *spec, struct udp_info *info, const char **syscall)
{
    struct sockaddr_storage addr;
    struct sockaddr_in *v4 = (struct sockaddr_in *)&addr;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&addr;
    socklen_t len = spec->family == AF_INET ? sizeof(*v4) : sizeof(*v6);
    int fd, err;

    memset(&addr, 0, sizeof(addr));
    addr.ss_family = (sa_family_t)spec->family;
    *syscall = "inet_pton";
    if (inet_pton(spec->family, spec->address,
                  spec->family == AF_INET ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr) != 1)
        return -EINVAL;
    if (spec->family == AF_INET)
        v4->sin_port = htons(spec->port);
    else
        v6->sin6_port = htons(spec->port);

    *syscall = "socket";
    fd = socket(spec->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
    if (fd < 0)
        return -errno;
    *syscall = "setsockopt";
    if (spec->family == AF_INET) {
        /* Not OMIT's neighbours: under WANT or DO one forged "fragmentation needed" breaks every UDP_SEGMENT send. */
        if (set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT) != 0 ||
            set(fd, IPPROTO_IP, IP_RECVTOS, 1) != 0)
            goto fail;
    } else {
        if (set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) != 0 ||
            set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_OMIT) != 0 ||
            set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1) != 0)
            goto fail;
    }
    if (spec->reuse_port && set(fd, SOL_SOCKET, SO_REUSEPORT, 1) != 0)
        goto fail;
    if (set_buffer(fd, spec->force_buffers, SO_RCVBUFFORCE, SO_RCVBUF, spec->receive_buffer) != 0 ||
        set_buffer(fd, spec->force_buffers, SO_SNDBUFFORCE, SO_SNDBUF, spec->send_buffer) != 0)
        goto fail;
    if (spec->gro)
        (void)set(fd, SOL_UDP, UDP_GRO, 1);

    *syscall = "bind";
    if (bind(fd, (struct sockaddr *)&addr, len) != 0)
        goto fail;
    *syscall = "getsockname";
    if (getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        goto fail;
    info->port = ntohs(spec->family == AF_INET ? v4->sin_port : v6->sin6_port);
    info->receive_buffer = get(fd, SOL_SOCKET, SO_RCVBUF);
    info->send_buffer = get(fd, SOL_SOCKET, SO_SNDBUF);
    info->gro = spec->gro && get(fd, SOL_UDP, UDP_GRO) == 1;
    return fd;

fail:
    err = errno;
    close(fd);
    return -err;
}

int64_t udp_drops(int fd)
{
    uint32_t info[SK_MEMINFO_VARS] = { 0 };
    socklen_t len = sizeof(info);

    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) != 0)
        return -errno;
    return info[SK_MEMINFO_DROPS];
}
