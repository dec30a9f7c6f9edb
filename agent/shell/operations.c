#include "agent/shell/operations.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/log.h"
#include "agent/store.h"
#include "crypto/keccak.h"

#define PENDING_FILE "pending-operation"
#define HISTORY_FILE "operations"
#define CHECKSUM_SIZE 32
#define RECORD_MAX (HISTORY_BYTES_MAX > PENDING_BYTES_MAX ? HISTORY_BYTES_MAX : PENDING_BYTES_MAX)

/* One operation that somebody, or an earlier process, wants done. */
struct job {
    char purpose[PENDING_PURPOSE_MAX];
    uint8_t *call_data; /* NULL: there is no job */
    size_t call_data_len;
    struct bytes32 call;     /* keccak of the call data */
    operations_done_fn done; /* NULL: nobody waits */
    void *user;
};

struct operations {
    const char *folder; /* STATE_DIR, or NULL: nothing is kept */
    struct rpc *bundler;
    struct rpc *sponsor_rpcs[CONFIG_LIST_MAX]; /* NULL where the bundler is the sponsor */
    struct sponsor sponsors[CONFIG_LIST_MAX];
    struct operation_services services;
    struct address sender;
    struct secret *owner; /* a copy; NULL until the account is known */
    struct job current, next;
    struct job left; /* what `pending` is about */
    struct operation_pending pending;
    struct operation *running;
    struct history history;
    uint8_t file[CHECKSUM_SIZE + RECORD_MAX];
};

_Static_assert(CONFIG_LIST_MAX <= SPONSORS_MAX, "room for every configured sponsor");

static uint64_t unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- Jobs ---- */

static void job_clear(struct job *job)
{
    free(job->call_data);
    *job = (struct job){0};
}

static bool job_fill(struct job *job, const char *purpose, const uint8_t *call_data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    if (!copy)
        return false;
    if (len > 0)
        memcpy(copy, call_data, len);
    *job = (struct job){.call_data = copy, .call_data_len = len, .call = keccak256(call_data, len)};
    snprintf(job->purpose, sizeof(job->purpose), "%s", purpose);
    return true;
}

/* ---- Files: keccak of the record, then the record, which is in o->file behind the room for it ---- */

static void keep_record(struct operations *o, const char *file, size_t len)
{
    struct am_err err;
    const struct bytes32 sum = keccak256(o->file + CHECKSUM_SIZE, len);
    memcpy(o->file, sum.b, CHECKSUM_SIZE);
    if (store_write(o->folder, file, o->file, CHECKSUM_SIZE + len, &err))
        log_warn("operation.not_kept", log_text("file", file), log_text("reason", err.text));
}

/* Returns 0, -ENOENT, or why the file can not be used. */
static int load_record(struct operations *o, const char *file, size_t *len, struct am_err *err)
{
    if (!o->folder)
        return -ENOENT;
    const int code = store_read(o->folder, file, o->file, sizeof(o->file), len, err);
    if (code)
        return code;
    const bool long_enough = *len >= CHECKSUM_SIZE;
    *len = long_enough ? *len - CHECKSUM_SIZE : 0;
    const struct bytes32 sum = keccak256(o->file + CHECKSUM_SIZE, *len);
    if (!long_enough || memcmp(o->file, sum.b, CHECKSUM_SIZE) != 0)
        return am_fail(err, AM_EFORMAT, "the file is damaged");
    return 0;
}

static void set_aside(struct operations *o, const char *file, const struct am_err *err)
{
    log_warn("operation.record_unusable", log_text("file", file), log_text("reason", err->text));
    store_set_aside(o->folder, file);
}

/* ---- What is pending ---- */

static void keep_pending(struct operations *o, const struct job *job, const struct operation_pending *pending)
{
    struct pending_record record = {
        .chain_id = o->services.chain_id,
        .entry_point = o->services.entry_point,
        .sender = o->sender,
        .pending = *pending,
        .call_data = job->call_data,
        .call_data_len = job->call_data_len,
    };
    if (!o->folder)
        return;
    memcpy(record.purpose, job->purpose, sizeof(record.purpose));
    keep_record(o, PENDING_FILE, pending_encode(&record, o->file + CHECKSUM_SIZE));
}

static void forget_pending(struct operations *o)
{
    o->pending.hashes_len = 0;
    job_clear(&o->left);
    const int code = o->folder ? store_remove(o->folder, PENDING_FILE) : 0;
    if (code)
        log_warn("operation.not_forgotten", log_text("reason", am_error_name(code)));
}

