#include "agent/attest/dstack.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/attest/guest_answer.h"
#include "agent/attest/kms_chain.h"
#include "agent/log.h"
#include "crypto/box.h"
#include "crypto/sign.h"
#include "evm/http_client.h"

#define TIMEOUT_MS 20000
#define KEY_ANSWER_MAX 16384
#define INFO_ANSWER_MAX (1u << 20)
#define PATH_SIZE 96
#define WHAT_SIZE 128
#define URL_SIZE 512

/* The keys of PROTOCOL section 3. Only the path separates keys; the purpose enters the signature. */
static const struct {
    const char *path;
    const char *purpose;
    bool generation_0_has_suffix;
    bool has_generations;
} key_table[] = {
    [ATTEST_KEY_IDENTITY] = {"attestmesh.identity.v1", "", false, false},
    [ATTEST_KEY_WIREGUARD] = {"attestmesh.wireguard.v1", "", false, true},
    [ATTEST_KEY_BINDING] = {"attestmesh.binding.v1", CLUSTER_PURPOSE_BINDING, false, false},
    [ATTEST_KEY_CLUSTER_SHARED] = {"attestmesh.cluster-shared.v1", "csk-v1", true, true},
    [ATTEST_KEY_CSK_CACHE] = {"attestmesh.csk-cache.v1", "wrap-v1", false, false},
    [ATTEST_KEY_INDEXER_SIGNING] = {"attestmesh.indexer.signing.v1", "", false, false},
};

/* What an identity is made of, in the order it is asked for; /Info comes before them. */
enum { SEED, WIREGUARD, OWNER, IDENTITY_KEYS };
static const enum attest_key identity_keys[IDENTITY_KEYS] = {ATTEST_KEY_IDENTITY, ATTEST_KEY_WIREGUARD,
                                                             ATTEST_KEY_BINDING};

struct dstack {
    struct attestor base;
    struct http_client *http;
    char *endpoint;              /* as configured */
    const char *unix_socket;     /* endpoint, or NULL when that is a URL */
    char name[HTTP_ORIGIN_SIZE]; /* of the endpoint, for texts */
    struct derivation *derivations;

    /* The reading of the identity: /Info, then key by key. */
    struct http_exchange *exchange;
    size_t keys_read;
    attest_identity_fn done;
    void *user;

    struct guest_info info;
    struct secret *keys[IDENTITY_KEYS];
    struct kms_chain chains[IDENTITY_KEYS];
    struct attest_identity identity;
    bool identity_known;
};

/* One attestor_derive_key or attestor_read_quote under way. */
struct derivation {
    struct dstack *dstack;
    struct http_exchange *exchange;
    char path[PATH_SIZE];
    attest_key_fn done; /* one of the two */
    attest_quote_fn quote_done;
    void *user;
    struct derivation *next;
};

static void write_path(enum attest_key key, uint64_t generation, char out[PATH_SIZE])
{
    const bool has_suffix =
        key_table[key].has_generations && (generation || key_table[key].generation_0_has_suffix);
    if (has_suffix)
        snprintf(out, PATH_SIZE, "%s/%" PRIu64, key_table[key].path, generation);
    else
        snprintf(out, PATH_SIZE, "%s", key_table[key].path);
}

static struct http_exchange *ask(struct dstack *dstack, const char *method, const char *body,
                                 bool answer_is_secret, http_done_fn done, void *user)
{
    char url[URL_SIZE];
    const char *const root = dstack->unix_socket ? "http://localhost" : dstack->endpoint;
    const size_t root_len = strlen(root);
    const bool has_slash = root[root_len - 1] == '/';
    if (snprintf(url, sizeof(url), "%s%s%s", root, has_slash ? "" : "/", method) >= (int)sizeof(url))
        return NULL;
    const struct http_request request = {
        .url = url,
        .unix_socket = dstack->unix_socket,
        .body = body,
        .body_len = strlen(body),
        .timeout_ms = TIMEOUT_MS,
        .answer_max = answer_is_secret ? KEY_ANSWER_MAX : INFO_ANSWER_MAX,
        .answer_is_secret = answer_is_secret,
    };
    return http_client_start(dstack->http, &request, done, user);
}

