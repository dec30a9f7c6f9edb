#include "agent/shell/history.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static const struct bytes32 call_a = {{0xa}}, call_b = {{0xb}};

static void end(struct history *history, int code, struct bytes32 tx_hash)
{
    const struct operation_result result = {
        .code = code, .error = code ? "why" : NULL, .tx_hash = tx_hash, .sends = 1, .sponsor = "pimlico x"};
    history_end(history, &result, 2000);
}

Test(history, what_failed_and_is_tried_again_is_one_entry)
{
    static struct history history;
    for (int i = 0; i < 3; i++) {
        history_begin(&history, "registration", &call_a, 1000 + (uint64_t)i);
        cr_assert_eq(history_at(&history, 0)->outcome, HISTORY_PENDING);
        cr_assert_eq(history_at(&history, 0)->ended_unix_ms, 0);
        end(&history, i == 0 ? AM_EDENIED : -EIO, (struct bytes32){0});
    }
    cr_assert_null(history_at(&history, 1));
    const struct history_entry *entry = history_at(&history, 0);
    cr_assert_eq(entry->outcome, HISTORY_FAILED);
    cr_assert_eq(entry->attempts, 3);
    cr_assert_eq(entry->sends, 3);
    cr_assert_eq(entry->started_unix_ms, 1000);
    cr_assert_str_eq(entry->problem, "why");
    cr_assert_str_eq(entry->sponsor, "pimlico x");
}

Test(history, another_call_and_what_was_included_are_entries_of_their_own)
{
    static struct history history;
    history_begin(&history, "one", &call_a, 1);
    end(&history, -EIO, (struct bytes32){0});
    history_begin(&history, "two", &call_b, 2);
    end(&history, 0, (struct bytes32){{1}});
    history_begin(&history, "three", &call_b, 3);
    end(&history, AM_EREVERT, (struct bytes32){{2}});
    history_begin(&history, "four", &call_b, 4);
    const enum history_outcome outcomes[] = {HISTORY_FAILED, HISTORY_INCLUDED, HISTORY_REVERTED,
                                             HISTORY_PENDING};
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(history_at(&history, i)->outcome, outcomes[i], "%zu", i);
    cr_assert_str_eq(history_at(&history, 1)->problem, "");
}

Test(history, the_newest_are_kept)
{
    static struct history history;
    for (uint64_t i = 0; i < HISTORY_MAX + 5; i++) {
        history_begin(&history, "one", &call_a, i);
        end(&history, 0, (struct bytes32){{1}});
    }
    cr_assert_eq(history_at(&history, 0)->started_unix_ms, 5);
    cr_assert_eq(history_at(&history, HISTORY_MAX - 1)->started_unix_ms, HISTORY_MAX + 4);
    cr_assert_null(history_at(&history, HISTORY_MAX));
}

Test(history, an_end_without_a_beginning_is_ignored)
{
    static struct history history;
    end(&history, 0, (struct bytes32){{1}});
    cr_assert_null(history_at(&history, 0));
}

Test(history, what_is_read_back_is_what_was_written)
{
    static struct history history, again;
    static uint8_t bytes[HISTORY_BYTES_MAX];
    const struct address account = {{5}}, other = {{6}};
    struct am_err err;
    for (uint64_t i = 0; i < HISTORY_MAX + 5; i++) {
        history_begin(&history, "one", &call_a, i);
        end(&history, 0, (struct bytes32){{1}});
    }
    const size_t len = history_encode(&history, 31337, &account, bytes);
    cr_assert_eq(history_decode(bytes, len, 31337, &account, &again, &err), 0);
    for (size_t i = 0; i < HISTORY_MAX; i++)
        cr_assert_eq(memcmp(history_at(&again, i), history_at(&history, i), sizeof(struct history_entry)), 0);
    cr_assert_null(history_at(&again, HISTORY_MAX));
    cr_assert_eq(history_decode(bytes, len, 1, &account, &again, &err), AM_EMISMATCH);
    cr_assert_eq(history_decode(bytes, len, 31337, &other, &again, &err), AM_EMISMATCH);
    cr_assert_null(history_at(&again, 0));
}

Test(history, what_is_no_history_is_refused)
{
    static struct history history;
    static uint8_t bytes[HISTORY_BYTES_MAX];
    const struct address account = {{5}};
    const size_t changes[] = {7, 43, 44 + 31, 44 + 32 + 7, 44 + 32 + 3 * 8 + 3};
    struct am_err err;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        history = (struct history){0};
        history_begin(&history, "a purpose of thirty-one letters", &call_a, 1);
        end(&history, 0, (struct bytes32){{1}});
        const size_t len = history_encode(&history, 31337, &account, bytes);
        cr_assert_eq(history_decode(bytes, len - 1, 31337, &account, &history, &err), AM_EFORMAT);
        bytes[changes[i]] ^= 0x80;
        cr_assert_eq(history_decode(bytes, len, 31337, &account, &history, &err), AM_EFORMAT, "byte %zu",
                     changes[i]);
        cr_assert_null(history_at(&history, 0));
    }
}
