/* Drives the watcher: reads over JSON-RPC what it asks for, and lets it rest. */
#ifndef INDEXER_FEED_H
#define INDEXER_FEED_H

#include "indexer/watcher.h"

struct event_base;
struct rpc;
struct feed;

/* `watcher` and `node` outlive the feed. Starts at once, from the loop. NULL without memory. */
struct feed *feed_new(struct event_base *base, struct rpc *node, struct watcher *watcher);
void feed_free(struct feed *feed);

/* Calls made so far, and the last failure, "" while there is none. */
uint64_t feed_calls(const struct feed *feed);
const char *feed_error(const struct feed *feed);

#endif
