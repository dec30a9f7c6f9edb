#include "agent/indexer/sample.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/keccak.h"
#include "indexer/wire/wire.h"

#define LOGS_MAX 1000

struct sample {
    struct rpc_call *call;
    struct eth_log log; /* without its data */
    struct bytes32 data_hash;
    sample_fn done;
    void *user;
};

static bool is_same(const struct sample *sample, const struct eth_log *log)
{
    const struct eth_log *const pushed = &sample->log;
    const struct bytes32 data_hash = keccak256(log->data, log->data_len);
    return log->index == pushed->index && log->block == pushed->block &&
           bytes32_equal(&log->block_hash, &pushed->block_hash) &&
           bytes32_equal(&log->tx_hash, &pushed->tx_hash) && address_equal(&log->address, &pushed->address) &&
           log->topics_len == pushed->topics_len &&
           memcmp(log->topics, pushed->topics, log->topics_len * sizeof(log->topics[0])) == 0 &&
           bytes32_equal(&data_hash, &sample->data_hash);
}

static enum sample_verdict judge(const struct sample *sample, const struct rpc_result *result)
{
    struct eth_logs logs;
    enum sample_verdict verdict = SAMPLE_DENIED;
    if (result->code || eth_logs_parse(result->value, LOGS_MAX, &logs, NULL) != 0)
        return SAMPLE_UNANSWERED;
    for (size_t i = 0; i < logs.len; i++) {
        if (is_same(sample, &logs.items[i]))
            verdict = SAMPLE_CONFIRMED;
    }
    eth_logs_free(&logs);
    return verdict;
}

static void on_logs(void *user, const struct rpc_result *result)
{
    struct sample *sample = user;
    const enum sample_verdict verdict = judge(sample, result);
    const sample_fn done = sample->done;
    void *const done_user = sample->user;
    free(sample);
    done(done_user, verdict);
}

struct sample *sample_start(struct rpc *node, const struct eth_log *log, sample_fn done, void *user)
{
    struct sample *sample = calloc(1, sizeof(*sample));
    char *const repro = wire_build_repro(log);
    json_object *params = repro ? json_tokener_parse(repro) : NULL;
    free(repro);
    if (!sample || !params) {
        json_object_put(params);
        free(sample);
        return NULL;
    }
    *sample = (struct sample){
        .log = *log, .data_hash = keccak256(log->data, log->data_len), .done = done, .user = user};
    sample->log.data = NULL;
    sample->call = rpc_call(node, "eth_getLogs", params, on_logs, sample);
    if (sample->call)
        return sample;
    free(sample);
    return NULL;
}

void sample_cancel(struct sample *sample)
{
    if (!sample)
        return;
    rpc_call_cancel(sample->call);
    free(sample);
}
