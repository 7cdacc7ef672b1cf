/*
 * Bounds-checked access to the shared memory of the data plane.
 *
 * Everything that says "offset" here comes out of that memory, so it is not trusted: nothing is dereferenced before
 * memory_range() has said yes. Values are read once into locals, so that no second read can differ from the checked
 * one.
 */
#ifndef WEFT_MEMORY_H
#define WEFT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.gen.h"

struct memory {
    uint8_t *base;
    uint64_t size;
};

/* One worker's parts of the memory, found through the region table and checked whole. */
struct worker_memory {
    struct weft_worker *record;
    struct weft_rx_desc *rx_descs;
    struct weft_tx_op *tx_ops;
    const struct weft_iov *iovs;
    uint64_t *counters;
    uint8_t *slots;
    uint32_t slots_off;     /* offset of slots[0] */
    uint32_t tx_max;
    uint32_t iov_max;
    uint32_t ports_max;
    uint32_t gso_segments;  /* datagrams one UDP_SEGMENT send takes; 0: not said */
};

/* Whether [off, off + len) lies inside the memory. */
static inline bool memory_range(const struct memory *memory, uint64_t off, uint64_t len)
{
    return len <= memory->size && off <= memory->size - len;
}

/* Adds to a counter cell: one writer each, read by other threads. */
static inline void count_up(uint64_t *counters, unsigned cell)
{
    __atomic_store_n(&counters[cell], counters[cell] + 1, __ATOMIC_RELAXED);
}

static inline void count_add(uint64_t *counters, unsigned cell, uint64_t by)
{
    __atomic_store_n(&counters[cell], counters[cell] + by, __ATOMIC_RELAXED);
}

/* Finds a worker's parts. Returns NULL, or what is wrong with the memory. */
const char *worker_memory_find(const struct memory *memory, uint32_t worker, struct worker_memory *out);

#endif
