#include "memory.h"

#include <string.h>

/* One region's part of a worker, or NULL when it is not wholly in the memory or not shaped as this build expects. */
static uint8_t *region(const struct memory *memory, unsigned id, uint32_t worker, uint32_t stride, uint32_t count_min,
                       uint32_t *count)
{
    struct weft_region entry;
    uint64_t off;

    memcpy(&entry, memory->base + WEFT_REGION_TABLE + id * sizeof(entry), sizeof(entry));
    off = (uint64_t)entry.base + (uint64_t)worker * entry.per_worker;
    if (entry.stride != stride || entry.count < count_min || off % 8 != 0 ||
        !memory_range(memory, off, (uint64_t)entry.stride * entry.count))
        return NULL;
    if (count != NULL)
        *count = entry.count;
    return memory->base + off;
}

const char *worker_memory_find(const struct memory *memory, uint32_t worker, struct worker_memory *out)
{
    struct weft_header header;
    struct weft_region ports;

    if (memory->size < 1024 || (uintptr_t)memory->base % 8 != 0)
        return "it is too small or not aligned";
    memcpy(&header, memory->base, sizeof(header));
    if (header.magic != WEFT_MAGIC)
        return "it does not start with a weft header: the memory has to be laid out first";
    if (header.abi_hash != WEFT_ABI_HASH)
        return "it was laid out by another version (ABI hash differs): rebuild all packages of one version";
    if (header.region_count <= WEFT_REGION_SLOTS)
        return "its region table is too short";
    if (worker >= header.workers)
        return "it has no such worker";

    out->record = (struct weft_worker *)(void *)region(memory, WEFT_REGION_WORKER, worker, sizeof(struct weft_worker), 1,
                                                       NULL);
    out->rx_descs = (struct weft_rx_desc *)(void *)region(memory, WEFT_REGION_RX_DESCS, worker,
                                                          sizeof(struct weft_rx_desc), WEFT_BATCH_MAX, NULL);
    out->tx_ops = (struct weft_tx_op *)(void *)region(memory, WEFT_REGION_TX_OPS, worker, sizeof(struct weft_tx_op), 1,
                                                      &out->tx_max);
    out->iovs = (const struct weft_iov *)(void *)region(memory, WEFT_REGION_IOVS, worker, sizeof(struct weft_iov), 1,
                                                        &out->iov_max);
    out->counters = (uint64_t *)(void *)region(memory, WEFT_REGION_COUNTERS, worker, sizeof(uint64_t),
                                               WEFT_LOOP_BASE + WEFT_LOOP_BUCKETS, NULL);
    out->slots = region(memory, WEFT_REGION_SLOTS, worker, WEFT_SLOT_SIZE, WEFT_BATCH_MAX, NULL);
    if (!out->record || !out->rx_descs || !out->tx_ops || !out->iovs || !out->counters || !out->slots)
        return "a region lies outside of it or has another shape";
    out->slots_off = (uint32_t)(out->slots - memory->base);
    memcpy(&ports, memory->base + WEFT_REGION_TABLE + WEFT_REGION_PORTS * sizeof(ports), sizeof(ports));
    /* Port indexes are 24 bits wide (KIND << 24 | index). */
    if (ports.count == 0 || ports.count > 1u << 24)
        return "its number of ports makes no sense";
    out->ports_max = ports.count;
    out->gso_segments = header.gso_segments;
    return NULL;
}
