/* TAP and TUN devices: opening, flags, the namespace they live in. Knows nothing of N-API and reads no frame. */
#ifndef WEFT_TAP_H
#define WEFT_TAP_H

#include <net/if.h>
#include <stdbool.h>

/* Bits of struct tap_spec.flags and of what tap_describe() returns. */
#define TAP_VNET_HDR 1
#define TAP_MULTI_QUEUE 2
#define TAP_PERSIST 4
#define TAP_MUST_EXIST 8
#define TAP_IS_TUN 16

/* Bits of tap_offload(): see virtio_net_hdr in the kernel's documentation. */
#define TAP_CSUM 1
#define TAP_TSO4 2
#define TAP_TSO6 4
#define TAP_USO 8

struct tap_spec {
    /* In: name or pattern (`weft%d`); out: the name the kernel gave. */
    char name[IFNAMSIZ];
    int flags;
    int netns_fd;
};

/* All return ≥ 0, or -errno with *syscall naming the call that failed. */

/* Opens a device; returns its descriptor (non-blocking, close-on-exec). */
int tap_open(struct tap_spec *spec, const char **syscall);
/* Present name and TAP_ bits of an open device. EBADFD: the device is gone. */
int tap_describe(int fd, char name[IFNAMSIZ], const char **syscall);
int tap_offload(int fd, int bits, const char **syscall);
int tap_persist(int fd, bool on, const char **syscall);
/* A new descriptor of the namespace the device is in now; the caller closes it soon, it pins the namespace. */
int tap_netns(int fd, const char **syscall);

#endif
