/* Small files that must be whole or absent: the node's durable state, which is only ever a cache. */
#ifndef AGENT_STORE_H
#define AGENT_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"

#define STORE_PATH_MAX 4096

/* Writes `folder`/`name` with mode 0600, atomically and through to the disk; makes the folder (0700) when it
 * is missing. Returns 0 or an errno with a sentence; then the file is as it was. */
int store_write(const char *folder, const char *name, const uint8_t *data, size_t len, struct am_err *err);

/* Reads a whole file of at most `capacity` bytes. Returns 0 with its length, -ENOENT, -EFBIG when it is
 * longer, or an errno, with a sentence. */
int store_read(const char *folder, const char *name, uint8_t *data, size_t capacity, size_t *len,
               struct am_err *err);

/* Renames a file that can not be used to `name`.corrupt, in place of an earlier one. Returns 0 or an errno.
 */
int store_set_aside(const char *folder, const char *name);

/* Removes a file, if it is there. Returns 0 or an errno. */
int store_remove(const char *folder, const char *name);

#endif
