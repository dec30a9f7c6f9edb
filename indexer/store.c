#include "indexer/store.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_MS 5000

/* Blobs are compared bytewise; numbers are below 2^63. Kinds 1, 2 and 4 make and end memberships. */
static const char schema[] =
    "CREATE TABLE IF NOT EXISTS identity (chain_id INTEGER, key BLOB, sources BLOB);"
    "CREATE TABLE IF NOT EXISTS blocks (number INTEGER PRIMARY KEY, hash BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS clusters (address BLOB PRIMARY KEY, block INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS logs (cluster BLOB NOT NULL, block INTEGER NOT NULL, log_index INTEGER NOT "
    "NULL,"
    " block_hash BLOB NOT NULL, kind INTEGER NOT NULL, subject BLOB NOT NULL, key BLOB NOT NULL,"
    " frame BLOB NOT NULL, PRIMARY KEY (cluster, block, log_index)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS logs_of_block ON logs (block);"
    "CREATE INDEX IF NOT EXISTS logs_of_member ON logs (cluster, subject, block, log_index)"
    " WHERE kind IN (1, 2, 4);";

static const char wipe[] =
    "DELETE FROM identity; DELETE FROM blocks; DELETE FROM clusters; DELETE FROM logs;";

enum statement {
    PUT_BLOCK,
    PUT_CLUSTER,
    PUT_LOG,
    PRUNE_BLOCKS,
    TIP,
    TIP_BEFORE,
    LOST_LOGS,
    DROP_BLOCK,
    DROP_CLUSTERS,
    DROP_LOGS,
    LOG_HASH,
    BLOCK_HASH,
    OLDEST_BLOCK,
    CLUSTERS,
    MEMBER,
    LOGS,
    MEMBERSHIPS,
    RECENT_LOGS,
    STATEMENTS
};

