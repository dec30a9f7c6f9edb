#include "agent/core/head.h"
#include "test/unit/vectors.h"

static struct bytes32 argument(struct json_object *args, size_t i)
{
    struct bytes32 value;

    cr_assert(hex_decode_exact(json_object_get_string(json_object_array_get_idx(args, i)), value.b, 32));
    return value;
}

Test(head, registration_vector)
{
    struct json_object *chain = vectors_section("headChain");
    struct json_object *step = json_object_array_get_idx(vector_get(chain, "steps"), 0);
    struct json_object *args = vector_get(step, "args");
    struct bytes32 start = vector_bytes32(chain, "start");
    struct bytes32 expected = vector_bytes32(step, "head");
    struct core_record record = {.member_id = argument(args, 0),
                                 .attestor_id = argument(args, 2),
                                 .x_pubkey = argument(args, 3),
                                 .wg_pubkey = argument(args, 4),
                                 .ed25519_pubkey = argument(args, 5)};

    cr_assert_str_eq(vector_text(step, "event"), "MemberRegistered");
    cr_assert(hex_decode_exact(json_object_get_string(json_object_array_get_idx(args, 1)),
                               record.member_contract.b, sizeof(record.member_contract.b)));
    struct bytes32 head = head_after_registration(&start, 1, &record);
    cr_assert(bytes32_equal(&head, &expected));
    head = head_after_registration(&start, 2, &record);
    cr_assert_not(bytes32_equal(&head, &expected), "the version is part of the head");
}
