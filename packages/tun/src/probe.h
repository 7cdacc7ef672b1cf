/* Kernel features, found by trying each once in a namespace that ends with the probe. */
#ifndef WEFT_PROBE_H
#define WEFT_PROBE_H

#include <stdbool.h>

struct probe {
    bool vnet_hdr;
    bool tap_checksum;
    bool tso;
    bool uso;
    bool tun_get_dev_netns;
    bool udp_gso;
    bool udp_gro;
    int udp_gso_max;    /* 128, 64, or 1 without UDP_SEGMENT */
    bool buffer_force;
};

/* Never fails: what cannot be tried (no privilege, no /dev/net/tun) counts as absent. */
void probe_features(struct probe *out);

#endif
