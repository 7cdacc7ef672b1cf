/*
 * Numbered UDP datagrams, many in one send (UDP_SEGMENT): what a container with a modern sender gives its device.
 *
 *   burst ADDR PORT COUNT SIZE EACH RATE    COUNT datagrams of SIZE octets, EACH in one send, RATE of them per second;
 *                                           then a JSON line {"sent", "seconds"}
 *
 * Each datagram is as udp.mjs writes it: its number, and the number's last octet over and over.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

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
    static uint8_t octets[65536];
    struct sockaddr_storage to = { 0 };
    socklen_t length;
    int fd;

    if (argc != 7) {
        fprintf(stderr, "usage: burst ADDR PORT COUNT SIZE EACH RATE\n");
        return 2;
    }
    uint32_t count = (uint32_t)atoi(argv[3]), size = (uint32_t)atoi(argv[4]), each = (uint32_t)atoi(argv[5]);
    double rate = atof(argv[6]);

    if (strchr(argv[1], ':')) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&to;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)atoi(argv[2]));
        inet_pton(AF_INET6, argv[1], &v6->sin6_addr);
        length = sizeof(*v6);
    } else {
        struct sockaddr_in *v4 = (struct sockaddr_in *)&to;
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)atoi(argv[2]));
        inet_pton(AF_INET, argv[1], &v4->sin_addr);
        length = sizeof(*v4);
    }
    if (size < 4 || each < 1 || size * each > 65000) {
        fprintf(stderr, "SIZE is at least 4, and SIZE x EACH at most 65000\n");
        return 2;
    }
    fd = socket(to.ss_family, SOCK_DGRAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, length) < 0)
        return fail("connect");
    int segment = (int)size;
    if (setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)) < 0)
        return fail("UDP_SEGMENT");

    double start = now();
    uint32_t sent = 0;
    for (uint32_t next = 0; next < count;) {
        uint32_t n = count - next < each ? count - next : each;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t number = htonl(next + i);
            memset(octets + i * size, (int)((next + i) & 0xff), size);
            memcpy(octets + i * size, &number, sizeof(number));
        }
        if (send(fd, octets, n * size, 0) == (ssize_t)(n * size))
            sent += n;
        else if (errno != ENOBUFS && errno != ECONNREFUSED)
            return fail("send");
        next += n;
        double wait = start + next / rate - now();
        if (wait > 0)
            usleep((useconds_t)(wait * 1e6));
    }
    printf("{\"sent\":%u,\"seconds\":%.6f}\n", sent, now() - start);
    return 0;
}
