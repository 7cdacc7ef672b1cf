#define _GNU_SOURCE
#include "io.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"
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
    io->epoll_fd = io->wake_fd = -1;
    for (uint32_t i = 0; i < IO_RECEIVERS; i++)
        io->receivers[i] = -1;
    for (uint32_t i = 0; i < IO_SENDERS; i++)
        io->senders[i] = -1;
    *why = worker_memory_find(&io->memory, worker, &io->worker);
    if (*why != NULL)
        goto fail;
    io->gso = gso && io->worker.gso_segments != 1;

    io->spin_credit = IO_SPIN_CREDIT;
    io_prepare_incoming(io);
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
    p->octets = IO_PORT_OCTETS;
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

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Counts the time since io_poll() last returned: ≤1 µs, ≤2, ≤4 … */
static void count_loop(struct io *io, int64_t ns)
{
    uint64_t us = (uint64_t)(ns + 999) / 1000;
    unsigned bucket = us <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(us - 1);

    count_up(io->worker.counters, WEFT_LOOP_BASE + (bucket < WEFT_LOOP_BUCKETS ? bucket : WEFT_LOOP_BUCKETS - 1));
    count_up(io->worker.counters, WEFT_COUNT_LOOPS);
    count_add(io->worker.counters, WEFT_COUNT_LOOP_NS, (uint64_t)ns);
}

static int poll_once(struct io *io, struct epoll_event *events, int timeout_ms)
{
    count_up(io->worker.counters, WEFT_COUNT_SYS_POLL);
    return call_epoll_wait(io->epoll_fd, events, POLL_EVENTS, timeout_ms);
}

/* Looks again and again for spin_us, then sleeps for what is left of timeout_ms. */
static int poll_awake(struct io *io, struct epoll_event *events, int timeout_ms, int spin_us)
{
    int64_t start = now_ns(), spent = 0;
    int n;

    if (timeout_ms > 0 && spin_us / 1000 >= timeout_ms) {
        spin_us = timeout_ms * 1000;
        timeout_ms = 0;
    } else if (timeout_ms > 0) {
        timeout_ms -= spin_us / 1000;
    }
    while (spent < spin_us) {
        n = poll_once(io, events, 0);
        if (n != 0) {
            io->spin_credit = IO_SPIN_CREDIT;
            return n;
        }
        /* Whoever this core keeps waiting goes first: it may be the one that is waited for. */
        (void)sched_yield();
        spent = (now_ns() - start) / 1000;
    }
    io->spin_credit--;
    return poll_once(io, events, timeout_ms);
}

static bool may_spin(struct io *io)
{
    if (io->spin_credit == 0 && ++io->spin_rest >= IO_SPIN_REST) {
        io->spin_rest = 0;
        io->spin_credit = 1;
    }
    return io->spin_credit > 0;
}

int io_poll(struct io *io, int timeout_ms, int spin_us)
{
    struct epoll_event events[POLL_EVENTS];
    bool pending = io->queue_len > 0 || io->gone_len > 0;
    int ready = 0, n;

    for (uint32_t i = 0; i < IO_RECEIVERS; i++)
        pending |= io->receiver_ready[i];
    if (io->busy)
        count_loop(io, now_ns() - io->returned_ns);
    io->busy = false;
    if (!pending && timeout_ms != 0 && spin_us > 0 && may_spin(io))
        n = poll_awake(io, events, timeout_ms, spin_us);
    else
        n = poll_once(io, events, pending ? 0 : timeout_ms);
    if (n < 0 && errno != EINTR)
        return -errno;
    io->returned_ns = now_ns();
    __atomic_store_n(&io->worker.record->clock_ms, (uint32_t)(io->returned_ns / 1000000), __ATOMIC_RELAXED);
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
    if (io->gone_len > 0)
        ready |= IO_READY_GONE;
    for (uint32_t i = 0; i < IO_RECEIVERS; i++)
        if (io->receiver_ready[i])
            ready |= IO_READY_UDP;
    return ready;
}
