#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "evm/revert.h"
#include "test/unit/evm/evm_vectors.h"

static void assert_describes(const char *name, const char *expected)
{
    char text[REVERT_TEXT_SIZE];
    const struct evm_bytes data = evm_vector("reverts", name);
    cr_assert_str_eq(revert_describe(data.data, data.len, text), expected);
    free(data.data);
}

Test(revert, our_errors_come_with_advice)
{
    assert_describes("notOurMember",
                     "NotOurMember: the member contract is neither deployed by the cluster's factory nor "
                     "an allowed app id");
    assert_describes("invalidSigChainKmsRoot", "InvalidSigChain: the KMS root is not on the cluster's list");
    assert_describes("invalidSigChainUnknown", "InvalidSigChain");
}

Test(revert, standard_errors)
{
    assert_describes("error", "out of ? cheese");
    assert_describes("panic", "Panic(0x11)");
}

Test(revert, entry_point_errors_carry_the_inner_one)
{
    assert_describes("failedOp",
                     "AA21 didn't pay prefund: nobody pays: the account has no deposit and no paymaster was "
                     "attached");
    assert_describes("failedOpWithRevert",
                     "AA23 reverted: NotOurMember: the member contract is neither deployed by the "
                     "cluster's factory nor an allowed app id");
    assert_describes("nestedTwice", "AA23 reverted: FailedOpWithRevert");
}

Test(revert, unknown_and_short_data)
{
    char text[REVERT_TEXT_SIZE];
    cr_assert_str_eq(revert_describe((const uint8_t *)"\xde\xad\xbe\xef", 4, text),
                     "unknown error 0xdeadbeef");
    cr_assert_str_eq(revert_describe((const uint8_t *)"\xde\xad\xbe", 3, text), "no reason given");
    cr_assert_str_eq(revert_describe(NULL, 0, text), "no reason given");
}

/* Every prefix is read within its bounds (the sanitizer build is the witness) and fits the text. */
Test(revert, truncated_data_is_harmless)
{
    const struct evm_bytes data = evm_vector("reverts", "failedOpWithRevert");
    for (size_t len = 0; len < data.len; len++) {
        char text[REVERT_TEXT_SIZE];
        uint8_t *copy = malloc(len ? len : 1);
        memcpy(copy, data.data, len);
        cr_assert_lt(strlen(revert_describe(copy, len, text)), REVERT_TEXT_SIZE);
        free(copy);
    }
    free(data.data);
}
