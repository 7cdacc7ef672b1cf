/*
 * One worker's batched I/O: frames between devices, sockets and the worker's part of the shared memory.
 *
 * Theory of operation. A level-triggered epoll set tells which ports and receivers have something; they stay marked
 * here until a read finds them empty, so a batch that was full is continued without asking the kernel again. Ports
 * are read in turn, each up to a budget. Nothing is allocated after io_create(), and no state lives outside struct io.
 */
#ifndef WEFT_IO_H
#define WEFT_IO_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "memory.h"

/*
 * Frames, and octets, read from one port before it is the next one's turn. Reading 32 frames of up to the MTU took
 * 0.07 ms when measured; 32 super-frames are 2 MiB and took 0.9 ms, and then each of them is cut into some fifty
 * datagrams. So a turn also ends with the frame that passes 512 KiB (nine super-frames), which fits a second-level
 * cache and is still a batch that no system call dominates.
 */
#define IO_PORT_BUDGET 32
#define IO_PORT_OCTETS (512 * 1024)
/*
 * Octets of one batch, over all ports. A super-frame of tiny segments counts as what it will cost to send: IO_SEGMENT_OCTETS for
 * each. 262,144 datagrams, which 128 frames of 2 KiB could become, kept the kernel busy for 83 ms when measured.
 */
#define IO_BATCH_OCTETS (2 * 1024 * 1024)
#define IO_SEGMENT_OCTETS 512
/* Datagrams handed to one sendmmsg. */
#define IO_SEND_MAX 128
/* iovecs of one operation: the kernel takes 1,024 (UIO_MAXIOV), one of which may be the virtio_net_hdr. */
#define IO_OP_IOVS 1023
/* iovecs of one sendmmsg, shared by its operations: more than forty super-frames of 46 header areas and payloads. */
#define IO_IOV_MAX 4096
/* How long one io_send() waits for room in a full socket, once. */
#define IO_FULL_WAIT_MS 1
/*
 * Spinning goes on while it pays: so many spins may see nothing, one after the other, then one in so many polls tries
 * again. Evenly spaced frames further apart than a spin then cost no spinning, a chain of question and answer keeps it.
 */
#define IO_SPIN_CREDIT 8
#define IO_SPIN_REST 64
/* By WEFT_RECEIVER: VXLAN and WireGuard, each over IPv4 and IPv6. */
#define IO_RECEIVERS 4u
#define IO_SENDERS WEFT_SENDERS

/* What io_poll() saw. Same bits as READY in lib/link.ts. */
#define IO_READY_TAP 1
#define IO_READY_UDP 2
#define IO_READY_WAKE 4
#define IO_READY_GONE 8

struct io_port {
    int fd;             /* -1: free */
    bool reads;
    bool vnet_hdr;
    bool queued;        /* in the queue of ready ports */
    uint32_t left;      /* what is left of the budget of this turn: frames */
    int32_t octets;     /* and octets; 0 or less: spent */
};

/* Room for the control messages of one datagram: packet information, TOS or traffic class, segment size. */
struct io_control {
    _Alignas(struct cmsghdr) uint8_t octets[128];
};
_Static_assert(CMSG_SPACE(sizeof(struct in6_pktinfo)) + 2 * CMSG_SPACE(sizeof(int)) <= sizeof(struct io_control),
               "three control messages fit");

struct io {
    struct memory memory;
    struct worker_memory worker;
    int epoll_fd;
    int wake_fd;
    bool gso;           /* false: no UDP_SEGMENT, every such operation goes out as single datagrams */

    struct io_port *ports;
    uint32_t *queue;    /* ring of ready port indexes, worker.ports_max long */
    uint32_t queue_head, queue_len;
    uint32_t *gone;
    uint32_t gone_len;

    uint32_t spin_credit;   /* spins that may still fail before io_poll() stops spinning */
    uint32_t spin_rest;     /* polls without spinning since */
    int64_t returned_ns;    /* when io_poll() returned, CLOCK_MONOTONIC */
    bool busy;              /* frames were taken since */

    int receivers[IO_RECEIVERS];
    bool receiver_ready[IO_RECEIVERS];
    uint32_t receiver_next; /* whose turn it is to be first */
    int senders[IO_SENDERS];

    /* One per slot, prepared once: what a call has used is made ready again after it. */
    struct mmsghdr incoming[WEFT_BATCH_MAX];
    struct iovec incoming_iovecs[WEFT_BATCH_MAX];
    struct sockaddr_storage incoming_addresses[WEFT_BATCH_MAX];
    struct io_control incoming_controls[WEFT_BATCH_MAX];

    uint32_t *chain;    /* send: next operation of the same socket */
    bool waited;        /* send: this call has waited for a full socket already */
    struct mmsghdr messages[IO_SEND_MAX];
    struct sockaddr_storage addresses[IO_SEND_MAX];
    struct io_control controls[IO_SEND_MAX];
    uint32_t message_op[IO_SEND_MAX];
    uint16_t message_gso[IO_SEND_MAX];
    size_t message_source[IO_SEND_MAX]; /* octets of the control message with the source address; 0: there is none */
    struct iovec iovecs[IO_IOV_MAX];
    struct iovec pieces[IO_OP_IOVS];    /* those of one datagram of a UDP_SEGMENT operation sent singly */
};

/* Whether a sending socket is one of IPv4. */
static inline bool io_sends_v4(uint32_t sender)
{
    return sender < WEFT_SOURCE_PORTS || sender == WEFT_SENDER_WIREGUARD;
}

/*
 * Creates an Io over a memory that stays valid until io_destroy(). UDP_SEGMENT is used unless `gso` is false or the
 * memory's header says that one send takes one datagram.
 * Returns NULL with *err = errno, or with *why = a sentence about the memory.
 */
struct io *io_create(uint8_t *base, uint64_t size, uint32_t worker, bool gso, int *err, const char **why);
void io_destroy(struct io *io);

/* These return 0 or -errno. EINVAL: no such index; EEXIST: index in use; ENOENT: nothing there. */
int io_add_port(struct io *io, uint32_t port, int fd, bool reads);
int io_remove_port(struct io *io, uint32_t port);
int io_add_receiver(struct io *io, uint32_t index, int fd);
int io_add_sender(struct io *io, uint32_t index, int fd);

/* Waits up to timeout_ms (-1: for ever), the first spin_us of it awake. Returns IO_READY bits, or -errno. */
int io_poll(struct io *io, int timeout_ms, int spin_us);
/* Makes the messages of io_receive() ready. Once, by io_create(). */
void io_prepare_incoming(struct io *io);
/* Both return the number of receive descriptors filled. */
uint32_t io_read_ports(struct io *io, uint32_t max);
uint32_t io_receive(struct io *io, uint32_t max);
/* Carries out operations 0..count-1 and writes their results. Returns 0, or -EINVAL for a count beyond the region. */
int io_send(struct io *io, uint32_t count);
/* Marks a port as gone: out of the epoll set, listed in io->gone. */
void io_port_gone(struct io *io, uint32_t port);

#endif
