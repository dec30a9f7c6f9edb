#include <criterion/criterion.h>

#include "agent/transport/loopback.h"

Test(loopback, addresses_of_indexes)
{
    cr_assert_eq(loopback_address_of_index(0), 0x7f400001u);
    cr_assert_eq(loopback_address_of_index(254), 0x7f4000ffu);
    cr_assert_eq(loopback_address_of_index(255), 0x7f400100u);
    cr_assert_eq(loopback_address_of_index(65535), 0x7f410000u);
    cr_assert_eq(loopback_address_of_index(LOOPBACK_INDEXES - 1), 0x7f7fffffu);
}

Test(loopback, index_out_of_range_has_no_address)
{
    cr_assert_eq(loopback_address_of_index(LOOPBACK_INDEXES), 0);
    cr_assert_eq(loopback_address_of_index(UINT32_MAX), 0);
}

Test(loopback, inverse_for_every_index)
{
    for (uint32_t index = 0; index < LOOPBACK_INDEXES; index++) {
        uint32_t back;
        if (!loopback_index_of_address(loopback_address_of_index(index), &back) || back != index)
            cr_assert_fail("index %u comes back as %u", index, back);
    }
}

Test(loopback, other_addresses_have_no_index)
{
    uint32_t index;
    cr_assert_not(loopback_index_of_address(0x7f000001u, &index));
    cr_assert_not(loopback_index_of_address(0x7f400000u, &index));
    cr_assert_not(loopback_index_of_address(0x7f800001u, &index));
    cr_assert_not(loopback_index_of_address(0x0a400001u, &index));
}
