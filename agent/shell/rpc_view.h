/* What is shown of the chain's RPC endpoints. */
#ifndef AGENT_SHELL_RPC_VIEW_H
#define AGENT_SHELL_RPC_VIEW_H

#include "agent/api/api.h"
#include "agent/http.h"

struct rpc;

void rpc_view_fill(const struct rpc *rpc, api_Status *out);

/* One sample per endpoint, labelled "<its place in RPC_URL>/<host:port>". */
void rpc_view_add_metrics(const struct rpc *rpc, struct http_metrics *metrics);

#endif
