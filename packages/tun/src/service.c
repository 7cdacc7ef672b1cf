#define _GNU_SOURCE
#include "service.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netns.h"
#include "udp.h"

struct opening {
    const struct service_spec *spec;
    const char **syscall;
};

static int fail_with(int fd)
{
    int err = errno;

    close(fd);
    return -err;
}

static int open_here(void *data)
{
    const struct opening *opening = data;
    const struct service_spec *spec = opening->spec;
    const char **syscall = opening->syscall;
    struct sockaddr_storage addr;
    socklen_t len = udp_address(spec->family, spec->address, spec->port, &addr);
    const int on = 1;
    int fd;

    *syscall = "inet_pton";
    if (len == 0)
        return -EINVAL;
    *syscall = "socket";
    fd = socket(spec->family, (spec->stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    *syscall = "setsockopt";
    /* A daemon that starts again finds connections of the one before in TIME_WAIT. */
    if (spec->stream && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
        return fail_with(fd);
    if (spec->family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0)
        return fail_with(fd);
    *syscall = "setsockopt(SO_BINDTODEVICE)";
    if (spec->device != NULL &&
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, spec->device, (socklen_t)strlen(spec->device)) != 0)
        return fail_with(fd);
    *syscall = "bind";
    if (bind(fd, (struct sockaddr *)&addr, len) != 0)
        return fail_with(fd);
    return fd;
}

int service_open(const struct service_spec *spec, const char **syscall)
{
    struct opening opening = { spec, syscall };

    return netns_run(spec->netns_fd, open_here, &opening, syscall);
}
