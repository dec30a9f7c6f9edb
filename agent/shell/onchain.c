#include "agent/shell/onchain_state.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <time.h>

#include "agent/attest/dstack.h"
#include "agent/log.h"
#include "agent/shell/operations.h"
#include "crypto/box.h"

/* How far this machine's clock may be behind the chain: WireGuard refuses handshakes after a step back. */
#define CLOCK_BEHIND_MAX_S 60

/* ---- Answers ---- */

void onchain_answer(struct onchain *onchain, const struct core_event *event)
{
    onchain->answer(onchain->user, event);
}

void onchain_answer_failure(struct onchain *onchain, enum core_event_type type, const char *text,
                            bool retryable)
{
    const char *const name = type == CORE_EVENT_IDENTITY_FAILED   ? "identity.failed"
                             : type == CORE_EVENT_REGISTER_FAILED ? "registration.failed"
                                                                  : "rotation.failed";
    log_warn(name, log_text("reason", text), log_bool("retry", retryable));
    onchain_answer(onchain,
                   &(struct core_event){.type = type, .failure = {.text = text, .retryable = retryable}});
}

void onchain_answer_commit_failed(struct onchain *onchain, const char *text)
{
    log_warn("csk.commit_failed", log_text("reason", text));
    onchain_answer(onchain, &(struct core_event){.type = CORE_EVENT_CSK_FAILED,
                                                 .csk_failure = {.what = CORE_CSK_COMMIT, .text = text}});
}

void onchain_answer_read_failed(struct onchain *onchain, enum core_read what, const char *text)
{
    log_warn("chain.read_failed", log_text("reason", text));
    onchain_answer(onchain, &(struct core_event){.type = CORE_EVENT_READ_FAILED,
                                                 .read_failure = {.what = what, .text = text}});
}

static bool take_flag(bool *flag)
{
    const bool was_set = *flag;
    *flag = false;
    return was_set;
}

static void on_refusals(evutil_socket_t fd, short what, void *user)
{
    static const char text[] = "out of memory, or too many requests under way";
    struct onchain *onchain = user;
    (void)fd, (void)what;
    if (take_flag(&onchain->identity_refused))
        onchain_answer_failure(onchain, CORE_EVENT_IDENTITY_FAILED, text, true);
    if (take_flag(&onchain->register_refused))
        onchain_answer_failure(onchain, CORE_EVENT_REGISTER_FAILED, text, true);
    if (take_flag(&onchain->commit_refused))
        onchain_answer_commit_failed(onchain, text);
    if (take_flag(&onchain->publish_refused))
        onchain_answer_failure(onchain, CORE_EVENT_WG_KEY_FAILED, text, true);
    if (take_flag(&onchain->self_refused))
        onchain_answer_read_failed(onchain, CORE_READ_SELF, text);
    if (take_flag(&onchain->state_refused))
        onchain_answer_read_failed(onchain, CORE_READ_STATE, text);
    if (take_flag(&onchain->changes_refused))
        onchain_answer_read_failed(onchain, CORE_READ_CHANGES, text);
    if (take_flag(&onchain->page_refused))
        onchain_answer_read_failed(onchain, CORE_READ_PAGE, text);
}

void onchain_expect(struct onchain *onchain, bool started, bool *flag)
{
    if (started)
        return;
    *flag = true;
    event_active(onchain->refusals, EV_TIMEOUT, 0);
}

/* ---- Identity: chain, clock, keys, cluster ---- */

static void on_cluster(void *user, const struct chain_result *result)
{
    struct onchain *onchain = user;
    struct core_identity *identity = &onchain->identity;
    if (result->code != 0) {
        onchain_answer_failure(onchain, CORE_EVENT_IDENTITY_FAILED, result->error, true);
        return;
    }
    if (address_is_zero(&result->address)) {
        onchain_answer_failure(onchain, CORE_EVENT_IDENTITY_FAILED,
                               "the member contract belongs to no cluster yet", true);
        return;
    }
    identity->cluster = result->address;
    identity->member_id =
        cluster_member_id(&identity->cluster, &identity->member_contract, &onchain->keys.attestor_id);
    operations_set_account(onchain->operations, &identity->member_contract, onchain->keys.owner);
    log_info("identity.ready", log_bytes("cluster", identity->cluster.b, 20),
             log_bytes("contract", identity->member_contract.b, 20),
             log_bytes("member", identity->member_id.b, 32));
    onchain_answer(onchain, &(struct core_event){.type = CORE_EVENT_IDENTITY_READY, .identity = *identity});
}

