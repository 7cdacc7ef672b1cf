/* What the two parts of the relay share: see relay.c. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ETHERNET 14
/* UDP_MAX_SEGMENTS of older kernels: datagrams of one send, packets of one UDP super-frame. */
#define SEGMENTS_MAX 64

enum { TCP_FIN = 1, TCP_PSH = 8, TCP_ACK = 16, TCP_ECE = 64, TCP_CWR = 128 };

/* The TAP, opened with IFF_VNET_HDR. */
extern int tap;

/*
 * Sum of the 16-bit words in memory order, an odd octet last; not folded. Sums add up, whatever the byte order, as long
 * as numbers are brought in by word().
 */
uint64_t sum(const uint8_t *p, size_t n);
/* Takes a frame that came in. It and the memory around it must stay as they are until end_run(). */
void deliver(uint8_t *frame, unsigned length);
/* Writes what deliver() still holds back. */
void end_run(void);

static inline uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }

static inline uint32_t get32(const uint8_t *p) {
    uint32_t value;
    memcpy(&value, p, 4);
    return ntohl(value);
}

static inline void put16(uint8_t *p, unsigned value) {
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static inline void put32(uint8_t *p, uint32_t value) {
    value = htonl(value);
    memcpy(p, &value, 4);
}

static inline uint64_t word(unsigned value) { return htons((uint16_t)value); }

static inline uint16_t fold(uint64_t total) {
    total = (total >> 32) + (total & 0xffffffff);
    total = (total >> 16) + (total & 0xffff);
    total = (total >> 16) + (total & 0xffff);
    total = (total >> 16) + (total & 0xffff);
    return (uint16_t)total;
}

static inline void put_sum(uint8_t *p, uint16_t value) { memcpy(p, &value, 2); }

/* Addresses and protocol of the pseudo header; the length comes on top. */
static inline uint64_t pseudo(const uint8_t *ip, bool v6, unsigned protocol) {
    return (v6 ? sum(ip + 8, 32) : sum(ip + 12, 8)) + word(protocol);
}
