/*
 * The traffic programs of the end-to-end bench: one small program, so that as little of the box as possible is spent
 * on measuring. Compiled by the bench itself (peer.ts).
 *
 *   peer tcp-recv ADDR PORT WARM SECONDS    takes one connection and measures what arrives
 *   peer tcp-send ADDR PORT                 sends until the other side closes
 *   peer udp-recv ADDR PORT WARM SECONDS    counts datagrams and gaps in their numbers
 *   peer udp-send ADDR PORT OCTETS          sends numbered datagrams as fast as the kernel takes them
 *   peer echo     ADDR PORT                 sends every datagram back
 *   peer ping     ADDR PORT WARM SECONDS OCTETS   one datagram there and back at a time
 *
 * Receivers print "listening", then "start" where the measured window begins (WARM seconds after the first data), and
 * at its end one line of JSON. Times are seconds, sizes octets. Errors go to stderr with exit code 1.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define TCP_CHUNK (256 * 1024)
#define SOCKET_BUFFER (4 * 1024 * 1024)
#define DATAGRAM_MAX 65507

static void fail(const char *what) {
    fprintf(stderr, "peer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void say(const char *line) {
    puts(line);
    fflush(stdout);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct address {
    struct sockaddr_storage storage;
    socklen_t length;
};

static struct address parse(const char *text, const char *port) {
    struct address a;
    memset(&a, 0, sizeof a);
    struct sockaddr_in *v4 = (struct sockaddr_in *)&a.storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a.storage;
    uint16_t number = htons((uint16_t)atoi(port));
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = number;
        a.length = sizeof *v4;
    } else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = number;
        a.length = sizeof *v6;
    } else {
        errno = EINVAL;
        fail(text);
    }
    return a;
}

/* A socket bound to the address, or connected to it. */
static int open_socket(int type, struct address a, int connected) {
    int fd = socket(a.storage.ss_family, type | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket");
    int one = 1, size = SOCKET_BUFFER;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (type == SOCK_DGRAM) {
        /* TCP is left to size its own buffers, as applications do. Where FORCE is refused the plain call must do. */
        if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
            setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
    if (connected) {
        if (connect(fd, (struct sockaddr *)&a.storage, a.length) < 0) fail("connect");
    } else if (bind(fd, (struct sockaddr *)&a.storage, a.length) < 0) {
        fail("bind");
    }
    return fd;
}

static void tcp_receive(struct address a, double warm, double seconds) {
    int listener = open_socket(SOCK_STREAM, a, 0);
    if (listen(listener, 1) < 0) fail("listen");
    say("listening");
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) fail("accept");
    char *buffer = malloc(TCP_CHUNK);
    if (!buffer) fail("malloc");
    double begin = now() + warm, end = 0;
    uint64_t bytes = 0;
    for (;;) {
        ssize_t n = recv(fd, buffer, TCP_CHUNK, 0);
        if (n < 0) fail("recv");
        if (n == 0) {
            errno = ECONNRESET;
            fail("the sender stopped early");
        }
        double t = now();
        if (end == 0) {
            if (t < begin) continue;
            say("start");
            begin = t;
            end = t + seconds;
            continue;
        }
        bytes += (uint64_t)n;
        if (t >= end) {
            printf("{\"bytes\":%llu,\"seconds\":%.6f}\n", (unsigned long long)bytes, t - begin);
            return;
        }
    }
}

static void tcp_send(struct address a) {
    int fd = open_socket(SOCK_STREAM, a, 1);
    char *buffer = malloc(TCP_CHUNK);
    if (!buffer) fail("malloc");
    memset(buffer, 'w', TCP_CHUNK);
    while (send(fd, buffer, TCP_CHUNK, MSG_NOSIGNAL) > 0) {}
    struct tcp_info info;
    socklen_t length = sizeof info;
    memset(&info, 0, sizeof info);
    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
    printf("{\"retransmits\":%u,\"mss\":%u}\n", info.tcpi_total_retrans, info.tcpi_snd_mss);
}

struct batch {
    struct mmsghdr messages[BATCH];
    struct iovec iovecs[BATCH];
    char *octets;
};

static struct batch *make_batch(size_t size) {
    struct batch *b = calloc(1, sizeof *b);
    if (!b || !(b->octets = calloc(BATCH, size))) fail("malloc");
    for (int i = 0; i < BATCH; i++) {
        b->iovecs[i].iov_base = b->octets + (size_t)i * size;
        b->iovecs[i].iov_len = size;
        b->messages[i].msg_hdr.msg_iov = &b->iovecs[i];
        b->messages[i].msg_hdr.msg_iovlen = 1;
    }
    return b;
}

static void udp_receive(struct address a, double warm, double seconds) {
    int fd = open_socket(SOCK_DGRAM, a, 0);
    struct batch *b = make_batch(2048);
    say("listening");
    double begin = 0, end = 0;
    uint64_t count = 0, bytes = 0, first = 0, last = 0;
    for (;;) {
        int n = recvmmsg(fd, b->messages, BATCH, MSG_WAITFORONE, NULL);
        if (n < 0) fail("recvmmsg");
        double t = now();
        if (begin == 0) begin = t + warm;
        if (end == 0) {
            if (t < begin) continue;
            say("start");
            begin = t;
            end = t + seconds;
            memcpy(&first, b->iovecs[n - 1].iov_base, 8);
            last = first;
            continue;
        }
        for (int i = 0; i < n; i++) {
            uint64_t number;
            memcpy(&number, b->iovecs[i].iov_base, 8);
            if (number > last) last = number;
            bytes += b->messages[i].msg_len;
        }
        count += (uint64_t)n;
        if (t >= end) {
            printf("{\"packets\":%llu,\"sent\":%llu,\"bytes\":%llu,\"seconds\":%.6f}\n", (unsigned long long)count,
                   (unsigned long long)(last - first), (unsigned long long)bytes, t - begin);
            return;
        }
    }
}

static void udp_send(struct address a, size_t size) {
    int fd = open_socket(SOCK_DGRAM, a, 1);
    struct batch *b = make_batch(size);
    uint64_t number = 0;
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            uint64_t value = number + (uint64_t)i;
            memcpy(b->iovecs[i].iov_base, &value, 8);
        }
        int n = sendmmsg(fd, b->messages, BATCH, 0);
        if (n > 0) number += (uint64_t)n;
        else if (errno != ENOBUFS && errno != EAGAIN && errno != ECONNREFUSED) fail("sendmmsg");
    }
}

