/* Sending: transmit operations of a worker to TAPs and UDP sockets, each with a result of its own. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "io.h"
#include "udp.h"

#define CHAIN_END UINT32_MAX
/* Longest iovec list one call takes (UIO_MAXIOV). */
#define CALL_IOV_MAX 1024
/* Longest UDP payload over IPv4 and IPv6. */
#define UDP_V4_MAX 65507
#define UDP_V6_MAX 65527

/*
 * Turns an operation's iovecs into the kernel's, checking each against the memory.
 * Returns how many, at most `room`, or -EFAULT / -EINVAL. *total gets the sum of their lengths.
 */
static int gather(const struct io *io, const struct weft_tx_op *op, struct iovec *out, uint32_t room, uint64_t *total)
{
    uint32_t start = op->iov_start, count = op->iov_count;

    if (count == 0 || count > room)
        return -EINVAL;
    if (start > io->worker.iov_max || count > io->worker.iov_max - start)
        return -EFAULT;
    *total = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct weft_iov iov = io->worker.iovs[start + i];
        if (!memory_range(&io->memory, iov.off, iov.len))
            return -EFAULT;
        out[i] = (struct iovec){ io->memory.base + iov.off, iov.len };
        *total += iov.len;
    }
    return (int)count;
}

static int write_frame(struct io *io, const struct weft_tx_op *op)
{
    struct iovec *iovecs = io->iovecs;
    const struct io_port *port;
    uint8_t header[WEFT_VNET_HDR_LEN];
    uint64_t total;
    ssize_t sent;
    int count, skip;

    if (op->dest >= io->worker.ports_max)
        return -EFAULT;
    port = &io->ports[op->dest];
    if (port->fd < 0)
        return -ENODEV;
    count = gather(io, op, iovecs + 1, CALL_IOV_MAX - 1, &total);
    if (count < 0)
        return count;
    memcpy(header, op->vnet_hdr, sizeof(header));
    iovecs[0] = (struct iovec){ header, sizeof(header) };
    skip = port->vnet_hdr ? 0 : 1;
    do {
        count_up(io->worker.counters, WEFT_COUNT_SYS_WRITEV);
        sent = writev(port->fd, iovecs + skip, count + 1 - skip);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : (int)sent;
}

static void set_cmsg(struct msghdr *head, int level, int type, const void *value, size_t len)
{
    struct cmsghdr *c = (struct cmsghdr *)(void *)((uint8_t *)head->msg_control + head->msg_controllen);

    memset(c, 0, CMSG_SPACE(len));
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(c), value, len);
    head->msg_controllen += CMSG_SPACE(len);
}

/* Prepares message `i` for an operation whose iovecs are gathered. gso_size 0: one datagram. */
static void prepare(struct io *io, uint32_t i, const struct weft_tx_op *op, struct iovec *iovecs, int count,
                    uint16_t gso_size)
{
    struct msghdr *head = &io->messages[i].msg_hdr;
    bool v4 = op->dest < WEFT_SOURCE_PORTS;
    int tos = op->tos;

    memset(&io->addresses[i], 0, sizeof(struct sockaddr_in6));
    if (v4) {
        struct sockaddr_in *to = (struct sockaddr_in *)&io->addresses[i];
        to->sin_family = AF_INET;
        to->sin_port = htons(op->port);
        memcpy(&to->sin_addr, op->addr + 12, 4);
    } else {
        struct sockaddr_in6 *to = (struct sockaddr_in6 *)&io->addresses[i];
        to->sin6_family = AF_INET6;
        to->sin6_port = htons(op->port);
        memcpy(&to->sin6_addr, op->addr, 16);
    }
    *head = (struct msghdr){
        .msg_name = &io->addresses[i],
        .msg_namelen = v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6),
        .msg_iov = iovecs, .msg_iovlen = (size_t)count, .msg_control = io->controls[i].octets,
    };
    if (tos != 0)
        set_cmsg(head, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, &tos, sizeof(tos));
    if (gso_size != 0)
        set_cmsg(head, SOL_UDP, UDP_SEGMENT, &gso_size, sizeof(gso_size));
    if (head->msg_controllen == 0)
        head->msg_control = NULL;
}

/*
 * Sends an operation as single datagrams of gso_size octets: what UDP_SEGMENT would have made of it.
 * Returns octets taken up to the first refusal, or -errno when the first datagram was refused.
 */
static int send_singles(struct io *io, const struct weft_tx_op *op)
{
    struct iovec *whole = io->iovecs, *piece = io->iovecs + CALL_IOV_MAX;
    uint64_t total;
    uint32_t at = 0, sent_total = 0;
    int count = gather(io, op, whole, CALL_IOV_MAX, &total);

    if (count < 0)
        return count;
    while (total > 0) {
        uint64_t want = total < op->gso_size ? total : op->gso_size;
        ssize_t sent;
        int used = 0;

        total -= want;
        while (want > 0) {
            size_t take = whole[at].iov_len < want ? whole[at].iov_len : (size_t)want;
            piece[used++] = (struct iovec){ whole[at].iov_base, take };
            whole[at].iov_base = (uint8_t *)whole[at].iov_base + take;
            whole[at].iov_len -= take;
            want -= take;
            if (whole[at].iov_len == 0)
                at++;
        }
        prepare(io, 0, op, piece, used, 0);
        do {
            count_up(io->worker.counters, WEFT_COUNT_SYS_SENDMMSG);
            sent = sendmsg(io->senders[op->dest], &io->messages[0].msg_hdr, MSG_DONTWAIT);
        } while (sent < 0 && errno == EINTR);
        if (sent < 0)
            return sent_total > 0 ? (int)sent_total : -errno;
        sent_total += (uint32_t)sent;
    }
    return (int)sent_total;
}

