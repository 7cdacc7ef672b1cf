/*
 * Tests between two machines. The server listens on PORT for control connections and uses PORT + 1, TCP or UDP, for the
 * traffic. It does one test at a time, each in a process of its own.
 *
 *   client: "weft-bench/1 TEST ARGS…"    server: "ready"    …traffic…    server: its half of the result as JSON
 *
 * Any other answer of the server is what went wrong.
 */
#include "peer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define GREETING "weft-bench/1"
#define LINE_MAX_OCTETS 512
/* Seconds a client has to say what it wants. */
#define PATIENCE 5
#define SECONDS_MAX 600

enum kind { TEST_TCP, TEST_TCP_BACK, TEST_UDP, TEST_PING };

struct test {
    enum kind kind;
    unsigned streams, flows;
    size_t octets;
    double rate, warm, seconds;
};

static double number(const char *text, double low, double high, const char *what) {
    char *end;
    double value = strtod(text, &end);
    if (*end || end == text || !(value >= low && value <= high)) fail_plain(what);
    return value;
}

static struct test read_test(char **words, int count) {
    struct test t = {0};
    if (count == 4 && (!strcmp(words[0], "tcp") || !strcmp(words[0], "tcp-back"))) {
        t.kind = words[0][3] ? TEST_TCP_BACK : TEST_TCP;
        t.streams = (unsigned)number(words[1], 1, STREAMS_MAX, "STREAMS: 1 to 64");
    } else if (count == 6 && !strcmp(words[0], "udp")) {
        t.kind = TEST_UDP;
        t.octets = parse_octets(words[1]);
        t.rate = number(words[2], 0, 1e9, "RATE: datagrams per second, or 0");
        t.flows = (unsigned)number(words[3], 0, 40000, "FLOWS: 0 to 40000");
    } else if (count == 4 && !strcmp(words[0], "ping")) {
        t.kind = TEST_PING;
        t.octets = (size_t)number(words[1], 8, 65507, "OCTETS: 8 to 65507");
    } else {
        fail_plain("no such test, or not its arguments: see the head of peer.c");
    }
    t.warm = number(words[count - 2], 0, SECONDS_MAX, "WARM: 0 to 600 seconds");
    t.seconds = number(words[count - 1], 0.01, SECONDS_MAX, "SECONDS: 0.01 to 600");
    return t;
}

/* Reads a line, without its end. Returns false when the other side closed before. */
static bool read_line(int fd, char *line, size_t room) {
    size_t length = 0;
    while (length + 1 < room) {
        ssize_t got = recv(fd, line + length, 1, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0 || line[length] == '\n') {
            line[length] = 0;
            return got > 0 || length > 0;
        }
        length++;
    }
    return false;
}

static void write_line(int fd, const char *line) {
    char text[LINE_MAX_OCTETS + 1];
    int length = snprintf(text, sizeof text, "%s\n", line);
    (void)!send(fd, text, (size_t)length, MSG_NOSIGNAL);
}

/* ---- server ---- */

static void on_alarm(int signal) {
    static const char text[] = "peer: nothing arrived: is the port after the control port open, for TCP and UDP?\n";
    (void)signal;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(1);
}

/* The client ends an echo by closing the control connection. */
static void *end_with(void *context) {
    char line[LINE_MAX_OCTETS];
    while (read_line(*(int *)context, line, sizeof line)) {}
    _exit(0);
}

static void serve_test(int control, struct address data, struct test t) {
    char members[LINE_MAX_OCTETS - 2], line[LINE_MAX_OCTETS];
    int fds[STREAMS_MAX];
    signal(SIGALRM, on_alarm);
    alarm((unsigned)(t.warm + t.seconds) + 15);
    if (t.kind == TEST_TCP || t.kind == TEST_TCP_BACK) {
        int listener = tcp_listen(data);
        write_line(control, "ready");
        tcp_accept(listener, fds, t.streams);
        if (t.kind == TEST_TCP) {
            struct tcp_received r = tcp_receive(fds, t.streams, t.warm, t.seconds, false);
            snprintf(members, sizeof members, "\"bytes\":%llu,\"seconds\":%.6f", (unsigned long long)r.bytes,
                     r.seconds);
        } else {
            struct tcp_sent s = tcp_send(fds, t.streams);
            snprintf(members, sizeof members, "\"retransmits\":%u,\"mss\":%u", s.retransmits, s.mss);
        }
    } else {
        int fd = open_socket(SOCK_DGRAM, data, false);
        write_line(control, "ready");
        if (t.kind == TEST_PING) {
            pthread_t thread;
            errno = pthread_create(&thread, NULL, end_with, &control);
            if (errno) fail("pthread_create");
            echo(fd);
        }
        /* Between two machines the clocks do not agree: no latency. */
        format_received(udp_receive(fd, t.warm, t.seconds, false), false, members, sizeof members);
    }
    snprintf(line, sizeof line, "{%s}", members);
    write_line(control, line);
}