static void echo(struct address a) {
    int fd = open_socket(SOCK_DGRAM, a, 0);
    static char buffer[DATAGRAM_MAX];
    say("listening");
    for (;;) {
        struct sockaddr_storage from;
        socklen_t length = sizeof from;
        ssize_t n = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &length);
        if (n >= 0) (void)!sendto(fd, buffer, (size_t)n, 0, (struct sockaddr *)&from, length);
    }
}

static int by_value(const void *x, const void *y) {
    float a = *(const float *)x, b = *(const float *)y;
    return (a > b) - (a < b);
}

static void ping(struct address a, double warm, double seconds, size_t size) {
    int fd = open_socket(SOCK_DGRAM, a, 1);
    struct timeval timeout = {.tv_sec = 0, .tv_usec = 200000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    static char buffer[DATAGRAM_MAX];
    size_t room = 1 << 16, count = 0, lost = 0;
    float *times = malloc(room * sizeof *times);
    if (!times) fail("malloc");
    double begin = now() + warm, end = 0;
    for (uint64_t number = 1;; number++) {
        double t0 = now();
        if (end == 0 && t0 >= begin) {
            say("start");
            begin = t0 = now();
            end = begin + seconds;
        }
        if (end != 0 && t0 >= end) break;
        memcpy(buffer, &number, 8);
        (void)!send(fd, buffer, size, 0);
        uint64_t back = 0;
        /* An answer that comes after its timeout carries an older number and is passed over. */
        do {
            if (recv(fd, buffer, sizeof buffer, 0) < 0) break;
            memcpy(&back, buffer, 8);
        } while (back != number);
        if (end == 0) continue;
        if (back != number) {
            lost++;
            continue;
        }
        if (count == room) {
            room *= 2;
            times = realloc(times, room * sizeof *times);
            if (!times) fail("realloc");
        }
        times[count++] = (float)((now() - t0) * 1e6);
    }
    double elapsed = now() - begin;
    if (count == 0) {
        errno = ETIMEDOUT;
        fail("no answer at all");
    }
    qsort(times, count, sizeof *times, by_value);
    printf("{\"count\":%zu,\"lost\":%zu,\"seconds\":%.6f,\"medianUs\":%.2f,\"p99Us\":%.2f,\"maxUs\":%.2f}\n", count, lost,
           elapsed, (double)times[count / 2], (double)times[(size_t)((double)(count - 1) * 0.99)], (double)times[count - 1]);
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    if (argc < 4) goto usage;
    const char *role = argv[1];
    struct address a = parse(argv[2], argv[3]);
    double warm = argc > 4 ? atof(argv[4]) : 0, seconds = argc > 5 ? atof(argv[5]) : 0;
    if (!strcmp(role, "tcp-recv") && argc == 6) tcp_receive(a, warm, seconds);
    else if (!strcmp(role, "tcp-send") && argc == 4) tcp_send(a);
    else if (!strcmp(role, "udp-recv") && argc == 6) udp_receive(a, warm, seconds);
    else if (!strcmp(role, "udp-send") && argc == 5) {
        size_t size = (size_t)atoi(argv[4]);
        if (size < 8 || size > 2048) goto usage;
        udp_send(a, size);
    } else if (!strcmp(role, "echo") && argc == 4) echo(a);
    else if (!strcmp(role, "ping") && argc == 7) {
        size_t size = (size_t)atoi(argv[6]);
        if (size < 8 || size > DATAGRAM_MAX) goto usage;
        ping(a, warm, seconds, size);
    } else goto usage;
    return 0;
usage:
    fprintf(stderr, "peer: wrong arguments: see the head of peer.c\n");
    return 2;
}
