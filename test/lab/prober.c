/*
 * prober NETWORK SELF PORT: what a container of a chaos test runs. Every 100 ms a numbered UDP datagram to each other container of
 * its network, every 500 ms one to all of them; judges what comes in through eth0.
 *
 * Standard input: `peer INDEX ADDR` (to be sent to from now on; answered by `ok`), `state` (answered by one line of JSON).
 * Standard output: `ready`; a line `gap FROM CAST FIRST LAST` when at least LOST numbers in a row of one source never came: FIRST is when
 * the last one before them arrived, LAST the first one after them; CAST 0 for unicast, 1 for broadcast.
 * Times are milliseconds of CLOCK_MONOTONIC. Ends with standard input.
 *
 * Numbers and not silence: on a busy machine everything is late at times, but nothing is missing.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SOURCES 16
#define LOST 5
#define EVERY 100
#define BROADCAST 5 /* each so many rounds */
#define HEADERS (14 + 20 + 8)

/* In every datagram: what must never be seen on the underlay. */
static const char TEXT[24] = "WEFT-CHAOS-NOT-IN-CLEAR";

struct datagram {
  char text[24];
  uint32_t network, from, cast, number; /* of this machine's octet order: it never leaves it */
};

struct source {
  uint64_t last;
  uint32_t highest, received, duplicates;
  unsigned char seen[1 << 13]; /* a bit for each of the last 65536 numbers */
};

static struct source sources[SOURCES][2];
static struct sockaddr_in peers[SOURCES];
static uint32_t network, self, numbers[SOURCES + 1];
static uint32_t foreign, strays;
static uint16_t port;

static uint64_t now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (uint64_t)at.tv_sec * 1000 + (uint64_t)at.tv_nsec / 1000000;
}

static int fail(const char *what) {
  fprintf(stderr, "prober: %s: %s\n", what, strerror(errno));
  return 1;
}

static void judge(const struct datagram *datagram) {
  if (datagram->network != network || datagram->from >= SOURCES || datagram->cast > 1) {
    foreign++;
    return;
  }
  struct source *source = &sources[datagram->from][datagram->cast];
  uint32_t number = datagram->number;
  unsigned char *octet = &source->seen[(number & 0xffff) >> 3], bit = (unsigned char)(1 << (number & 7));
  if (number > source->highest) {
    if (source->received > 0 && number - source->highest > LOST)
      printf("gap %u %u %llu %llu\n", datagram->from, datagram->cast, (unsigned long long)source->last, (unsigned long long)now());
    for (uint32_t n = source->highest + 1; n <= number; n++) source->seen[(n & 0xffff) >> 3] &= (unsigned char)~(1 << (n & 7));
    source->highest = number;
  } else if (*octet & bit) {
    source->duplicates++;
    return;
  }
  *octet |= bit;
  source->received++;
  source->last = now();
}

/* Whatever reaches the device is looked at. What is for somebody else's MAC address has been flooded: that may be, in its own network. */
static void receive(int fd) {
  unsigned char frame[2048];
  struct sockaddr_ll from;
  for (;;) {
    socklen_t size = sizeof from;
    ssize_t got = recvfrom(fd, frame, sizeof frame, MSG_DONTWAIT, (struct sockaddr *)&from, &size);
    if (got < 0) return;
    if (from.sll_pkttype == PACKET_OUTGOING || got < (ssize_t)(HEADERS + sizeof(struct datagram))) continue;
    if (memcmp(frame + HEADERS, TEXT, sizeof TEXT) != 0) continue;
    struct datagram datagram;
    memcpy(&datagram, frame + HEADERS, sizeof datagram);
    if (from.sll_pkttype == PACKET_OTHERHOST && datagram.network == network) strays++;
    else judge(&datagram);
  }
}

static void emit(int fd, const struct sockaddr_in *to, uint32_t cast, uint32_t number) {
  struct datagram datagram = {.network = network, .from = self, .cast = cast, .number = number};
  memcpy(datagram.text, TEXT, sizeof TEXT);
  /* Without a daemon the device has no carrier: the datagram is lost, as its receivers will notice. */
  if (sendto(fd, &datagram, sizeof datagram, MSG_DONTWAIT, (const struct sockaddr *)to, sizeof *to) < 0) return;
}

static void say(void) {
  printf("{\"at\":%llu,\"foreign\":%u,\"strays\":%u,\"sources\":[", (unsigned long long)now(), foreign, strays);
  const char *comma = "";
  for (unsigned i = 0; i < SOURCES; i++)
    for (unsigned cast = 0; cast < 2; cast++) {
      const struct source *source = &sources[i][cast];
      if (source->received == 0) continue;
      printf("%s{\"from\":%u,\"cast\":%u,\"last\":%llu,\"received\":%u,\"duplicates\":%u}", comma, i, cast,
             (unsigned long long)source->last, source->received, source->duplicates);
      comma = ",";
    }
  printf("]}\n");
}

static void command(const char *line) {
  unsigned index;
  char address[64];
  if (strcmp(line, "state") == 0) say();
  else if (sscanf(line, "peer %u %63s", &index, address) == 2 && index < SOURCES) {
    peers[index].sin_family = AF_INET;
    peers[index].sin_port = htons(port);
    inet_pton(AF_INET, address, &peers[index].sin_addr);
    printf("ok\n");
  }
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: prober NETWORK SELF PORT\n");
    return 1;
  }
  network = (uint32_t)atoi(argv[1]);
  self = (uint32_t)atoi(argv[2]);
  port = (uint16_t)atoi(argv[3]);
  setvbuf(stdout, NULL, _IOLBF, 0);
  int raw = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
  if (raw < 0) return fail("AF_PACKET");
  struct sockaddr_ll device = {
      .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex("eth0")};
  if (bind(raw, (struct sockaddr *)&device, sizeof device) < 0) return fail("eth0");
  int yes = 1, udp = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
  struct sockaddr_in all = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = INADDR_BROADCAST};
  setsockopt(udp, SOL_SOCKET, SO_BROADCAST, &yes, sizeof yes);
  if (setsockopt(udp, SOL_SOCKET, SO_BINDTODEVICE, "eth0", 5) < 0) return fail("SO_BINDTODEVICE");
  /* Only so that the kernel does not answer that nobody is there. */
  if (bind(udp, (struct sockaddr *)&any, sizeof any) < 0) return fail("bind");
  printf("ready\n");

  char line[4096];
  size_t held = 0;
  uint64_t due = now();
  for (unsigned round = 0;;) {
    struct pollfd polled[2] = {{.fd = raw, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    uint64_t at = now();
    if (poll(polled, 2, at < due ? (int)(due - at) : 0) < 0) return fail("poll");
    if (polled[0].revents & (POLLIN | POLLERR)) receive(raw);
    if (polled[1].revents & (POLLIN | POLLHUP)) {
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
    if ((at = now()) < due) continue;
    for (unsigned i = 0; i < SOURCES; i++)
      if (peers[i].sin_port != 0) emit(udp, &peers[i], 0, ++numbers[i]);
    if (round++ % BROADCAST == 0) emit(udp, &all, 1, ++numbers[SOURCES]);
    /* After a stall: on from here, not all that was missed at once. */
    due = due + EVERY > at ? due + EVERY : at + EVERY;
  }
}
