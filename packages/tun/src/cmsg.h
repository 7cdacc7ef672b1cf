/* Control messages of UDP sends: beside the payload they say the source address, the TOS and the segment size. */
#ifndef WEFT_CMSG_H
#define WEFT_CMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Appends a control message to `head`, whose buffer the caller has made large enough (CMSG_SPACE(len)). */
void cmsg_put(struct msghdr *head, int level, int type, const void *value, size_t len);

/*
 * Appends the source address, 16 octets with IPv4 as ::ffff:a.b.c.d: IP_PKTINFO or IPV6_PKTINFO. It has to be the first
 * message, see cmsg_cut_source(). Returns its octets; 0 for the unspecified address, which leaves the choice to the kernel.
 */
size_t cmsg_put_source(struct msghdr *head, bool v4, const uint8_t address[16]);
/* Takes the first control message off, of so many octets. */
void cmsg_cut_source(struct msghdr *head, size_t octets);

/*
 * Whether a send with a source address may have failed because the host no longer has the address. Linux says EINVAL for
 * IPv6; for IPv4 EINVAL or, in newer kernels, ENETUNREACH (ip_route_output_key_hash_rcu(), ip6_datagram_send_ctl()).
 */
bool cmsg_source_gone(int err);

#endif
