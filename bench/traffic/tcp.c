/* TCP: one thread per stream on both sides, as applications with several connections have them. */
#include "peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK (256 * 1024)
/* How often a receiver looks whether a stream has ended. */
#define LOOK 0.1
/* A window in which nothing arrived is prolonged by that much at most: on a busy machine a short one may pass unused. */
#define PATIENCE 5.0

struct stream {
    int fd;
    pthread_t thread;
    _Atomic uint64_t bytes;
    _Atomic bool ended;
};

static char *chunk(void) {
    char *buffer = malloc(CHUNK);
    if (!buffer) fail("malloc");
    memset(buffer, 'w', CHUNK);
    return buffer;
}

static void *receive_stream(void *context) {
    struct stream *s = context;
    char *buffer = chunk();
    ssize_t got;
    while ((got = recv(s->fd, buffer, CHUNK, 0)) > 0)
        atomic_fetch_add_explicit(&s->bytes, (uint64_t)got, memory_order_relaxed);
    atomic_store(&s->ended, true);
    return NULL;
}

static void *send_stream(void *context) {
    struct stream *s = context;
    char *buffer = chunk();
    while (send(s->fd, buffer, CHUNK, MSG_NOSIGNAL) > 0) {}
    return NULL;
}

static struct stream *start_streams(const int *fds, unsigned count, void *(*run)(void *)) {
    struct stream *streams = calloc(count, sizeof *streams);
    if (!streams) fail("malloc");
    for (unsigned i = 0; i < count; i++) {
        streams[i].fd = fds[i];
        errno = pthread_create(&streams[i].thread, NULL, run, &streams[i]);
        if (errno) fail("pthread_create");
    }
    return streams;
}

int tcp_listen(struct address a) {
    int listener = open_socket(SOCK_STREAM, a, false);
    if (listen(listener, STREAMS_MAX) < 0) fail("listen");
    return listener;
}

void tcp_accept(int listener, int *fds, unsigned streams) {
    for (unsigned i = 0; i < streams; i++) {
        fds[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fds[i] < 0) fail("accept");
    }
}

void tcp_connect(struct address a, int *fds, unsigned streams) {
    for (unsigned i = 0; i < streams; i++) fds[i] = open_socket(SOCK_STREAM, a, true);
}

static uint64_t sum_bytes(struct stream *streams, unsigned count) {
    uint64_t bytes = 0;
    for (unsigned i = 0; i < count; i++) {
        if (atomic_load(&streams[i].ended)) fail_plain("the sender stopped early");
        bytes += atomic_load_explicit(&streams[i].bytes, memory_order_relaxed);
    }
    return bytes;
}

/* Sleeps, and notices when a stream has ended meanwhile. */
static uint64_t wait_until(double when, struct stream *streams, unsigned count) {
    for (double t = now(); t + LOOK < when; t = now()) {
        sleep_until(t + LOOK);
        sum_bytes(streams, count);
    }
    sleep_until(when);
    return sum_bytes(streams, count);
}

struct tcp_received tcp_receive(const int *fds, unsigned streams, double warm, double seconds, bool aloud) {
    struct stream *all = start_streams(fds, streams, receive_stream);
    uint64_t before = wait_until(now() + warm, all, streams);
    double begin = now();
    if (aloud) say("start");
    uint64_t after = wait_until(begin + seconds, all, streams);
    while (after == before && now() < begin + seconds + PATIENCE) after = wait_until(now() + LOOK, all, streams);
    if (after == before) fail_plain("nothing arrived");
    return (struct tcp_received){.bytes = after - before, .seconds = now() - begin};
}

struct tcp_sent tcp_send(const int *fds, unsigned streams) {
    struct stream *all = start_streams(fds, streams, send_stream);
    struct tcp_sent sent = {0};
    for (unsigned i = 0; i < streams; i++) {
        struct tcp_info info;
        socklen_t length = sizeof info;
        pthread_join(all[i].thread, NULL);
        memset(&info, 0, sizeof info);
        getsockopt(fds[i], IPPROTO_TCP, TCP_INFO, &info, &length);
        sent.retransmits += info.tcpi_total_retrans;
        sent.mss = info.tcpi_snd_mss;
    }
    return sent;
}
