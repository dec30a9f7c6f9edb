#include "agent/store.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/attestmesh-store-XXXXXX";
static char folder[64];
static struct am_err err;

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void start(void)
{
    cr_assert_not_null(mkdtemp(root));
    snprintf(folder, sizeof(folder), "%s/state", root);
}

static void stop(void)
{
    unlink(path_of("file"));
    unlink(path_of("file.corrupt"));
    rmdir(folder);
    rmdir(root);
}

TestSuite(store, .init = start, .fini = stop);

static void write_text(const char *text)
{
    cr_assert_eq(store_write(folder, "file", (const uint8_t *)text, strlen(text), &err), 0, "%s", err.text);
}

Test(store, writes_and_reads_whole_files_that_only_the_owner_may_read)
{
    uint8_t data[16];
    size_t len;
    struct stat status;

    write_text("first");
    write_text("second!");
    cr_assert_eq(store_read(folder, "file", data, sizeof(data), &len, &err), 0);
    cr_assert_eq(len, 7);
    cr_assert_eq(memcmp(data, "second!", 7), 0);
    cr_assert_eq(stat(path_of("file"), &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
    cr_assert_eq(stat(folder, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0700);
    cr_assert_neq(access(path_of("file.new"), F_OK), 0);
}

Test(store, says_what_is_missing_or_too_long)
{
    uint8_t data[4];
    size_t len;

    cr_assert_eq(store_read(folder, "file", data, sizeof(data), &len, &err), -ENOENT);
    cr_assert(strstr(err.text, "state/file"));
    write_text("12345");
    cr_assert_eq(store_read(folder, "file", data, sizeof(data), &len, &err), -EFBIG);
}

Test(store, an_interrupted_write_does_no_harm)
{
    FILE *left;

    write_text("old");
    left = fopen(path_of("file.new"), "w");
    cr_assert_not_null(left);
    fclose(left);
    write_text("new");
    cr_assert_neq(access(path_of("file.new"), F_OK), 0);
}

Test(store, sets_aside_and_removes)
{
    write_text("bad");
    cr_assert_eq(store_set_aside(folder, "file"), 0);
    cr_assert_eq(access(path_of("file.corrupt"), F_OK), 0);
    cr_assert_eq(store_set_aside(folder, "file"), -ENOENT);
    write_text("again");
    cr_assert_eq(store_remove(folder, "file"), 0);
    cr_assert_eq(store_remove(folder, "file"), 0, "it is gone already");
}
