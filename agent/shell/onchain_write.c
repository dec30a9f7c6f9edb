/* The node's UserOperations: its registration, and the commitment to a cluster shared key. */
#include "agent/shell/onchain_state.h"

#include <errno.h>

#include "agent/log.h"

/* Makes the member contract call the cluster. */
static bool start_operation(struct onchain *onchain, const struct abi_writer *inner,
                            operation_progress_fn progress, operation_done_fn done)
{
    const struct core_identity *identity = &onchain->identity;
    struct abi_writer call = {0};
    cluster_put_execute(&call, &identity->cluster, inner->data, inner->len);
    if (!inner->failed && !call.failed)
        onchain->operation = operation_start(&onchain->services, &identity->member_contract, call.data,
                                             call.len, onchain->keys.owner, progress, done, onchain);
    abi_writer_free(&call);
    return onchain->operation;
}

static void on_register_progress(void *user, enum operation_state state, const char *detail)
{
    (void)user;
    log_info("registration.step", log_text("step", operation_state_name(state)), log_text("detail", detail));
}

/* Only the operator's next deployment mends a key that is no key; everything else may change on chain, at the
 * sponsor or in between. */
static void on_registered(void *user, const struct operation_result *result)
{
    struct onchain *onchain = user;
    onchain->operation = NULL;
    if (result->code != 0) {
        onchain_answer_failure(onchain, CORE_EVENT_REGISTER_FAILED, result->error, result->code != -EINVAL);
        return;
    }
    log_info("registration.done", log_bytes("operation", result->hash.b, 32),
             log_bytes("transaction", result->tx_hash.b, 32));
    onchain_answer(onchain, &(struct core_event){.type = CORE_EVENT_REGISTER_DONE});
}

static bool start_registration(struct onchain *onchain)
{
    const struct core_identity *identity = &onchain->identity;
    struct abi_writer registration = {0};
    struct am_err err;
    const bool started =
        attestor_build_registration(onchain->attestor, &identity->cluster, &identity->member_contract,
                                    &onchain->keys.keys, &registration, &err) == 0 &&
        start_operation(onchain, &registration, on_register_progress, on_registered);
    abi_writer_free(&registration);
    return started;
}

void onchain_register(struct onchain *onchain)
{
    onchain_expect(onchain, start_registration(onchain), &onchain->register_refused);
}

static void on_commit_progress(void *user, enum operation_state state, const char *detail)
{
    (void)user;
    log_info("csk.commit_step", log_text("step", operation_state_name(state)), log_text("detail", detail));
}

static void on_committed(void *user, const struct operation_result *result)
{
    struct onchain *onchain = user;
    onchain->operation = NULL;
    if (result->code != 0) {
        onchain_answer_commit_failed(onchain, result->error);
        return;
    }
    log_info("csk.committed", log_bytes("operation", result->hash.b, 32),
             log_bytes("transaction", result->tx_hash.b, 32));
    onchain_answer(onchain, &(struct core_event){.type = CORE_EVENT_CSK_COMMITTED});
}

void onchain_commit_csk(struct onchain *onchain, const struct core_csk *csk)
{
    struct abi_writer call = {0};
    cluster_put_set_csk_commitment(&call, csk->generation, &csk->commitment);
    onchain_expect(onchain, start_operation(onchain, &call, on_commit_progress, on_committed),
                   &onchain->commit_refused);
    abi_writer_free(&call);
}
