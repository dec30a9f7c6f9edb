#include "crypto/secret.h"

#include <errno.h>
#include <sodium.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* As root the limit goes up; otherwise as far as whoever started us allows. */
static void raise_lock_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur >= SECRET_LOCKED_MAX)
        return;
    const struct rlimit wanted = {SECRET_LOCKED_MAX, SECRET_LOCKED_MAX};
    if (limit.rlim_max < SECRET_LOCKED_MAX && setrlimit(RLIMIT_MEMLOCK, &wanted) == 0)
        return;
    limit.rlim_cur = limit.rlim_max < SECRET_LOCKED_MAX ? limit.rlim_max : SECRET_LOCKED_MAX;
    setrlimit(RLIMIT_MEMLOCK, &limit);
}

int secret_init(void)
{
    static const struct rlimit no_core = {0, 0};
    if (sodium_init() < 0)
        return -EIO;
    if (setrlimit(RLIMIT_CORE, &no_core) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        return -errno;
    raise_lock_limit();
    return 0;
}

uint64_t secret_lock_limit(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_MEMLOCK, &limit) == 0 ? limit.rlim_cur : 0;
}

struct secret *secret_new(void)
{
    return secret_buffer_new(sizeof(struct secret));
}

void secret_free(struct secret *secret)
{
    sodium_free(secret);
}

void *secret_buffer_new(size_t len)
{
    void *buffer = sodium_malloc(len);
    if (buffer)
        sodium_memzero(buffer, len);
    return buffer;
}

void secret_buffer_free(void *buffer)
{
    sodium_free(buffer);
}

void secret_wipe(void *memory, size_t len)
{
    sodium_memzero(memory, len);
}

void secret_release(struct secret **secret)
{
    secret_free(*secret);
}
