/* Named blobs in STATE_DIR that outlive the agent: what was sent, what was learnt.
 *
 * A file holds its version, length and checksum beside the data. It is replaced as a whole or not at all, and
 * is on the disk when store_write returns. A file that can not be taken for what was written is set aside as
 * "<name>.corrupt" (the last one is kept), and counts as absent from then on. The data are stored as given:
 * what must stay secret is encrypted by the caller.
 */
#ifndef AGENT_STORE_H
#define AGENT_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"

#define STORE_BLOB_MAX 65536
#define STORE_NAME_MAX 32

struct store;

/* Opens `dir`, which is made (0700) when only its last folder is missing. NULL for `dir`: a store that keeps
 * nothing. Returns NULL with `err` set (AM_ECONFIG for a path that is no writable folder). */
struct store *store_new(const char *dir, struct am_err *err);

/* NULL is allowed. */
void store_free(struct store *store);

/* Replaces the blob `name` (lower-case letters, digits and '-'; at most STORE_NAME_MAX), mode 0600. `version`
 * is the caller's, of the data's format. Returns 0, -EINVAL (name, or longer than STORE_BLOB_MAX) or an
 * errno. */
int store_write(struct store *store, const char *name, uint32_t version, const uint8_t *data, size_t len,
                struct am_err *err);

/* Reads the blob into `out`. Returns 0; -ENOENT when there is none; AM_EFORMAT when it was set aside:
 * damaged, of another version, or longer than `capacity`; an errno. */
int store_read(struct store *store, const char *name, uint32_t version, uint8_t *out, size_t capacity,
               size_t *len, struct am_err *err);

/* Sets a blob aside whose data the caller finds wrong. */
void store_set_aside(struct store *store, const char *name);

/* Returns 0, also when there is none, or an errno. */
int store_remove(struct store *store, const char *name, struct am_err *err);

#endif
