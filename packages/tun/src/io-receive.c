/* Receiving: TAP frames and UDP datagrams into the slots of a worker. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "calls.h"
#include "io.h"
#include "udp.h"

/* Where a UDP payload starts in its slot; a frame's Ethernet header starts there too, its virtio_net_hdr before it. */
#define PAYLOAD_MAX (WEFT_SLOT_SIZE - WEFT_HEADROOM)

static struct weft_rx_desc *start_desc(struct io *io, uint32_t slot, uint32_t off, uint32_t len, uint32_t source)
{
    struct weft_rx_desc *desc = &io->worker.rx_descs[slot];

    memset(desc, 0, offsetof(struct weft_rx_desc, frame));
    desc->off = io->worker.slots_off + slot * WEFT_SLOT_SIZE + off;
    desc->len = len;
    desc->source = source;
    return desc;
}

/* Reads one frame into a slot. Returns 1, 0 when the port is empty, or -errno. */
static int read_frame(struct io *io, uint32_t port, uint32_t slot)
{
    const uint32_t start = WEFT_HEADROOM - WEFT_VNET_HDR_LEN;
    bool vnet_hdr = io->ports[port].vnet_hdr;
    uint8_t *to = io->worker.slots + (size_t)slot * WEFT_SLOT_SIZE + start;
    ssize_t got;

    /* A device without the header gets an empty one, so that the switch sees one shape only. */
    if (!vnet_hdr)
        memset(to, 0, WEFT_VNET_HDR_LEN);
    do {
        count_up(io->worker.counters, WEFT_COUNT_SYS_READ);
        if (vnet_hdr)
            got = call_read(io->ports[port].fd, to, PAYLOAD_MAX + WEFT_VNET_HDR_LEN);
        else
            got = call_read(io->ports[port].fd, to + WEFT_VNET_HDR_LEN, PAYLOAD_MAX);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EAGAIN ? 0 : -errno;
    if (got == 0)
        return 0;
    start_desc(io, slot, start, (uint32_t)got + (vnet_hdr ? 0 : WEFT_VNET_HDR_LEN), port);
    return 1;
}

/* What a frame counts against budgets, by its virtio_net_hdr: see IO_BATCH_OCTETS. */
static int32_t price(const struct io *io, uint32_t slot)
{
    const struct weft_rx_desc *desc = &io->worker.rx_descs[slot];
    struct virtio_net_hdr header;
    uint32_t octets = desc->len;

    memcpy(&header, io->memory.base + desc->off, sizeof(header));
    if (header.gso_type != VIRTIO_NET_HDR_GSO_NONE && header.gso_size != 0) {
        uint32_t segments = desc->len / header.gso_size + 1;
        if (segments * IO_SEGMENT_OCTETS > octets)
            octets = segments * IO_SEGMENT_OCTETS;
    }
    return (int32_t)octets;
}

static void pop_front(struct io *io)
{
    io->ports[io->queue[io->queue_head]].queued = false;
    io->queue_head = (io->queue_head + 1) % io->worker.ports_max;
    io->queue_len--;
}

uint32_t io_read_ports(struct io *io, uint32_t max)
{
    uint32_t filled = 0, size = io->worker.ports_max;
    int64_t room = IO_BATCH_OCTETS;

    if (max > WEFT_BATCH_MAX)
        max = WEFT_BATCH_MAX;
    while (filled < max && room > 0 && io->queue_len > 0) {
        uint32_t index = io->queue[io->queue_head];
        struct io_port *port = &io->ports[index];
        int got;

        if (port->left == 0 || port->octets <= 0) {
            /* Its turn is over but it may have more: to the end of the ring. */
            port->left = IO_PORT_BUDGET;
            port->octets = IO_PORT_OCTETS;
            io->queue_head = (io->queue_head + 1) % size;
            io->queue[(io->queue_head + io->queue_len - 1) % size] = index;
            continue;
        }
        got = read_frame(io, index, filled);
        if (got > 0) {
            port->left--;
            int32_t octets = price(io, filled++);
            port->octets -= octets;
            room -= octets;
        } else if (got == -EBADFD || got == -ENODEV || got == -EBADF || got == -ENXIO) {
            io_port_gone(io, index);
        } else {
            pop_front(io);
        }
    }
    io->busy |= filled > 0;
    return filled;
}

static void set_mapped(uint8_t out[16], const struct in_addr *address)
{
    memset(out, 0, 10);
    out[10] = out[11] = 0xff;
    memcpy(out + 12, address, sizeof(*address));
}

/* Fills a descriptor from a received message. */
static void take_datagram(struct io *io, uint32_t slot, uint32_t receiver, const struct mmsghdr *message)
{
    struct weft_rx_desc *desc = start_desc(io, slot, WEFT_HEADROOM, message->msg_len, receiver);
    struct msghdr *head = (struct msghdr *)&message->msg_hdr;

    if (head->msg_flags & MSG_TRUNC)
        desc->rx_flags |= WEFT_RX_TRUNCATED;
    /* It lies behind what start_desc() clears; only WireGuard's sockets know it. */
    if (receiver >= WEFT_RECEIVER_WIREGUARD4)
        memset(desc->local, 0, sizeof(desc->local));
    if (receiver == WEFT_RECEIVER_VXLAN4 || receiver == WEFT_RECEIVER_WIREGUARD4) {
        const struct sockaddr_in *from = head->msg_name;
        set_mapped(desc->addr, &from->sin_addr);
        desc->addr_port = ntohs(from->sin_port);
    } else {
        const struct sockaddr_in6 *from = head->msg_name;
        memcpy(desc->addr, &from->sin6_addr, 16);
        desc->addr_port = ntohs(from->sin6_port);
    }
    for (struct cmsghdr *c = CMSG_FIRSTHDR(head); c != NULL; c = CMSG_NXTHDR(head, c)) {
        int value;
        if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO && c->cmsg_len >= CMSG_LEN(sizeof(value))) {
            memcpy(&value, CMSG_DATA(c), sizeof(value));
            /* One datagram alone carries its own length: nothing was joined. */
            if (value > 0 && (uint32_t)value < desc->len)
                desc->seg_len = (uint32_t)value;
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS && c->cmsg_len >= CMSG_LEN(1)) {
            desc->tos = *CMSG_DATA(c);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS &&
                   c->cmsg_len >= CMSG_LEN(sizeof(value))) {
            memcpy(&value, CMSG_DATA(c), sizeof(value));
            desc->tos = (uint8_t)value;
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO &&
                   c->cmsg_len >= CMSG_LEN(sizeof(struct in_pktinfo))) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            /* Not ipi_addr, which may be a broadcast address: this one can be answered from. */
            set_mapped(desc->local, &info.ipi_spec_dst);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO &&
                   c->cmsg_len >= CMSG_LEN(sizeof(struct in6_pktinfo))) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            memcpy(desc->local, &info.ipi6_addr, sizeof(desc->local));
        }
    }
}

