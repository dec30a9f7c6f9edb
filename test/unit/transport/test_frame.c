#include <criterion/criterion.h>
#include <string.h>

#include "agent/transport/frame.h"
#include "crypto/am_error.h"
#include "crypto/bytes.h"

/* Frames of 3, 0, 300 and 1 bytes; the k-th is filled with k. */
static const size_t lengths[] = {3, 0, 300, 1};
#define FRAMES (sizeof(lengths) / sizeof(lengths[0]))
#define WIRE_SIZE (3 + 0 + 300 + 1 + FRAMES * FRAME_HEADER_SIZE)

static void wire_build(uint8_t wire[WIRE_SIZE])
{
    for (size_t k = 0; k < FRAMES; k++) {
        be16_write(wire, (uint16_t)lengths[k]);
        memset(wire + FRAME_HEADER_SIZE, (int)k, lengths[k]);
        wire += FRAME_HEADER_SIZE + lengths[k];
    }
}

/* Feeds one piece and checks the frames that it completes; `seen` counts them. */
static void feed(struct frame_reader *reader, const uint8_t *data, size_t len, size_t *seen)
{
    const uint8_t *payload;
    size_t payload_len;
    int rc;
    while ((rc = frame_reader_next(reader, &data, &len, &payload, &payload_len)) == 1) {
        cr_assert_lt(*seen, FRAMES);
        cr_assert_eq(payload_len, lengths[*seen]);
        for (size_t i = 0; i < payload_len; i++)
            cr_assert_eq(payload[i], *seen);
        (*seen)++;
    }
    cr_assert_eq(rc, 0);
    cr_assert_eq(len, 0);
}

Test(frame, read_cut_at_every_pair_of_places)
{
    uint8_t wire[WIRE_SIZE];
    wire_build(wire);
    for (size_t first = 0; first <= WIRE_SIZE; first++) {
        for (size_t second = first; second <= WIRE_SIZE; second++) {
            struct frame_reader reader = {.limit = FRAME_PAYLOAD_MAX};
            size_t seen = 0;
            feed(&reader, wire, first, &seen);
            feed(&reader, wire + first, second - first, &seen);
            feed(&reader, wire + second, WIRE_SIZE - second, &seen);
            cr_assert_eq(seen, FRAMES);
            frame_reader_clear(&reader);
        }
    }
}

Test(frame, read_byte_by_byte)
{
    uint8_t wire[WIRE_SIZE];
    wire_build(wire);
    struct frame_reader reader = {.limit = FRAME_PAYLOAD_MAX};
    size_t seen = 0;
    for (size_t i = 0; i < WIRE_SIZE; i++)
        feed(&reader, wire + i, 1, &seen);
    cr_assert_eq(seen, FRAMES);
    frame_reader_clear(&reader);
}

Test(frame, whole_payload_is_not_copied)
{
    const uint8_t wire[] = {0, 2, 7, 8};
    const uint8_t *data = wire;
    size_t len = sizeof(wire);
    const uint8_t *payload;
    size_t payload_len;
    struct frame_reader reader = {.limit = FRAME_PAYLOAD_MAX};
    cr_assert_eq(frame_reader_next(&reader, &data, &len, &payload, &payload_len), 1);
    cr_assert_eq(payload, wire + 2);
    cr_assert_null(reader.partial);
}

Test(frame, longer_than_the_limit_is_refused_at_its_header)
{
    const uint8_t wire[] = {1, 1};
    const uint8_t *data = wire;
    size_t len = sizeof(wire);
    const uint8_t *payload;
    size_t payload_len;
    struct frame_reader reader = {.limit = 256};
    cr_assert_eq(frame_reader_next(&reader, &data, &len, &payload, &payload_len), AM_EFORMAT);
    cr_assert_null(reader.partial);
}

Test(frame, header_alone_holds_no_memory)
{
    const uint8_t wire[] = {0xff, 0x00};
    const uint8_t *data = wire;
    size_t len = sizeof(wire);
    const uint8_t *payload;
    size_t payload_len;
    struct frame_reader reader = {.limit = FRAME_PAYLOAD_MAX};
    cr_assert_eq(frame_reader_next(&reader, &data, &len, &payload, &payload_len), 0);
    cr_assert_null(reader.partial);
}

Test(frame, wireguard_messages_by_type_and_length)
{
    static const struct {
        uint8_t type;
        size_t len;
        bool ok;
    } cases[] = {
        {0, 148, false},   {1, 148, true},  {1, 147, false}, {1, 149, false},
        {2, 92, true},     {2, 148, false}, {3, 64, true},   {3, 65, false},
        {4, 31, false},    {4, 32, true},   {4, 1452, true}, {4, 65507, true},
        {4, 65508, false}, {5, 148, false}, {4, 3, false},   {1, 0, false},
    };
    static uint8_t message[65536];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        message[0] = cases[i].type;
        cr_assert_eq(frame_is_wireguard(message, cases[i].len), cases[i].ok, "type %u, %zu bytes",
                     cases[i].type, cases[i].len);
    }
}

Test(frame, wireguard_reserved_bytes_are_zero)
{
    for (size_t i = 1; i < 4; i++) {
        uint8_t message[148] = {1};
        message[i] = 1;
        cr_assert_not(frame_is_wireguard(message, sizeof(message)));
    }
}
