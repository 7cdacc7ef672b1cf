#define _GNU_SOURCE
#include "udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmsg.h"

#ifndef IP_PMTUDISC_OMIT
#define IP_PMTUDISC_OMIT 5
#endif
#ifndef IPV6_PMTUDISC_OMIT
#define IPV6_PMTUDISC_OMIT 5
#endif
#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif
#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51
#endif

/* First octet of WireGuard's transport data messages (paper §5.4.6). */
#define WIREGUARD_DATA 4

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

socklen_t udp_address(int family, const char *text, uint16_t port, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof(*out));
    out->ss_family = (sa_family_t)family;
    if (inet_pton(family, text, family == AF_INET ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr) != 1)
        return 0;
    if (family == AF_INET)
        v4->sin_port = htons(port);
    else
        v6->sin6_port = htons(port);
    return family == AF_INET ? sizeof(*v4) : sizeof(*v6);
}

int udp_open(const struct udp_spec *spec, struct udp_info *info, const char **syscall)
{
    struct sockaddr_storage addr;
    struct sockaddr_in *v4 = (struct sockaddr_in *)&addr;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&addr;
    socklen_t len = udp_address(spec->family, spec->address, spec->port, &addr);
    int fd, err;

    *syscall = "inet_pton";
    if (len == 0)
        return -EINVAL;
    *syscall = "socket";
    fd = socket(spec->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
    if (fd < 0)
        return -errno;
    *syscall = "setsockopt";
    if (spec->family == AF_INET) {
        /* Not OMIT's neighbours: under WANT or DO one forged "fragmentation needed" breaks every UDP_SEGMENT send. */
        if (set(fd, IPPROTO_IP, IP_MTU_DISCOVER, spec->dont_fragment ? IP_PMTUDISC_PROBE : IP_PMTUDISC_OMIT) != 0 ||
            set(fd, IPPROTO_IP, IP_RECVTOS, 1) != 0 ||
            (spec->packet_info && set(fd, IPPROTO_IP, IP_PKTINFO, 1) != 0))
            goto fail;
    } else {
        if (set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) != 0 ||
            set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER,
                spec->dont_fragment ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_OMIT) != 0 ||
            set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1) != 0 ||
            (spec->packet_info && set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) != 0))
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

int udp_send(int fd, int family, const uint8_t *octets, size_t len, const char *to, uint16_t port, const char *from)
{
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    struct sockaddr_storage address, source;
    struct iovec iov = { (void *)(uintptr_t)octets, len };
    struct msghdr head = {
        .msg_name = &address, .msg_namelen = udp_address(family, to, port, &address),
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
    };
    size_t cut = 0;
    ssize_t sent;

    if (head.msg_namelen == 0 || (from != NULL && udp_address(family, from, 0, &source) == 0))
        return -EINVAL;
    if (from != NULL) {
        uint8_t mapped[16] = { 0 };

        if (family == AF_INET)
            memcpy(mapped + 12, &((struct sockaddr_in *)&source)->sin_addr, 4);
        else
            memcpy(mapped, &((struct sockaddr_in6 *)&source)->sin6_addr, sizeof(mapped));
        cut = cmsg_put_source(&head, family == AF_INET, mapped);
    }
    do {
        sent = sendmsg(fd, &head, MSG_DONTWAIT);
        if (sent < 0 && cut != 0 && cmsg_source_gone(errno)) {
            cmsg_cut_source(&head, cut);
            cut = 0;
            errno = EINTR;
        }
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

int udp_steer_wireguard(int fd, uint32_t members)
{
    /* Offsets count from the UDP payload; a load from behind its end is the program's end, with the result 0. */
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WIREGUARD_DATA, 0, 3),
        /* The receiver index is little-endian, in octets 4..7. */
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 4),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, members),
        BPF_STMT(BPF_RET | BPF_A, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) == 0 ? 0 : -errno;
}

int64_t udp_drops(int fd)
{
    uint32_t info[SK_MEMINFO_VARS] = { 0 };
    socklen_t len = sizeof(info);

    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) != 0)
        return -errno;
    return info[SK_MEMINFO_DROPS];
}