static struct http_exchange *ask_key(struct dstack *dstack, const char *path, const char *purpose,
                                     http_done_fn done, void *user)
{
    char body[256];
    snprintf(body, sizeof(body), "{\"path\":\"%s\",\"purpose\":\"%s\"}", path, purpose);
    return ask(dstack, "GetKey", body, true, done, user);
}

/* 0, or why the answer can not even be parsed. */
static int check_answer(const struct http_answer *answer, struct am_err *err)
{
    if (answer->code)
        return am_fail(err, answer->code,
                       "%s; check DSTACK_ENDPOINT and that the guest agent's socket is mounted",
                       answer->error);
    if (answer->status < 200 || answer->status > 299)
        return am_fail(err, AM_EREMOTE, "it answers with HTTP status %ld", answer->status);
    return 0;
}

static void add_context(const struct dstack *dstack, const char *what, struct am_err *err)
{
    am_fail_context(err, "guest agent %s: %s", dstack->name, what);
}

/* ---- One key ---- */

static void derivation_unlink(struct derivation *derivation)
{
    struct derivation **at = &derivation->dstack->derivations;
    while (*at != derivation)
        at = &(*at)->next;
    *at = derivation->next;
}

static void derivation_done(void *user, const struct http_answer *answer)
{
    struct derivation *derivation = user;
    const attest_key_fn done = derivation->done;
    void *const done_user = derivation->user;
    struct guest_key key = {0};
    struct am_err err = {0};
    char what[WHAT_SIZE];
    int code = check_answer(answer, &err);
    if (code == 0)
        code = guest_answer_parse_key(answer->body, answer->body_len, &key, &err);
    if (code == -ENOMEM)
        am_fail(&err, code, "out of memory");
    snprintf(what, sizeof(what), "GetKey %s", derivation->path);
    if (code)
        add_context(derivation->dstack, what, &err);
    derivation_unlink(derivation);
    free(derivation);
    done(done_user, key.key, code ? &err : NULL);
}

static int dstack_derive_key(struct attestor *attestor, enum attest_key key, uint64_t generation,
                             attest_key_fn done, void *user)
{
    struct dstack *dstack = (struct dstack *)attestor;
    struct derivation *derivation = calloc(1, sizeof(*derivation));
    if (!derivation)
        return -ENOMEM;
    *derivation =
        (struct derivation){.dstack = dstack, .done = done, .user = user, .next = dstack->derivations};
    write_path(key, generation, derivation->path);
    derivation->exchange =
        ask_key(dstack, derivation->path, key_table[key].purpose, derivation_done, derivation);
    if (!derivation->exchange) {
        free(derivation);
        return -ENOMEM;
    }
    dstack->derivations = derivation;
    return 0;
}

/* ---- A quote ---- */

static void quote_done(void *user, const struct http_answer *answer)
{
    struct derivation *derivation = user;
    const attest_quote_fn done = derivation->quote_done;
    void *const done_user = derivation->user;
    struct am_err err = {0};
    uint8_t *quote = NULL;
    size_t quote_len = 0;
    int code = check_answer(answer, &err);
    if (code == 0)
        code = guest_answer_parse_quote(answer->body, answer->body_len, &quote, &quote_len, &err);
    if (code)
        add_context(derivation->dstack, "GetQuote", &err);
    derivation_unlink(derivation);
    free(derivation);
    done(done_user, quote, quote_len, code ? &err : NULL);
    free(quote);
}

static int dstack_read_quote(struct attestor *attestor, const uint8_t report_data[ATTEST_REPORT_DATA_SIZE],
                             attest_quote_fn done, void *user)
{
    struct dstack *dstack = (struct dstack *)attestor;
    char digits[2 * ATTEST_REPORT_DATA_SIZE + 1], body[192];
    struct derivation *derivation = calloc(1, sizeof(*derivation));
    if (!derivation)
        return -ENOMEM;
    *derivation =
        (struct derivation){.dstack = dstack, .quote_done = done, .user = user, .next = dstack->derivations};
    hex_encode(report_data, ATTEST_REPORT_DATA_SIZE, digits);
    snprintf(body, sizeof(body), "{\"report_data\":\"%s\"}", digits);
    derivation->exchange = ask(dstack, "GetQuote", body, false, quote_done, derivation);
    if (!derivation->exchange) {
        free(derivation);
        return -ENOMEM;
    }
    dstack->derivations = derivation;
    return 0;
}

