/* What the traffic programs share: see ../peer.c. Times are seconds of CLOCK_MONOTONIC, sizes octets. */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Datagrams of one sendmmsg or recvmmsg. */
#define BATCH 64
/* Longest datagram the UDP roles send. */
#define OCTETS_MAX 2048
#define FLOWS_MAX 65536
#define STREAMS_MAX 64

/* ---- open.c ---- */

/* Ends the program with what went wrong and the system's reason for it, or without the latter. */
__attribute__((noreturn)) void fail(const char *what);
__attribute__((noreturn)) void fail_plain(const char *what);
/* Prints a line at once. */
void say(const char *line);
double now(void);
void sleep_until(double when);

struct address {
    struct sockaddr_storage storage;
    socklen_t length;
};

struct address parse(const char *text, const char *port);
void set_port(struct address *a, unsigned port);
unsigned port_of(const struct address *a);
/* A socket bound to the address, or connected to it. */
int open_socket(int type, struct address a, bool connected);

struct batch {
    struct mmsghdr messages[BATCH];
    struct iovec iovecs[BATCH];
    uint8_t *octets;
};

/* Messages of one buffer each, of that size. */
struct batch *make_batch(size_t size);

/* Set by SIGTERM and SIGINT once stop_on_signals() was called; senders end and report then. */
extern volatile int stop;
void stop_on_signals(void);

/* ---- tcp.c ---- */

struct tcp_received {
    uint64_t bytes;
    double seconds;
};
struct tcp_sent {
    unsigned retransmits, mss;
};

int tcp_listen(struct address a);
/* Takes that many connections. */
void tcp_accept(int listener, int *fds, unsigned streams);
void tcp_connect(struct address a, int *fds, unsigned streams);
/*
 * Measures what arrives over all streams together from `warm` seconds on; says "start" when `aloud`. The window is as long
 * as `seconds` says, or until something has arrived.
 */
struct tcp_received tcp_receive(const int *fds, unsigned streams, double warm, double seconds, bool aloud);
/* Sends over all streams until the other side closes them. */
struct tcp_sent tcp_send(const int *fds, unsigned streams);

/* ---- udp-send.c ---- */

/* Every datagram begins with this, in the byte order of the machine: sender and receiver are one program. */
struct stamp {
    /* CLOCK_MONOTONIC of the sender, nanoseconds. */
    uint64_t time;
    /* From 1. */
    uint32_t number;
    uint32_t flow;
};

struct sent {
    uint64_t sent;
    /* Times the kernel refused a datagram, which was tried again. */
    uint64_t refused;
    double seconds;
};

/* Writes one datagram to where the iovec points and sets its length. */
typedef void fill_function(void *context, struct iovec *to, struct stamp stamp);

/*
 * Sends numbered datagrams until `stop` or, where seconds is not 0, for that long.
 * rate is datagrams per second, sent in bursts of what is due every 50 µs or less often; 0: as fast as they go.
 */
struct sent send_paced(int fd, double rate, double seconds, fill_function *fill, void *context);
/* UDP payload of datagram `number`: octets, or the size of the mix when octets is 0. */
size_t size_of(size_t octets, uint32_t number);
/* Reads OCTETS of the command line: a number or "imix", which is 0. */
size_t parse_octets(const char *text);
/* flows 0: an ordinary socket. Else a raw one and that many source ports in turn. */
struct sent udp_send(struct address to, size_t octets, double rate, unsigned flows, double seconds);
void print_sent(struct sent s);

/* ---- udp-receive.c ---- */

struct received {
    /* Of the window: datagrams (no duplicates), the span of their numbers, UDP payload. */
    uint64_t packets, sent, bytes;
    /* Numbers missing in the span; a number below the highest of its flow before it (RFC 4737); the same again. */
    uint64_t lost, reordered, duplicates;
    double seconds;
    /* From send to receive call, µs; only between clocks that agree: on one machine. */
    double p50, p99, p999, max;
};

struct tally *make_tally(double warm, double seconds, bool aloud);
/* Counts one datagram that was received at `time`. */
void tally_add(struct tally *t, const uint8_t *payload, size_t octets, double time);
/* Whether the window is over and nothing of it is awaited; call it also when nothing came. */
bool tally_over(struct tally *t, double time);
struct received tally_result(const struct tally *t);
struct received udp_receive(int fd, double warm, double seconds, bool aloud);
/* Receive calls return after this long without data, so that a window ends without data too. */
void set_timeout(int fd, double seconds);
/* As members of a JSON object, without its braces. */
void format_received(struct received r, bool latency, char *to, size_t room);

/* ---- ping.c ---- */

struct round_trips {
    uint64_t count, lost;
    double seconds, median, p99, p999, max;
};

__attribute__((noreturn)) void echo(int fd);
struct round_trips ping(int fd, double warm, double seconds, size_t octets, bool aloud);
void format_round_trips(struct round_trips r, char *to, size_t room);

/* ---- serve.c ---- */

__attribute__((noreturn)) void serve(struct address a);
/* words: the test and its arguments. Prints one line of JSON. */
void run_test(struct address server, char **words, int count);
