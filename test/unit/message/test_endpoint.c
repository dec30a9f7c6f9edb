#include <criterion/criterion.h>
#include <string.h>

#include "agent/message/endpoint.h"

static const struct endpoint endpoint = {
    .member_id = {{1, 2, 3}}, .host = "ab-51900s.gw.example.net", .port = 443, .issued_ms = 1700000000000};

Test(endpoint, what_is_built_is_taken)
{
    uint8_t bytes[ENDPOINT_BYTES_MAX];
    struct endpoint out;
    struct am_err err;

    cr_assert_eq(endpoint_take(bytes, endpoint_build(&endpoint, bytes), &out, &err), 0);
    cr_assert(bytes32_equal(&out.member_id, &endpoint.member_id));
    cr_assert_str_eq(out.host, endpoint.host);
    cr_assert_eq(out.port, endpoint.port);
    cr_assert_eq(out.issued_ms, endpoint.issued_ms);
}

static void expect_refusal(const struct endpoint *wrong, const char *reason)
{
    uint8_t bytes[ENDPOINT_BYTES_MAX];
    struct endpoint out;
    struct am_err err;

    cr_assert_eq(endpoint_take(bytes, endpoint_build(wrong, bytes), &out, &err), AM_EFORMAT);
    cr_assert_not_null(strstr(err.text, reason), "%s", err.text);
}

Test(endpoint, one_that_can_not_be_dialed_is_refused)
{
    struct endpoint wrong = endpoint;

    wrong.port = 0;
    expect_refusal(&wrong, "port is 0");
    wrong = endpoint;
    strcpy(wrong.host, "not a host");
    expect_refusal(&wrong, "no host name");
    wrong.host[0] = '\0';
    expect_refusal(&wrong, "no host name");
}

Test(endpoint, its_envelope_id_is_of_recipient_and_content)
{
    const struct bytes32 bob = {{7}}, carol = {{8}};
    struct endpoint other = endpoint;
    const struct bytes32 id = endpoint_envelope_id(&endpoint, &bob);
    const struct bytes32 again = endpoint_envelope_id(&endpoint, &bob);
    const struct bytes32 to_carol = endpoint_envelope_id(&endpoint, &carol);

    other.port = 8443;
    const struct bytes32 of_other = endpoint_envelope_id(&other, &bob);
    cr_assert(bytes32_equal(&id, &again));
    cr_assert_not(bytes32_equal(&id, &to_carol));
    cr_assert_not(bytes32_equal(&id, &of_other));
}