static const char *const texts[STATEMENTS] = {
    [PUT_BLOCK] = "INSERT OR REPLACE INTO blocks VALUES (?1, ?2)",
    [PUT_CLUSTER] = "INSERT OR REPLACE INTO clusters VALUES (?1, ?2)",
    [PUT_LOG] = "INSERT OR REPLACE INTO logs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [PRUNE_BLOCKS] = "DELETE FROM blocks WHERE number <= (SELECT number FROM blocks ORDER BY number DESC"
                     " LIMIT 1 OFFSET ?1)",
    [TIP] = "SELECT number, hash FROM blocks ORDER BY number DESC LIMIT 1",
    [TIP_BEFORE] = "SELECT number, hash FROM blocks ORDER BY number DESC LIMIT 1 OFFSET 1",
    [LOST_LOGS] = "SELECT DISTINCT cluster, block, block_hash FROM logs WHERE block > ?1 ORDER BY block DESC",
    [DROP_BLOCK] = "DELETE FROM blocks WHERE number > ?1",
    [DROP_CLUSTERS] = "DELETE FROM clusters WHERE block > ?1",
    [DROP_LOGS] = "DELETE FROM logs WHERE block > ?1",
    [LOG_HASH] = "SELECT block_hash FROM logs WHERE cluster = ?1 AND block = ?2 AND log_index = ?3",
    [BLOCK_HASH] = "SELECT hash FROM blocks WHERE number = ?1",
    [OLDEST_BLOCK] = "SELECT min(number) FROM blocks",
    [CLUSTERS] = "SELECT address, block FROM clusters ORDER BY block",
    /* Named, since SQLite would rather read the whole cluster in order. */
    [MEMBER] = "SELECT kind, block, key FROM logs INDEXED BY logs_of_member"
               " WHERE cluster = ?1 AND subject = ?2 AND kind IN (1, 2, 4) ORDER BY block, log_index",
    [LOGS] = "SELECT block, log_index, block_hash, kind, subject, frame FROM logs WHERE cluster = ?1"
             " AND (block, log_index) > (?2, ?3) AND (kind <> 7 OR subject = ?4) ORDER BY block, log_index",
    [MEMBERSHIPS] = "SELECT block, log_index, block_hash, kind, subject, frame FROM logs WHERE cluster = ?1"
                    " AND kind IN (1, 2, 3, 4) ORDER BY block, log_index",
    [RECENT_LOGS] = "SELECT block, log_index, block_hash, kind, subject, frame FROM logs WHERE cluster = ?1"
                    " ORDER BY block DESC, log_index DESC",
};

struct store {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    uint64_t logs;
};

static int store_fail(struct store *store, const char *doing, struct am_err *err)
{
    const int code = sqlite3_errcode(store->db) == SQLITE_CORRUPT ? AM_EFORMAT : -EIO;
    return am_fail(err, code, "store: %s: %s", doing, sqlite3_errmsg(store->db));
}

static sqlite3_stmt *begin(struct store *store, enum statement which)
{
    sqlite3_reset(store->statements[which]);
    return store->statements[which];
}

static void bind_u64(sqlite3_stmt *statement, int place, uint64_t value)
{
    sqlite3_bind_int64(statement, place, (sqlite3_int64)value);
}

static void bind_bytes(sqlite3_stmt *statement, int place, const void *data, size_t len)
{
    sqlite3_bind_blob64(statement, place, data, len, SQLITE_STATIC);
}

static void take_bytes(sqlite3_stmt *statement, int column, void *out, size_t len)
{
    const void *const data = sqlite3_column_blob(statement, column);
    memset(out, 0, len);
    if (data && (size_t)sqlite3_column_bytes(statement, column) == len)
        memcpy(out, data, len);
}

static uint64_t take_u64(sqlite3_stmt *statement, int column)
{
    return (uint64_t)sqlite3_column_int64(statement, column);
}

/* Runs a statement that gives no rows. */
static int run(struct store *store, sqlite3_stmt *statement, const char *doing, struct am_err *err)
{
    const int result = sqlite3_step(statement);
    sqlite3_reset(statement);
    return result == SQLITE_DONE ? 0 : store_fail(store, doing, err);
}

static int execute(struct store *store, const char *text, const char *doing, struct am_err *err)
{
    return sqlite3_exec(store->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : store_fail(store, doing, err);
}

/* ---- Opening ---- */

static int check_identity(struct store *store, const struct store_identity *identity, bool *fresh,
                          struct am_err *err)
{
    sqlite3_stmt *statement;
    struct store_identity found = {0};
    *fresh = true;
    if (sqlite3_prepare_v2(store->db, "SELECT chain_id, key, sources FROM identity", -1, &statement, NULL))
        return store_fail(store, "reading the identity", err);
    if (sqlite3_step(statement) == SQLITE_ROW) {
        found.chain_id = take_u64(statement, 0);
        take_bytes(statement, 1, found.key.b, sizeof(found.key.b));
        take_bytes(statement, 2, found.sources.b, sizeof(found.sources.b));
        *fresh = found.chain_id != identity->chain_id || !bytes32_equal(&found.key, &identity->key) ||
                 !bytes32_equal(&found.sources, &identity->sources);
    }
    sqlite3_finalize(statement);
    if (!*fresh)
        return 0;
    if (execute(store, wipe, "emptying", err) ||
        sqlite3_prepare_v2(store->db, "INSERT INTO identity VALUES (?1, ?2, ?3)", -1, &statement, NULL))
        return store_fail(store, "writing the identity", err);
    bind_u64(statement, 1, identity->chain_id);
    bind_bytes(statement, 2, identity->key.b, sizeof(identity->key.b));
    bind_bytes(statement, 3, identity->sources.b, sizeof(identity->sources.b));
    const int code = run(store, statement, "writing the identity", err);
    sqlite3_finalize(statement);
    return code;
}

static int prepare(struct store *store, struct am_err *err)
{
    for (size_t i = 0; i < STATEMENTS; i++) {
        if (sqlite3_prepare_v3(store->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &store->statements[i],
                               NULL) != SQLITE_OK)
            return store_fail(store, "preparing", err);
    }
    return 0;
}

static void count_logs(struct store *store)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(store->db, "SELECT count(*) FROM logs", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        store->logs = take_u64(statement, 0);
    sqlite3_finalize(statement);
}

int store_open(const char *path, const struct store_identity *identity, struct store **out, bool *fresh,
               struct am_err *err)
{
    struct store *store = calloc(1, sizeof(*store));
    if (!store)
        return am_fail(err, -ENOMEM, "store: out of memory");
    int code = sqlite3_open(path, &store->db) == SQLITE_OK ? 0 : store_fail(store, path, err);
    if (code == 0) {
        sqlite3_busy_timeout(store->db, BUSY_MS);
        code = execute(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;", path, err);
    }
    if (code == 0)
        code = execute(store, schema, "making the tables", err);
    if (code == 0)
        code = check_identity(store, identity, fresh, err);
    if (code == 0)
        code = prepare(store, err);
    if (code) {
        store_close(store);
        return code;
    }
    count_logs(store);
    *out = store;
    return 0;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    for (size_t i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(store->statements[i]);
    sqlite3_close(store->db);
    free(store);
}

/* ---- Writing ---- */

static int put_log(struct store *store, const struct store_log *log, struct am_err *err)
{
    sqlite3_stmt *const put = begin(store, PUT_LOG);
    bind_bytes(put, 1, log->cluster.b, sizeof(log->cluster.b));
    bind_u64(put, 2, log->at.block);
    bind_u64(put, 3, log->at.log_index);
    bind_bytes(put, 4, log->at.block_hash.b, sizeof(log->at.block_hash.b));
    bind_u64(put, 5, log->kind);
    bind_bytes(put, 6, log->subject.b, sizeof(log->subject.b));
    bind_bytes(put, 7, log->key.b, sizeof(log->key.b));
    bind_bytes(put, 8, log->frame, log->frame_len);
    return run(store, put, "writing a log", err);
}

static int put_cluster(struct store *store, const struct store_cluster *cluster, struct am_err *err)
{
    sqlite3_stmt *const put = begin(store, PUT_CLUSTER);
    bind_bytes(put, 1, cluster->address.b, sizeof(cluster->address.b));
    bind_u64(put, 2, cluster->block);
    return run(store, put, "writing a cluster", err);
}

static int put_tip(struct store *store, const struct store_tip *tip, struct am_err *err)
{
    sqlite3_stmt *const put = begin(store, PUT_BLOCK), *const prune = begin(store, PRUNE_BLOCKS);
    bind_u64(put, 1, tip->number);
    bind_bytes(put, 2, tip->hash.b, sizeof(tip->hash.b));
    bind_u64(prune, 1, STORE_BLOCKS_MAX);
    const int code = run(store, put, "writing a block", err);
    return code ? code : run(store, prune, "forgetting a block", err);
}

/* Ends the transaction the way `code` says. */
static int end(struct store *store, int code, struct am_err *err)
{
    if (code == 0)
        code = execute(store, "COMMIT", "committing", err);
    if (code)
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return code;
}

int store_append(struct store *store, const struct store_tip *tip, const struct store_cluster *clusters,
                 size_t clusters_len, const struct store_log *logs, size_t logs_len, struct am_err *err)
{
    int code = execute(store, "BEGIN IMMEDIATE", "beginning", err);
    if (code)
        return code;
    for (size_t i = 0; code == 0 && i < clusters_len; i++)
        code = put_cluster(store, &clusters[i], err);
    for (size_t i = 0; code == 0 && i < logs_len; i++)
        code = put_log(store, &logs[i], err);
    if (code == 0)
        code = put_tip(store, tip, err);
    code = end(store, code, err);
    if (code == 0)
        store->logs += logs_len;
    return code;
}

static int take_tip(struct store *store, enum statement which, struct store_tip *tip, bool *has_tip,
                    struct am_err *err)
{
    sqlite3_stmt *const read = begin(store, which);
    const int result = sqlite3_step(read);
    *has_tip = result == SQLITE_ROW;
    *tip = (struct store_tip){0};
    if (*has_tip) {
        tip->number = take_u64(read, 0);
        take_bytes(read, 1, tip->hash.b, sizeof(tip->hash.b));
    }
    sqlite3_reset(read);
    return result == SQLITE_ROW || result == SQLITE_DONE ? 0 : store_fail(store, "reading the tip", err);
}

int store_read_tip(struct store *store, struct store_tip *tip, bool *has_tip, struct am_err *err)
{
    return take_tip(store, TIP, tip, has_tip, err);
}

static int tell_lost(struct store *store, sqlite3_int64 above, store_block_fn each, void *user,
                     struct am_err *err)
{
    sqlite3_stmt *const lost = begin(store, LOST_LOGS);
    int result;
    sqlite3_bind_int64(lost, 1, above);
    while ((result = sqlite3_step(lost)) == SQLITE_ROW) {
        struct address cluster;
        struct wire_cursor block = {.block = take_u64(lost, 1)};
        take_bytes(lost, 0, cluster.b, sizeof(cluster.b));
        take_bytes(lost, 2, block.block_hash.b, sizeof(block.block_hash.b));
        each(user, &cluster, &block);
    }
    sqlite3_reset(lost);
    return result == SQLITE_DONE ? 0 : store_fail(store, "reading what is undone", err);
}

int store_retract(struct store *store, store_block_fn each, void *user, struct store_tip *tip, bool *has_tip,
                  struct am_err *err)
{
    static const enum statement drops[] = {DROP_LOGS, DROP_CLUSTERS, DROP_BLOCK};
    int code = take_tip(store, TIP_BEFORE, tip, has_tip, err);
    const sqlite3_int64 above = *has_tip ? (sqlite3_int64)tip->number : -1;
    if (code == 0)
        code = tell_lost(store, above, each, user, err);
    if (code == 0)
        code = execute(store, "BEGIN IMMEDIATE", "beginning", err);
    if (code)
        return code;
    uint64_t dropped = 0;
    for (size_t i = 0; code == 0 && i < sizeof(drops) / sizeof(drops[0]); i++) {
        sqlite3_stmt *const drop = begin(store, drops[i]);
        sqlite3_bind_int64(drop, 1, above);
        code = run(store, drop, "undoing", err);
        if (drops[i] == DROP_LOGS)
            dropped = (uint64_t)sqlite3_changes64(store->db);
    }
    code = end(store, code, err);
    if (code == 0)
        store->logs -= dropped;
    return code;
}

/* ---- Reading ---- */

static bool read_hash(sqlite3_stmt *read, struct bytes32 *hash)
{
    const bool found = sqlite3_step(read) == SQLITE_ROW;
    if (found)
        take_bytes(read, 0, hash->b, sizeof(hash->b));
    sqlite3_reset(read);
    return found;
}

bool store_knows(struct store *store, const struct address *cluster, const struct wire_cursor *cursor)
{
    sqlite3_stmt *const of_log = begin(store, LOG_HASH), *const of_block = begin(store, BLOCK_HASH);
    sqlite3_stmt *const oldest = begin(store, OLDEST_BLOCK);
    struct bytes32 hash;
    bind_bytes(of_log, 1, cluster->b, sizeof(cluster->b));
    bind_u64(of_log, 2, cursor->block);
    bind_u64(of_log, 3, cursor->log_index);
    bind_u64(of_block, 1, cursor->block);
    if (read_hash(of_log, &hash) || read_hash(of_block, &hash))
        return bytes32_equal(&hash, &cursor->block_hash);
    const bool is_old = sqlite3_step(oldest) == SQLITE_ROW && sqlite3_column_type(oldest, 0) != SQLITE_NULL &&
                        cursor->block < take_u64(oldest, 0);
    sqlite3_reset(oldest);
    return is_old;
}

int store_each_cluster(struct store *store, store_cluster_fn each, void *user, struct am_err *err)
{
    sqlite3_stmt *const read = begin(store, CLUSTERS);
    int result;
    while ((result = sqlite3_step(read)) == SQLITE_ROW) {
        struct store_cluster cluster = {.block = take_u64(read, 1)};
        take_bytes(read, 0, cluster.address.b, sizeof(cluster.address.b));
        each(user, &cluster);
    }
    sqlite3_reset(read);
    return result == SQLITE_DONE ? 0 : store_fail(store, "reading the clusters", err);
}

static void take_membership(sqlite3_stmt *read, struct store_member *out)
{
    switch ((indexer_EventKind)sqlite3_column_int(read, 0)) {
    case indexer_EventKind_EVENT_MEMBER_REGISTERED:
        out->registered = true;
        out->registered_block = take_u64(read, 1);
        break;
    case indexer_EventKind_EVENT_MEMBER_REMOVED: out->removed = true; return;
    default: break;
    }
    take_bytes(read, 2, out->key.b, sizeof(out->key.b));
}

int store_read_member(struct store *store, const struct address *cluster, const struct bytes32 *member_id,
                      struct store_member *out, struct am_err *err)
{
    sqlite3_stmt *const read = begin(store, MEMBER);
    int result;
    *out = (struct store_member){0};
    bind_bytes(read, 1, cluster->b, sizeof(cluster->b));
    bind_bytes(read, 2, member_id->b, sizeof(member_id->b));
    while ((result = sqlite3_step(read)) == SQLITE_ROW)
        take_membership(read, out);
    sqlite3_reset(read);
    return result == SQLITE_DONE ? 0 : store_fail(store, "reading a member", err);
}

/* Hands over the rows of a statement that is bound. */
static int each_row(struct store *store, sqlite3_stmt *read, const struct address *cluster, store_log_fn each,
                    void *user, struct am_err *err)
{
    int result;
    while ((result = sqlite3_step(read)) == SQLITE_ROW) {
        struct store_log log = {
            .cluster = *cluster,
            .at = {.block = take_u64(read, 0), .log_index = (uint32_t)take_u64(read, 1)},
            .kind = (indexer_EventKind)sqlite3_column_int(read, 3),
            .frame = sqlite3_column_blob(read, 5),
            .frame_len = (size_t)sqlite3_column_bytes(read, 5),
        };
        take_bytes(read, 2, log.at.block_hash.b, sizeof(log.at.block_hash.b));
        take_bytes(read, 4, log.subject.b, sizeof(log.subject.b));
        if (!each(user, &log))
            break;
    }
    sqlite3_reset(read);
    return result == SQLITE_DONE || result == SQLITE_ROW ? 0 : store_fail(store, "reading logs", err);
}

int store_each_log(struct store *store, const struct address *cluster, const struct bytes32 *member_id,
                   const struct wire_cursor *after, store_log_fn each, void *user, struct am_err *err)
{
    sqlite3_stmt *const read = begin(store, LOGS);
    bind_bytes(read, 1, cluster->b, sizeof(cluster->b));
    bind_u64(read, 2, after->block);
    bind_u64(read, 3, after->log_index);
    bind_bytes(read, 4, member_id->b, sizeof(member_id->b));
    return each_row(store, read, cluster, each, user, err);
}

int store_each_membership(struct store *store, const struct address *cluster, store_log_fn each, void *user,
                          struct am_err *err)
{
    sqlite3_stmt *const read = begin(store, MEMBERSHIPS);
    bind_bytes(read, 1, cluster->b, sizeof(cluster->b));
    return each_row(store, read, cluster, each, user, err);
}

int store_each_recent_log(struct store *store, const struct address *cluster, store_log_fn each, void *user,
                          struct am_err *err)
{
    sqlite3_stmt *const read = begin(store, RECENT_LOGS);
    bind_bytes(read, 1, cluster->b, sizeof(cluster->b));
    return each_row(store, read, cluster, each, user, err);
}

uint64_t store_log_count(const struct store *store)
{
    return store->logs;
}
