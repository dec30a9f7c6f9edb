#include "agent/shell/vault.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/log.h"
#include "agent/shell/csk_cache.h"
#include "agent/store.h"
#include "crypto/box.h"
#include "crypto/keccak.h"

#define NAME_SIZE 32

struct vault {
    struct attestor *attestor;
    char *folder;
    vault_answer_fn answer;
    void *user;
    struct event *later; /* answers what could not even begin */
    bool load_failed, derive_failed;
    struct core_identity identity;
    struct secret *wrap;     /* of the cache, once it was asked for */
    struct core_csk loading; /* what vault_load looks for */
    uint64_t deriving;       /* the generation that vault_derive asks for */
    struct secret *candidate;
    struct core_csk candidate_csk;
    struct secret *keys[VAULT_KEYS]; /* published, the newest first */
    struct core_csk csks[VAULT_KEYS];
};

/* ---- Answers ---- */

static void answer_failure(struct vault *vault, enum core_csk_step step, const char *text)
{
    vault->answer(vault->user, &(struct core_event){.type = CORE_EVENT_CSK_FAILED,
                                                    .csk_failure = {.what = step, .text = text}});
}

static void on_later(evutil_socket_t fd, short what, void *user)
{
    struct vault *vault = user;
    (void)fd, (void)what;
    if (vault->load_failed) {
        vault->load_failed = false;
        answer_failure(vault, CORE_CSK_LOAD, "");
    }
    if (vault->derive_failed) {
        vault->derive_failed = false;
        answer_failure(vault, CORE_CSK_DERIVE, "out of memory");
    }
}

static void answer_later(struct vault *vault, bool *flag)
{
    *flag = true;
    event_active(vault->later, EV_TIMEOUT, 0);
}

/* Takes `key` over as the candidate. */
static void set_candidate(struct vault *vault, struct secret *key, uint64_t generation)
{
    secret_free(vault->candidate);
    vault->candidate = key;
    vault->candidate_csk =
        (struct core_csk){.generation = generation, .commitment = keccak256(key->b, sizeof(key->b))};
}

static void answer_candidate(struct vault *vault, enum core_event_type type)
{
    vault->answer(vault->user, &(struct core_event){.type = type, .csk = vault->candidate_csk});
}

/* ---- Cache ---- */

static void write_name(uint64_t generation, char out[NAME_SIZE])
{
    snprintf(out, NAME_SIZE, "csk-%" PRIu64, generation);
}

static struct csk_cache_label label_of(const struct vault *vault, const struct core_csk *csk)
{
    return (struct csk_cache_label){.cluster = vault->identity.cluster,
                                    .member_id = vault->identity.member_id,
                                    .generation = csk->generation,
                                    .commitment = csk->commitment};
}

/* The cached key; NULL when there is none, or none that can be used: then the file is set aside. */
static struct secret *read_cache(const struct vault *vault, const struct core_csk *csk)
{
    const struct csk_cache_label label = label_of(vault, csk);
    uint8_t data[CSK_CACHE_SIZE];
    char name[NAME_SIZE];
    size_t len = 0;
    struct am_err err;
    write_name(csk->generation, name);
    int code = store_read(vault->folder, name, data, sizeof(data), &len, &err);
    if (code == -ENOENT)
        return NULL;
    struct secret *key = secret_new();
    if (code == 0)
        code = key ? csk_cache_parse(vault->wrap, &label, data, len, key) : -ENOMEM;
    if (code == 0)
        return key;
    secret_free(key);
    log_warn("csk.cache_rejected", log_uint("generation", csk->generation),
             log_text("reason", am_error_name(code)));
    if (code != -ENOMEM)
        store_set_aside(vault->folder, name);
    return NULL;
}

static void write_cache(struct vault *vault)
{
    const struct csk_cache_label label = label_of(vault, &vault->csks[0]);
    uint8_t data[CSK_CACHE_SIZE];
    char name[NAME_SIZE];
    struct am_err err;
    csk_cache_build(vault->wrap, &label, vault->keys[0], data);
    write_name(label.generation, name);
    if (store_write(vault->folder, name, data, sizeof(data), &err) != 0)
        log_warn("csk.cache_failed", log_text("reason", err.text));
    if (label.generation >= VAULT_KEYS) {
        write_name(label.generation - VAULT_KEYS, name);
        store_remove(vault->folder, name);
    }
}

static void on_wrap_to_load(void *user, struct secret *key, const struct am_err *err)
{
    struct vault *vault = user;
    if (!key) {
        log_warn("csk.cache_failed", log_text("reason", err->text));
        answer_failure(vault, CORE_CSK_LOAD, "");
        return;
    }
    secret_free(vault->wrap);
    vault->wrap = key;
    struct secret *const cached = read_cache(vault, &vault->loading);
    if (!cached) {
        answer_failure(vault, CORE_CSK_LOAD, "");
        return;
    }
    set_candidate(vault, cached, vault->loading.generation);
    log_info("csk.loaded", log_uint("generation", vault->loading.generation));
    answer_candidate(vault, CORE_EVENT_CSK_LOADED);
}

