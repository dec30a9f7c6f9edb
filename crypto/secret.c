#include "crypto/secret.h"

#include <errno.h>
#include <sodium.h>
#include <sys/prctl.h>
#include <sys/resource.h>

int secret_init(void)
{
    static const struct rlimit no_core = {0, 0};
    if (sodium_init() < 0)
        return -EIO;
    if (setrlimit(RLIMIT_CORE, &no_core) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        return -errno;
    return 0;
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
