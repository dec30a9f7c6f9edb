/* A hub in a process of its own, with clusters of made-up members whose keys follow from their numbers. */
#ifndef BENCH_INDEXER_HUB_PROCESS_H
#define BENCH_INDEXER_HUB_PROCESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "indexer/wire/wire.h"

#define HUB_PROCESS_CHAIN_ID 31337

struct hub_process {
    pid_t pid;
    int control;
    uint16_t port;
};

struct hub_process_state {
    uint64_t at_ns; /* CLOCK_MONOTONIC when the last append began: the logs were read */
    struct wire_cursor tip;
    uint64_t sessions, live;
    uint64_t rss_bytes;
    uint64_t tls_bytes; /* what OpenSSL holds of it */
};

/* Starts it over an empty store at `store_path`; members are numbered from 0, `cluster_size` to a cluster.
 * Call before anything of OpenSSL. Ends the program when something fails, as all of these do. */
struct hub_process hub_process_start(const char *store_path, size_t members, size_t cluster_size);
void hub_process_stop(const struct hub_process *process);

/* A block with so many logs of one cluster; returns when the hub has taken it in. The two halves of that. */
struct hub_process_state hub_process_append(const struct hub_process *process, size_t cluster, size_t logs);
void hub_process_ask(const struct hub_process *process, size_t cluster, size_t logs);
struct hub_process_state hub_process_answer(const struct hub_process *process);
struct hub_process_state hub_process_state(const struct hub_process *process);

/* What member `number` says, but for cursor and signature; fills in the seed. */
struct wire_hello hub_process_hello(size_t number, size_t cluster_size, struct secret *seed);

#endif
