/* What arrives: numbers missing, out of order or twice, and how long it took. */
#include "peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

/* Numbers that are remembered behind the highest one, to tell late ones from duplicates. A power of two. */
#define MEMORY (1u << 20)
/* Latencies are counted in cells of 1/64 of a power of two: 1.6 % wide. */
#define CELLS_LOG 6
#define CELLS (64u << CELLS_LOG)
/* How long numbers of the window that are still missing at its end are awaited. */
#define GRACE 0.05
#define TIMEOUT 0.02

struct tally {
    double warm, seconds, begin, end, over;
    bool aloud, open, closed;
    /* `first` is the last number before the window, `last` the highest one seen. */
    uint64_t first, last;
    uint64_t packets, bytes, reordered, duplicates, largest;
    uint32_t flow_high[FLOWS_MAX];
    uint64_t seen[MEMORY / 64];
    uint64_t cells[CELLS];
};

struct tally *make_tally(double warm, double seconds, bool aloud) {
    struct tally *t = calloc(1, sizeof *t);
    if (!t) fail("malloc");
    t->warm = warm;
    t->seconds = seconds;
    t->aloud = aloud;
    return t;
}

static unsigned cell_of(uint64_t value) {
    if (value < 1u << CELLS_LOG) return (unsigned)value;
    unsigned power = 63 - (unsigned)__builtin_clzll(value);
    return ((power - CELLS_LOG + 1) << CELLS_LOG) +
           (unsigned)((value >> (power - CELLS_LOG)) & ((1u << CELLS_LOG) - 1));
}

/* Middle of a cell. */
static double value_of(unsigned cell) {
    unsigned power = cell >> CELLS_LOG, low = cell & ((1u << CELLS_LOG) - 1);
    if (power == 0) return low;
    return ((double)((1u << CELLS_LOG) + low) + 0.5) * (double)(1ull << (power - 1));
}

/* Notes a number. Returns whether it is new. */
static bool note(struct tally *t, uint64_t number) {
    if (number > t->last) {
        if (number - t->last >= MEMORY) memset(t->seen, 0, sizeof t->seen);
        else
            for (uint64_t n = t->last + 1; n < number; n++) t->seen[n % MEMORY / 64] &= ~(1ull << n % 64);
        t->last = number;
        t->seen[number % MEMORY / 64] |= 1ull << number % 64;
        return true;
    }
    /* So late that nobody knows any more: taken for new. */
    if (t->last - number >= MEMORY) return true;
    uint64_t bit = 1ull << number % 64, *word = &t->seen[number % MEMORY / 64];
    if (*word & bit) return false;
    *word |= bit;
    return true;
}

void tally_add(struct tally *t, const uint8_t *payload, size_t octets, double time) {
    struct stamp stamp;
    if (octets < sizeof stamp || t->over != 0) return;
    memcpy(&stamp, payload, sizeof stamp);
    /* The number goes on beyond 32 bits from the highest one seen. */
    uint64_t number = t->last + (uint64_t)(int64_t)(int32_t)(stamp.number - (uint32_t)t->last);
    uint64_t highest = t->last;
    if (t->closed && number > highest) return;
    if (t->begin == 0) {
        t->begin = time + t->warm;
        t->last = number - 1;
    }
    if (!t->open && time >= t->begin) {
        t->open = true;
        t->first = t->last;
        t->begin = time;
        t->end = time + t->seconds;
        if (t->aloud) say("start");
    }
    bool fresh = note(t, number);
    uint32_t *high = &t->flow_high[stamp.flow % FLOWS_MAX];
    bool late = *high != 0 && (int32_t)(stamp.number - *high) < 0;
    if (!late) *high = stamp.number;
    if (!t->open || number <= t->first) return;
    if (!fresh) {
        t->duplicates++;
        return;
    }
    uint64_t taken = (uint64_t)(time * 1e9), took = taken > stamp.time ? taken - stamp.time : 0;
    t->packets++;
    t->bytes += octets;
    t->reordered += late;
    t->cells[cell_of(took)]++;
    if (took > t->largest) t->largest = took;
}

bool tally_over(struct tally *t, double time) {
    if (t->open && !t->closed && time >= t->end) {
        t->closed = true;
        t->seconds = time - t->begin;
    }
    if (t->closed && t->over == 0 && (t->packets >= t->last - t->first || time >= t->end + GRACE)) t->over = time;
    return t->over != 0;
}

static double latency(const struct tally *t, double share) {
    uint64_t rank = (uint64_t)(share * (double)(t->packets - 1)), passed = 0;
    for (unsigned i = 0; i < CELLS; i++) {
        passed += t->cells[i];
        if (passed > rank) return value_of(i) / 1e3;
    }
    return (double)t->largest / 1e3;
}

struct received tally_result(const struct tally *t) {
    struct received r = {
        .packets = t->packets,
        .sent = t->last - t->first,
        .bytes = t->bytes,
        .reordered = t->reordered,
        .duplicates = t->duplicates,
        .seconds = t->seconds,
        .max = (double)t->largest / 1e3,
    };
    r.lost = r.sent > r.packets ? r.sent - r.packets : 0;
    if (t->packets == 0) return r;
    r.p50 = latency(t, 0.5);
    r.p99 = latency(t, 0.99);
    r.p999 = latency(t, 0.999);
    return r;
}

void set_timeout(int fd, double seconds) {
    struct timeval timeout = {.tv_sec = (time_t)seconds};
    timeout.tv_usec = (suseconds_t)((seconds - (double)timeout.tv_sec) * 1e6);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
}

struct received udp_receive(int fd, double warm, double seconds, bool aloud) {
    struct batch *b = make_batch(OCTETS_MAX);
    struct tally *t = make_tally(warm, seconds, aloud);
    set_timeout(fd, TIMEOUT);
    for (;;) {
        int n = recvmmsg(fd, b->messages, BATCH, MSG_WAITFORONE, NULL);
        if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED) fail("recvmmsg");
        double time = now();
        for (int i = 0; i < n; i++) tally_add(t, b->iovecs[i].iov_base, b->messages[i].msg_len, time);
        if (tally_over(t, time)) return tally_result(t);
    }
}

void format_received(struct received r, bool with_latency, char *to, size_t room) {
    int n = snprintf(to, room,
                     "\"packets\":%llu,\"sent\":%llu,\"bytes\":%llu,\"seconds\":%.6f,\"lost\":%llu,\"reordered\":%llu,"
                     "\"duplicates\":%llu",
                     (unsigned long long)r.packets, (unsigned long long)r.sent, (unsigned long long)r.bytes, r.seconds,
                     (unsigned long long)r.lost, (unsigned long long)r.reordered, (unsigned long long)r.duplicates);
    if (with_latency && n > 0 && (size_t)n < room)
        snprintf(to + n, room - (size_t)n, ",\"p50Us\":%.2f,\"p99Us\":%.2f,\"p999Us\":%.2f,\"maxUs\":%.2f", r.p50,
                 r.p99, r.p999, r.max);
}
