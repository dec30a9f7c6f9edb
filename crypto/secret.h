/* Memory for keys: locked, guarded, not dumped, wiped when freed (libsodium's sodium_malloc).
 *
 * A secret is created by the function that obtains it and owned by one holder, who frees it. It is passed by
 * pointer and never copied to the stack, logged, printed or put into argv or the environment.
 */
#ifndef CRYPTO_SECRET_H
#define CRYPTO_SECRET_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"

#define SECRET_SIZE 32

struct secret {
    uint8_t b[SECRET_SIZE];
};

#define SECRET_LOCKED_MAX 1048576 /* bytes that a program of ours may want to lock */

/* Starts the cryptographic library, forbids core dumps of this process (RLIMIT_CORE 0, PR_SET_DUMPABLE 0),
 * and raises RLIMIT_MEMLOCK to SECRET_LOCKED_MAX where it may. Call once, before anything else of crypto/.
 * Returns 0 or a negative errno. */
int secret_init(void);

/* RLIMIT_MEMLOCK: below SECRET_LOCKED_MAX, some secrets may end up in swapped memory. */
uint64_t secret_lock_limit(void);

/* Zeroed 32 bytes of locked memory (locked as far as RLIMIT_MEMLOCK goes); NULL when memory can not be had.
 */
struct secret *secret_new(void);

/* Wipes and frees; NULL is allowed. */
void secret_free(struct secret *secret);

/* The same for a length of the caller's choice (an HTTP answer that carries a key). */
void *secret_buffer_new(size_t len);
void secret_buffer_free(void *buffer);

/* Wipes memory in a way that the optimiser keeps. */
void secret_wipe(void *memory, size_t len);

void secret_release(struct secret **secret);
#define SECRET_AUTO __attribute__((cleanup(secret_release))) struct secret *

#endif
