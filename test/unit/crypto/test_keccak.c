#include <criterion/criterion.h>
#include <stdlib.h>

#include "crypto/keccak.h"
#include "test/unit/vectors.h"

/* The vectors write "a*135" for 135 letters. */
static size_t expand(const char *input, char *out, size_t size)
{
    const char *star = strchr(input, '*');
    const size_t len = star ? (size_t)atoi(star + 1) : strlen(input);
    cr_assert_lt(len, size);
    if (star)
        memset(out, input[0], len);
    else
        memcpy(out, input, len);
    return len;
}

Test(keccak, vectors)
{
    json_object *cases = vectors_section("keccak");
    cr_assert_gt(json_object_array_length(cases), 0);
    for (size_t i = 0; i < json_object_array_length(cases); i++) {
        json_object *one = json_object_array_get_idx(cases, i);
        const struct bytes32 expected = vector_bytes32(one, "hash");
        char input[512];
        const size_t len = expand(vector_text(one, "input"), input, sizeof(input));
        const struct bytes32 hash = keccak256(input, len);
        cr_assert(bytes32_equal(&hash, &expected), "%s", vector_text(one, "input"));
    }
}

Test(keccak, pieces_hash_like_the_whole)
{
    uint8_t data[300];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7);
    const struct bytes32 whole = keccak256(data, sizeof(data));
    for (size_t cut = 0; cut <= sizeof(data); cut++) {
        struct keccak k;
        struct bytes32 hash;
        keccak_init(&k);
        keccak_update(&k, data, cut);
        keccak_update(&k, data + cut, sizeof(data) - cut);
        keccak_final(&k, &hash);
        cr_assert(bytes32_equal(&hash, &whole), "cut at %zu", cut);
    }
}
