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
/* Datagrams lost to a full receive buffer since the socket was made, or -errno. */
int64_t udp_drops(int fd);

#endif
