/* UDP sockets beyond node:dgram: forced buffers, path MTU discovery off, UDP_GRO, drop counts. */
#ifndef WEFT_UDP_H
#define WEFT_UDP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* Newer than the oldest kernel and C library headers we build with. */
#ifndef SOL_UDP
#define SOL_UDP 17
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

struct udp_spec {
    int family;             /* AF_INET or AF_INET6 */
    const char *address;    /* numeric */
    uint16_t port;          /* host order; 0: any */
    bool reuse_port;
    bool gro;
    bool dont_fragment;     /* never fragment, whatever the kernel believes of the path: IP_PMTUDISC_PROBE */
    bool packet_info;       /* tell the local address of each datagram: IP_PKTINFO, IPV6_RECVPKTINFO */
    bool force_buffers;     /* try SO_*BUFFORCE before SO_*BUF */
    int receive_buffer;     /* octets wanted; 0: leave the default */
    int send_buffer;
};

struct udp_info {
    uint16_t port;
    int receive_buffer;     /* octets in force, as getsockopt tells (twice what was asked: kernel bookkeeping) */
    int send_buffer;
    bool gro;
};

/* Opens and binds; returns the descriptor (non-blocking, close-on-exec), or -errno with *syscall set. */
int udp_open(const struct udp_spec *spec, struct udp_info *info, const char **syscall);

/* Numeric address and port (host order) as the kernel has them; returns the octets, or 0 when it is no such address. */
socklen_t udp_address(int family, const char *text, uint16_t port, struct sockaddr_storage *out);

/*
 * Sends one datagram, without waiting. `from` (numeric, of the same family) is the source address; NULL, or an address
 * that the host no longer has: the kernel chooses. Returns 0, or -errno; EINVAL also for what is no address of `family`.
 */
int udp_send(int fd, int family, const uint8_t *octets, size_t len, const char *to, uint16_t port, const char *from);

/*
 * Makes the SO_REUSEPORT group of a bound socket choose by a datagram's own octets: WireGuard data (type 4) goes to member
 * (low octet of the receiver index) mod `members`, anything else to member 0. Members count in the order of binding; the
 * last takes the place of one that is closed, and a number that none has leaves the choice to the kernel.
 * Returns 0, or -errno. EINVAL: members is 0, or the socket was bound without SO_REUSEPORT.
 */
int udp_steer_wireguard(int fd, uint32_t members);

/* Datagrams lost to a full receive buffer since the socket was made, or -errno. */
int64_t udp_drops(int fd);

#endif
