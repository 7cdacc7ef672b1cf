#define _GNU_SOURCE
#include "process.h"

#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

/* Fills a Unix address; abstract names start with '@' in ours, with NUL in the kernel's writing. */
static socklen_t unix_address(struct sockaddr_un *addr, const char *path, size_t len)
{
    memset(addr, 0, sizeof(*addr));
    addr->sun_family = AF_UNIX;
    if (len == 0 || len >= sizeof(addr->sun_path))
        return 0;
    memcpy(addr->sun_path, path, len);
    if (path[0] == '@') {
        addr->sun_path[0] = 0;
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    }
    return sizeof(*addr);
}

int abstract_lock(const char *name, size_t len)
{
    struct sockaddr_un addr;
    socklen_t addr_len = unix_address(&addr, name, len);
    int fd, err;

    if (addr_len == 0 || name[0] != '@')
        return -EINVAL;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&addr, addr_len) != 0) {
        err = errno;
        close(fd);
        return -err;
    }
    return fd;
}

int file_lock(int fd)
{
    return flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : -errno;
}

int unix_send(const char *path, size_t path_len, const char *text, size_t len)
{
    struct sockaddr_un addr;
    socklen_t addr_len = unix_address(&addr, path, path_len);
    int fd, result;

    if (addr_len == 0)
        return -EINVAL;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    result = sendto(fd, text, len, MSG_NOSIGNAL, (struct sockaddr *)&addr, addr_len) >= 0 ? 0 : -errno;
    close(fd);
    return result;
}

int parent_death_signal(int signal)
{
    return prctl(PR_SET_PDEATHSIG, (unsigned long)signal) == 0 ? 0 : -errno;
}

int trim_memory(void)
{
#ifdef __GLIBC__
    return malloc_trim(0);
#else
    return 0;
#endif
}