void vault_load(struct vault *vault, const struct core_csk *csk)
{
    vault->loading = *csk;
    if (!vault->folder ||
        attestor_derive_key(vault->attestor, ATTEST_KEY_CSK_CACHE, 0, on_wrap_to_load, vault) != 0)
        answer_later(vault, &vault->load_failed);
}

static void on_wrap_to_write(void *user, struct secret *key, const struct am_err *err)
{
    struct vault *vault = user;
    if (!key) {
        log_warn("csk.cache_failed", log_text("reason", err->text));
        return;
    }
    secret_free(vault->wrap);
    vault->wrap = key;
    write_cache(vault);
}

/* ---- Keys ---- */

static void on_derived(void *user, struct secret *key, const struct am_err *err)
{
    struct vault *vault = user;
    if (!key) {
        log_warn("csk.derive_failed", log_text("reason", err->text));
        answer_failure(vault, CORE_CSK_DERIVE, err->text);
        return;
    }
    set_candidate(vault, key, vault->deriving);
    log_info("csk.derived", log_uint("generation", vault->deriving),
             log_bytes("commitment", vault->candidate_csk.commitment.b, 32));
    answer_candidate(vault, CORE_EVENT_CSK_DERIVED);
}

void vault_derive(struct vault *vault, uint64_t generation)
{
    vault->deriving = generation;
    if (attestor_derive_key(vault->attestor, ATTEST_KEY_CLUSTER_SHARED, generation, on_derived, vault) != 0)
        answer_later(vault, &vault->derive_failed);
}

int vault_open(struct vault *vault, const struct secret *seed, const struct core_csk *csk,
               const uint8_t *sealed, size_t len)
{
    struct secret *key = len == SECRET_SIZE + BOX_SEAL_OVERHEAD ? secret_new() : NULL;
    if (!key)
        return -ENOMEM;
    const int code = box_open(seed, sealed, len, key->b);
    const struct bytes32 hash = keccak256(key->b, sizeof(key->b));
    if (code != 0 || !bytes32_equal(&hash, &csk->commitment)) {
        secret_free(key);
        return code != 0 ? code : AM_EMISMATCH;
    }
    set_candidate(vault, key, csk->generation);
    return 0;
}

void vault_publish(struct vault *vault, const struct core_csk *csk)
{
    if (!vault->candidate || vault->candidate_csk.generation != csk->generation ||
        !bytes32_equal(&vault->candidate_csk.commitment, &csk->commitment)) {
        log_error("csk.lost", log_uint("generation", csk->generation));
        return;
    }
    if (!vault->keys[0] || vault->csks[0].generation != csk->generation) {
        secret_free(vault->keys[VAULT_KEYS - 1]);
        for (size_t i = VAULT_KEYS - 1; i > 0; i--) {
            vault->keys[i] = vault->keys[i - 1];
            vault->csks[i] = vault->csks[i - 1];
        }
    } else {
        secret_free(vault->keys[0]);
    }
    vault->keys[0] = vault->candidate;
    vault->csks[0] = vault->candidate_csk;
    vault->candidate = NULL;
    if (vault->folder && vault->wrap)
        write_cache(vault);
    else if (vault->folder &&
             attestor_derive_key(vault->attestor, ATTEST_KEY_CSK_CACHE, 0, on_wrap_to_write, vault) != 0)
        log_warn("csk.cache_failed", log_text("reason", "out of memory"));
}

const struct secret *vault_key(const struct vault *vault, uint64_t generation)
{
    for (size_t i = 0; i < VAULT_KEYS; i++)
        if (vault->keys[i] && vault->csks[i].generation == generation)
            return vault->keys[i];
    return NULL;
}

/* ---- Life ---- */

void vault_set_identity(struct vault *vault, const struct core_identity *identity)
{
    vault->identity = *identity;
}

struct vault *vault_new(struct event_base *base, struct attestor *attestor, const char *folder,
                        vault_answer_fn answer, void *user)
{
    struct vault *vault = calloc(1, sizeof(*vault));
    if (!vault)
        return NULL;
    vault->attestor = attestor;
    vault->answer = answer;
    vault->user = user;
    vault->folder = folder ? strdup(folder) : NULL;
    vault->later = evtimer_new(base, on_later, vault);
    if (vault->later && (vault->folder || !folder))
        return vault;
    vault_free(vault);
    return NULL;
}

void vault_free(struct vault *vault)
{
    if (!vault)
        return;
    for (size_t i = 0; i < VAULT_KEYS; i++)
        secret_free(vault->keys[i]);
    secret_free(vault->candidate);
    secret_free(vault->wrap);
    if (vault->later)
        event_free(vault->later);
    free(vault->folder);
    free(vault);
}