/* What an earlier process left, if it is about this account. */
static void read_pending(struct operations *o)
{
    struct am_err err;
    struct pending_record record = {0};
    size_t len;
    int code = load_record(o, PENDING_FILE, &len, &err);
    if (code == -ENOENT)
        return;
    if (code == 0)
        code = pending_decode(o->file + CHECKSUM_SIZE, len, &record, &err);
    if (code == 0 && (record.chain_id != o->services.chain_id || !address_equal(&record.sender, &o->sender) ||
                      !address_equal(&record.entry_point, &o->services.entry_point))) {
        log_warn("operation.record_foreign", log_text("reason", "it is of another account or chain"));
        forget_pending(o);
    } else if (code) {
        set_aside(o, PENDING_FILE, &err);
    } else if (job_fill(&o->left, record.purpose, record.call_data, record.call_data_len)) {
        o->pending = record.pending;
    }
}

/* ---- The history: what can not be read is given up for a new one ---- */

static void keep_history(struct operations *o)
{
    if (o->folder)
        keep_record(o, HISTORY_FILE,
                    history_encode(&o->history, o->services.chain_id, &o->sender, o->file + CHECKSUM_SIZE));
}

static void read_history(struct operations *o)
{
    struct am_err err;
    size_t len;
    int code = load_record(o, HISTORY_FILE, &len, &err);
    if (code == -ENOENT)
        return;
    if (code == 0)
        code =
            history_decode(o->file + CHECKSUM_SIZE, len, o->services.chain_id, &o->sender, &o->history, &err);
    if (code)
        set_aside(o, HISTORY_FILE, &err);
}

/* ---- Running ---- */

static void on_progress(void *user, enum operation_state state, const char *detail)
{
    const struct operations *o = user;
    log_info("operation.step", log_text("purpose", o->current.purpose),
             log_text("step", operation_state_name(state)), log_text("detail", detail));
}

static void on_sending(void *user, const struct operation_pending *pending)
{
    struct operations *o = user;
    keep_pending(o, &o->current, pending);
}

static void log_end(const struct job *job, const struct operation_result *result)
{
    if (result->code)
        log_warn("operation.failed", log_text("purpose", job->purpose), log_text("reason", result->error),
                 log_text("sponsor", result->sponsor), log_uint("retry_after_s", result->retry_after_s));
    else
        log_info("operation.included", log_text("purpose", job->purpose),
                 log_bytes("operation", result->hash.b, 32), log_bytes("transaction", result->tx_hash.b, 32),
                 log_uint("gas", result->gas_used), log_text("sponsor", result->sponsor),
                 log_uint("sends", result->sends));
}

/* Takes the job over when it could be begun. */
static bool run(struct operations *o, struct job *job, const struct operation_pending *pending);

/* What is pending goes first, for it has the nonce. */
static bool run_next(struct operations *o)
{
    if (!o->left.call_data)
        return run(o, &o->next, NULL);
    if (o->next.call_data && bytes32_equal(&o->left.call, &o->next.call)) {
        o->left.done = o->next.done;
        o->left.user = o->next.user;
        job_clear(&o->next);
    }
    return run(o, &o->left, &o->pending);
}

/* Ends the job that waits. */
static void refuse_next(struct operations *o, int code, const char *reason)
{
    const struct job job = o->next;
    struct am_err err;
    am_fail(&err, code, "the account's operation before this one: %s", reason);
    job_clear(&o->next);
    job.done(job.user, &(struct operation_result){.code = code, .error = err.text});
}

/* What was sent and not seen included stays on record, with whoever asks for the same call next. */
static void settle(struct operations *o, const struct operation_result *result)
{
    if (result->pending.hashes_len == 0) {
        forget_pending(o);
        job_clear(&o->current);
        return;
    }
    o->left = o->current;
    o->left.done = NULL;
    o->current = (struct job){0};
    o->pending = result->pending;
    keep_pending(o, &o->left, &o->pending);
}

static void on_done(void *user, const struct operation_result *result)
{
    struct operations *o = user;
    const operations_done_fn done = o->current.done;
    void *const done_user = o->current.user;
    o->running = NULL;
    history_end(&o->history, result, unix_ms());
    keep_history(o);
    log_end(&o->current, result);
    settle(o, result);
    if (done)
        done(done_user, result);
    if (!o->next.call_data || o->running)
        return;
    if (o->left.call_data && !bytes32_equal(&o->left.call, &o->next.call))
        refuse_next(o, result->code, result->error);
    else if (!run_next(o) && o->next.call_data)
        refuse_next(o, -ENOMEM, "out of memory");
}

