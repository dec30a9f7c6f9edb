/* The node's UserOperations: its registration, the commitment to a cluster shared key, envelopes, and the
 * next WireGuard key. */
#include "agent/shell/onchain_state.h"

#include <errno.h>

#include "agent/log.h"
#include "crypto/box.h"

/* Makes the member contract call the cluster; `purpose` names it for people. */
static bool start_operation(struct onchain *onchain, const char *purpose, const struct abi_writer *inner,
                            operations_done_fn done, void *user)
{
    struct abi_writer call = {0};
    cluster_put_execute(&call, &onchain->identity.cluster, inner->data, inner->len);
    const bool started = !inner->failed && !call.failed &&
                         operations_start(onchain->operations, purpose, call.data, call.len, done, user);
    abi_writer_free(&call);
    return started;
}

/* Only the operator's next deployment mends a key that is no key; everything else may change on chain, at the
 * sponsor or in between. */
static void on_registered(void *user, const struct operation_result *result)
{
    struct onchain *onchain = user;
    if (result->code != 0)
        onchain_answer_failure(onchain, CORE_EVENT_REGISTER_FAILED, result->error, result->code != -EINVAL);
    else
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
        start_operation(onchain, "registration", &registration, on_registered, onchain);
    abi_writer_free(&registration);
    return started;
}

void onchain_register(struct onchain *onchain)
{
    onchain_expect(onchain, start_registration(onchain), &onchain->register_refused);
}

static void on_committed(void *user, const struct operation_result *result)
{
    struct onchain *onchain = user;
    if (result->code != 0)
        onchain_answer_commit_failed(onchain, result->error);
    else
        onchain_answer(onchain, &(struct core_event){.type = CORE_EVENT_CSK_COMMITTED});
}

void onchain_commit_csk(struct onchain *onchain, const struct core_csk *csk)
{
    struct abi_writer call = {0};
    cluster_put_set_csk_commitment(&call, csk->generation, &csk->commitment);
    onchain_expect(onchain, start_operation(onchain, "CSK commitment", &call, on_committed, onchain),
                   &onchain->commit_refused);
    abi_writer_free(&call);
}

/* Of the reasons why the cluster refuses a live member, only a key that another one holds lasts. */
static void on_published(void *user, const struct operation_result *result)
{
    struct onchain *onchain = user;
    if (result->code != 0)
        onchain_answer_failure(onchain, CORE_EVENT_WG_KEY_FAILED, result->error, result->code != AM_EREVERT);
    else
        onchain_answer(onchain, &(struct core_event){.type = CORE_EVENT_WG_KEY_PUBLISHED});
}

static void on_next_key(void *user, struct secret *key, const struct am_err *err)
{
    struct onchain *onchain = user;
    struct abi_writer call = {0};
    struct bytes32 pubkey;
    if (!key || box_pubkey_of_secret(key, &pubkey) != 0) {
        onchain_answer_failure(onchain, CORE_EVENT_WG_KEY_FAILED,
                               key ? "the derived key is no key" : err->text, true);
        secret_free(key);
        return;
    }
    secret_free(key);
    cluster_put_publish_wg_key(&call, &pubkey);
    onchain_expect(onchain, start_operation(onchain, "WireGuard key", &call, on_published, onchain),
                   &onchain->publish_refused);
    abi_writer_free(&call);
}

void onchain_publish_wg_key(struct onchain *onchain, uint32_t generation)
{
    onchain_expect(
        onchain,
        attestor_derive_key(onchain->attestor, ATTEST_KEY_WIREGUARD, generation, on_next_key, onchain) == 0,
        &onchain->publish_refused);
}

bool onchain_send_envelope(struct onchain *onchain, const char *purpose, const struct bytes32 *recipient,
                           const struct bytes32 *envelope_id, const uint8_t *ciphertext, size_t len,
                           operations_done_fn done, void *user)
{
    struct abi_writer call = {0};
    cluster_put_send(&call, recipient, envelope_id, ciphertext, len);
    const bool started = start_operation(onchain, purpose, &call, done, user);
    abi_writer_free(&call);
    return started;
}
