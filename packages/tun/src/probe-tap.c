/* Trying a TAP: what it hands over, and what super-frames it takes. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "abi.gen.h"
#include "netns.h"
#include "probe.h"
#include "tap.h"

/* The TAP's address and its imagined neighbour's: a network for documentation (RFC 5737). */
#define HERE 0xc0000201u
#define THERE 0xc0000202u
#define MASK 0xffffff00u

/* Four equal datagrams or segments, as in probe-udp.c. */
#define SIZE 1000
#define COUNT 4
#define ETH_LEN 14
#define IP_LEN 20
#define TCP_LEN 20
#define UDP_LEN 8

/* struct virtio_net_hdr, which older headers lack names for. */
#define NEEDS_CSUM 1
#define GSO_TCPV4 1
#define GSO_UDP_L4 5

static void put16(unsigned char *to, unsigned value)
{
    to[0] = (unsigned char)(value >> 8);
    to[1] = (unsigned char)value;
}

static void put32(unsigned char *to, uint32_t value)
{
    put16(to, value >> 16);
    put16(to + 2, value & 0xffff);
}

/* Folded sum of 16-bit words, `len` even. */
static unsigned sum16(const unsigned char *data, unsigned len, unsigned sum)
{
    for (unsigned i = 0; i < len; i += 2)
        sum += (unsigned)data[i] << 8 | data[i + 1];
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

/*
 * Writes a super-frame of COUNT × SIZE octets from the neighbour to the TAP's own address: IPv4 and TCP or UDP, the
 * transport checksum left to the kernel. Returns whether the TAP took it.
 */
static bool write_super(int fd, const unsigned char *mac, int protocol, unsigned port, const unsigned char *payload)
{
    const bool udp = protocol == IPPROTO_UDP;
    const unsigned l4_len = udp ? UDP_LEN : TCP_LEN, octets = l4_len + COUNT * SIZE;
    const unsigned head_len = ETH_LEN + IP_LEN + l4_len, csum_offset = udp ? 6 : 16;
    unsigned char head[ETH_LEN + IP_LEN + TCP_LEN] = { 0 }, *ip = head + ETH_LEN, *l4 = ip + IP_LEN;
    /* Host order, as virtio 0.9 has it: little-endian wherever this builds. */
    unsigned char vnet[WEFT_VNET_HDR_LEN] = {
        NEEDS_CSUM, udp ? GSO_UDP_L4 : GSO_TCPV4, (unsigned char)head_len, 0, SIZE & 255, SIZE >> 8,
        ETH_LEN + IP_LEN, 0, (unsigned char)csum_offset, 0,
    };
    struct iovec iov[] = {
        { vnet, sizeof(vnet) }, { head, head_len }, { (void *)(uintptr_t)payload, COUNT * SIZE },
    };

    memcpy(head, mac, 6);
    head[6] = 2;
    put16(head + 12, 0x0800);
    ip[0] = 0x45;
    put16(ip + 2, IP_LEN + octets);
    ip[6] = 0x40;
    ip[8] = 64;
    ip[9] = (unsigned char)protocol;
    put32(ip + 12, THERE);
    put32(ip + 16, HERE);
    put16(ip + 10, ~sum16(ip, IP_LEN, 0) & 0xffff);
    put16(l4, 4789);
    put16(l4 + 2, port);
    if (udp) {
        put16(l4 + 4, octets);
    } else {
        l4[12] = TCP_LEN / 4 << 4;
        l4[13] = 0x10;
    }
    /* The sum over the pseudo header is where the kernel goes on. */
    put16(l4 + csum_offset, sum16(ip + 12, 8, (unsigned)protocol + octets));
    return writev(fd, iov, 3) == (ssize_t)(sizeof(vnet) + head_len + COUNT * SIZE);
}

static bool set_address(int sock, const char *name, unsigned long request, uint32_t address)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(address) } };
    struct ifreq ifr;

    memset(&ifr, 0, sizeof(ifr));
    memcpy(ifr.ifr_name, name, IFNAMSIZ);
    memcpy(&ifr.ifr_addr, &in, sizeof(in));
    return ioctl(sock, request, &ifr) == 0;
}

/* Brings the TAP up, in a private namespace with an address, and tells its MAC. */
static bool bring_up(int sock, const char *name, bool private, unsigned char mac[6])
{
    struct ifreq ifr;

    memset(&ifr, 0, sizeof(ifr));
    memcpy(ifr.ifr_name, name, IFNAMSIZ);
    if (ioctl(sock, SIOCGIFHWADDR, &ifr) != 0)
        return false;
    memcpy(mac, ifr.ifr_hwaddr.sa_data, 6);
    if (private && (!set_address(sock, name, SIOCSIFADDR, HERE) || !set_address(sock, name, SIOCSIFNETMASK, MASK)))
        return false;
    if (ioctl(sock, SIOCGIFFLAGS, &ifr) != 0)
        return false;
    ifr.ifr_flags |= IFF_UP;
    return ioctl(sock, SIOCSIFFLAGS, &ifr) == 0;
}

/* Super-frames written to the TAP. In a namespace that others use nothing can be addressed to it: taken is all. */
static void probe_coalesce(struct probe *out, int fd, const char *name, bool private)
{
    struct sockaddr_in here = { .sin_family = AF_INET };
    socklen_t len = sizeof(here);
    unsigned char payload[COUNT * SIZE], mac[6];
    int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    probe_fill(payload, sizeof(payload));
    if (sock >= 0 && bring_up(sock, name, private, mac) && bind(sock, (struct sockaddr *)&here, len) == 0 &&
        getsockname(sock, (struct sockaddr *)&here, &len) == 0) {
        unsigned port = ntohs(here.sin_port);

        out->coalesce_tcp = write_super(fd, mac, IPPROTO_TCP, port, payload);
        out->coalesce_udp = write_super(fd, mac, IPPROTO_UDP, port, payload) &&
            (!private || probe_arrives(sock, payload, sizeof(payload), SIZE, false));
    }
    if (sock >= 0)
        close(sock);
}

void probe_tap(struct probe *out, bool private)
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
    probe_coalesce(out, fd, spec.name, private);
    netns = tap_netns(fd, &syscall);
    if (netns >= 0) {
        out->tun_get_dev_netns = true;
        close(netns);
    }
    /* Deleting a device takes some 20 ms; one that is left behind goes with its namespace while nobody waits. */
    if (private)
        (void)tap_persist(fd, true, &syscall);
    close(fd);
}
