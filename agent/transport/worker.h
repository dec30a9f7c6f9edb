/* The data-plane thread: owns the loop, the sockets, the streams and the peers. */
#ifndef AGENT_TRANSPORT_WORKER_H
#define AGENT_TRANSPORT_WORKER_H

#include "agent/transport/mailbox.h"
#include "agent/transport/transport.h"

struct worker;

/* Opens everything and starts the thread, which obeys `mailbox`. NULL with `err` set. */
struct worker *worker_new(const struct transport_config *config, struct mailbox *mailbox, struct am_err *err);

/* Stops the thread and frees everything, peers included. NULL is allowed. */
void worker_free(struct worker *worker);

#endif
