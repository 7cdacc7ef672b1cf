#define _GNU_SOURCE
#include "cmsg.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

void cmsg_put(struct msghdr *head, int level, int type, const void *value, size_t len)
{
    struct cmsghdr *c = (struct cmsghdr *)(void *)((uint8_t *)head->msg_control + head->msg_controllen);

    memset(c, 0, CMSG_SPACE(len));
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(c), value, len);
    head->msg_controllen += CMSG_SPACE(len);
}

size_t cmsg_put_source(struct msghdr *head, bool v4, const uint8_t address[16])
{
    /* No interface is named: the route decides. */
    if (v4) {
        struct in_pktinfo info = { .ipi_ifindex = 0 };

        memcpy(&info.ipi_spec_dst, address + 12, sizeof(info.ipi_spec_dst));
        if (info.ipi_spec_dst.s_addr == INADDR_ANY)
            return 0;
        cmsg_put(head, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    } else {
        struct in6_pktinfo info = { .ipi6_ifindex = 0 };

        memcpy(&info.ipi6_addr, address, sizeof(info.ipi6_addr));
        if (IN6_IS_ADDR_UNSPECIFIED(&info.ipi6_addr))
            return 0;
        cmsg_put(head, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    }
    return head->msg_controllen;
}

void cmsg_cut_source(struct msghdr *head, size_t octets)
{
    head->msg_control = (uint8_t *)head->msg_control + octets;
    head->msg_controllen -= octets;
}

bool cmsg_source_gone(int err)
{
    return err == EINVAL || err == EADDRNOTAVAIL || err == ENETUNREACH;
}
