/* Kernel features, found by trying each once in a namespace that ends with the probe. */
#ifndef WEFT_PROBE_H
#define WEFT_PROBE_H

#include <stdbool.h>

/* What arrives on one machine arrives at once; with receive steering, almost. */
#define PROBE_ARRIVAL_MS 50

struct probe {
    bool vnet_hdr;
    bool tap_checksum;
    bool tso;
    bool uso;
    bool coalesce_tcp;  /* a TAP takes TCP super-frames with an unfinished checksum */
    bool coalesce_udp;  /* the same for UDP, and they reach a socket as the datagrams they were made of */
    bool tun_get_dev_netns;
    bool gso;
    bool gro;
    int gso_max;        /* 128, 64, or 1 without UDP_SEGMENT */
    bool buffer_force;
    bool reuseport_steering;    /* a classic BPF program chooses among the sockets of a SO_REUSEPORT group */
};

/*
 * Tries everything in some milliseconds. Never fails: what cannot be tried (no privilege, no /dev/net/tun) counts as
 * absent, and so does what the kernel accepts but gets wrong.
 */
void probe_features(struct probe *out);
/* probe-tap.c; `private`: in a namespace of its own, where addresses disturb nobody. */
void probe_tap(struct probe *out, bool private);
/* probe-udp.c */
void probe_udp(struct probe *out);
/* probe-steer.c; after probe_udp(), which brings lo up in a namespace of its own. */
void probe_steering(struct probe *out);

/* Octets of a test payload: no two datagrams of one payload are alike. */
void probe_fill(unsigned char *payload, unsigned len);
/*
 * Whether `len` octets of a test payload come in at a socket in order and unharmed, as datagrams of `size` octets
 * (the last may be shorter). `joined`: in one buffer whose UDP_GRO message says `size`.
 */
bool probe_arrives(int fd, const unsigned char *payload, unsigned len, unsigned size, bool joined);

#endif
