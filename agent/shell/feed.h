/* One subscriber's way through the node's messages: read from the chain from its cursor on, each run of logs
 * checked against the inbox's head, told in order, at least once (PROTOCOL section 10). */
#ifndef AGENT_SHELL_FEED_H
#define AGENT_SHELL_FEED_H

#include "agent/api/api.h"
#include "agent/core/core.h"
#include "agent/shell/archive.h"
#include "crypto/secret.h"

struct event_base;
struct feed;

/* Gives an event to the subscriber. False when too much waits for it: feed_resume comes later, and the event
 * again. */
typedef bool (*feed_tell_fn)(void *user, const struct api_ticket *ticket, const api_MessageEvent *event);

struct feed_services {
    struct event_base *base;
    const struct core *core;
    struct archive *archive;
    const struct secret *seed; /* the identity's, which opens the envelopes */
    feed_tell_fn tell;
    void *user;
};

/* `services` are copied; what they point to outlives the feed. `after` NULL: from the first message. Begins
 * with feed_pump. NULL when memory is short. */
struct feed *feed_new(const struct feed_services *services, const struct api_ticket *ticket,
                      const api_Cursor *after);
void feed_free(struct feed *feed);

const struct api_ticket *feed_ticket(const struct feed *feed);

/* Reads what is to be read; to be called when the inbox moved. */
void feed_pump(struct feed *feed);

/* The subscriber has read. */
void feed_resume(struct feed *feed);

#endif
