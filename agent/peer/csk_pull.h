/* Asks one peer for the cluster shared key (PROTOCOL section 9): 1 s to connect, 2 s to answer. */
#ifndef AGENT_PEER_CSK_PULL_H
#define AGENT_PEER_CSK_PULL_H

#include <stdint.h>

#include "agent/peer/csk_wire.h"

struct event_base;
struct csk_pull;

/* `response` is NULL when there is none; `error` then says why. The handle is invalid from here on. */
typedef void (*csk_pull_fn)(void *user, const struct csk_response *response, const char *error);

/* Connects from the own mesh address (both in host order). `done` comes once, from the loop. Returns NULL
 * when memory or descriptors are short. */
struct csk_pull *csk_pull_start(struct event_base *base, uint32_t own_ip, uint32_t peer_ip,
                                uint64_t generation, csk_pull_fn done, void *user);

/* Ends it without a callback; NULL is allowed. */
void csk_pull_cancel(struct csk_pull *pull);

#endif
