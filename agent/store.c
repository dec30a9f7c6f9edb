#include "agent/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_path(const char *folder, const char *name, const char *suffix, char out[STORE_PATH_MAX])
{
    const int len = snprintf(out, STORE_PATH_MAX, "%s/%s%s", folder, name, suffix);
    return len < STORE_PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int fail(struct am_err *err, int code, const char *folder, const char *name)
{
    return am_fail(err, code, "%s/%s: %s", folder, name, strerror(-code));
}

/* Writes all bytes and sees them to the disk. */
static int write_whole(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        const ssize_t written = write(fd, data, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        data += written;
        len -= (size_t)written;
    }
    return fsync(fd) == 0 ? 0 : -errno;
}

static int write_file(const char *path, const uint8_t *data, size_t len)
{
    unlink(path); /* the remains of a write that was interrupted */
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int code = write_whole(fd, data, len);
    if (close(fd) != 0 && code == 0)
        code = -errno;
    return code;
}

static int sync_folder(const char *folder)
{
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    const int code = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return code;
}

int store_write(const char *folder, const char *name, const uint8_t *data, size_t len, struct am_err *err)
{
    char path[STORE_PATH_MAX], fresh[STORE_PATH_MAX];
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return fail(err, -errno, folder, name);
    int code = write_path(folder, name, "", path);
    if (code == 0)
        code = write_path(folder, name, ".new", fresh);
    if (code == 0)
        code = write_file(fresh, data, len);
    if (code == 0 && rename(fresh, path) != 0)
        code = -errno;
    if (code == 0)
        code = sync_folder(folder);
    return code == 0 ? 0 : fail(err, code, folder, name);
}

static int read_whole(int fd, uint8_t *data, size_t capacity, size_t *len)
{
    uint8_t beyond;
    *len = 0;
    for (;;) {
        const bool full = *len == capacity;
        const ssize_t got = full ? read(fd, &beyond, 1) : read(fd, data + *len, capacity - *len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 ? 0 : -errno;
        if (full)
            return -EFBIG;
        *len += (size_t)got;
    }
}

int store_read(const char *folder, const char *name, uint8_t *data, size_t capacity, size_t *len,
               struct am_err *err)
{
    char path[STORE_PATH_MAX];
    int code = write_path(folder, name, "", path);
    const int fd = code == 0 ? open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (code == 0 && fd < 0)
        code = -errno;
    if (fd >= 0) {
        code = read_whole(fd, data, capacity, len);
        close(fd);
    }
    return code == 0 ? 0 : fail(err, code, folder, name);
}

int store_set_aside(const char *folder, const char *name)
{
    char path[STORE_PATH_MAX], aside[STORE_PATH_MAX];
    int code = write_path(folder, name, "", path);
    if (code == 0)
        code = write_path(folder, name, ".corrupt", aside);
    if (code == 0 && rename(path, aside) != 0)
        code = -errno;
    return code;
}

int store_remove(const char *folder, const char *name)
{
    char path[STORE_PATH_MAX];
    const int code = write_path(folder, name, "", path);
    if (code != 0)
        return code;
    return unlink(path) == 0 || errno == ENOENT ? 0 : -errno;
}
