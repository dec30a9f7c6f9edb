#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/indexer/bookmark.h"

static const struct bookmark kept = {.chain_id = 31337,
                                     .cluster = {{0xc1}},
                                     .member_id = {{0xa1}},
                                     .cursor = {.block = 7, .log_index = 3, .block_hash = {{0xbb}}}};

Test(bookmark, is_found_again_by_the_same_member_of_the_same_cluster_and_chain)
{
    char folder[] = "/tmp/attestmesh-bookmark-XXXXXX", file[64];
    struct bookmark same = kept, another;
    struct am_err err = {0};
    cr_assert_not_null(mkdtemp(folder));
    same.cursor = (struct wire_cursor){0};
    cr_assert_not(bookmark_load(folder, &same), "nothing is kept yet");
    cr_assert_eq(bookmark_save(folder, &kept, &err), 0, "%s", err.text);
    cr_assert(bookmark_load(folder, &same));
    cr_assert_eq(wire_cursor_compare(&same.cursor, &kept.cursor), 0);
    cr_assert(bytes32_equal(&same.cursor.block_hash, &kept.cursor.block_hash));
    another = kept;
    another.chain_id++;
    cr_assert_not(bookmark_load(folder, &another));
    another = kept;
    another.cluster.b[19]++;
    cr_assert_not(bookmark_load(folder, &another));
    another = kept;
    another.member_id.b[31]++;
    cr_assert_not(bookmark_load(folder, &another));
    snprintf(file, sizeof(file), "%s/indexer-cursor", folder);
    unlink(file);
    rmdir(folder);
}

Test(bookmark, of_another_version_or_with_any_byte_changed_is_none)
{
    uint8_t data[BOOKMARK_SIZE];
    struct bookmark out;
    bookmark_encode(&kept, data);
    cr_assert(bookmark_decode(data, sizeof(data), &out));
    cr_assert_not(bookmark_decode(data, sizeof(data) - 1, &out));
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] ^= 1;
        cr_assert_not(bookmark_decode(data, sizeof(data), &out), "byte %zu", i);
        data[i] ^= 1;
    }
}
