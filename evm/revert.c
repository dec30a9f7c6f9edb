#include "evm/revert.h"

#include <stdio.h>
#include <string.h>

#include "contracts_abi.h"
#include "evm/abi.h"
#include "evm/entry_point_error.h"

#define ERROR_STRING_SELECTOR 0x08c379a0u          /* Error(string) */
#define PANIC_SELECTOR 0x4e487b71u                 /* Panic(uint256) */
#define FAILED_OP_SELECTOR 0x220266b6u             /* FailedOp(uint256,string) */
#define FAILED_OP_WITH_REVERT_SELECTOR 0x65c8fd4du /* FailedOpWithRevert(uint256,string,bytes) */
#define INVALID_SIG_CHAIN_SELECTOR 0x2d84e5e9u     /* InvalidSigChain(uint8) */

struct text {
    char *at;
    size_t left; /* the NUL included */
};

static const struct {
    uint32_t selector;
    const char *signature;
} errors[] = {
#define ERROR_ENTRY(selector, signature) {selector, signature},
    ABI_ERRORS(ERROR_ENTRY)
#undef ERROR_ENTRY
};

/* What an operator should know or do, by the beginning of an error's name. */
static const struct {
    const char *beginning;
    const char *advice;
} advices[] = {
    {"NotOurMember",
     "the member contract is neither deployed by the cluster's factory nor an allowed app id"},
    {"CodeIdMismatch", "the guest agent's app id is not the member contract"},
    {"BindingMismatch", "the proof binds other keys, another member contract or another cluster"},
    {"InvalidVoucher", "the operator's signature does not fit this node's keys"},
    {"UnknownOperator", "the operator key is not on the cluster's list"},
    {"VoucherExpired", "ask the operator for a new voucher"},
    {"AlreadyMember", "this member contract is registered already"},
    {"MemberIsRemoved", "the cluster owner removed this member"},
    {"NotAMember", "only live members may do this"},
    {"MeshIpExhausted", "the mesh network is full: use a larger one"},
    {"WgKeyTaken", "another member holds or held this WireGuard key"},
    {"ZeroKey", "a public key is zero"},
    {"OwnerAlreadySet", "the member contract belongs to another key already"},
};

static const char *const sig_chain_links[] = {
    "the purpose is not the binding's",          "the derived key did not sign this binding",
    "the app key did not sign the derived key",  "the KMS signature is malformed",
    "the KMS root is not on the cluster's list",
};

static const char *advice_of(const char *text)
{
    for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
        if (strncmp(text, advices[i].beginning, strlen(advices[i].beginning)) == 0)
            return advices[i].advice;
    }
    return entry_point_error_explain(text);
}

static void append(struct text *text, const char *more, size_t len)
{
    for (size_t i = 0; i < len && text->left > 1; i++, text->left--)
        *text->at++ = more[i] >= 0x20 && more[i] < 0x7f ? more[i] : '?';
    *text->at = '\0';
}

static void append_string(struct text *text, const char *more)
{
    append(text, more, strlen(more));
}

static void append_advice(struct text *text, const char *name)
{
    const char *advice = advice_of(name);
    if (advice) {
        append_string(text, ": ");
        append_string(text, advice);
    }
}

static void append_sig_chain(struct text *text, struct abi_reader *arguments)
{
    const uint8_t link = abi_take_u8(arguments);
    append_string(text, "InvalidSigChain");
    if (*arguments->ok && link < sizeof(sig_chain_links) / sizeof(sig_chain_links[0])) {
        append_string(text, ": ");
        append_string(text, sig_chain_links[link]);
    }
}

static void append_panic(struct text *text, struct abi_reader *arguments)
{
    char code[32];
    snprintf(code, sizeof(code), "Panic(0x%02llx)", (unsigned long long)abi_take_u64(arguments));
    append_string(text, *arguments->ok ? code : "Panic");
}

static void append_custom(struct text *text, uint32_t selector)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (errors[i].selector == selector) {
            append(text, errors[i].signature, strcspn(errors[i].signature, "("));
            append_advice(text, errors[i].signature);
            return;
        }
    }
    char unknown[32];
    snprintf(unknown, sizeof(unknown), "unknown error 0x%08x", (unsigned)selector);
    append_string(text, unknown);
}

static void append_reason(struct text *text, struct abi_reader *arguments)
{
    size_t len;
    const char *reason = (const char *)abi_take_bytes(arguments, &len);
    append(text, reason, len);
}

/* "AA23 reverted": the code's advice, unless the inner error says more. */
static void append_failed_op(struct text *text, struct abi_reader *arguments, bool advise)
{
    char reason[64] = "";
    size_t len;
    abi_take_uint256(arguments);
    const uint8_t *bytes = abi_take_bytes(arguments, &len);
    memcpy(reason, bytes, len < sizeof(reason) ? len : sizeof(reason) - 1);
    append_string(text, reason);
    if (advise)
        append_advice(text, reason);
}

static void describe(struct text *text, const uint8_t *data, size_t len, bool nested)
{
    bool ok;
    if (len < 4) {
        append_string(text, "no reason given");
        return;
    }
    const uint32_t selector = be32_read(data);
    struct abi_reader arguments = abi_reader_of(data + 4, len - 4, &ok);
    if (selector == ERROR_STRING_SELECTOR) {
        append_reason(text, &arguments);
    } else if (selector == PANIC_SELECTOR) {
        append_panic(text, &arguments);
    } else if (selector == INVALID_SIG_CHAIN_SELECTOR) {
        append_sig_chain(text, &arguments);
    } else if (selector == FAILED_OP_SELECTOR) {
        append_failed_op(text, &arguments, true);
    } else if (selector == FAILED_OP_WITH_REVERT_SELECTOR && !nested) {
        size_t inner_len;
        append_failed_op(text, &arguments, false);
        const uint8_t *inner = abi_take_bytes(&arguments, &inner_len);
        append_string(text, ": ");
        describe(text, inner, inner_len, true);
    } else {
        append_custom(text, selector);
    }
}

const char *revert_describe(const uint8_t *data, size_t len, char out[REVERT_TEXT_SIZE])
{
    struct text text = {.at = out, .left = REVERT_TEXT_SIZE};
    out[0] = '\0';
    describe(&text, data, len, false);
    return out;
}
