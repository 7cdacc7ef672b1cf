/* Round trips: one datagram there and back at a time. */
#include "peer.h"

#include <stdlib.h>
#include <string.h>

#define DATAGRAM_MAX 65507
/* An answer that takes longer counts as lost. */
#define PATIENCE 0.2

void echo(int fd) {
    static char buffer[DATAGRAM_MAX];
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

struct round_trips ping(int fd, double warm, double seconds, size_t octets, bool aloud) {
    static char buffer[DATAGRAM_MAX];
    struct round_trips r = {0};
    size_t room = 1 << 16;
    float *times = malloc(room * sizeof *times);
    if (!times) fail("malloc");
    set_timeout(fd, PATIENCE);
    double begin = now() + warm, end = 0;
    for (uint64_t number = 1;; number++) {
        double sent = now();
        if (end == 0 && sent >= begin) {
            if (aloud) say("start");
            begin = sent = now();
            end = begin + seconds;
        }
        if (end != 0 && sent >= end) break;
        memcpy(buffer, &number, 8);
        (void)!send(fd, buffer, octets, 0);
        uint64_t back = 0;
        /* An answer that comes after its timeout carries an older number and is passed over. */
        do {
            if (recv(fd, buffer, sizeof buffer, 0) < 0) break;
            memcpy(&back, buffer, 8);
        } while (back != number);
        if (end == 0) continue;
        if (back != number) {
            r.lost++;
            continue;
        }
        if (r.count == room) {
            room *= 2;
            times = realloc(times, room * sizeof *times);
            if (!times) fail("realloc");
        }
        times[r.count++] = (float)((now() - sent) * 1e6);
    }
    r.seconds = now() - begin;
    if (r.count == 0) fail_plain("no answer at all");
    qsort(times, r.count, sizeof *times, by_value);
    r.median = (double)times[r.count / 2];
    r.p99 = (double)times[(size_t)((double)(r.count - 1) * 0.99)];
    r.p999 = (double)times[(size_t)((double)(r.count - 1) * 0.999)];
    r.max = (double)times[r.count - 1];
    free(times);
    return r;
}

void format_round_trips(struct round_trips r, char *to, size_t room) {
    snprintf(to, room,
             "\"count\":%llu,\"lost\":%llu,\"seconds\":%.6f,\"medianUs\":%.2f,\"p99Us\":%.2f,\"p999Us\":%.2f,"
             "\"maxUs\":%.2f",
             (unsigned long long)r.count, (unsigned long long)r.lost, r.seconds, r.median, r.p99, r.p999, r.max);
}
