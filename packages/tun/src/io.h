/*
 * One worker's batched I/O: frames between devices, sockets and the worker's part of the shared memory.
 *
 * Theory of operation. A level-triggered epoll set tells which ports and receivers have something; they stay marked
 * here until a read finds them empty, so a batch that was full is continued without asking the kernel again. Ports
 * are read in turn, each up to a budget. Nothing is allocated after io_create(), and no state lives outside struct io.
 */
#ifndef WEFT_IO_H
#define WEFT_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "memory.h"

/* Frames read from one port before it is the next one's turn. */
#define IO_PORT_BUDGET 32
/* Datagrams handed to one sendmmsg. */
#define IO_SEND_MAX 128
/* iovecs of one sendmmsg or writev: UIO_MAXIOV each, several operations share them. */
#define IO_IOV_MAX 2048
#define IO_RECEIVERS 2u
#define IO_SENDERS (2 * WEFT_SOURCE_PORTS)

/* What io_poll() saw. Same bits as READY in lib/link.ts. */
#define IO_READY_TAP 1
#define IO_READY_UDP 2
#define IO_READY_WAKE 4

struct io_port {
    int fd;             /* -1: free */
    bool reads;
    bool vnet_hdr;
    bool queued;        /* in the queue of ready ports */
    uint32_t left;      /* what is left of the budget of this turn */
};

/* Room for the control messages of one datagram. */
struct io_control {
    _Alignas(struct cmsghdr) uint8_t octets[128];
};

struct io {
    struct memory memory;
    struct worker_memory worker;
    int epoll_fd;
    int wake_fd;
    bool gso;           /* false: UDP_SEGMENT is switched off, every such operation goes out as single datagrams */

    struct io_port *ports;
    uint32_t *queue;    /* ring of ready port indexes, worker.ports_max long */
    uint32_t queue_head, queue_len;
    uint32_t *gone;
    uint32_t gone_len;

    int receivers[IO_RECEIVERS];
    bool receiver_ready[IO_RECEIVERS];
    uint32_t receiver_next;
    int senders[IO_SENDERS];

    uint32_t *chain;    /* send: next operation of the same socket */
    struct mmsghdr messages[WEFT_BATCH_MAX > IO_SEND_MAX ? WEFT_BATCH_MAX : IO_SEND_MAX];
    struct sockaddr_storage addresses[WEFT_BATCH_MAX > IO_SEND_MAX ? WEFT_BATCH_MAX : IO_SEND_MAX];
    struct io_control controls[WEFT_BATCH_MAX > IO_SEND_MAX ? WEFT_BATCH_MAX : IO_SEND_MAX];
    uint32_t message_op[IO_SEND_MAX];
    struct iovec iovecs[IO_IOV_MAX];
};

/*
 * Creates an Io over a memory that stays valid until io_destroy().
 * Returns NULL with *err = errno, or with *why = a sentence about the memory.
 */
struct io *io_create(uint8_t *base, uint64_t size, uint32_t worker, bool gso, int *err, const char **why);
void io_destroy(struct io *io);

/* These return 0 or -errno. EINVAL: no such index; EEXIST: index in use; ENOENT: nothing there. */
int io_add_port(struct io *io, uint32_t port, int fd, bool reads);
int io_remove_port(struct io *io, uint32_t port);
int io_add_receiver(struct io *io, uint32_t index, int fd);
int io_add_sender(struct io *io, uint32_t index, int fd);

/* Waits up to timeout_ms (-1: for ever). Returns IO_READY bits, or -errno. */
int io_poll(struct io *io, int timeout_ms);
/* Both return the number of receive descriptors filled. */
uint32_t io_read_ports(struct io *io, uint32_t max);
uint32_t io_receive(struct io *io, uint32_t max);
/* Carries out operations 0..count-1 and writes their results. Returns 0, or -EINVAL for a count beyond the region. */
int io_send(struct io *io, uint32_t count);
/* Marks a port as gone: out of the epoll set, listed in io->gone. */
void io_port_gone(struct io *io, uint32_t port);

#endif
