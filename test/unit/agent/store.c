#include "agent/store.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "some-blob"

struct fixture {
    char dir[64], path[96], aside[112];
    struct store *store;
    uint8_t out[64];
    size_t len;
    struct am_err err;
};

static void setup(struct fixture *f)
{
    *f = (struct fixture){.dir = "/tmp/test_store.XXXXXX"};
    cr_assert(mkdtemp(f->dir));
    strcat(f->dir, "/state");
    snprintf(f->path, sizeof(f->path), "%s/" NAME, f->dir);
    snprintf(f->aside, sizeof(f->aside), "%s.corrupt", f->path);
    f->store = store_new(f->dir, &f->err);
    cr_assert(f->store, "%s", f->err.text);
}

static void teardown(struct fixture *f)
{
    store_free(f->store);
    unlink(f->path);
    unlink(f->aside);
    rmdir(f->dir);
    *strrchr(f->dir, '/') = '\0';
    cr_assert_eq(rmdir(f->dir), 0, "nothing else was left behind");
}

static int read_blob(struct fixture *f, uint32_t version)
{
    return store_read(f->store, NAME, version, f->out, sizeof(f->out), &f->len, &f->err);
}

static void write_blob(struct fixture *f, const char *text)
{
    cr_assert_eq(store_write(f->store, NAME, 3, (const uint8_t *)text, strlen(text), &f->err), 0, "%s",
                 f->err.text);
}

Test(store, what_is_written_is_read_by_the_next_process)
{
    struct fixture f;
    struct stat status;
    setup(&f);
    cr_assert_eq(read_blob(&f, 3), -ENOENT);
    write_blob(&f, "first");
    write_blob(&f, "second one");
    store_free(f.store);
    f.store = store_new(f.dir, &f.err);
    cr_assert_eq(read_blob(&f, 3), 0);
    cr_assert_eq(f.len, 10);
    cr_assert_eq(memcmp(f.out, "second one", 10), 0);
    cr_assert_eq(stat(f.path, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
    cr_assert_eq(stat(f.dir, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0700);
    teardown(&f);
}

Test(store, a_removed_blob_is_gone)
{
    struct fixture f;
    setup(&f);
    write_blob(&f, "text");
    cr_assert_eq(store_remove(f.store, NAME, &f.err), 0);
    cr_assert_eq(read_blob(&f, 3), -ENOENT);
    cr_assert_eq(store_remove(f.store, NAME, &f.err), 0, "twice is no error");
    teardown(&f);
}

Test(store, an_empty_blob_is_a_blob)
{
    struct fixture f;
    setup(&f);
    write_blob(&f, "");
    cr_assert_eq(read_blob(&f, 3), 0);
    cr_assert_eq(f.len, 0);
    teardown(&f);
}

/* Every single byte counts, and so does every cut. */
Test(store, a_damaged_file_is_set_aside)
{
    struct fixture f;
    uint8_t file[128];
    setup(&f);
    write_blob(&f, "0123456789");
    int fd = open(f.path, O_RDONLY);
    const size_t len = (size_t)read(fd, file, sizeof(file));
    close(fd);
    for (size_t i = 0; i < 2 * len; i++) {
        const bool cut = i >= len;
        fd = open(f.path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        file[i % len] ^= cut ? 0 : 0x40;
        cr_assert_eq(write(fd, file, cut ? i - len : len), (ssize_t)(cut ? i - len : len));
        file[i % len] ^= cut ? 0 : 0x40;
        close(fd);
        cr_assert_eq(read_blob(&f, 3), AM_EFORMAT, "byte %zu", i);
        cr_assert_eq(access(f.aside, F_OK), 0);
        cr_assert_eq(read_blob(&f, 3), -ENOENT);
    }
    teardown(&f);
}

Test(store, another_version_or_a_blob_too_long_is_set_aside)
{
    struct fixture f;
    setup(&f);
    write_blob(&f, "text");
    cr_assert_eq(read_blob(&f, 4), AM_EFORMAT);
    cr_assert(strstr(f.err.text, "another version"), "%s", f.err.text);
    write_blob(&f, "text");
    cr_assert_eq(store_read(f.store, NAME, 3, f.out, 3, &f.len, &f.err), AM_EFORMAT);
    cr_assert(strstr(f.err.text, "too long"), "%s", f.err.text);
    teardown(&f);
}

Test(store, without_a_folder_nothing_is_kept)
{
    struct fixture f = {.err = {0}};
    f.store = store_new(NULL, &f.err);
    write_blob(&f, "text");
    cr_assert_eq(read_blob(&f, 3), -ENOENT);
    cr_assert_eq(store_remove(f.store, NAME, &f.err), 0);
    store_free(f.store);
}

Test(store, a_path_that_is_no_folder_is_the_operators_to_mend)
{
    struct am_err err;
    cr_assert_null(store_new("/dev/null", &err));
    cr_assert_eq(err.code, AM_ECONFIG);
    cr_assert(strstr(err.text, "STATE_DIR /dev/null"), "%s", err.text);
    cr_assert_null(store_new("/nonexistent/deep/folder", &err));
}

Test(store, names_and_sizes_are_bounded)
{
    static uint8_t large[STORE_BLOB_MAX + 1];
    struct fixture f;
    setup(&f);
    const char *const bad[] = {"",      "../up",     "a/b",
                               "Upper", "a.corrupt", "a-name-that-is-longer-than-32-byte"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert_eq(store_write(f.store, bad[i], 1, large, 1, &f.err), -EINVAL, "%s", bad[i]);
    cr_assert_eq(store_write(f.store, NAME, 1, large, sizeof(large), &f.err), -EINVAL);
    cr_assert_eq(store_write(f.store, NAME, 1, large, STORE_BLOB_MAX, &f.err), 0);
    teardown(&f);
}