/* ---- The identity ---- */

static void forget_identity(struct dstack *dstack)
{
    http_exchange_cancel(dstack->exchange);
    dstack->exchange = NULL;
    dstack->keys_read = 0;
    dstack->identity_known = false;
    for (size_t i = 0; i < IDENTITY_KEYS; i++) {
        secret_free(dstack->keys[i]);
        dstack->keys[i] = NULL;
    }
}

static void log_identity(const struct dstack *dstack)
{
    const struct guest_info *info = &dstack->info;
    const struct kms_chain *chain = &dstack->chains[SEED];
    log_info("attest.identity", log_text("module", "dstack"), log_bytes("app_id", info->app_id.b, 20),
             log_bytes("compose_hash", info->compose_hash.b, 32),
             log_bytes("device_id", info->device_id.b, 32), log_bytes("instance_id", info->instance_id.b, 20),
             log_bytes("kms_root", chain->kms_root.b, 20),
             log_bytes("owner", dstack->identity.owner_address.b, 20));
}

/* All keys are there: do they come from one app under one root, and what are their public halves? */
static int complete_identity(struct dstack *dstack, struct am_err *err)
{
    for (size_t i = 1; i < IDENTITY_KEYS; i++) {
        if (!kms_chain_agrees(&dstack->chains[SEED], &dstack->chains[i]))
            return am_fail(
                err, AM_EMISMATCH,
                "field signature_chain: the keys %s and %s are not vouched for by the same app key and KMS",
                key_table[identity_keys[SEED]].path, key_table[identity_keys[i]].path);
    }
    struct attest_identity *identity = &dstack->identity;
    *identity = (struct attest_identity){
        .attestor_id = cluster_attestor_id_dstack(),
        .app_id = dstack->info.app_id,
        .seed = dstack->keys[SEED],
        .wireguard = dstack->keys[WIREGUARD],
        .owner = dstack->keys[OWNER],
    };
    sign_pubkey_of_seed(identity->seed, &identity->keys.ed25519);
    if (box_pubkey_of_secret(identity->seed, &identity->keys.x) ||
        box_pubkey_of_secret(identity->wireguard, &identity->keys.wg) ||
        secp_address_of_pubkey(&dstack->chains[OWNER].derived_pubkey, &identity->owner_address))
        return am_fail(err, AM_EFORMAT, "field key is not usable");
    dstack->identity_known = true;
    return 0;
}

static void end_reading(struct dstack *dstack, const struct am_err *err)
{
    if (err)
        forget_identity(dstack);
    else
        log_identity(dstack);
    dstack->done(dstack->user, err ? NULL : &dstack->identity, err);
}

static int take_info(struct dstack *dstack, const struct http_answer *answer, struct am_err *err)
{
    const int code = check_answer(answer, err);
    return code ? code : guest_answer_parse_info(answer->body, answer->body_len, &dstack->info, err);
}

static int take_key(struct dstack *dstack, const struct http_answer *answer, struct am_err *err)
{
    const size_t i = dstack->keys_read;
    struct guest_key key = {0};
    int code = check_answer(answer, err);
    if (code == 0)
        code = guest_answer_parse_key(answer->body, answer->body_len, &key, err);
    if (code)
        return code;
    dstack->keys[i] = key.key;
    dstack->keys_read++;
    return kms_chain_recover(key.key, key_table[identity_keys[i]].purpose, &dstack->info.app_id,
                             &key.app_signature, &key.kms_signature, &dstack->chains[i], err);
}

static void key_answered(void *user, const struct http_answer *answer);

/* Asks for the next key; when there is none left, completes. */
static int read_on(struct dstack *dstack, struct am_err *err)
{
    if (dstack->keys_read == IDENTITY_KEYS)
        return complete_identity(dstack, err);
    const enum attest_key key = identity_keys[dstack->keys_read];
    dstack->exchange = ask_key(dstack, key_table[key].path, key_table[key].purpose, key_answered, dstack);
    return dstack->exchange ? 0 : am_fail(err, -ENOMEM, "out of memory");
}

