/* The indexer put together: identity, then store, hub and feed; health all along. */
#ifndef INDEXER_SERVICE_H
#define INDEXER_SERVICE_H

#include "indexer/config.h"

struct event_base;
struct service;

/* `base` and `config` outlive the service. Begins at once, from the loop. NULL with `err` set. */
struct service *service_new(struct event_base *base, const struct indexer_config *config, struct am_err *err);
void service_free(struct service *service);

/* Tells the subscribers; the loop may run a little longer so that they hear it. */
void service_stop(struct service *service);

/* Why the loop ended by itself: 0, or a code of crypto/am_error.h. */
int service_exit_code(const struct service *service);

#endif
