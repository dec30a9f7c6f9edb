/* One outgoing TCP connection: resolves a name, connects, reports once. */
#ifndef AGENT_TRANSPORT_DIAL_H
#define AGENT_TRANSPORT_DIAL_H

#include <stdint.h>

#define DIAL_TIMEOUT_S 10

struct event_base;
struct evdns_base;
struct dial;

/* Gets a connected, non-blocking socket, which is now the callee's, or -1 and a reason. The request is gone.
 */
typedef void (*dial_done_fn)(void *user, int fd, const char *reason);

/* Begins. `attempt` picks among the name's addresses, so that counting it up goes through all of them. `done`
 * is called later, never from within. Returns NULL without memory. */
struct dial *dial_start(struct event_base *base, struct evdns_base *dns, const char *host, uint16_t port,
                        unsigned attempt, dial_done_fn done, void *user);

/* Ends it without a report. NULL is allowed. */
void dial_cancel(struct dial *dial);

#endif
