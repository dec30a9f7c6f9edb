#include "agent/shell/rpc_view.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>

#include "evm/rpc.h"

static_assert(sizeof(((api_Status *)0)->rpc) / sizeof(((api_Status *)0)->rpc[0]) >= RPC_URLS_MAX,
              "a status has room for all endpoints");

void rpc_view_fill(const struct rpc *rpc, api_Status *out)
{
    struct rpc_endpoint endpoints[RPC_URLS_MAX];
    const size_t len = rpc_endpoints(rpc, endpoints);
    for (size_t i = 0; i < len; i++) {
        api_RpcEndpoint *one = &out->rpc[i];
        *one = (api_RpcEndpoint){
            .working = endpoints[i].working,
            .other_chain = endpoints[i].other_chain,
            .requests = endpoints[i].requests,
            .failures = endpoints[i].failures,
            .rate_limits = endpoints[i].rate_limits,
            .block = endpoints[i].block,
            .lag = endpoints[i].lag,
        };
        snprintf(one->endpoint, sizeof(one->endpoint), "%s", endpoints[i].origin);
    }
    out->rpc_count = (pb_size_t)len;
}

void rpc_view_add_metrics(const struct rpc *rpc, struct http_metrics *metrics)
{
    static const struct {
        enum http_metric_type type;
        const char *name, *help;
        size_t offset;
    } kinds[] = {
        {HTTP_METRIC_COUNTER, "attestmesh_rpc_requests_total", "Requests to an RPC endpoint.",
         offsetof(struct rpc_endpoint, requests)},
        {HTTP_METRIC_COUNTER, "attestmesh_rpc_failures_total", "Requests that it did not answer.",
         offsetof(struct rpc_endpoint, failures)},
        {HTTP_METRIC_COUNTER, "attestmesh_rpc_rate_limits_total", "Requests that were too many for it.",
         offsetof(struct rpc_endpoint, rate_limits)},
        {HTTP_METRIC_GAUGE, "attestmesh_rpc_lag_blocks", "Blocks it was behind the newest, when it told one.",
         offsetof(struct rpc_endpoint, lag)},
        {HTTP_METRIC_GAUGE, "attestmesh_rpc_other_chain",
         "The chain that it serves instead of the right one.", offsetof(struct rpc_endpoint, other_chain)},
    };
    struct rpc_endpoint endpoints[RPC_URLS_MAX];
    const size_t len = rpc_endpoints(rpc, endpoints);
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        http_metrics_begin(metrics, kinds[k].type, kinds[k].name, kinds[k].help);
        for (size_t i = 0; i < len; i++) {
            char label[HTTP_ORIGIN_SIZE + 8];
            snprintf(label, sizeof(label), "%zu/%s", i + 1, endpoints[i].origin);
            http_metrics_sample(metrics, kinds[k].name, HTTP_LABELS({"endpoint", label}),
                                *(const uint64_t *)((const char *)&endpoints[i] + kinds[k].offset));
        }
    }
}
