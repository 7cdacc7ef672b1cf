/* One rtnetlink conversation at a time: messages are encoded and decoded by the caller. */
#ifndef WEFT_NETLINK_H
#define WEFT_NETLINK_H

#include <stddef.h>
#include <stdint.h>

struct netlink_reply {
    /* Messages received, one after the other, without acknowledgements. malloc'ed; netlink_free(). */
    uint8_t *data;
    size_t len;
    /* The kernel's own words about an error (NLMSGERR_ATTR_MSG), or empty. */
    char detail[160];
};

/* Opens a route socket inside a namespace. Returns its descriptor, or -errno with *syscall set. */
int netlink_open(int netns_fd, const char **syscall);

/*
 * Sends one message and collects the answer up to the acknowledgement (NLM_F_ACK) or the end of the dump.
 * The request must carry one of the two, or it would wait for its time-out of 5 s.
 * Returns 0, or -errno: the kernel's verdict or that of a system call.
 */
int netlink_request(int fd, const void *request, size_t len, struct netlink_reply *reply);
void netlink_free(struct netlink_reply *reply);

#endif
