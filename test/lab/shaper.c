/*
 * shaper COUNT: an Ethernet segment of COUNT stations that can be cut, delayed, made lossy and narrowed, per direction.
 *
 * Makes TAP devices shape0.. in the calling namespace (the caller moves them); the station behind shapeN has the MAC
 * 02:00:5e:00:00:N. Unicast goes to the station that the last octet names, group frames to all others.
 *
 * Standard input: lines `cut A B`, `heal A B`, `delay A B MS`, `loss A B PERMILLE`, `limit A B OCTETS` (longer IP packets vanish
 * without a word; 0: no limit) for the direction from A to B; each is answered by `ok` on standard output. `watch TEXT` begins
 * to count; `seen` prints `seen FRAMES TEXT VXLAN` (frames that stations have sent since; those with the text; those to UDP port 4789)
 * and `ok`.
 * Ends with standard input.
 */
#define _GNU_SOURCE /* memmem */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define STATIONS 16
#define QUEUE 1024
#define FRAME 9100

struct waiting {
  uint64_t due;
  int length;
  unsigned char *octets;
};

/* One direction between two stations. Frames that are delayed wait in the order they came. */
struct direction {
  int cut, delay, loss, limit;
  struct waiting queue[QUEUE];
  int first, count;
};

static struct direction *ways[STATIONS][STATIONS];
static int fds[STATIONS], stations;
static uint32_t seed = 1;
static char watched[128];
static unsigned long frames, texts, vxlans;

static uint64_t now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (uint64_t)at.tv_sec * 1000 + (uint64_t)at.tv_nsec / 1000000;
}

static int fail(const char *what) {
  fprintf(stderr, "shaper: %s: %s\n", what, strerror(errno));
  return 1;
}

static int openTap(int index) {
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return -1;
  snprintf(request.ifr_name, IFNAMSIZ, "shape%d", index);
  return ioctl(fd, TUNSETIFF, &request) < 0 ? -1 : fd;
}

/* A full or missing device loses the frame, as a cable does. */
static void put(int to, const unsigned char *octets, int length) {
  if (write(fds[to], octets, (size_t)length) < 0) return;
}

static void carry(int from, int to, const unsigned char *octets, int length) {
  struct direction *way = ways[from][to];
  if (way->cut || (way->limit != 0 && length - 14 > way->limit)) return;
  if (way->loss != 0) {
    seed = seed * 1664525u + 1013904223u;
    if ((int)((seed >> 8) % 1000) < way->loss) return;
  }
  if (way->delay == 0 && way->count == 0) {
    put(to, octets, length);
    return;
  }
  if (way->count == QUEUE) return;
  struct waiting *last = &way->queue[(way->first + way->count++) % QUEUE];
  last->due = now() + (uint64_t)way->delay;
  last->length = length;
  last->octets = malloc((size_t)length);
  memcpy(last->octets, octets, (size_t)length);
}

/* Sends what is due. Returns milliseconds until the next frame is, or -1. */
static int release(void) {
  uint64_t at = now();
  int next = -1;
  for (int from = 0; from < stations; from++) {
    for (int to = 0; to < stations; to++) {
      struct direction *way = ways[from][to];
      while (way->count > 0 && way->queue[way->first].due <= at) {
        struct waiting *head = &way->queue[way->first];
        if (!way->cut) put(to, head->octets, head->length);
        free(head->octets);
        way->first = (way->first + 1) % QUEUE;
        way->count--;
      }
      if (way->count > 0) {
        int wait = (int)(way->queue[way->first].due - at);
        if (next < 0 || wait < next) next = wait;
      }
    }
  }
  return next;
}

/* Destination port of a UDP datagram over IPv4 or IPv6 without extension headers; 0: something else. */
static int udpPort(const unsigned char *octets, int length) {
  int type = octets[12] << 8 | octets[13];
  int at = type == 0x0800 ? 14 + 4 * (octets[14] & 15) : 54;
  int protocol = type == 0x0800 ? octets[23] : type == 0x86dd ? octets[20] : 0;
  return length >= at + 4 && protocol == 17 ? octets[at + 2] << 8 | octets[at + 3] : 0;
}

/* Before anything is cut or lost: what a station has sent has left it. */
static void look(const unsigned char *octets, int length) {
  frames++;
  if (watched[0] != 0 && memmem(octets, (size_t)length, watched, strlen(watched)) != NULL) texts++;
  if (length > 38 && udpPort(octets, length) == 4789) vxlans++;
}

static void receive(int from) {
  static unsigned char frame[FRAME];
  for (int i = 0; i < 64; i++) {
    ssize_t got = read(fds[from], frame, sizeof frame);
    if (got < 14) return;
    look(frame, (int)got);
    if (frame[0] & 1) {
      for (int to = 0; to < stations; to++)
        if (to != from) carry(from, to, frame, (int)got);
    } else if (frame[5] < stations && frame[5] != from) {
      carry(from, frame[5], frame, (int)got);
    }
  }
}

static void command(const char *line) {
  char word[16];
  int from, to, value = 0;
  if (strcmp(line, "seen") == 0 || sscanf(line, "watch %127s", watched) == 1) {
    if (line[0] == 's') printf("seen %lu %lu %lu\n", frames, texts, vxlans);
    else frames = texts = vxlans = 0;
    printf("ok\n");
    fflush(stdout);
    return;
  }
  if (sscanf(line, "%15s %d %d %d", word, &from, &to, &value) < 3) return;
  if (from < 0 || to < 0 || from >= stations || to >= stations) return;
  struct direction *way = ways[from][to];
  if (strcmp(word, "cut") == 0) way->cut = 1;
  else if (strcmp(word, "heal") == 0) way->cut = way->delay = way->loss = way->limit = 0;
  else if (strcmp(word, "delay") == 0) way->delay = value;
  else if (strcmp(word, "loss") == 0) way->loss = value;
  else if (strcmp(word, "limit") == 0) way->limit = value;
  else return;
  printf("ok\n");
  fflush(stdout);
}

int main(int argc, char **argv) {
  stations = argc == 2 ? atoi(argv[1]) : 0;
  if (stations < 2 || stations > STATIONS) {
    fprintf(stderr, "usage: shaper 2..%d\n", STATIONS);
    return 1;
  }
  struct pollfd polled[STATIONS + 1];
  for (int i = 0; i < stations; i++) {
    if ((fds[i] = openTap(i)) < 0) return fail("TUNSETIFF");
    polled[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    for (int j = 0; j < stations; j++) ways[i][j] = calloc(1, sizeof(struct direction));
  }
  polled[stations] = (struct pollfd){.fd = 0, .events = POLLIN};
  printf("ready\n");
  fflush(stdout);

  char line[4096];
  size_t held = 0;
  for (;;) {
    if (poll(polled, (nfds_t)stations + 1, release()) < 0) return fail("poll");
    for (int i = 0; i < stations; i++)
      if (polled[i].revents & POLLIN) receive(i);
    if (polled[stations].revents & (POLLIN | POLLHUP)) {
      ssize_t got = read(0, line + held, sizeof line - 1 - held);
      if (got <= 0) return 0;
      held += (size_t)got;
      line[held] = 0;
      char *start = line, *end;
      while ((end = strchr(start, '\n')) != NULL) {
        *end = 0;
        command(start);
        start = end + 1;
      }
      held = strlen(start);
      memmove(line, start, held + 1);
    }
  }
}
