#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SOCKET_BUFFER (4 * 1024 * 1024)

volatile int stop;

void fail(const char *what) {
    fprintf(stderr, "peer: %s: %s\n", what, strerror(errno));
    exit(1);
}

void fail_plain(const char *what) {
    fprintf(stderr, "peer: %s\n", what);
    exit(1);
}

void say(const char *line) {
    puts(line);
    fflush(stdout);
}

double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void sleep_until(double when) {
    struct timespec t = {.tv_sec = (time_t)when};
    t.tv_nsec = (long)((when - (double)t.tv_sec) * 1e9);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR && !stop) {}
}

void set_port(struct address *a, unsigned port) {
    uint16_t number = htons((uint16_t)port);
    if (a->storage.ss_family == AF_INET) ((struct sockaddr_in *)&a->storage)->sin_port = number;
    else ((struct sockaddr_in6 *)&a->storage)->sin6_port = number;
}

unsigned port_of(const struct address *a) {
    if (a->storage.ss_family == AF_INET) return ntohs(((const struct sockaddr_in *)&a->storage)->sin_port);
    return ntohs(((const struct sockaddr_in6 *)&a->storage)->sin6_port);
}

struct address parse(const char *text, const char *port) {
    struct address a;
    memset(&a, 0, sizeof a);
    struct sockaddr_in *v4 = (struct sockaddr_in *)&a.storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a.storage;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        a.length = sizeof *v4;
    } else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        a.length = sizeof *v6;
    } else {
        errno = EINVAL;
        fail(text);
    }
    set_port(&a, (unsigned)atoi(port));
    return a;
}

int open_socket(int type, struct address a, bool connected) {
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

struct batch *make_batch(size_t size) {
    struct batch *b = calloc(1, sizeof *b);
    if (!b || !(b->octets = calloc(BATCH, size))) fail("malloc");
    for (unsigned i = 0; i < BATCH; i++) {
        b->iovecs[i].iov_base = b->octets + i * size;
        b->iovecs[i].iov_len = size;
        b->messages[i].msg_hdr.msg_iov = &b->iovecs[i];
        b->messages[i].msg_hdr.msg_iovlen = 1;
    }
    return b;
}

static void on_signal(int signal) {
    (void)signal;
    stop = 1;
}

void stop_on_signals(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}
