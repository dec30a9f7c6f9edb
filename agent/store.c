#include "agent/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/bytes.h"
#include "crypto/keccak.h"

/* magic(4) version(4) length(4) keccak(version, length, data)(32), then the data */
#define MAGIC 0x616d7374u
#define CHECKED_AT 4
#define CHECKSUM_AT 12
#define HEADER_SIZE 44
#define FILE_NAME_SIZE (STORE_NAME_MAX + sizeof(".corrupt"))

struct store {
    int dir; /* -1: keeps nothing */
    uint8_t file[HEADER_SIZE + STORE_BLOB_MAX];
};

static bool is_name(const char *name)
{
    const size_t len = strlen(name);
    return len > 0 && len <= STORE_NAME_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

static struct bytes32 checksum(const uint8_t *file, const uint8_t *data, size_t len)
{
    struct keccak k;
    struct bytes32 sum;
    keccak_init(&k);
    keccak_update(&k, file + CHECKED_AT, CHECKSUM_AT - CHECKED_AT);
    keccak_update(&k, data, len);
    keccak_final(&k, &sum);
    return sum;
}

struct store *store_new(const char *dir, struct am_err *err)
{
    struct store *store = calloc(1, sizeof(*store));
    if (!store) {
        am_fail(err, -ENOMEM, "out of memory");
        return NULL;
    }
    store->dir = -1;
    if (!dir)
        return store;
    if (mkdir(dir, 0700) == 0 || errno == EEXIST)
        store->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->dir < 0 || faccessat(store->dir, ".", W_OK | X_OK, 0) != 0) {
        am_fail(err, AM_ECONFIG, "STATE_DIR %s: %s", dir, strerror(errno));
        store_free(store);
        return NULL;
    }
    return store;
}

void store_free(struct store *store)
{
    if (!store)
        return;
    if (store->dir >= 0)
        close(store->dir);
    free(store);
}

/* All of it, and on the disk. */
static bool write_whole(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        const ssize_t wrote = write(fd, data, len);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return false;
        data += wrote;
        len -= (size_t)wrote;
    }
    return fsync(fd) == 0;
}

/* Puts `len` bytes of the file in place of what has the name now. */
static bool replace(struct store *store, const char *name, size_t len)
{
    char fresh[FILE_NAME_SIZE];
    snprintf(fresh, sizeof(fresh), "%s.new", name);
    const int fd = openat(store->dir, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    const bool written = write_whole(fd, store->file, len);
    int cause = errno;
    close(fd);
    if (written && renameat(store->dir, fresh, store->dir, name) == 0)
        return fsync(store->dir) == 0;
    if (written)
        cause = errno;
    unlinkat(store->dir, fresh, 0);
    errno = cause;
    return false;
}

int store_write(struct store *store, const char *name, uint32_t version, const uint8_t *data, size_t len,
                struct am_err *err)
{
    if (!is_name(name) || len > STORE_BLOB_MAX)
        return am_fail(err, -EINVAL, "%s: no name for a blob, or the blob is too long", name);
    if (store->dir < 0)
        return 0;
    be32_write(store->file, MAGIC);
    be32_write(store->file + 4, version);
    be32_write(store->file + 8, (uint32_t)len);
    const struct bytes32 sum = checksum(store->file, data, len);
    memcpy(store->file + CHECKSUM_AT, sum.b, sizeof(sum.b));
    if (len > 0)
        memcpy(store->file + HEADER_SIZE, data, len);
    if (replace(store, name, HEADER_SIZE + len))
        return 0;
    const int cause = errno;
    return am_fail(err, -cause, "%s in STATE_DIR can not be written: %s", name, strerror(cause));
}

/* Reads the file, at most what a whole one holds. Returns its length or a negative errno. */
static ssize_t read_file(struct store *store, const char *name)
{
    const int fd = openat(store->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    size_t len = 0;
    ssize_t got = 1;
    if (fd < 0)
        return -errno;
    while (got != 0 && len < sizeof(store->file)) {
        got = read(fd, store->file + len, sizeof(store->file) - len);
        if (got < 0 && errno != EINTR)
            break;
        len += got > 0 ? (size_t)got : 0;
    }
    const int cause = got < 0 ? errno : 0;
    close(fd);
    return cause ? -cause : (ssize_t)len;
}

/* Why the `len` bytes of the file are not the blob, or NULL. */
static const char *fault_of(const struct store *store, size_t len, uint32_t version, size_t capacity)
{
    if (len < HEADER_SIZE || be32_read(store->file) != MAGIC ||
        be32_read(store->file + 8) != len - HEADER_SIZE)
        return "is damaged";
    const struct bytes32 sum = checksum(store->file, store->file + HEADER_SIZE, len - HEADER_SIZE);
    if (memcmp(sum.b, store->file + CHECKSUM_AT, sizeof(sum.b)) != 0)
        return "is damaged";
    if (be32_read(store->file + 4) != version)
        return "was written by another version";
    return len - HEADER_SIZE > capacity ? "is too long" : NULL;
}

int store_read(struct store *store, const char *name, uint32_t version, uint8_t *out, size_t capacity,
               size_t *len, struct am_err *err)
{
    if (!is_name(name))
        return am_fail(err, -EINVAL, "%s: no name for a blob", name);
    const ssize_t got = store->dir < 0 ? -ENOENT : read_file(store, name);
    if (got < 0)
        return am_fail(err, (int)got, "%s in STATE_DIR can not be read: %s", name, strerror((int)-got));
    const char *const fault = fault_of(store, (size_t)got, version, capacity);
    if (fault) {
        store_set_aside(store, name);
        return am_fail(err, AM_EFORMAT, "%s in STATE_DIR %s; it was set aside", name, fault);
    }
    *len = (size_t)got - HEADER_SIZE;
    memcpy(out, store->file + HEADER_SIZE, *len);
    return 0;
}

void store_set_aside(struct store *store, const char *name)
{
    char aside[FILE_NAME_SIZE];
    snprintf(aside, sizeof(aside), "%s.corrupt", name);
    if (store->dir >= 0 && is_name(name) && renameat(store->dir, name, store->dir, aside) != 0)
        unlinkat(store->dir, name, 0);
}

int store_remove(struct store *store, const char *name, struct am_err *err)
{
    if (!is_name(name))
        return am_fail(err, -EINVAL, "%s: no name for a blob", name);
    if (store->dir < 0 || unlinkat(store->dir, name, 0) == 0)
        return store->dir >= 0 && fsync(store->dir) ? am_fail(err, -errno, "STATE_DIR: %s", strerror(errno))
                                                    : 0;
    const int cause = errno;
    return cause == ENOENT
               ? 0
               : am_fail(err, -cause, "%s in STATE_DIR can not be removed: %s", name, strerror(cause));
}