static void on_keys(void *user, const struct attest_identity *keys, const struct am_err *err)
{
    struct onchain *onchain = user;
    if (!keys) {
        onchain_answer_failure(onchain, CORE_EVENT_IDENTITY_FAILED, err->text, err->code != AM_ECONFIG);
        return;
    }
    const struct address *configured = &onchain->config->member_contract;
    onchain->keys = *keys;
    onchain->identity = (struct core_identity){
        .member_contract = address_is_zero(configured) ? keys->app_id : *configured,
        .x_pubkey = keys->keys.x,
        .wg_pubkey = keys->keys.wg,
        .ed25519_pubkey = keys->keys.ed25519,
    };
    onchain_expect(onchain,
                   chain_read_cluster(onchain->node, &onchain->identity.member_contract, on_cluster, onchain),
                   &onchain->identity_refused);
}

static void on_clock(void *user, const struct chain_result *result)
{
    struct onchain *onchain = user;
    const uint64_t now_s = (uint64_t)time(NULL);
    struct am_err err;
    if (result->code == AM_EMISMATCH) {
        am_fail(&err, AM_ECONFIG, "%s: correct RPC_URL or CHAIN_ID", result->error);
        onchain_answer_failure(onchain, CORE_EVENT_IDENTITY_FAILED, err.text, false);
        return;
    }
    if (result->code != 0) {
        onchain_answer_failure(onchain, CORE_EVENT_IDENTITY_FAILED, result->error, true);
        return;
    }
    if (now_s + CLOCK_BEHIND_MAX_S < result->block.timestamp) {
        am_fail(&err, AM_EMISMATCH,
                "the clock is %llu s behind the chain's latest block; WireGuard needs a right one: set it",
                (unsigned long long)(result->block.timestamp - now_s));
        onchain_answer_failure(onchain, CORE_EVENT_IDENTITY_FAILED, err.text, true);
        return;
    }
    onchain_expect(onchain, attestor_read_identity(onchain->attestor, on_keys, onchain) == 0,
                   &onchain->identity_refused);
}

void onchain_read_identity(struct onchain *onchain)
{
    onchain_expect(onchain, chain_read_block(onchain->node, on_clock, onchain), &onchain->identity_refused);
}

/* ---- Own record, and the WireGuard generation it carries ---- */

/* Key and record go together: until this answer, the device keeps the key that it has. */
static void answer_self(struct onchain *onchain, struct secret *wireguard)
{
    if (onchain->self.present && onchain->self.wg_generation != CORE_WG_FOREIGN) {
        log_info("identity.adopted", log_uint("wg_generation", onchain->self.wg_generation));
        secret_free(onchain->wireguard);
        onchain->wireguard = wireguard;
    }
    onchain_answer(onchain, &(struct core_event){.type = CORE_EVENT_SELF_RECORD, .self = onchain->self});
}

static void derive_generation(struct onchain *onchain, uint32_t generation);

static void on_generation(void *user, struct secret *key, const struct am_err *err)
{
    struct onchain *onchain = user;
    struct core_self *self = &onchain->self;
    struct bytes32 pubkey;
    if (!key) {
        onchain_answer_read_failed(onchain, CORE_READ_SELF, err->text);
        return;
    }
    const bool matches =
        box_pubkey_of_secret(key, &pubkey) == 0 && bytes32_equal(&pubkey, &self->record.wg_pubkey);
    if (!matches && self->wg_generation < ONCHAIN_WG_GENERATION_MAX) {
        secret_free(key);
        derive_generation(onchain, self->wg_generation + 1);
        return;
    }
    if (!matches) {
        secret_free(key);
        self->wg_generation = CORE_WG_FOREIGN;
    }
    answer_self(onchain, matches ? key : NULL);
}

