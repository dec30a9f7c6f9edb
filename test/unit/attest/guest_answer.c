#include "agent/attest/guest_answer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define SIG_10 "00112233445566778899"
#define SIG SIG_10 SIG_10 SIG_10 SIG_10 SIG_10 SIG_10 "0011223344"
#define CHAIN "\"signature_chain\":[\"" SIG "\",\"0x" SIG "\"]"

static void start_crypto(void)
{
    cr_assert_eq(secret_init(), 0);
}

TestSuite(guest_answer, .init = start_crypto);

static struct guest_key key;
static struct am_err err;

static int parse(const char *body)
{
    err = (struct am_err){0};
    return guest_answer_parse_key(body, strlen(body), &key, &err);
}

static void accept(const char *body)
{
    const int code = parse(body);
    cr_assert_eq(code, 0, "%s: %s", body, err.text);
    cr_assert_eq(key.key->b[31], 0x1f);
    cr_assert_eq(key.app_signature.b[64], 0x44);
    cr_assert_eq(key.kms_signature.b[1], 0x11);
    secret_free(key.key);
}

static void refuse(const char *body, const char *sentence)
{
    cr_assert_eq(parse(body), AM_EFORMAT, "%s", body);
    cr_assert_null(key.key);
    cr_assert(strstr(err.text, sentence), "\"%s\" is not in: %s", sentence, err.text);
    cr_assert_null(strstr(err.text, "0001"), "the sentence shows key material: %s", err.text);
}

Test(guest_answer, key_with_and_without_prefix)
{
    accept("{\"key\":\"" KEY "\"," CHAIN "}");
    accept(" {\n\"signature_chain\" : [ \"" SIG "\" , \"" SIG "\" ] ,\t\"key\" : \"0x" KEY "\" }\r\n");
}

Test(guest_answer, unknown_fields_are_skipped)
{
    accept("{\"a\":{\"key\":[1,-2.5e3,true,null,{}],\"b\":[]},\"s\":\"\\\"}\",\"key\":\"" KEY "\"," CHAIN
           ",\"n\":1}");
}

Test(guest_answer, missing_field_is_named)
{
    refuse("{" CHAIN "}", "field key is missing");
    refuse("{\"key\":\"" KEY "\"}", "field signature_chain is missing");
}

Test(guest_answer, wrong_length_is_named)
{
    refuse("{\"key\":\"" KEY "00\"," CHAIN "}", "field key is not 64 hexadecimal digits");
    refuse("{\"key\":\"\"," CHAIN "}", "field key is not 64 hexadecimal digits");
    refuse("{\"key\":\"" KEY "\",\"signature_chain\":[\"" SIG "00\",\"" SIG "\"]}",
           "field signature_chain[0]");
    refuse("{\"key\":\"" KEY "\",\"signature_chain\":[\"" SIG "\",\"00\"]}", "field signature_chain[1]");
    refuse("{\"key\":\"" KEY "\",\"signature_chain\":[\"" SIG "\"]}",
           "field signature_chain is not a list of two");
    refuse("{\"key\":\"" KEY "\",\"signature_chain\":[\"" SIG "\",\"" SIG "\",\"" SIG "\"]}",
           "field signature_chain is not a list of two");
}

Test(guest_answer, wrong_type_is_named)
{
    refuse("{\"key\":5," CHAIN "}", "field key is not a string");
    refuse("{\"key\":\"" KEY "\",\"signature_chain\":\"" SIG "\"}",
           "field signature_chain is not a list of two");
    refuse("{\"key\":\"zz" KEY "\"," CHAIN "}", "field key is not 64 hexadecimal digits");
}

Test(guest_answer, field_given_twice_is_refused)
{
    refuse("{\"key\":\"" KEY "\",\"key\":\"" KEY "\"," CHAIN "}", "field key comes twice");
    refuse("{\"key\":\"" KEY "\"," CHAIN "," CHAIN "}", "field signature_chain comes twice");
}

Test(guest_answer, anything_but_one_object_is_refused)
{
    static const char *const bodies[] = {
        "",
        "null",
        "[]",
        "{",
        "{}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"key\":\"" KEY,
        "{\"key\":\"" KEY "\"," CHAIN,
        "{\"key\":\"" KEY "\"," CHAIN "}x",
        "{\"key\":\"" KEY "\"," CHAIN ",}",
        "<html>",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        refuse(bodies[i], "the answer is not a JSON object");
}

Test(guest_answer, nesting_is_bounded)
{
    char body[4096] = "{\"a\":";
    memset(body + 5, '[', 2000);
    refuse(body, "the answer is not a JSON object");
}

static struct guest_info info;

static int parse_info(const char *body)
{
    return guest_answer_parse_info(body, strlen(body), &info, &err);
}

Test(guest_answer, info_needs_the_app_id_only)
{
    cr_assert_eq(parse_info("{\"app_id\":\"1111111111111111111111111111111111111111\",\"instance_id\":\"\"}"),
                 0);
    cr_assert_eq(info.app_id.b[19], 0x11);
    cr_assert(bytes32_is_zero(&info.compose_hash));
    cr_assert_eq(
        parse_info("{\"app_id\":\"0x1111111111111111111111111111111111111111\",\"compose_hash\":\"" KEY
                   "\",\"tcb_info\":\"{}\"}"),
        0);
    cr_assert_eq(info.compose_hash.b[31], 0x1f);
}

Test(guest_answer, info_with_bad_field_names_it)
{
    static const struct {
        const char *body, *sentence;
    } cases[] = {
        {"{}", "field app_id is missing"},
        {"{\"app_id\":null}", "field app_id is missing"},
        {"{\"app_id\":\"\"}", "field app_id is not 20 bytes"},
        {"{\"app_id\":\"11\"}", "field app_id is not 20 bytes"},
        {"{\"app_id\":7}", "field app_id is not 20 bytes"},
        {"{\"app_id\":\"1111111111111111111111111111111111111111\",\"device_id\":\"11\"}",
         "field device_id is not 32 bytes"},
        {"[]", "not a JSON object"},
        {"{} x", "not a JSON object"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert_eq(parse_info(cases[i].body), AM_EFORMAT, "%s", cases[i].body);
        cr_assert(strstr(err.text, cases[i].sentence), "%s: %s", cases[i].body, err.text);
    }
}
