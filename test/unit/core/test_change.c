#include "agent/core/change.h"
#include "test/unit/vectors.h"

static struct json_object *argument(struct json_object *step, size_t i)
{
    return json_object_array_get_idx(vector_get(step, "args"), i);
}

static struct bytes32 word(struct json_object *step, size_t i)
{
    struct bytes32 value;

    cr_assert(hex_decode_exact(json_object_get_string(argument(step, i)), value.b, 32));
    return value;
}

static struct core_change registration(struct json_object *step)
{
    struct core_record record = {.member_id = word(step, 0),
                                 .attestor_id = word(step, 2),
                                 .x_pubkey = word(step, 3),
                                 .wg_pubkey = word(step, 4),
                                 .ed25519_pubkey = word(step, 5)};

    cr_assert(hex_decode_exact(json_object_get_string(argument(step, 1)), record.member_contract.b,
                               sizeof(record.member_contract.b)));
    return (struct core_change){.type = CORE_CHANGE_REGISTERED, .registered = record};
}

static struct core_change change_of(struct json_object *step)
{
    const char *event = vector_text(step, "event");

    if (strcmp(event, "MemberRegistered") == 0)
        return registration(step);
    if (strcmp(event, "MemberRemoved") == 0)
        return (struct core_change){.type = CORE_CHANGE_REMOVED, .removed = word(step, 0)};
    if (strcmp(event, "WgKeyPublished") == 0)
        return (struct core_change){.type = CORE_CHANGE_WG_KEY, .key = {word(step, 0), word(step, 1)}};
    const uint64_t generation = json_object_get_uint64(argument(step, 0));
    if (strcmp(event, "CskRotationStarted") == 0)
        return (struct core_change){.type = CORE_CHANGE_CSK_ROTATED, .csk = {.generation = generation}};
    cr_assert_str_eq(event, "CskCommitmentSet");
    return (struct core_change){.type = CORE_CHANGE_CSK_COMMITTED, .csk = {generation, word(step, 1)}};
}

Test(change, heads_of_the_vectors)
{
    struct json_object *chain = vectors_section("headChain"), *steps = vector_get(chain, "steps");
    struct core_chain_state state = {.head = vector_bytes32(chain, "start")};

    for (size_t i = 0; i < json_object_array_length(steps); i++) {
        struct json_object *step = json_object_array_get_idx(steps, i);
        const struct core_change change = change_of(step);
        const struct bytes32 head = vector_bytes32(step, "head");
        state = change_apply(&state, &change);
        cr_assert_eq(state.version, i + 1);
        cr_assert(bytes32_equal(&state.head, &head), "%s", vector_text(step, "event"));
    }
    cr_assert(state.members == 1 && state.removed == 1);
    cr_assert(state.csk_generation == 1 && bytes32_is_zero(&state.csk_commitment));
}

Test(change, every_kind_and_argument_makes_another_head)
{
    const struct core_change changes[] = {
        {.type = CORE_CHANGE_WG_KEY, .key = {{{1}}, {{2}}}},
        {.type = CORE_CHANGE_WG_KEY, .key = {{{1}}, {{3}}}},
        {.type = CORE_CHANGE_ED25519_KEY, .key = {{{1}}, {{2}}}},
        {.type = CORE_CHANGE_CSK_COMMITTED, .csk = {1, {{2}}}},
        {.type = CORE_CHANGE_CSK_ROTATED, .csk = {1, {{2}}}},
        {.type = CORE_CHANGE_REMOVED, .removed = {{1}}},
    };
    const size_t len = sizeof(changes) / sizeof(changes[0]);
    const struct core_chain_state start = {.version = 7};

    for (size_t i = 0; i < len; i++) {
        const struct core_chain_state a = change_apply(&start, &changes[i]);
        for (size_t j = 0; j < i; j++) {
            const struct core_chain_state b = change_apply(&start, &changes[j]);
            cr_assert_not(bytes32_equal(&a.head, &b.head), "%zu and %zu", i, j);
        }
        const struct core_chain_state later =
            change_apply(&(struct core_chain_state){.version = 8}, &changes[i]);
        cr_assert_not(bytes32_equal(&a.head, &later.head), "the version is part of the head");
    }
}
