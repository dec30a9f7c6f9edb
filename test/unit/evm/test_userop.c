#include <criterion/criterion.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evm/field.h"
#include "evm/userop.h"
#include "test/unit/vectors.h"

struct vector {
    json_object *section, *json;
    struct userop op;
    uint8_t *call_data;
    struct address entry_point;
    uint64_t chain_id;
};

static struct vector load(void)
{
    struct vector v = {.section = vectors_section("userOp")};
    v.json = vector_get(v.section, "op");
    v.entry_point = vector_address(v.section, "entryPoint");
    v.chain_id = (uint64_t)json_object_get_int64(vector_get(v.section, "chainId"));
    cr_assert(field_text_bytes(vector_text(v.json, "callData"), USEROP_CALL_DATA_MAX, &v.call_data,
                               &v.op.call_data_len));
    v.op.call_data = v.call_data;
    v.op.sender = vector_address(v.json, "sender");
    cr_assert(field_quantity(v.json, "nonce", &v.op.nonce));
    cr_assert(field_quantity(v.json, "maxFeePerGas", &v.op.max_fee_per_gas));
    cr_assert(field_quantity(v.json, "maxPriorityFeePerGas", &v.op.max_priority_fee_per_gas));
    cr_assert_eq(userop_take_gas(&v.op, v.json, NULL), 0);
    cr_assert_eq(userop_take_paymaster(&v.op, v.json, NULL), 0);
    return v;
}

Test(userop, hash_matches_the_vector)
{
    struct vector v = load();
    const struct bytes32 expected = vector_bytes32(v.section, "userOpHash");
    const struct bytes32 hash = userop_hash(&v.op, &v.entry_point, v.chain_id);
    cr_assert(bytes32_equal(&hash, &expected));
    free(v.call_data);
}

Test(userop, signature_matches_the_vector)
{
    struct vector v = load();
    struct secp_signature expected;
    cr_assert_eq(secret_init(), 0);
    SECRET_AUTO owner = secret_new();
    vector_bytes(vectors_section("registration"), "derivedPrivateKey", owner->b, sizeof(owner->b));
    vector_bytes(v.section, "signature", expected.b, sizeof(expected.b));
    cr_assert_eq(userop_sign(&v.op, &v.entry_point, v.chain_id, owner), 0);
    cr_assert_arr_eq(v.op.signature.b, expected.b, sizeof(expected.b));
    free(v.call_data);
}

Test(userop, json_has_every_field_of_the_vector)
{
    struct vector v = load();
    json_object *json = userop_to_json(&v.op);
    cr_assert(json);
    json_object_object_foreach(v.json, name, value)
    {
        if (strcmp(name, "signature") == 0)
            continue;
        cr_assert(field_text(json, name), "%s is missing", name);
        cr_assert_eq(strcasecmp(field_text(json, name), json_object_get_string(value)), 0, "%s", name);
    }
    cr_assert_eq(json_object_object_length(json), json_object_object_length(v.json));
    json_object_put(json);
    free(v.call_data);
}

Test(userop, unknown_gas_and_paymaster_are_left_out)
{
    struct userop op = {.call_data = (const uint8_t *)"", .call_data_len = 0};
    json_object *json = userop_to_json(&op);
    cr_assert_null(field_text(json, "callGasLimit"));
    cr_assert_null(field_text(json, "paymaster"));
    cr_assert_str_eq(field_text(json, "callData"), "0x");
    json_object_put(json);
}

Test(userop, placeholder_signature_recovers)
{
    struct userop op = {0};
    const struct bytes32 digest = {{1}};
    struct address somebody;
    userop_set_placeholder_signature(&op);
    cr_assert_eq(secp_recover_address(&digest, &op.signature, &somebody), 0);
}

Test(userop, gas_that_does_not_fit_is_refused_by_name)
{
    const char *const values[] = {"\"0x100000000000000000000000000000000\"", "\"12\"", "12", "null",
                                  "\"0x\""};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char text[256];
        struct userop op = {0};
        struct am_err err;
        snprintf(text, sizeof(text),
                 "{\"callGasLimit\":\"0x1\",\"verificationGasLimit\":%s,\"preVerificationGas\":\"0x1\"}",
                 values[i]);
        json_object *json = json_tokener_parse(text);
        cr_assert_eq(userop_take_gas(&op, json, &err), AM_EFORMAT);
        cr_assert(strstr(err.text, "verificationGasLimit"), "%s", err.text);
        cr_assert_not(op.gas_known);
        json_object_put(json);
    }
}

Test(userop, a_sponsors_answer_is_checked)
{
    const char *const bad[] = {
        "[]",
        "{}",
        "{\"paymaster\":\"0x11\",\"paymasterData\":\"0x\"}",
        "{\"paymaster\":\"0x1111111111111111111111111111111111111111\"}",
        "{\"paymaster\":\"0x1111111111111111111111111111111111111111\",\"paymasterData\":\"0x1\"}",
        ("{\"paymaster\":\"0x1111111111111111111111111111111111111111\",\"paymasterData\":\"0x\","
         "\"paymasterPostOpGasLimit\":7}")};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct userop op = {0};
        json_object *json = json_tokener_parse(bad[i]);
        cr_assert_eq(userop_take_paymaster(&op, json, NULL), AM_EFORMAT, "%s", bad[i]);
        json_object_put(json);
    }
}

Test(userop, raised_fees_are_an_eighth_higher)
{
    struct userop op = {.max_fee_per_gas = uint256_of_u64(8000),
                        .max_priority_fee_per_gas = uint256_of_u64(1)};
    uint64_t fee;
    userop_raise_fees(&op);
    cr_assert(uint256_to_u64(&op.max_fee_per_gas, &fee));
    cr_assert_geq(fee, 9000);
    cr_assert_leq(fee, 9001);
    cr_assert(uint256_to_u64(&op.max_priority_fee_per_gas, &fee));
    cr_assert_eq(fee, 2);
}

Test(userop, outbidding_has_a_ceiling)
{
    const struct {
        uint64_t market, pending, expected;
    } cases[] = {{1000, 800, 1000}, {1000, 1000, 1126}, {1000, 3000, 3376}, {1000, 3600, 1000}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct userop op = {.max_fee_per_gas = uint256_of_u64(cases[i].market),
                            .max_priority_fee_per_gas = uint256_of_u64(10)};
        const struct uint256 fee = uint256_of_u64(cases[i].pending), tip = uint256_of_u64(100);
        uint64_t raised;
        userop_outbid(&op, &fee, &tip);
        cr_assert(uint256_to_u64(&op.max_fee_per_gas, &raised));
        cr_assert_eq(raised, cases[i].expected, "case %zu: %lu", i, (unsigned long)raised);
    }
}
