#include "evm/userop.h"

#include <string.h>

#include "crypto/keccak.h"
#include "evm/abi.h"
#include "evm/field.h"

#define OUTBID_CEILING 4 /* times what the chain asks for */

/* One more probe for a free mesh address costs 3,000 gas; the EntryPoint charges a tenth of what is not used.
 */
#define CALL_GAS_MARGIN 5000

/* Two values below 2^128 in one word, as v0.7 packs them. */
static struct bytes32 pack(const struct uint256 *high, const struct uint256 *low)
{
    struct bytes32 word;
    memcpy(word.b, high->b + 16, 16);
    memcpy(word.b + 16, low->b + 16, 16);
    return word;
}

/* keccak(paymasterAndData): paymaster ‖ uint128 verification gas ‖ uint128 post-op gas ‖ data, or nothing. */
static struct bytes32 hash_paymaster(const struct userop *op)
{
    struct keccak k;
    struct bytes32 hash;
    keccak_init(&k);
    if (op->has_paymaster) {
        const struct bytes32 limits =
            pack(&op->paymaster_verification_gas_limit, &op->paymaster_post_op_gas_limit);
        keccak_update(&k, op->paymaster.b, sizeof(op->paymaster.b));
        keccak_update(&k, limits.b, sizeof(limits.b));
        keccak_update(&k, op->paymaster_data, op->paymaster_data_len);
    }
    keccak_final(&k, &hash);
    return hash;
}

static void hash_address(struct keccak *k, const struct address *address)
{
    static const uint8_t padding[ABI_WORD - sizeof(address->b)];
    keccak_update(k, padding, sizeof(padding));
    keccak_update(k, address->b, sizeof(address->b));
}

static struct bytes32 hash_fields(const struct userop *op)
{
    const struct bytes32 init_code = keccak256("", 0);
    const struct bytes32 call_data = keccak256(op->call_data, op->call_data_len);
    const struct bytes32 gas_limits = pack(&op->verification_gas_limit, &op->call_gas_limit);
    const struct bytes32 gas_fees = pack(&op->max_priority_fee_per_gas, &op->max_fee_per_gas);
    const struct bytes32 paymaster = hash_paymaster(op);
    const uint8_t *const words[] = {
        op->nonce.b, init_code.b, call_data.b, gas_limits.b, op->pre_verification_gas.b,
        gas_fees.b,  paymaster.b};
    struct keccak k;
    struct bytes32 hash;
    keccak_init(&k);
    hash_address(&k, &op->sender);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        keccak_update(&k, words[i], ABI_WORD);
    keccak_final(&k, &hash);
    return hash;
}

struct bytes32 userop_hash(const struct userop *op, const struct address *entry_point, uint64_t chain_id)
{
    const struct bytes32 fields = hash_fields(op);
    const struct uint256 chain = uint256_of_u64(chain_id);
    struct keccak k;
    struct bytes32 hash;
    keccak_init(&k);
    keccak_update(&k, fields.b, sizeof(fields.b));
    hash_address(&k, entry_point);
    keccak_update(&k, chain.b, sizeof(chain.b));
    keccak_final(&k, &hash);
    return hash;
}

int userop_sign(struct userop *op, const struct address *entry_point, uint64_t chain_id,
                const struct secret *owner)
{
    const struct bytes32 hash = userop_hash(op, entry_point, chain_id);
    const struct bytes32 digest = secp_personal_digest(&hash);
    return secp_sign_digest(owner, &digest, &op->signature);
}

void userop_set_placeholder_signature(struct userop *op)
{
    /* r is the generator's x, so that there is a point to recover; s is low. */
    static const uint8_t r[32] = {0x79, 0xbe, 0x66, 0x7e, 0xf9, 0xdc, 0xbb, 0xac, 0x55, 0xa0, 0x62,
                                  0x95, 0xce, 0x87, 0x0b, 0x07, 0x02, 0x9b, 0xfc, 0xdb, 0x2d, 0xce,
                                  0x28, 0xd9, 0x59, 0xf2, 0x81, 0x5b, 0x16, 0xf8, 0x17, 0x98};
    memcpy(op->signature.b, r, sizeof(r));
    memset(op->signature.b + 32, 0x11, 32);
    op->signature.b[64] = 27;
}

