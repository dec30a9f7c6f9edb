/* What the node tells Prometheus: gauges of the core's state, counters of what went well and of what went
 * wrong, the traffic of each peer. */
#ifndef AGENT_SHELL_METRICS_H
#define AGENT_SHELL_METRICS_H

#include "agent/shell/views.h"

/* Adds them all. One pass over the members: what it writes is some 1.5 kB for each peer. */
void metrics_add(const struct views *views, struct http_metrics *metrics);

#endif
