/* Trying SO_ATTACH_REUSEPORT_CBPF over lo: two sockets on one port, and messages that should reach one or the other. */
#define _GNU_SOURCE
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "probe.h"
#include "udp.h"

#define MEMBERS 2

/* Beginnings of WireGuard messages: type, receiver index, and the member each belongs to. Data, and an initiation. */
static const struct {
    uint8_t octets[8];
    unsigned member;
} messages[] = {
    { { 4, 0, 0, 0, 1, 0, 0, 0 }, 1 },
    { { 4, 0, 0, 0, 2, 0, 0, 1 }, 0 },
    { { 4, 0, 0, 0, 255, 0, 0, 0 }, 1 },
    { { 1, 0, 0, 0, 1, 0, 0, 0 }, 0 },
};

/* Whether the next datagram of a socket is this one. */
static bool arrives(int fd, const uint8_t octets[8])
{
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    uint8_t got[9];

    return poll(&wait, 1, PROBE_ARRIVAL_MS) == 1 && recv(fd, got, sizeof(got), MSG_DONTWAIT) == 8 && memcmp(got, octets, 8) == 0;
}

void probe_steering(struct probe *out)
{
    struct udp_spec spec = { .family = AF_INET, .address = "127.0.0.1", .reuse_port = true };
    const unsigned count = sizeof(messages) / sizeof(messages[0]);
    int members[MEMBERS], opened = 0;
    const char *syscall;

    for (; opened < MEMBERS; opened++) {
        struct udp_info info;

        members[opened] = udp_open(&spec, &info, &syscall);
        if (members[opened] < 0)
            break;
        spec.port = info.port;
    }
    if (opened == MEMBERS && udp_steer_wireguard(members[0], MEMBERS) == 0) {
        out->reuseport_steering = true;
        for (unsigned i = 0; i < count && out->reuseport_steering; i++)
            out->reuseport_steering =
                udp_send(members[0], AF_INET, messages[i].octets, 8, "127.0.0.1", spec.port, NULL) == 0 &&
                arrives(members[messages[i].member], messages[i].octets);
    }
    while (opened > 0)
        close(members[--opened]);
}