static bool add_gas(json_object *json, const struct userop *op)
{
    return field_add(json, "callGasLimit", field_of_quantity(&op->call_gas_limit)) &&
           field_add(json, "verificationGasLimit", field_of_quantity(&op->verification_gas_limit)) &&
           field_add(json, "preVerificationGas", field_of_quantity(&op->pre_verification_gas));
}

static bool add_paymaster(json_object *json, const struct userop *op)
{
    return field_add(json, "paymaster", field_of_address(&op->paymaster)) &&
           field_add(json, "paymasterVerificationGasLimit",
                     field_of_quantity(&op->paymaster_verification_gas_limit)) &&
           field_add(json, "paymasterPostOpGasLimit", field_of_quantity(&op->paymaster_post_op_gas_limit)) &&
           field_add(json, "paymasterData", field_of_bytes(op->paymaster_data, op->paymaster_data_len));
}

json_object *userop_to_json(const struct userop *op)
{
    json_object *json = json_object_new_object();
    const bool complete =
        field_add(json, "sender", field_of_address(&op->sender)) &&
        field_add(json, "nonce", field_of_quantity(&op->nonce)) &&
        field_add(json, "callData", field_of_bytes(op->call_data, op->call_data_len)) &&
        field_add(json, "maxFeePerGas", field_of_quantity(&op->max_fee_per_gas)) &&
        field_add(json, "maxPriorityFeePerGas", field_of_quantity(&op->max_priority_fee_per_gas)) &&
        field_add(json, "signature", field_of_bytes(op->signature.b, sizeof(op->signature.b))) &&
        (!op->gas_known || add_gas(json, op)) && (!op->has_paymaster || add_paymaster(json, op));
    if (complete)
        return json;
    json_object_put(json);
    return NULL;
}

/* A quantity that fits the 128 bits it will be packed into. */
static bool take_u128(json_object *json, const char *name, struct uint256 *out)
{
    struct uint256 value;
    unsigned __int128 narrow;
    if (!field_quantity(json, name, &value) || !uint256_to_u128(&value, &narrow))
        return false;
    *out = value;
    return true;
}

static bool has_field(json_object *json, const char *name)
{
    json_object *value;
    return json_object_object_get_ex(json, name, &value) && value;
}

static int take_required(json_object *json, const char *name, struct uint256 *out, struct am_err *err)
{
    return take_u128(json, name, out)
               ? 0
               : am_fail(err, AM_EFORMAT, "%s is missing or no 128-bit quantity", name);
}

static int take_optional(json_object *json, const char *name, struct uint256 *out, struct am_err *err)
{
    return has_field(json, name) ? take_required(json, name, out, err) : 0;
}

static int take_paymaster_gas(struct userop *op, json_object *json, struct am_err *err)
{
    const int code =
        take_optional(json, "paymasterVerificationGasLimit", &op->paymaster_verification_gas_limit, err);
    return code ? code
                : take_optional(json, "paymasterPostOpGasLimit", &op->paymaster_post_op_gas_limit, err);
}

int userop_take_gas(struct userop *op, json_object *estimate, struct am_err *err)
{
    int code = take_required(estimate, "callGasLimit", &op->call_gas_limit, err);
    if (!code)
        code = take_required(estimate, "verificationGasLimit", &op->verification_gas_limit, err);
    if (!code)
        code = take_required(estimate, "preVerificationGas", &op->pre_verification_gas, err);
    if (!code && op->has_paymaster)
        code = take_paymaster_gas(op, estimate, err);
    op->gas_known = op->gas_known || !code;
    return code;
}