static void serve_one(int control, struct address data) {
    char line[LINE_MAX_OCTETS], *words[8], *rest = line;
    int count = 0;
    /* What goes wrong is said to the client. */
    dup2(control, STDERR_FILENO);
    setvbuf(stderr, NULL, _IOLBF, 0);
    set_timeout(control, PATIENCE);
    if (!read_line(control, line, sizeof line)) return;
    set_timeout(control, 0);
    for (char *word; count < 8 && (word = strsep(&rest, " ")) != NULL;)
        if (*word) words[count++] = word;
    if (count < 2 || strcmp(words[0], GREETING)) fail_plain("the other side is not `weft bench` of this version");
    serve_test(control, data, read_test(words + 1, count - 1));
}

void serve(struct address a) {
    int listener = tcp_listen(a);
    set_port(&a, port_of(&a) + 1);
    say("listening");
    for (;;) {
        int control = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (control < 0) continue;
        pid_t child = fork();
        if (child == 0) {
            close(listener);
            serve_one(control, a);
            exit(0);
        }
        close(control);
        if (child > 0) waitpid(child, NULL, 0);
    }
}

/* ---- client ---- */

static char answer[LINE_MAX_OCTETS];

static void *await_answer(void *context) {
    if (!read_line(*(int *)context, answer, sizeof answer)) answer[0] = 0;
    stop = 1;
    return NULL;
}

/* The server's half of the result, as members of a JSON object. */
static char *members_of(char *line) {
    size_t length = strlen(line);
    if (length < 2 || line[0] != '{') {
        if (!strncmp(line, "peer: ", 6)) line += 6;
        fail_plain(*line ? line : "the server closed the connection");
    }
    line[length - 1] = 0;
    return line + 1;
}

void run_test(struct address server, char **words, int count) {
    struct test t = read_test(words, count);
    char line[LINE_MAX_OCTETS] = GREETING, members[LINE_MAX_OCTETS];
    int fds[STREAMS_MAX], control = open_socket(SOCK_STREAM, server, true);
    for (int i = 0; i < count; i++) {
        strncat(line, " ", sizeof line - strlen(line) - 1);
        strncat(line, words[i], sizeof line - strlen(line) - 1);
    }
    write_line(control, line);
    if (!read_line(control, answer, sizeof answer)) answer[0] = 0;
    if (strcmp(answer, "ready")) members_of(answer);
    set_port(&server, port_of(&server) + 1);
    if (t.kind == TEST_TCP) {
        tcp_connect(server, fds, t.streams);
        struct tcp_sent s = tcp_send(fds, t.streams);
        await_answer(&control);
        printf("{%s,\"retransmits\":%u,\"mss\":%u}\n", members_of(answer), s.retransmits, s.mss);
    } else if (t.kind == TEST_TCP_BACK) {
        tcp_connect(server, fds, t.streams);
        struct tcp_received r = tcp_receive(fds, t.streams, t.warm, t.seconds, false);
        for (unsigned i = 0; i < t.streams; i++) shutdown(fds[i], SHUT_RDWR);
        await_answer(&control);
        printf("{\"bytes\":%llu,\"seconds\":%.6f,%s}\n", (unsigned long long)r.bytes, r.seconds, members_of(answer));
    } else if (t.kind == TEST_UDP) {
        pthread_t thread;
        errno = pthread_create(&thread, NULL, await_answer, &control);
        if (errno) fail("pthread_create");
        struct sent s = udp_send(server, t.octets, t.rate, t.flows, 0);
        pthread_join(thread, NULL);
        printf("{%s,\"offeredPps\":%.1f,\"refused\":%llu}\n", members_of(answer), (double)s.sent / s.seconds,
               (unsigned long long)s.refused);
    } else {
        struct round_trips r = ping(open_socket(SOCK_DGRAM, server, true), t.warm, t.seconds, t.octets, false);
        format_round_trips(r, members, sizeof members);
        printf("{%s}\n", members);
    }
}
