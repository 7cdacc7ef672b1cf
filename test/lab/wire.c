/*
 * wire IFNAME: raw Ethernet frames in and out of an interface of the calling namespace.
 *
 * Standard input: records of a 4-octet little-endian length and a frame, each sent as it is.
 * Standard output: the same records, one for each frame that arrives (not those sent here).
 * Ends with standard input. Exit status 1 and one line on standard error when a call fails.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

static unsigned char frame[70000];

static int fail(const char *what) {
  fprintf(stderr, "wire: %s: %s\n", what, strerror(errno));
  return 1;
}

static int readAll(void *to, size_t count) {
  unsigned char *at = to;
  while (count > 0) {
    ssize_t got = read(0, at, count);
    if (got <= 0) return 0;
    at += got;
    count -= (size_t)got;
  }
  return 1;
}

static int writeAll(const void *from, size_t count) {
  const unsigned char *at = from;
  while (count > 0) {
    ssize_t put = write(1, at, count);
    if (put < 0) return 0;
    at += put;
    count -= (size_t)put;
  }
  return 1;
}

int main(int argc, char **argv) {
  if (argc != 2) return fail("usage: wire IFNAME");
  unsigned index = if_nametoindex(argv[1]);
  if (index == 0) return fail(argv[1]);
  int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
  if (fd < 0) return fail("socket");
  int one = 1, size = 8 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) < 0) return fail("PACKET_IGNORE_OUTGOING");
  struct packet_mreq everything = {.mr_ifindex = (int)index, .mr_type = PACKET_MR_PROMISC};
  if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &everything, sizeof everything) < 0) return fail("promiscuous");
  struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)index};
  if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0) return fail("bind");
  fprintf(stderr, "ready\n");

  struct pollfd fds[2] = {{.fd = 0, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
  for (;;) {
    if (poll(fds, 2, -1) < 0) return fail("poll");
    uint32_t length;
    if (fds[1].revents & POLLIN) {
      ssize_t got = recv(fd, frame, sizeof frame, 0);
      if (got < 0 && errno != ENETDOWN) return fail("recv");
      if (got > 0) {
        length = (uint32_t)got;
        if (!writeAll(&length, sizeof length) || !writeAll(frame, length)) return 0;
      }
    }
    if (fds[0].revents & (POLLIN | POLLHUP)) {
      if (!readAll(&length, sizeof length)) return 0;
      if (length > sizeof frame || !readAll(frame, length)) return 0;
      /* A full queue is waited for: the caller counts what it sent. */
      while (send(fd, frame, length, 0) < 0) {
        if (errno != ENOBUFS && errno != EAGAIN) return fail("send");
        usleep(200);
      }
    }
  }
}
