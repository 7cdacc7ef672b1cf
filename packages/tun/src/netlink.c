#define _GNU_SOURCE
#include "netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "netns.h"

/* Largest piece the kernel hands over at once in a dump. */
#define PIECE (64 * 1024)

static int open_here(void *data)
{
    const char **syscall = data;
    struct timeval limit = { 5, 0 };
    int on = 1, err;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    *syscall = "socket(AF_NETLINK)";
    if (fd < 0)
        return -errno;
    /* Both only make errors nicer; kernels without them still answer. */
    (void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
    (void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0) {
        err = errno;
        close(fd);
        return -err;
    }
    return fd;
}

int netlink_open(int netns_fd, const char **syscall)
{
    const char *here = NULL;
    int result = netns_run(netns_fd, open_here, &here, syscall);

    if (here != NULL)
        *syscall = here;
    return result;
}

static int append(struct netlink_reply *reply, const void *data, size_t len)
{
    uint8_t *grown = realloc(reply->data, reply->len + NLMSG_ALIGN(len));

    if (grown == NULL)
        return -ENOMEM;
    memset(grown + reply->len, 0, NLMSG_ALIGN(len));
    memcpy(grown + reply->len, data, len);
    reply->data = grown;
    reply->len += NLMSG_ALIGN(len);
    return 0;
}

/* The text attribute behind an NLMSG_ERROR, if the kernel sent one. */
static void read_detail(const struct nlmsghdr *msg, struct netlink_reply *reply)
{
    const struct nlmsgerr *error = NLMSG_DATA(msg);
    size_t at = NLMSG_HDRLEN + sizeof(*error);

    if (!(msg->nlmsg_flags & NLM_F_ACK_TLVS))
        return;
    if (!(msg->nlmsg_flags & NLM_F_CAPPED) && error->msg.nlmsg_len >= NLMSG_HDRLEN)
        at += NLMSG_ALIGN(error->msg.nlmsg_len) - NLMSG_HDRLEN;
    while (at + NLA_HDRLEN <= msg->nlmsg_len) {
        const struct nlattr *attr = (const struct nlattr *)((const uint8_t *)msg + at);
        if (attr->nla_len < NLA_HDRLEN || at + attr->nla_len > msg->nlmsg_len)
            return;
        if ((attr->nla_type & NLA_TYPE_MASK) == NLMSGERR_ATTR_MSG) {
            size_t len = attr->nla_len - NLA_HDRLEN;
            if (len >= sizeof(reply->detail))
                len = sizeof(reply->detail) - 1;
            memcpy(reply->detail, (const uint8_t *)attr + NLA_HDRLEN, len);
            reply->detail[len] = 0;
            return;
        }
        at += NLA_ALIGN(attr->nla_len);
    }
}

/* Takes one received piece apart. Returns 1 to go on, 0 when all is there, -errno for the kernel's verdict. */
static int take_piece(const uint8_t *piece, size_t len, uint32_t seq, struct netlink_reply *reply)
{
    size_t at = 0;

    while (at + NLMSG_HDRLEN <= len) {
        const struct nlmsghdr *msg = (const struct nlmsghdr *)(piece + at);
        int err = 0;

        if (msg->nlmsg_len < NLMSG_HDRLEN || at + msg->nlmsg_len > len)
            return -EBADMSG;
        if (msg->nlmsg_seq != seq) {
            /* Left over from a conversation that ran into its time-out. */
        } else if (msg->nlmsg_type == NLMSG_ERROR || msg->nlmsg_type == NLMSG_DONE) {
            if (msg->nlmsg_len >= NLMSG_HDRLEN + sizeof(err))
                memcpy(&err, NLMSG_DATA(msg), sizeof(err));
            if (msg->nlmsg_type == NLMSG_ERROR && msg->nlmsg_len >= NLMSG_HDRLEN + sizeof(struct nlmsgerr))
                read_detail(msg, reply);
            return err > 0 ? 0 : err;
        } else {
            err = append(reply, msg, msg->nlmsg_len);
            if (err != 0)
                return err;
        }
        at += NLMSG_ALIGN(msg->nlmsg_len);
    }
    return 1;
}

int netlink_request(int fd, const void *request, size_t len, struct netlink_reply *reply)
{
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    struct nlmsghdr head;
    uint8_t *piece;
    int result;

    memset(reply, 0, sizeof(*reply));
    if (len < sizeof(head))
        return -EINVAL;
    memcpy(&head, request, sizeof(head));
    if (sendto(fd, request, len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
        return -errno;
    piece = malloc(PIECE);
    if (piece == NULL)
        return -ENOMEM;
    do {
        ssize_t got = recv(fd, piece, PIECE, 0);
        if (got < 0 && errno == EINTR) {
            result = 1;
            continue;
        }
        if (got < 0)
            result = errno == EAGAIN ? -ETIMEDOUT : -errno;
        else
            result = take_piece(piece, (size_t)got, head.nlmsg_seq, reply);
    } while (result == 1);
    free(piece);
    return result;
}

void netlink_free(struct netlink_reply *reply)
{
    free(reply->data);
    reply->data = NULL;
    reply->len = 0;
}
