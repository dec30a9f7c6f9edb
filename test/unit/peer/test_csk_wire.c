#include "agent/peer/csk_wire.h"

#include <criterion/criterion.h>
#include <string.h>

#include "crypto/am_error.h"

Test(csk_wire, messages_arrive_as_they_were_sent_and_in_pieces)
{
    uint8_t frame[CSK_FRAME_MAX];
    struct csk_response response = {.generation = UINT64_MAX, .held = true}, taken;
    uint64_t generation;

    size_t len = csk_request_build(12, frame);
    for (size_t i = 0; i < len; i++)
        cr_assert_eq(csk_request_take(frame, i, &generation), 0);
    cr_assert_eq(csk_request_take(frame, len, &generation), 1);
    cr_assert_eq(generation, 12);
    memset(response.sealed, 0xab, sizeof(response.sealed));
    len = csk_response_build(&response, frame);
    for (size_t i = 0; i < len; i++)
        cr_assert_eq(csk_response_take(frame, i, &taken), 0);
    cr_assert_eq(csk_response_take(frame, len, &taken), 1);
    cr_assert(taken.held);
    cr_assert_eq(taken.generation, UINT64_MAX);
    cr_assert_eq(memcmp(taken.sealed, response.sealed, sizeof(taken.sealed)), 0);
}

Test(csk_wire, a_key_that_is_not_held_is_an_answer)
{
    uint8_t frame[CSK_FRAME_MAX];
    struct csk_response taken = {.held = true};

    size_t len = csk_response_build(&(struct csk_response){.generation = 1}, frame);
    cr_assert_eq(csk_response_take(frame, len, &taken), 1);
    cr_assert_not(taken.held);
}

Test(csk_wire, other_streams_are_refused)
{
    static const uint8_t too_long[] = {0xff, 0x01, 0x08}, no_message[] = {2, 0xff, 0xff},
                         short_key[] = {5, 0x12, 3, 1, 2, 3};
    struct csk_response taken;
    uint64_t generation;

    cr_assert_eq(csk_request_take(too_long, sizeof(too_long), &generation), AM_EFORMAT);
    cr_assert_eq(csk_request_take(no_message, sizeof(no_message), &generation), AM_EFORMAT);
    cr_assert_eq(csk_response_take(short_key, sizeof(short_key), &taken), AM_EFORMAT);
}
