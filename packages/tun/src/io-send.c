/* Sending: transmit operations of a worker to TAPs and UDP sockets, each with a result of its own. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "calls.h"
#include "cmsg.h"
#include "io.h"
#include "udp.h"

#define CHAIN_END UINT32_MAX
/* Octets of a source address in the memory. */
#define LOCAL_LEN 16
/* Longest UDP payload over IPv4 and IPv6. */
#define UDP_V4_MAX 65507
#define UDP_V6_MAX 65527

/*
 * Turns an operation's iovecs into the kernel's, checking each against the memory.
 * Returns how many, at most IO_OP_IOVS, or -EFAULT / -EINVAL. *total gets the sum of their lengths.
 */
static int gather(const struct io *io, const struct weft_tx_op *op, struct iovec *out, uint64_t *total)
{
    uint32_t start = op->iov_start, count = op->iov_count;

    if (count == 0 || count > IO_OP_IOVS)
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
    count = gather(io, op, iovecs + 1, &total);
    if (count < 0)
        return count;
    memcpy(header, op->vnet_hdr, sizeof(header));
    iovecs[0] = (struct iovec){ header, sizeof(header) };
    skip = port->vnet_hdr ? 0 : 1;
    do {
        count_up(io->worker.counters, WEFT_COUNT_SYS_WRITEV);
        sent = call_writev(port->fd, iovecs + skip, count + 1 - skip);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : (int)sent;
}

/*
 * Prepares message `i` for operation `index`, whose iovecs are gathered. gso_size 0: one datagram. `source`: the address
 * to send from, or NULL.
 */
static void prepare(struct io *io, uint32_t i, uint32_t index, const struct weft_tx_op *op, struct iovec *iovecs,
                    int count, uint16_t gso_size, const uint8_t *source)
{
    struct msghdr *head = &io->messages[i].msg_hdr;
    bool v4 = io_sends_v4(op->dest);
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
    /* The first one: send_unsourced() cuts it off. */
    io->message_source[i] = source != NULL ? cmsg_put_source(head, v4, source) : 0;
    if (tos != 0)
        cmsg_put(head, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, &tos, sizeof(tos));
    /* The last one: send_singles() cuts it off again. */
    if (gso_size != 0)
        cmsg_put(head, SOL_UDP, UDP_SEGMENT, &gso_size, sizeof(gso_size));
    io->message_op[i] = index;
    io->message_gso[i] = gso_size;
}

/* Whether a refusal means that there is no room now. */
static bool full(int err)
{
    return err == EAGAIN || err == ENOBUFS;
}

/* Waits a little for room in a socket, once in an io_send(): a full socket must not hold up the others for long. */
static bool wait_for_room(struct io *io, int fd)
{
    struct pollfd wait = { .fd = fd, .events = POLLOUT };

    if (io->waited)
        return false;
    io->waited = true;
    count_up(io->worker.counters, WEFT_COUNT_SYS_POLL);
    return poll(&wait, 1, IO_FULL_WAIT_MS) == 1;
}

/* Moves `want` octets from the front of a list of iovecs to `pieces`. Returns how many pieces they are. */
static size_t take_octets(struct iovec **from, uint64_t want, struct iovec *pieces)
{
    size_t used = 0;

    while (want > 0) {
        struct iovec *first = *from;
        size_t take = first->iov_len < want ? first->iov_len : (size_t)want;

        if (take > 0)
            pieces[used++] = (struct iovec){ first->iov_base, take };
        first->iov_base = (uint8_t *)first->iov_base + take;
        first->iov_len -= take;
        want -= take;
        if (first->iov_len == 0)
            (*from)++;
    }
    return used;
}

/* Sends one message. Returns octets, or -errno when it is refused for good, or there is still no room after a wait. */
static int send_one(struct io *io, int fd, const struct msghdr *head)
{
    ssize_t sent;

    do {
        count_up(io->worker.counters, WEFT_COUNT_SYS_SENDMMSG);
        sent = sendmsg(fd, head, MSG_DONTWAIT);
    } while (sent < 0 && (errno == EINTR || (full(errno) && wait_for_room(io, fd))));
    return sent < 0 ? -errno : (int)sent;
}

/*
 * Sends prepared message `i` as single datagrams of gso_size octets: what UDP_SEGMENT would have made of it. Its
 * iovecs are used up.
 * Returns octets taken up to the first refusal, or -errno when the first datagram was refused. *is_full: there is no
 * room for more.
 */
static int send_singles(struct io *io, int fd, uint32_t i, uint16_t gso_size, bool *is_full)
{
    struct msghdr head = io->messages[i].msg_hdr;
    struct iovec *from = head.msg_iov;
    size_t source = io->message_source[i];
    uint64_t left = 0;
    int sent_total = 0;

    for (size_t k = 0; k < head.msg_iovlen; k++)
        left += from[k].iov_len;
    if (io->message_gso[i] != 0)
        head.msg_controllen -= CMSG_SPACE(sizeof(gso_size));
    head.msg_iov = io->pieces;
    while (left > 0) {
        uint64_t want = left < gso_size ? left : gso_size;
        int sent;

        left -= want;
        head.msg_iovlen = take_octets(&from, want, io->pieces);
        sent = send_one(io, fd, &head);
        if (sent < 0 && source != 0 && cmsg_source_gone(-sent)) {
            /* Nor do those behind it try. */
            cmsg_cut_source(&head, source);
            source = 0;
            sent = send_one(io, fd, &head);
        }
        if (sent < 0) {
            *is_full = full(-sent);
            return sent_total > 0 ? sent_total : sent;
        }
        sent_total += sent;
    }
    return sent_total;
}

/* Sends prepared message `i` again, from an address that the kernel chooses. Returns octets or -errno. */
static int send_unsourced(struct io *io, int fd, uint32_t i)
{
    struct msghdr head = io->messages[i].msg_hdr;

    cmsg_cut_source(&head, io->message_source[i]);
    return send_one(io, fd, &head);
}

/* Whether a refused UDP_SEGMENT send may go through as single datagrams (too many, too long, no checksum offload). */
static bool gso_refused(int err)
{
    return err == EMSGSIZE || err == EINVAL || err == EIO;
}

/*
 * Hands messages 0..count-1, all of one socket, to the kernel in order and writes the results of their operations.
 * Returns false when the socket stayed full: those behind the refused one got -EAGAIN without being tried.
 */
static bool flush(struct io *io, int fd, uint32_t count)
{
    struct weft_tx_op *ops = io->worker.tx_ops;
    uint32_t done = 0;

    while (done < count) {
        bool is_full = false;
        int sent, err, result;

        count_up(io->worker.counters, WEFT_COUNT_SYS_SENDMMSG);
        sent = call_sendmmsg(fd, io->messages + done, count - done);
        err = errno;
        if (sent > 0) {
            for (int i = 0; i < sent; i++, done++)
                ops[io->message_op[done]].result = (int32_t)io->messages[done].msg_len;
            continue;
        }
        /* The error belongs to the first message. */
        if (err == EINTR || (full(err) && wait_for_room(io, fd)))
            continue;
        result = -err;
        if (io->message_source[done] != 0 && cmsg_source_gone(err))
            result = send_unsourced(io, fd, done);
        is_full = full(-result);
        /* EINVAL without a source address either: that was not the reason, so the single datagrams have it again. */
        if (io->message_gso[done] != 0 && gso_refused(-result)) {
            result = send_singles(io, fd, done, io->message_gso[done], &is_full);
            if (result > 0)
                count_up(io->worker.counters, WEFT_COUNT_GSO_FALLBACKS);
        }
        ops[io->message_op[done++]].result = result;
        if (is_full) {
            while (done < count)
                ops[io->message_op[done++]].result = -EAGAIN;
            return false;
        }
    }
    return true;
}

/* Sends the chain of operations of one socket, in order, as few sendmmsg calls as there is room for. */
static void send_chain(struct io *io, uint32_t sender, uint32_t first)
{
    uint64_t payload_max = io_sends_v4(sender) ? UDP_V4_MAX : UDP_V6_MAX;
    uint32_t messages = 0, iovecs = 0;
    int fd = io->senders[sender];
    bool room = true;

    for (uint32_t index = first; index != CHAIN_END; index = io->chain[index]) {
        struct weft_tx_op op = io->worker.tx_ops[index];
        uint64_t total = 0;
        bool singles;
        int count;

        if (messages == IO_SEND_MAX || (uint32_t)op.iov_count > IO_IOV_MAX - iovecs) {
            room = flush(io, fd, messages);
            messages = iovecs = 0;
        }
        if (!room) {
            io->worker.tx_ops[index].result = -EAGAIN;
            continue;
        }
        count = gather(io, &op, io->iovecs + iovecs, &total);
        if (count >= 0 && op.local != 0 && !memory_range(&io->memory, op.local, LOCAL_LEN))
            count = -EFAULT;
        if (count < 0) {
            io->worker.tx_ops[index].result = count;
            continue;
        }
        if (total <= op.gso_size)
            op.gso_size = 0;
        singles = op.gso_size != 0 && (!io->gso || total > payload_max);
        prepare(io, messages, index, &op, io->iovecs + iovecs, count, singles ? 0 : op.gso_size,
                op.local != 0 ? io->memory.base + op.local : NULL);
        if (singles) {
            bool is_full = false;

            /* Order within the socket: what is gathered goes first. */
            room = flush(io, fd, messages);
            io->worker.tx_ops[index].result = room ? send_singles(io, fd, messages, op.gso_size, &is_full) : -EAGAIN;
            room = room && !is_full;
            messages = iovecs = 0;
            continue;
        }
        messages++;
        iovecs += (uint32_t)count;
    }
    if (room)
        (void)flush(io, fd, messages);
}

int io_send(struct io *io, uint32_t count)
{
    uint32_t head[IO_SENDERS], tail[IO_SENDERS];

    if (count > io->worker.tx_max)
        return -EINVAL;
    memset(head, 0xff, sizeof(head));
    io->waited = false;
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
        } else if (op.family != (io_sends_v4(op.dest) ? 4 : 6) || io->senders[op.dest] < 0) {
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
