/*
 * The traffic programs of the end-to-end bench: one small program, so that as little of the box as possible is spent
 * on measuring. Compiled by the bench itself (peer.ts); its parts are in traffic/.
 *
 *   peer tcp-recv ADDR PORT WARM SECONDS [STREAMS]     takes the connections and measures what arrives over all
 *   peer tcp-send ADDR PORT [STREAMS]                  sends until the other side closes
 *   peer udp-recv ADDR PORT WARM SECONDS               counts datagrams, gaps, late ones, duplicates; latency
 *   peer udp-send ADDR PORT OCTETS [RATE [FLOWS [SECONDS]]]
 *                                                      sends numbered, time-stamped datagrams; see below
 *   peer echo     ADDR PORT                            sends every datagram back
 *   peer ping     ADDR PORT WARM SECONDS OCTETS        one datagram there and back at a time
 *
 *   peer serve    ADDR PORT                            answers tests until it is ended, on PORT and PORT + 1
 *   peer to       ADDR PORT TEST ARGS…                 does one of these with the server there:
 *                     tcp STREAMS WARM SECONDS             from here to there
 *                     tcp-back STREAMS WARM SECONDS        from there to here
 *                     udp OCTETS RATE FLOWS WARM SECONDS   from here to there
 *                     ping OCTETS WARM SECONDS
 *
 * Receivers print "listening", then "start" where the measured window begins (WARM seconds after the first data), and
 * at its end one line of JSON. Datagram senders print one line of JSON when SIGTERM or SIGINT ends them or their time
 * is over. Times are seconds, sizes octets of payload. Errors go to stderr with exit code 1.
 *
 * OCTETS is 16 to 2048 or "imix" (7:4:1 of 64, 594 and 1418 octets of frame). RATE is datagrams per second, 0 for as
 * fast as the kernel takes them. FLOWS is how many source ports are used in turn (a raw socket: needs CAP_NET_RAW);
 * 0, the default, is an ordinary socket.
 */
#include "traffic/peer.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static unsigned streams_of(const char *text) {
    int streams = atoi(text);
    if (streams < 1 || streams > STREAMS_MAX) fail_plain("STREAMS: 1 to 64");
    return (unsigned)streams;
}

static void print_received(struct received r) {
    char members[512];
    format_received(r, true, members, sizeof members);
    printf("{%s}\n", members);
}

/* argv[1] is the role, the rest its arguments. Returns whether there is such a role with so many arguments. */
static bool run(int argc, char **argv) {
    const char *role = argv[1];
    int fds[STREAMS_MAX];
    if (argc < 4) return false;
    struct address a = parse(argv[2], argv[3]);
    if (!strcmp(role, "tcp-recv") && (argc == 6 || argc == 7)) {
        unsigned streams = argc == 7 ? streams_of(argv[6]) : 1;
        int listener = tcp_listen(a);
        say("listening");
        tcp_accept(listener, fds, streams);
        struct tcp_received r = tcp_receive(fds, streams, atof(argv[4]), atof(argv[5]), true);
        printf("{\"bytes\":%llu,\"seconds\":%.6f}\n", (unsigned long long)r.bytes, r.seconds);
    } else if (!strcmp(role, "tcp-send") && (argc == 4 || argc == 5)) {
        unsigned streams = argc == 5 ? streams_of(argv[4]) : 1;
        tcp_connect(a, fds, streams);
        struct tcp_sent s = tcp_send(fds, streams);
        printf("{\"retransmits\":%u,\"mss\":%u}\n", s.retransmits, s.mss);
    } else if (!strcmp(role, "udp-recv") && argc == 6) {
        int fd = open_socket(SOCK_DGRAM, a, false);
        say("listening");
        print_received(udp_receive(fd, atof(argv[4]), atof(argv[5]), true));
    } else if (!strcmp(role, "udp-send") && argc >= 5 && argc <= 8) {
        int flows = argc > 6 ? atoi(argv[6]) : 0;
        if (flows < 0 || flows > 40000) fail_plain("FLOWS: 0 to 40000");
        stop_on_signals();
        print_sent(udp_send(a, parse_octets(argv[4]), argc > 5 ? atof(argv[5]) : 0, (unsigned)flows,
                            argc > 7 ? atof(argv[7]) : 0));
    } else if (!strcmp(role, "echo") && argc == 4) {
        int fd = open_socket(SOCK_DGRAM, a, false);
        say("listening");
        echo(fd);
    } else if (!strcmp(role, "ping") && argc == 7) {
        char members[512];
        int octets = atoi(argv[6]);
        if (octets < 8 || octets > 65507) fail_plain("OCTETS: 8 to 65507");
        int fd = open_socket(SOCK_DGRAM, a, true);
        format_round_trips(ping(fd, atof(argv[4]), atof(argv[5]), (size_t)octets, true), members, sizeof members);
        printf("{%s}\n", members);
    } else if (!strcmp(role, "serve") && argc == 4) {
        serve(a);
    } else if (!strcmp(role, "to") && argc > 5) {
        run_test(a, argv + 4, argc - 4);
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2 || !run(argc, argv)) {
        fprintf(stderr, "peer: wrong arguments: see the head of peer.c\n");
        return 2;
    }
    return 0;
}