/* Whether a refused UDP_SEGMENT send may go through as single datagrams (too many, too long, no checksum offload). */
static bool gso_refused(int err)
{
    return err == EMSGSIZE || err == EINVAL || err == EIO;
}

/* Hands messages 0..count-1, all of one socket, to the kernel and writes the results of their operations. */
static void flush(struct io *io, int fd, uint32_t count)
{
    uint32_t done = 0;
    bool singles = false;

    while (done < count) {
        int sent;

        count_up(io->worker.counters, WEFT_COUNT_SYS_SENDMMSG);
        sent = sendmmsg(fd, io->messages + done, count - done, MSG_DONTWAIT);
        if (sent > 0) {
            for (int i = 0; i < sent; i++, done++)
                io->worker.tx_ops[io->message_op[done]].result = (int32_t)io->messages[done].msg_len;
        } else if (errno != EINTR) {
            /* The error belongs to the first message; those behind it get their own chance. */
            struct weft_tx_op *op = &io->worker.tx_ops[io->message_op[done++]];
            op->result = -errno;
            if (op->gso_size != 0 && gso_refused(errno))
                singles = true;
        }
    }
    /* Now that the iovecs are free again. */
    for (uint32_t i = 0; singles && i < count; i++) {
        struct weft_tx_op op = io->worker.tx_ops[io->message_op[i]];
        if (op.gso_size != 0 && op.result < 0 && gso_refused(-op.result))
            io->worker.tx_ops[io->message_op[i]].result = send_singles(io, &op);
    }
}

/* Sends the chain of operations of one socket, in order, as few sendmmsg calls as there is room for. */
static void send_chain(struct io *io, uint32_t sender, uint32_t first)
{
    uint64_t payload_max = sender < WEFT_SOURCE_PORTS ? UDP_V4_MAX : UDP_V6_MAX;
    uint32_t messages = 0, iovecs = 0;

    for (uint32_t index = first; index != CHAIN_END; index = io->chain[index]) {
        struct weft_tx_op op = io->worker.tx_ops[index];
        uint64_t total = 0;
        bool singles;
        int count;

        if (messages == IO_SEND_MAX || IO_IOV_MAX - iovecs < CALL_IOV_MAX) {
            flush(io, io->senders[sender], messages);
            messages = iovecs = 0;
        }
        count = gather(io, &op, io->iovecs + iovecs, CALL_IOV_MAX, &total);
        if (count < 0) {
            io->worker.tx_ops[index].result = count;
            continue;
        }
        if (total <= op.gso_size)
            op.gso_size = 0;
        singles = op.gso_size != 0 && (!io->gso || total > payload_max);
        if (singles) {
            /* Order within the socket: what is gathered goes first. */
            flush(io, io->senders[sender], messages);
            messages = iovecs = 0;
            io->worker.tx_ops[index].result = send_singles(io, &op);
            continue;
        }
        prepare(io, messages, &op, io->iovecs + iovecs, count, op.gso_size);
        io->message_op[messages++] = index;
        iovecs += (uint32_t)count;
    }
    flush(io, io->senders[sender], messages);
}

int io_send(struct io *io, uint32_t count)
{
    uint32_t head[IO_SENDERS], tail[IO_SENDERS];

    if (count > io->worker.tx_max)
        return -EINVAL;
    memset(head, 0xff, sizeof(head));
    for (uint32_t i = 0; i < count; i++) {
        /* A copy: what was checked is what is used. */
        struct weft_tx_op op = io->worker.tx_ops[i];
        int32_t result = 0;

        if (op.kind == WEFT_OP_TAP) {
            result = write_frame(io, &op);
        } else if (op.kind != WEFT_OP_UDP) {
            result = -EINVAL;
        } else if (op.dest >= IO_SENDERS) {
            result = -EFAULT;
        } else if (op.family != (op.dest < WEFT_SOURCE_PORTS ? 4 : 6) || io->senders[op.dest] < 0) {
            result = -EAFNOSUPPORT;
        } else {
            /* UDP operations are chained by socket: order holds within a socket, and one call carries them all. */
            if (head[op.dest] == CHAIN_END)
                head[op.dest] = i;
            else
                io->chain[tail[op.dest]] = i;
            tail[op.dest] = i;
            io->chain[i] = CHAIN_END;
        }
        io->worker.tx_ops[i].result = result;
    }
    for (uint32_t s = 0; s < IO_SENDERS; s++)
        if (head[s] != CHAIN_END)
            send_chain(io, s, head[s]);
    return 0;
}