/* What a transaction costs before its call begins: EIP-2028. */
static uint64_t transaction_gas(const struct userop *op)
{
    uint64_t gas = 21000;
    for (size_t i = 0; i < op->call_data_len; i++)
        gas += op->call_data[i] ? 16 : 4;
    return gas;
}

int userop_raise_call_gas(struct userop *op, json_object *estimate, struct am_err *err)
{
    uint64_t gas;
    if (!json_object_is_type(estimate, json_type_string) ||
        !quantity_parse_u64(json_object_get_string(estimate), &gas) || gas < transaction_gas(op))
        return am_fail(err, AM_EFORMAT, "no gas of a transaction with this data");
    const unsigned __int128 needed = (unsigned __int128)(gas - transaction_gas(op)) + CALL_GAS_MARGIN;
    unsigned __int128 limit;
    if (!uint256_to_u128(&op->call_gas_limit, &limit) || needed <= limit)
        return 0;
    const unsigned __int128 raise = needed - limit;
    op->call_gas_limit =
        uint256_of_u128(limit + (raise < USEROP_CALL_GAS_RAISE_MAX ? raise : USEROP_CALL_GAS_RAISE_MAX));
    return 0;
}

int userop_take_paymaster(struct userop *op, json_object *answer, struct am_err *err)
{
    const char *data = field_text(answer, "paymasterData");
    if (!field_address(answer, "paymaster", &op->paymaster))
        return am_fail(err, AM_EFORMAT, "paymaster is missing or no address");
    if (!data || !hex_decode(data, op->paymaster_data, sizeof(op->paymaster_data), &op->paymaster_data_len))
        return am_fail(err, AM_EFORMAT, "paymasterData is missing, not hexadecimal or too long");
    op->has_paymaster = true;
    return take_paymaster_gas(op, answer, err);
}

int userop_take_fees(struct userop *op, json_object *answer, struct am_err *err)
{
    const int code = take_optional(answer, "maxFeePerGas", &op->max_fee_per_gas, err);
    return code ? code : take_optional(answer, "maxPriorityFeePerGas", &op->max_priority_fee_per_gas, err);
}

static void raise_to(struct uint256 *fee, const struct uint256 *floor)
{
    if (uint256_compare(fee, floor) < 0)
        *fee = *floor;
}

int userop_raise_fees_to(struct userop *op, json_object *prices, struct am_err *err)
{
    struct uint256 fee, tip;
    int code = take_required(prices, "maxFeePerGas", &fee, err);
    if (!code)
        code = take_required(prices, "maxPriorityFeePerGas", &tip, err);
    if (code)
        return code;
    raise_to(&op->max_fee_per_gas, &fee);
    raise_to(&op->max_priority_fee_per_gas, &tip);
    return 0;
}

static struct uint256 raise_by_eighth(const struct uint256 *fee)
{
    unsigned __int128 value;
    /* The fees were refused above 2^128 when they came in; a rise beyond stays where it is. */
    if (!uint256_to_u128(fee, &value) || value > ((unsigned __int128)1 << 127))
        return *fee;
    return uint256_of_u128(value + value / 8 + 1);
}

void userop_raise_fees(struct userop *op)
{
    op->max_fee_per_gas = raise_by_eighth(&op->max_fee_per_gas);
    op->max_priority_fee_per_gas = raise_by_eighth(&op->max_priority_fee_per_gas);
}

void userop_outbid(struct userop *op, const struct uint256 *max_fee_per_gas,
                   const struct uint256 *max_priority_fee_per_gas)
{
    const struct uint256 fee = raise_by_eighth(max_fee_per_gas),
                         tip = raise_by_eighth(max_priority_fee_per_gas);
    struct uint256 ceiling;
    if (!uint256_multiply(&op->max_fee_per_gas, OUTBID_CEILING, &ceiling) ||
        uint256_compare(&fee, &ceiling) > 0)
        return;
    raise_to(&op->max_fee_per_gas, &fee);
    raise_to(&op->max_priority_fee_per_gas, &tip);
    raise_to(&op->max_fee_per_gas, &op->max_priority_fee_per_gas);
}