static void derive_generation(struct onchain *onchain, uint32_t generation)
{
    onchain->self.wg_generation = generation;
    onchain_expect(
        onchain,
        attestor_derive_key(onchain->attestor, ATTEST_KEY_WIREGUARD, generation, on_generation, onchain) == 0,
        &onchain->self_refused);
}

static void on_self(void *user, const struct chain_result *result)
{
    struct onchain *onchain = user;
    if (result->code != 0) {
        onchain_answer_read_failed(onchain, CORE_READ_SELF, result->error);
        return;
    }
    const struct core_record record = onchain_record(&result->member);
    const struct core_identity *identity = &onchain->identity;
    onchain->self = (struct core_self){.present = !bytes32_is_zero(&record.member_id), .record = record};
    const bool rotated = onchain->self.present && !record.removed &&
                         bytes32_equal(&record.x_pubkey, &identity->x_pubkey) &&
                         !bytes32_equal(&record.wg_pubkey, &identity->wg_pubkey);
    if (rotated)
        derive_generation(onchain, 1);
    else
        answer_self(onchain, NULL);
}

void onchain_read_self(struct onchain *onchain)
{
    const struct core_identity *identity = &onchain->identity;
    onchain_expect(onchain,
                   chain_read_member(onchain->node, &identity->cluster, &identity->member_contract, NULL,
                                     on_self, onchain),
                   &onchain->self_refused);
}

struct attestor *onchain_attestor(const struct onchain *onchain)
{
    return onchain->attestor;
}

const struct history *onchain_history(const struct onchain *onchain)
{
    return operations_history(onchain->operations);
}

struct rpc *onchain_rpc(const struct onchain *onchain)
{
    return onchain->node;
}

const struct secret *onchain_seed(const struct onchain *onchain)
{
    return onchain->keys.seed;
}

const struct secret *onchain_wireguard_key(const struct onchain *onchain)
{
    return onchain->wireguard ? onchain->wireguard : onchain->keys.wireguard;
}

/* ---- Life ---- */

static void on_wrong_chain(void *user, const char *origin, uint64_t chain_id)
{
    (void)user;
    log_error("rpc.wrong_chain", log_text("endpoint", origin), log_uint("chain_id", chain_id));
}

static int open_services(struct onchain *onchain, struct am_err *err)
{
    const struct config *config = onchain->config;
    onchain->refusals = evtimer_new(onchain->base, on_refusals, onchain);
    onchain->http = http_client_new(onchain->base);
    if (!onchain->refusals || !onchain->http)
        return am_fail(err, -ENOMEM, "out of memory");
    onchain->node = rpc_new(onchain->http, config->rpc_urls.items, config->rpc_urls.len);
    onchain->attestor = dstack_new(onchain->http, config->dstack_endpoint);
    onchain->logs = onchain->node ? onchain_registry_logs(onchain) : NULL;
    if (!onchain->node || !onchain->logs || !onchain->attestor)
        return am_fail(err, -ENOMEM, "out of memory");
    rpc_expect_chain(onchain->node, config->chain_id, on_wrong_chain, NULL);
    onchain->operations = operations_new(onchain->base, config, onchain->http, onchain->node, err);
    return onchain->operations ? 0 : err->code;
}

struct onchain *onchain_new(struct event_base *base, const struct config *config, onchain_answer_fn answer_fn,
                            void *user, struct am_err *err)
{
    struct onchain *onchain = calloc(1, sizeof(*onchain));
    if (!onchain) {
        am_fail(err, -ENOMEM, "out of memory");
        return NULL;
    }
    onchain->base = base;
    onchain->config = config;
    onchain->answer = answer_fn;
    onchain->user = user;
    if (open_services(onchain, err) != 0) {
        onchain_free(onchain);
        return NULL;
    }
    return onchain;
}

void onchain_free(struct onchain *onchain)
{
    if (!onchain)
        return;
    operations_free(onchain->operations);
    attestor_free(onchain->attestor);
    log_reader_free(onchain->logs);
    rpc_free(onchain->node);
    http_client_free(onchain->http);
    secret_free(onchain->wireguard);
    if (onchain->refusals)
        event_free(onchain->refusals);
    free(onchain);
}
