#include "agent/api/frame.h"

#include <criterion/criterion.h>
#include <string.h>

#include "crypto/am_error.h"

#define MAX 300

static struct frame frame;

Test(frame, empty_message_is_a_frame)
{
    cr_assert_eq(frame_parse((const uint8_t[]){0}, 1, MAX, &frame), 1);
    cr_assert_eq(frame.message_len, 0);
    cr_assert_eq(frame.len, 1);
}

Test(frame, message_is_found_in_every_cut)
{
    uint8_t in[2 + 200 + 3] = {0xc8, 0x01};
    memset(in + 2, 'm', 200);
    for (size_t len = 0; len < 202; len++)
        cr_assert_eq(frame_parse(in, len, MAX, &frame), 0, "%zu bytes", len);
    for (size_t len = 202; len <= sizeof(in); len++) {
        cr_assert_eq(frame_parse(in, len, MAX, &frame), 1, "%zu bytes", len);
        cr_assert_eq(frame.message, in + 2);
        cr_assert_eq(frame.message_len, 200);
        cr_assert_eq(frame.len, 202);
    }
}

Test(frame, length_above_the_limit_is_refused_before_the_message_comes)
{
    cr_assert_eq(frame_parse((const uint8_t[]){0xac, 0x02}, 2, MAX, &frame), 0, "300 is allowed");
    cr_assert_eq(frame_parse((const uint8_t[]){0xad, 0x02}, 2, MAX, &frame), AM_EFORMAT);
    cr_assert_eq(frame_parse((const uint8_t[]){0xff, 0xff}, 2, MAX, &frame), AM_EFORMAT);
}

Test(frame, length_that_never_ends_is_refused)
{
    cr_assert_eq(frame_parse((const uint8_t[]){0x81, 0x80, 0x80, 0x80, 0x80, 0x00}, 6, MAX, &frame),
                 AM_EFORMAT);
}

Test(frame, longer_form_of_a_length_is_accepted)
{
    cr_assert_eq(frame_parse((const uint8_t[]){0x81, 0x80, 0x00, 'm'}, 4, MAX, &frame), 1);
    cr_assert_eq(frame.message_len, 1);
    cr_assert_eq(frame.len, 4);
}