/* Whatever the kernel changes in a message. */
static void renew(struct io *io, uint32_t slot)
{
    struct msghdr *head = &io->incoming[slot].msg_hdr;

    head->msg_namelen = sizeof(io->incoming_addresses[slot]);
    head->msg_controllen = sizeof(io->incoming_controls[slot].octets);
}

void io_prepare_incoming(struct io *io)
{
    for (uint32_t i = 0; i < WEFT_BATCH_MAX; i++) {
        io->incoming_iovecs[i] = (struct iovec){
            io->worker.slots + (size_t)i * WEFT_SLOT_SIZE + WEFT_HEADROOM, PAYLOAD_MAX
        };
        io->incoming[i].msg_hdr = (struct msghdr){
            .msg_name = &io->incoming_addresses[i], .msg_iov = &io->incoming_iovecs[i], .msg_iovlen = 1,
            .msg_control = io->incoming_controls[i].octets,
        };
        renew(io, i);
    }
}

/* One recvmmsg into slots first..first+room-1. Returns how many were filled. */
static uint32_t receive_some(struct io *io, uint32_t receiver, uint32_t first, uint32_t room)
{
    int got;

    count_up(io->worker.counters, WEFT_COUNT_SYS_RECVMMSG);
    got = call_recvmmsg(io->receivers[receiver], io->incoming + first, room);
    /* Fewer than asked: empty for now. An error: taken off the socket, epoll reports whatever comes next. */
    if (got < 0 || (uint32_t)got < room)
        io->receiver_ready[receiver] = false;
    if (got < 0) {
        if (errno == EBADF || errno == ENOTSOCK)
            io->receivers[receiver] = -1;
        return 0;
    }
    for (uint32_t i = first; i < first + (uint32_t)got; i++) {
        take_datagram(io, i, receiver, &io->incoming[i]);
        renew(io, i);
    }
    return (uint32_t)got;
}

uint32_t io_receive(struct io *io, uint32_t max)
{
    uint32_t filled = 0;

    if (max > WEFT_BATCH_MAX)
        max = WEFT_BATCH_MAX;
    /* Whoever was first last time is last now: one that fills every batch leaves the others theirs. */
    for (uint32_t i = 0, start = io->receiver_next; i < IO_RECEIVERS && filled < max; i++) {
        uint32_t receiver = (start + i) % IO_RECEIVERS;
        if (!io->receiver_ready[receiver] || io->receivers[receiver] < 0)
            continue;
        if (filled == 0)
            io->receiver_next = (receiver + 1) % IO_RECEIVERS;
        filled += receive_some(io, receiver, filled, max - filled);
    }
    io->busy |= filled > 0;
    return filled;
}
