/* A data-plane thread: owns a loop, a loopback socket, and the streams of the peers that are its own.
 *
 * A peer's worker is a function of its index (loopback_worker_of_index), and the kernel gives each worker's
 * socket what WireGuard sends to its peers. The first worker has the ingress as well: it authenticates
 * whoever connects, and hands the stream to the worker of the member.
 */
#ifndef AGENT_TRANSPORT_WORKER_H
#define AGENT_TRANSPORT_WORKER_H

#include "agent/transport/directory.h"
#include "agent/transport/mailbox.h"
#include "agent/transport/tls.h"
#include "agent/transport/transport.h"

struct worker;

/* What all workers of a transport share. It outlives them. */
struct worker_team {
    const struct transport_config *config; /* during worker_new only */
    const struct tls *tls;
    struct directory *directory;
    struct mailbox *mailboxes; /* of each */
    unsigned size;
};

/* Opens everything of worker `number`, which obeys its mailbox once it is started. Workers are made in the
 * order of their numbers. NULL with `err` set. */
struct worker *worker_new(const struct worker_team *team, unsigned number, struct am_err *err);

/* Starts the thread. Returns 0 or a negative errno. */
int worker_start(struct worker *worker);

/* Ends the thread, if it was started. Before any worker of the team is freed all are stopped. */
void worker_stop(struct worker *worker);

/* Frees everything, peers included. NULL is allowed. */
void worker_free(struct worker *worker);

#endif
