#include <criterion/criterion.h>
#include <stdlib.h>

#include "evm/abi.h"

Test(abi, words_are_right_aligned)
{
    struct abi_writer w = {0};
    const struct address address = {{0xaa, [19] = 0xbb}};
    abi_put_selector(&w, 0x01020304);
    abi_put_address(&w, &address);
    abi_put_u64(&w, 0x0506);
    cr_assert_not(w.failed);
    cr_assert_eq(w.len, 4 + 2 * ABI_WORD);
    cr_assert_arr_eq(w.data, ((uint8_t[]){1, 2, 3, 4}), 4);
    cr_assert_eq(w.data[4 + 12], 0xaa);
    cr_assert_eq(w.data[4 + 31], 0xbb);
    cr_assert_eq(be16_read(w.data + 4 + 62), 0x0506);
    abi_writer_free(&w);
    cr_assert_null(w.data);
}

Test(abi, bytes_are_padded_and_read_back)
{
    static const uint8_t data[33] = {1, [32] = 2};
    for (size_t len = 0; len <= sizeof(data); len++) {
        struct abi_writer w = {0};
        const size_t tuple = abi_here(&w), slot = abi_reserve(&w);
        bool ok;
        size_t read_len;
        abi_point(&w, tuple, slot);
        abi_put_bytes(&w, data, len);
        cr_assert_eq(w.len, 2 * ABI_WORD + (len + 31) / 32 * 32);
        struct abi_reader r = abi_reader_of(w.data, w.len, &ok);
        const uint8_t *read = abi_take_bytes(&r, &read_len);
        cr_assert(ok);
        cr_assert_eq(read_len, len);
        cr_assert(len == 0 || memcmp(read, data, len) == 0);
        abi_writer_free(&w);
    }
}

Test(abi, a_writer_stops_at_its_cap)
{
    struct abi_writer w = {0};
    uint8_t *large = calloc(1, ABI_WRITER_MAX);
    abi_put_bytes(&w, large, ABI_WRITER_MAX - ABI_WORD);
    cr_assert_not(w.failed);
    abi_put_u64(&w, 1);
    cr_assert(w.failed);
    abi_put_u64(&w, 1);
    abi_point(&w, 0, 0);
    abi_writer_free(&w);
    abi_put_bytes(&w, large, ABI_WRITER_MAX);
    cr_assert(w.failed);
    abi_writer_free(&w);
    abi_put_bytes(&w, large, SIZE_MAX);
    cr_assert(w.failed);
    abi_writer_free(&w);
    free(large);
}

Test(abi, a_failed_reader_stays_failed_and_reads_zero)
{
    uint8_t data[ABI_WORD + 5];
    bool ok;
    memset(data, 0xff, sizeof(data));
    struct abi_reader r = abi_reader_of(data, sizeof(data), &ok);
    abi_take_bytes32(&r);
    cr_assert(ok);
    const struct bytes32 beyond = abi_take_bytes32(&r);
    cr_assert_not(ok);
    cr_assert(bytes32_is_zero(&beyond));
    cr_assert_eq(abi_take_u64(&r), 0);
    cr_assert_not(ok);
}

Test(abi, values_out_of_range_fail)
{
    uint8_t word[ABI_WORD] = {0};
    bool ok;
    struct abi_reader r;
    word[31] = 2;
    r = abi_reader_of(word, sizeof(word), &ok);
    cr_assert_not(abi_take_bool(&r));
    cr_assert_not(ok);
    word[30] = 1;
    r = abi_reader_of(word, sizeof(word), &ok);
    cr_assert(abi_take_u8(&r) == 0 && !ok);
    word[27] = 1;
    r = abi_reader_of(word, sizeof(word), &ok);
    cr_assert(abi_take_u32(&r) == 0 && !ok);
    word[23] = 1;
    r = abi_reader_of(word, sizeof(word), &ok);
    cr_assert(abi_take_u64(&r) == 0 && !ok);
    word[11] = 1;
    r = abi_reader_of(word, sizeof(word), &ok);
    const struct address address = abi_take_address(&r);
    cr_assert(address_is_zero(&address) && !ok);
}

static bool bytes_pass(uint64_t offset, uint64_t len, size_t tail)
{
    uint8_t data[4 * ABI_WORD] = {0};
    bool ok;
    size_t read_len;
    be64_write(data + 24, offset);
    be64_write(data + ABI_WORD + 24, len);
    struct abi_reader r = abi_reader_of(data, 2 * ABI_WORD + tail, &ok);
    abi_take_bytes(&r, &read_len);
    cr_assert(ok || read_len == 0);
    return ok;
}

Test(abi, hostile_offsets_and_lengths_fail)
{
    cr_assert(bytes_pass(32, 64, 64));
    cr_assert_not(bytes_pass(32, 65, 64));
    cr_assert_not(bytes_pass(32, UINT64_MAX, 64));
    cr_assert_not(bytes_pass(129, 0, 64));
    cr_assert_not(bytes_pass(128, 0, 64));
    cr_assert_not(bytes_pass(UINT64_MAX, 0, 64));
    cr_assert_not(bytes_pass(UINT64_MAX - 31, 0, 64));
}

Test(abi, an_array_is_never_longer_than_its_data)
{
    uint8_t data[2 * ABI_WORD + 96] = {0};
    bool ok;
    size_t count;
    data[31] = 32;
    const struct {
        uint64_t claimed;
        bool good;
    } cases[] = {{0, true}, {3, true}, {4, false}, {UINT64_MAX, false}, {UINT64_MAX / 32 + 1, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        be64_write(data + ABI_WORD + 24, cases[i].claimed);
        struct abi_reader r = abi_reader_of(data, sizeof(data), &ok);
        abi_take_array(&r, ABI_WORD, &count);
        cr_assert_eq(ok, cases[i].good, "case %zu", i);
        cr_assert_eq(count, ok ? cases[i].claimed : 0);
    }
}
