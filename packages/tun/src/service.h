/* Sockets of a service that is reached in another network namespace than the process's own. */
#ifndef WEFT_SERVICE_H
#define WEFT_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

struct service_spec {
    int netns_fd;           /* NETNS_OWN: the caller's */
    int family;             /* AF_INET or AF_INET6 */
    bool stream;            /* TCP; else UDP */
    const char *address;    /* numeric */
    uint16_t port;          /* host order; 0: any */
    const char *device;     /* reached through this device only (SO_BINDTODEVICE); NULL: through any */
};

/* Opens and binds, and does not listen; returns the descriptor (non-blocking, close-on-exec), or -errno with *syscall set. */
int service_open(const struct service_spec *spec, const char **syscall);

#endif
