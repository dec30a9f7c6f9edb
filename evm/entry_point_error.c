#include "evm/entry_point_error.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#define CODE_LEN 4

static const struct {
    char code[CODE_LEN + 1];
    const char *explanation;
} explanations[] = {
    {"AA10",
     "the account exists already, so the operation must not deploy it: a bundler or proxy added init code"},
    {"AA13",
     "deploying the account failed or ran out of gas; this node deploys none: a bundler or proxy added "
     "init code"},
    {"AA14", "the init code made another account than the sender; this node sends none: look at the bundler"},
    {"AA15", "the init code made no account; this node sends none: look at the bundler"},
    {"AA20", "no contract at the sender's address: deploy the member contract first"},
    {"AA21", "nobody pays: the account has no deposit and no paymaster was attached"},
    {"AA22", "the account's approval is not valid at this time: the bundler's or the chain's clock is off"},
    {"AA23",
     "the member contract refuses the operation, most likely because its implementation is older than this "
     "agent"},
    {"AA24",
     "the signature is not the member owner's: another node holds this member contract, or CHAIN_ID or "
     "ENTRY_POINT is another one's"},
    {"AA25", "the nonce is used or too far ahead: another operation of this account went first, or the RPC "
             "is behind"},
    {"AA26", "validating took more than verificationGasLimit: the bundler's estimate was too low"},
    {"AA30", "no contract at the paymaster's address: the sponsor is configured for another chain"},
    {"AA31", "the paymaster's deposit in the EntryPoint is too low: fund it"},
    {"AA32",
     "the paymaster's approval has expired or is not valid yet: check the clocks, or it took too long"},
    {"AA33", "the paymaster refuses the operation: its own rules or its contract, see the reason it gives"},
    {"AA34", "the paymaster's signature is wrong: check the signer it was deployed with, or the operation "
             "was changed "
             "after it signed"},
    {"AA35", "the paymaster's answer makes no sense: it is no v0.7 paymaster"},
    {"AA36",
     "the paymaster took more than paymasterVerificationGasLimit: the sponsor's gas figures are too low"},
    {"AA40", "validation used more than verificationGasLimit: the bundler's estimate was too low"},
    {"AA41", "too little verification gas was left for the paymaster: the bundler's estimate was too low"},
    {"AA50",
     "the paymaster failed after the call: its postOp gas limit is too low, or its contract is broken"},
    {"AA51", "the operation cost more than was set aside: preVerificationGas or the fees were too low"},
    {"AA90", "the bundler named no address for its own reward: its configuration is wrong"},
    {"AA91", "the bundler's reward could not be paid out: its address refuses ether"},
    {"AA92", "somebody called the EntryPoint's inner function directly: the bundler is broken"},
    {"AA93", "paymasterAndData is too short: the sponsor's answer was cut, or it is a v0.6 sponsor"},
    {"AA94", "a gas figure is too large: the sponsor or the bundler made it up"},
    {"AA95", "the bundler's transaction ran out of gas: the bundler's gas limit is too low"},
    {"AA96", "the aggregator is invalid; this node uses none: the member contract is not ours"},
};

const char *entry_point_error_find(const char *text)
{
    for (const char *at = text; at && (at = strstr(at, "AA")); at += 2) {
        if (isdigit((unsigned char)at[2]) && isdigit((unsigned char)at[3]) && !isalnum((unsigned char)at[4]))
            return at;
    }
    return NULL;
}

const char *entry_point_error_explain(const char *text)
{
    for (size_t i = 0; i < sizeof(explanations) / sizeof(explanations[0]); i++) {
        if (strncmp(text, explanations[i].code, CODE_LEN) == 0)
            return explanations[i].explanation;
    }
    return NULL;
}
