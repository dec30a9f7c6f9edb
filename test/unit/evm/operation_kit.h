/* An operation with everybody it talks to: a node, a bundler and two ERC-7677 sponsors with scripted answers,
 * which let it be included at first try unless a test changes them. */
#ifndef UNIT_EVM_OPERATION_KIT_H
#define UNIT_EVM_OPERATION_KIT_H

#include <event2/event.h>

#include "evm/operation.h"
#include "test/unit/evm/fake_rpc.h"

#define PAYMASTER_A "\"paymaster\":\"0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""
#define PAYMASTER_B "\"paymaster\":\"0xbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\""
#define STUB(paymaster)                                                                                      \
    "\"result\":{" paymaster ",\"paymasterData\":\"0x5b\",\"paymasterVerificationGasLimit\":\"0x7530\","     \
    "\"paymasterPostOpGasLimit\":\"0x1\"}"
#define EVERYTHING                                                                                           \
    PAYMASTER_A ",\"paymasterData\":\"0xec\",\"paymasterVerificationGasLimit\":\"0x7530\","                  \
                "\"paymasterPostOpGasLimit\":\"0x1\",\"callGasLimit\":\"0x186a0\","                          \
                "\"verificationGasLimit\":\"0x30d40\",\"preVerificationGas\":\"0xc350\""
#define DENIED "\"error\":{\"code\":-32001,\"message\":\"sponsorship denied: not today\"}"
#define RECEIPT                                                                                              \
    "\"result\":{\"userOpHash\":\"$HASH\",\"success\":true,\"actualGasCost\":\"0x99\",\"logs\":[],"          \
    "\"receipt\":"                                                                                           \
    "{\"transactionHash\":\"0x7700000000000000000000000000000000000000000000000000000000000077\"}}"
#define NO_RECEIPT "\"result\":null"
#define SENT "\"result\":\"$HASH\""
#define NOT_OUR_MEMBER "\"error\":{\"code\":-32521,\"message\":\"reverted with reason: 0x3d30ea79\"}"

enum { NODE, BUNDLER, SPONSOR_A, SPONSOR_B, SERVICES };

struct operation_kit {
    struct event_base *base;
    struct http_client *http;
    struct fake_rpc fakes[SERVICES];
    struct sponsor sponsors[2];
    struct operation_services services;
    struct address sender, owner;
    struct secret *key;
    struct operation *operation;
    unsigned requests, cancel_at; /* 0: never */

    struct bytes32 hash; /* of the operation sent last */
    struct bytes32 sent_hashes[16];
    uint64_t sent_fees[16];
    unsigned sent;
    struct uint256 sent_nonce;
    uint64_t sent_call_gas;
    char sent_paymaster_data[64];
    unsigned asked_sponsors;
    struct uint256 fixed_fee; /* that Alchemy was told last */

    struct operation_pending pending; /* to go on with */
    struct operation_pending kept;    /* as told before the last send */
    unsigned results;
    struct operation_result result;
    char error[AM_ERR_TEXT_MAX];
    char states[512];
};

extern const struct operation_callbacks kit_callbacks; /* their user is the kit */

void kit_setup(struct operation_kit *f);
void kit_teardown(struct operation_kit *f);

/* Runs one operation until it is over, or cancelled at request `cancel_at`. */
void kit_run(struct operation_kit *f);
void kit_run_to_result(struct operation_kit *f, int code);

/* The bundler shows the receipt after so many looks for it. */
void kit_receipt_after(struct operation_kit *f, size_t looks);

/* How often a service was asked for a method. */
unsigned kit_calls(struct operation_kit *f, int service, const char *method);

#endif
