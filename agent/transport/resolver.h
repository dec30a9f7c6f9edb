/* Name resolution on the worker's loop, as /etc/resolv.conf and /etc/hosts say now.
 *
 * Both may change, or appear, long after the start: a machine gets its name servers when its network comes
 * up.
 */
#ifndef AGENT_TRANSPORT_RESOLVER_H
#define AGENT_TRANSPORT_RESOLVER_H

struct event_base;
struct evdns_base;
struct resolver;

/* NULL without memory. */
struct resolver *resolver_new(struct event_base *base);

/* Every request must have been cancelled, and the loop have run once since. NULL is allowed. */
void resolver_free(struct resolver *resolver);

/* The resolver to ask, after another look at the files. Valid until resolver_free. */
struct evdns_base *resolver_dns(struct resolver *resolver);

#endif
