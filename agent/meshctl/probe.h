/* Whether a TLS server answers at a host: name, TCP, handshake. For `meshctl doctor`. */
#ifndef AGENT_MESHCTL_PROBE_H
#define AGENT_MESHCTL_PROBE_H

#include <stdint.h>

struct event_base;
struct probe;

enum probe_step { PROBE_CONNECT, PROBE_HANDSHAKE, PROBE_DONE };

/* How far it came. `reason` says why not further; "" with PROBE_DONE. */
typedef void (*probe_done_fn)(void *user, enum probe_step reached, const char *reason);

/* Begins. `host` is copied; `done` comes at most once, from the loop. NULL without memory. */
struct probe *probe_start(struct event_base *base, const char *host, uint16_t port, probe_done_fn done,
                          void *user);

/* Ends it, also while it is under way; runs the loop once. NULL is allowed. */
void probe_free(struct probe *probe);

#endif