static bool run(struct operations *o, struct job *job, const struct operation_pending *pending)
{
    static const struct operation_callbacks callbacks = {
        .progress = on_progress, .sending = on_sending, .done = on_done};
    const struct operation_request request = {
        .sender = o->sender,
        .call_data = job->call_data,
        .call_data_len = job->call_data_len,
        .owner = o->owner,
        .pending = pending,
    };
    o->current = *job; /* operation_start tells of its progress */
    o->running = operation_start(&o->services, &request, &callbacks, o);
    if (!o->running) {
        o->current = (struct job){0};
        return false;
    }
    *job = (struct job){0};
    history_begin(&o->history, o->current.purpose, &o->current.call, unix_ms());
    return true;
}

void operations_set_account(struct operations *o, const struct address *sender, const struct secret *owner)
{
    if (o->owner || !(o->owner = secret_new()))
        return;
    memcpy(o->owner->b, owner->b, sizeof(o->owner->b));
    o->sender = *sender;
    read_history(o);
    read_pending(o);
    if (o->left.call_data)
        run_next(o);
}

bool operations_start(struct operations *o, const char *purpose, const uint8_t *call_data,
                      size_t call_data_len, operations_done_fn done, void *user)
{
    struct job job;
    if (!o->owner || o->next.call_data || !job_fill(&job, purpose, call_data, call_data_len))
        return false;
    job.done = done;
    job.user = user;
    if (o->running && !o->current.done && bytes32_equal(&o->current.call, &job.call)) {
        o->current.done = done;
        o->current.user = user;
        job_clear(&job);
        return true;
    }
    o->next = job;
    if (o->running || run_next(o))
        return true;
    job_clear(&o->next);
    return false;
}

const struct history *operations_history(const struct operations *o)
{
    return &o->history;
}

/* ---- Life ---- */

static const struct {
    enum sponsor_kind kind;
    const char *name;
    bool at_bundler;
} kinds[] = {
    [CONFIG_SPONSOR_ERC7677] = {SPONSOR_ERC7677, "erc7677", false},
    [CONFIG_SPONSOR_ALCHEMY] = {SPONSOR_ALCHEMY, "alchemy", true},
    [CONFIG_SPONSOR_PIMLICO] = {SPONSOR_PIMLICO, "pimlico", true},
};

static bool open_sponsor(struct operations *o, size_t index, struct http_client *http,
                         const struct config_sponsor *config)
{
    struct sponsor *sponsor = &o->sponsors[index];
    char origin[HTTP_ORIGIN_SIZE] = "";
    const bool at_bundler = kinds[config->kind].at_bundler;
    *sponsor = (struct sponsor){.kind = kinds[config->kind].kind,
                                .rpc = o->bundler,
                                .policy = config->target,
                                .context_json = config->context_json};
    if (!at_bundler) {
        sponsor->rpc = o->sponsor_rpcs[index] = rpc_new(http, &config->target, 1);
        http_url_origin(config->target, origin);
    }
    snprintf(sponsor->name, sizeof(sponsor->name), "%s %.48s", kinds[config->kind].name,
             at_bundler ? config->target : origin);
    return sponsor->rpc;
}

static bool open_services(struct operations *o, const struct config *config, struct http_client *http)
{
    o->bundler = rpc_new(http, config->bundler_urls.items, config->bundler_urls.len);
    bool open = o->bundler;
    for (size_t i = 0; open && i < config->sponsors_len; i++)
        open = open_sponsor(o, i, http, &config->sponsors[i]);
    return open;
}

struct operations *operations_new(struct event_base *base, const struct config *config,
                                  struct http_client *http, struct rpc *node, struct am_err *err)
{
    struct operations *o = calloc(1, sizeof(*o));
    if (!o || !open_services(o, config, http)) {
        am_fail(err, -ENOMEM, "out of memory");
        operations_free(o);
        return NULL;
    }
    o->folder = config->state_dir;
    o->services = (struct operation_services){
        .base = base,
        .node = node,
        .bundler = o->bundler,
        .sponsors = o->sponsors,
        .sponsors_len = config->sponsors_len,
        .entry_point = config->entry_point,
        .chain_id = config->chain_id,
    };
    return o;
}

void operations_free(struct operations *o)
{
    if (!o)
        return;
    operation_cancel(o->running);
    job_clear(&o->current);
    job_clear(&o->next);
    job_clear(&o->left);
    for (size_t i = 0; i < CONFIG_LIST_MAX; i++)
        rpc_free(o->sponsor_rpcs[i]);
    rpc_free(o->bundler);
    secret_free(o->owner);
    free(o);
}
