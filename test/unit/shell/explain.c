#include "agent/shell/explain.h"

#include <stdio.h>

#include "test/unit/core/kit.h"

static struct kit kit;

static api_Error_Code find(const char *name, uint32_t *index)
{
    struct core_member member = {.index = CORE_NO_INDEX};
    const api_Error_Code code = explain_find(kit.core, kit_status(&kit).members, name, &member);
    *index = member.index;
    return code;
}

static void expect_found(const char *name, uint32_t expected)
{
    uint32_t index;
    cr_expect_eq(find(name, &index), api_Error_Code_UNSPECIFIED, "%s", name);
    cr_expect_eq(index, expected, "%s", name);
}

static void expect_refused(const char *name, api_Error_Code code)
{
    uint32_t index;
    cr_expect_eq(find(name, &index), code, "\"%s\"", name);
}

static void join(void)
{
    kit_join(&kit, 0, 4);
}

static void leave(void)
{
    kit_free(&kit);
}

TestSuite(explain, .init = join, .fini = leave);

Test(explain, finds_a_member_by_index_address_and_beginnings_of_id_and_contract)
{
    char text[80], digits[2 * 32 + 1];
    const struct core_record record = kit_record(3);
    const struct core_member member = kit_member(&kit, 3);
    expect_found("3", 3);
    api_write_ipv4(record.mesh_ip, text);
    expect_found(text, 3);
    api_write_ipv6(member.mesh_ip6, text);
    expect_found(text, 3);
    hex_encode(record.member_id.b, 32, digits);
    snprintf(text, sizeof(text), "0x%s", digits);
    expect_found(text, 3);
    snprintf(text, sizeof(text), "0X%.8s", digits);
    expect_found(text, 3);
    hex_encode(record.member_contract.b, 20, digits);
    expect_found(digits, 3);
}

Test(explain, refuses_names_of_nobody_of_several_and_no_names)
{
    expect_refused("4", api_Error_Code_NOT_FOUND);
    expect_refused("10.13.255.254", api_Error_Code_NOT_FOUND);
    expect_refused("0xfedcba98", api_Error_Code_NOT_FOUND);
    expect_refused("", api_Error_Code_INVALID_ARGUMENT);
    expect_refused("0xabc", api_Error_Code_INVALID_ARGUMENT);
    expect_refused("somebody", api_Error_Code_INVALID_ARGUMENT);
    expect_refused("0x0000", api_Error_Code_INVALID_ARGUMENT);
}
