#include "agent/store.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "some-file"

struct fixture {
    char parent[64], folder[80], path[96], aside[112];
    uint8_t out[16];
    size_t len;
    struct am_err err;
};

static void setup(struct fixture *f)
{
    *f = (struct fixture){.parent = "/tmp/test_store.XXXXXX"};
    cr_assert(mkdtemp(f->parent));
    snprintf(f->folder, sizeof(f->folder), "%s/state", f->parent);
    snprintf(f->path, sizeof(f->path), "%s/" NAME, f->folder);
    snprintf(f->aside, sizeof(f->aside), "%s.corrupt", f->path);
}

static void teardown(struct fixture *f)
{
    unlink(f->path);
    unlink(f->aside);
    rmdir(f->folder);
    cr_assert_eq(rmdir(f->parent), 0, "nothing else was left behind");
}

static int read_file(struct fixture *f)
{
    return store_read(f->folder, NAME, f->out, sizeof(f->out), &f->len, &f->err);
}

static void write_file(struct fixture *f, const char *text)
{
    cr_assert_eq(store_write(f->folder, NAME, (const uint8_t *)text, strlen(text), &f->err), 0, "%s",
                 f->err.text);
}

Test(store, the_last_write_is_what_is_read)
{
    struct fixture f;
    struct stat status;
    setup(&f);
    cr_assert_eq(read_file(&f), -ENOENT);
    write_file(&f, "first");
    write_file(&f, "second one");
    cr_assert_eq(read_file(&f), 0);
    cr_assert_eq(f.len, 10);
    cr_assert_eq(memcmp(f.out, "second one", 10), 0);
    cr_assert_eq(stat(f.path, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
    cr_assert_eq(stat(f.folder, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0700);
    teardown(&f);
}

Test(store, a_file_of_exactly_the_capacity_fits_and_a_longer_one_does_not)
{
    struct fixture f;
    setup(&f);
    write_file(&f, "0123456789abcdef");
    cr_assert_eq(read_file(&f), 0);
    cr_assert_eq(f.len, sizeof(f.out));
    write_file(&f, "0123456789abcdefg");
    cr_assert_eq(read_file(&f), -EFBIG);
    teardown(&f);
}

Test(store, what_is_removed_or_set_aside_is_gone)
{
    struct fixture f;
    setup(&f);
    write_file(&f, "text");
    cr_assert_eq(store_remove(f.folder, NAME), 0);
    cr_assert_eq(store_remove(f.folder, NAME), 0, "twice is no error");
    write_file(&f, "bad");
    cr_assert_eq(store_set_aside(f.folder, NAME), 0);
    cr_assert_eq(read_file(&f), -ENOENT);
    cr_assert_eq(access(f.aside, F_OK), 0);
    teardown(&f);
}

Test(store, a_folder_that_can_not_be_made_is_named)
{
    struct am_err err;
    cr_assert_neq(store_write("/dev/null", NAME, (const uint8_t *)"x", 1, &err), 0);
    cr_assert(strstr(err.text, "/dev/null/" NAME), "%s", err.text);
}
