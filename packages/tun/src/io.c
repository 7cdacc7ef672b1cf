#define _GNU_SOURCE
#include "io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tap.h"
#include "udp.h"

/* What an epoll event is about: kind in the upper half, index in the lower. */
#define ABOUT_PORT (1ull << 32)
#define ABOUT_RECEIVER (2ull << 32)
#define ABOUT_WAKE (3ull << 32)

#define POLL_EVENTS 64

static int watch(struct io *io, int fd, uint64_t about)
{
    struct epoll_event event = { .events = EPOLLIN, .data = { .u64 = about } };

    return epoll_ctl(io->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

struct io *io_create(uint8_t *base, uint64_t size, uint32_t worker, bool gso, int *err, const char **why)
{
    struct io *io = calloc(1, sizeof(*io));

    *why = NULL;
    *err = ENOMEM;
    if (io == NULL)
        return NULL;
    io->memory = (struct memory){ base, size };
    io->gso = gso;
    io->epoll_fd = io->wake_fd = -1;
    for (uint32_t i = 0; i < IO_RECEIVERS; i++)
        io->receivers[i] = -1;
    for (uint32_t i = 0; i < IO_SENDERS; i++)
        io->senders[i] = -1;
    *why = worker_memory_find(&io->memory, worker, &io->worker);
    if (*why != NULL)
        goto fail;

    io->ports = calloc(io->worker.ports_max, sizeof(*io->ports));
    io->queue = calloc(io->worker.ports_max, sizeof(*io->queue));
    io->gone = calloc(io->worker.ports_max, sizeof(*io->gone));
    io->chain = calloc(io->worker.tx_max, sizeof(*io->chain));
    if (!io->ports || !io->queue || !io->gone || !io->chain)
        goto fail;
    for (uint32_t i = 0; i < io->worker.ports_max; i++)
        io->ports[i].fd = -1;

    io->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    io->wake_fd = io->epoll_fd < 0 ? -1 : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (io->wake_fd < 0) {
        *err = errno;
        goto fail;
    }
    *err = -watch(io, io->wake_fd, ABOUT_WAKE);
    if (*err != 0)
        goto fail;
    return io;

fail:
    io_destroy(io);
    return NULL;
}

void io_destroy(struct io *io)
{
    if (io->epoll_fd >= 0)
        close(io->epoll_fd);
    if (io->wake_fd >= 0)
        close(io->wake_fd);
    free(io->ports);
    free(io->queue);
    free(io->gone);
    free(io->chain);
    free(io);
}

int io_add_port(struct io *io, uint32_t port, int fd, bool reads)
{
    const char *syscall;
    char name[IFNAMSIZ];
    int bits, err;

    if (port >= io->worker.ports_max)
        return -EINVAL;
    if (io->ports[port].fd >= 0)
        return -EEXIST;
    bits = tap_describe(fd, name, &syscall);
    if (bits < 0)
        return bits;
    if (reads) {
        err = watch(io, fd, ABOUT_PORT | port);
        if (err != 0)
            return err;
    }
    io->ports[port] = (struct io_port){ .fd = fd, .reads = reads, .vnet_hdr = bits & TAP_VNET_HDR };
    return 0;
}

/* Takes a port out of the ring of ready ports, keeping the others' order. */
static void unqueue(struct io *io, uint32_t port)
{
    uint32_t size = io->worker.ports_max, kept = 0;

    for (uint32_t i = 0; i < io->queue_len; i++) {
        uint32_t index = io->queue[(io->queue_head + i) % size];
        if (index != port)
            io->queue[(io->queue_head + kept++) % size] = index;
    }
    io->queue_len = kept;
    io->ports[port].queued = false;
}

static void enqueue(struct io *io, uint32_t port)
{
    struct io_port *p = &io->ports[port];

    if (p->queued)
        return;
    p->queued = true;
    p->left = IO_PORT_BUDGET;
    io->queue[(io->queue_head + io->queue_len++) % io->worker.ports_max] = port;
}

int io_remove_port(struct io *io, uint32_t port)
{
    if (port >= io->worker.ports_max)
        return -EINVAL;
    if (io->ports[port].fd < 0)
        return -ENOENT;
    if (io->ports[port].queued)
        unqueue(io, port);
    if (io->ports[port].reads)
        (void)epoll_ctl(io->epoll_fd, EPOLL_CTL_DEL, io->ports[port].fd, NULL);
    io->ports[port] = (struct io_port){ .fd = -1 };
    /* A later user of the index must not inherit the news. */
    for (uint32_t i = 0; i < io->gone_len; i++)
        if (io->gone[i] == port)
            io->gone[i--] = io->gone[--io->gone_len];
    return 0;
}

void io_port_gone(struct io *io, uint32_t port)
{
    struct io_port *p = &io->ports[port];

    if (p->queued)
        unqueue(io, port);
    if (!p->reads)
        return;
    (void)epoll_ctl(io->epoll_fd, EPOLL_CTL_DEL, p->fd, NULL);
    p->reads = false;
    io->gone[io->gone_len++] = port;
}

int io_add_receiver(struct io *io, uint32_t index, int fd)
{
    int err;

    if (index >= IO_RECEIVERS)
        return -EINVAL;
    if (io->receivers[index] >= 0)
        return -EEXIST;
    err = watch(io, fd, ABOUT_RECEIVER | index);
    if (err == 0)
        io->receivers[index] = fd;
    return err;
}

int io_add_sender(struct io *io, uint32_t index, int fd)
{
    if (index >= IO_SENDERS || fd < 0)
        return -EINVAL;
    if (io->senders[index] >= 0)
        return -EEXIST;
    io->senders[index] = fd;
    return 0;
}

/*
 * A port reported an error state. A device that is merely down reports none; one that is being unregistered does, and
 * TUNGETIFF tells (EBADFD). Anything that is no TAP at all cannot recover either.
 */
static void port_error(struct io *io, uint32_t port)
{
    const char *syscall;
    char name[IFNAMSIZ];

    if (tap_describe(io->ports[port].fd, name, &syscall) < 0)
        io_port_gone(io, port);
}

int io_poll(struct io *io, int timeout_ms)
{
    struct epoll_event events[POLL_EVENTS];
    bool pending = io->queue_len > 0;
    int ready = 0, n;

    for (uint32_t i = 0; i < IO_RECEIVERS; i++)
        pending |= io->receiver_ready[i];
    count_up(io->worker.counters, WEFT_COUNT_SYS_POLL);
    n = epoll_wait(io->epoll_fd, events, POLL_EVENTS, pending ? 0 : timeout_ms);
    if (n < 0 && errno != EINTR)
        return -errno;
    for (int i = 0; i < n; i++) {
        uint32_t index = (uint32_t)events[i].data.u64;
        uint64_t about = events[i].data.u64 & ~0xffffffffull;

        if (about == ABOUT_WAKE) {
            uint64_t count;
            if (read(io->wake_fd, &count, sizeof(count)) == sizeof(count))
                ready |= IO_READY_WAKE;
        } else if (about == ABOUT_RECEIVER) {
            /* EPOLLERR too: recvmmsg takes the pending error off the socket. */
            io->receiver_ready[index] = true;
        } else if (io->ports[index].fd >= 0 && io->ports[index].reads) {
            if (events[i].events & (EPOLLERR | EPOLLHUP))
                port_error(io, index);
            else
                enqueue(io, index);
        }
    }
    if (io->queue_len > 0)
        ready |= IO_READY_TAP;
    for (uint32_t i = 0; i < IO_RECEIVERS; i++)
        if (io->receiver_ready[i])
            ready |= IO_READY_UDP;
    return ready;
}