static void answered(struct dstack *dstack, const struct http_answer *answer,
                     int (*take)(struct dstack *, const struct http_answer *, struct am_err *),
                     const char *what)
{
    struct am_err err = {0};
    dstack->exchange = NULL;
    int code = take(dstack, answer, &err);
    if (code == -ENOMEM)
        am_fail(&err, code, "out of memory");
    if (code == 0)
        code = read_on(dstack, &err);
    if (code)
        add_context(dstack, what, &err);
    if (code || dstack->identity_known)
        end_reading(dstack, code ? &err : NULL);
}

static void key_answered(void *user, const struct http_answer *answer)
{
    struct dstack *dstack = user;
    char what[WHAT_SIZE];
    snprintf(what, sizeof(what), "GetKey %s", key_table[identity_keys[dstack->keys_read]].path);
    answered(dstack, answer, take_key, what);
}

static void info_answered(void *user, const struct http_answer *answer)
{
    answered(user, answer, take_info, "Info");
}

static int dstack_read_identity(struct attestor *attestor, attest_identity_fn done, void *user)
{
    struct dstack *dstack = (struct dstack *)attestor;
    forget_identity(dstack);
    dstack->done = done;
    dstack->user = user;
    dstack->exchange = ask(dstack, "Info", "{}", false, info_answered, dstack);
    return dstack->exchange ? 0 : -ENOMEM;
}

/* ---- Registration ---- */

static int dstack_build_registration(const struct attestor *attestor, const struct address *cluster,
                                     const struct address *member_contract, const struct cluster_keys *keys,
                                     struct abi_writer *calldata, struct am_err *err)
{
    const struct dstack *dstack = (const struct dstack *)attestor;
    if (!dstack->identity_known)
        return am_fail(err, -EAGAIN, "the identity is not known yet");
    const struct kms_chain *chain = &dstack->chains[OWNER];
    struct dstack_proof proof = {
        .message_hash = cluster_bind_hash(cluster, member_contract, keys),
        .app_signature = chain->app_signature,
        .kms_signature = chain->kms_signature,
        .derived_pubkey = chain->derived_pubkey,
        .app_pubkey = chain->app_pubkey,
    };
    memcpy(proof.code_id.b, dstack->info.app_id.b, sizeof(dstack->info.app_id.b));
    const struct bytes32 digest = secp_personal_digest(&proof.message_hash);
    const int code = secp_sign_digest(dstack->identity.owner, &digest, &proof.message_signature);
    if (code)
        return am_fail(err, code, "the binding key can not sign");
    cluster_put_dstack_register(calldata, &proof, member_contract, keys);
    return calldata->failed ? am_fail(err, -ENOMEM, "out of memory") : 0;
}

static void dstack_free(struct attestor *attestor)
{
    struct dstack *dstack = (struct dstack *)attestor;
    forget_identity(dstack);
    while (dstack->derivations) {
        struct derivation *derivation = dstack->derivations;
        dstack->derivations = derivation->next;
        http_exchange_cancel(derivation->exchange);
        free(derivation);
    }
    free(dstack->endpoint);
    free(dstack);
}

static const struct attestor_ops dstack_ops = {
    .name = "dstack",
    .read_identity = dstack_read_identity,
    .derive_key = dstack_derive_key,
    .read_quote = dstack_read_quote,
    .build_registration = dstack_build_registration,
    .free = dstack_free,
};

struct attestor *dstack_new(struct http_client *http, const char *endpoint)
{
    struct dstack *dstack = calloc(1, sizeof(*dstack));
    char *copy = strdup(endpoint);
    if (!dstack || !copy) {
        free(dstack);
        free(copy);
        return NULL;
    }
    dstack->base.ops = &dstack_ops;
    dstack->http = http;
    dstack->endpoint = copy;
    dstack->unix_socket = copy[0] == '/' ? copy : NULL;
    if (dstack->unix_socket || !http_url_origin(copy, dstack->name))
        snprintf(dstack->name, sizeof(dstack->name), "%s", dstack->unix_socket ? copy : "(URL)");
    return &dstack->base;
}
