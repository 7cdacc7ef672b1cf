/*
 * The same few thousand UDP payloads over and over, from many source ports, at a steady rate.
 *
 *   storm ADDR PORT SIZE RATE SOCKETS FILE    FILE holds payloads of SIZE octets, RATE of them go out per second from
 *                                             SOCKETS sockets in turn; prints `running`. Ends with standard input, and then
 *                                             prints a JSON line {"sent", "answers", "seconds"}
 *
 * An answer is any datagram that came back.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SOCKETS_MAX 1000

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    return 1;
}

int main(int argc, char **argv)
{
    static uint8_t payloads[4 << 20];
    static int sockets[SOCKETS_MAX];
    struct sockaddr_in to = { .sin_family = AF_INET };

    if (argc != 7 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) {
        fprintf(stderr, "usage: storm ADDR PORT SIZE RATE SOCKETS FILE\n");
        return 2;
    }
    to.sin_port = htons((uint16_t)atoi(argv[2]));
    size_t size = (size_t)atoi(argv[3]);
    double rate = atof(argv[4]);
    int count = atoi(argv[5]);
    int file = open(argv[6], O_RDONLY);
    if (file < 0)
        return fail(argv[6]);
    ssize_t got = read(file, payloads, sizeof(payloads));
    size_t kinds = got > 0 && size > 0 ? (size_t)got / size : 0;
    if (kinds == 0 || count < 1 || count > SOCKETS_MAX) {
        fprintf(stderr, "at least one payload, and 1 to %d sockets\n", SOCKETS_MAX);
        return 2;
    }
    for (int i = 0; i < count; i++) {
        sockets[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        if (sockets[i] < 0 || connect(sockets[i], (struct sockaddr *)&to, sizeof(to)) < 0)
            return fail("connect");
    }
    printf("running\n");
    fflush(stdout);

    uint8_t answer[2048];
    uint64_t sent = 0, answers = 0, next = 0;
    double start = now();
    struct pollfd input = { .fd = 0, .events = POLLIN };
    while (poll(&input, 1, 0) == 0) {
        uint64_t due = (uint64_t)((now() - start) * rate);
        /* After a pause of this process it goes on at the rate instead of making up for all of it at once. */
        if (due > next + 2000)
            next = due - 2000;
        for (; next < due; next++) {
            int fd = sockets[next % (uint64_t)count];
            if (send(fd, payloads + (next % kinds) * size, size, 0) == (ssize_t)size)
                sent++;
            while (recv(fd, answer, sizeof(answer), 0) > 0)
                answers++;
        }
        usleep(500);
    }
    double seconds = now() - start;
    for (int i = 0; i < count; i++)
        while (recv(sockets[i], answer, sizeof(answer), 0) > 0)
            answers++;
    printf("{\"sent\":%llu,\"answers\":%llu,\"seconds\":%.6f}\n", (unsigned long long)sent, (unsigned long long)answers,
        seconds);
    return 0;
}
