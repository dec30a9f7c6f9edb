#include "evm/cluster.h"

#include <string.h>

#include "contracts_abi.h"
#include "crypto/keccak.h"

#define MEMBER_VIEW_SIZE (9 * ABI_WORD)

struct bytes32 cluster_attestor_id_dstack(void)
{
    static const char name[] = "attestmesh.attestor.dstack";
    return keccak256(name, sizeof(name) - 1);
}

static void hash_address_word(struct keccak *k, const struct address *address)
{
    static const uint8_t padding[ABI_WORD - sizeof(address->b)];
    keccak_update(k, padding, sizeof(padding));
    keccak_update(k, address->b, sizeof(address->b));
}

struct bytes32 cluster_member_id(const struct address *cluster, const struct address *member_contract,
                                 const struct bytes32 *attestor_id)
{
    struct keccak k;
    struct bytes32 id;
    keccak_init(&k);
    hash_address_word(&k, cluster);
    hash_address_word(&k, member_contract);
    keccak_update(&k, attestor_id->b, sizeof(attestor_id->b));
    keccak_final(&k, &id);
    return id;
}

/* abi.encode puts the string into the tail: six head words, its length, and its 18 bytes padded to a word. */
struct bytes32 cluster_bind_hash(const struct address *cluster, const struct address *member_contract,
                                 const struct cluster_keys *keys)
{
    static const uint8_t domain_offset[ABI_WORD] = {[31] = 6 * ABI_WORD}, domain_len[ABI_WORD] = {[31] = 18};
    static const char domain[ABI_WORD] = "attestmesh.bind.v2";
    struct keccak k;
    struct bytes32 hash;
    keccak_init(&k);
    keccak_update(&k, domain_offset, sizeof(domain_offset));
    hash_address_word(&k, cluster);
    hash_address_word(&k, member_contract);
    keccak_update(&k, keys->x.b, sizeof(keys->x.b));
    keccak_update(&k, keys->wg.b, sizeof(keys->wg.b));
    keccak_update(&k, keys->ed25519.b, sizeof(keys->ed25519.b));
    keccak_update(&k, domain_len, sizeof(domain_len));
    keccak_update(&k, domain, sizeof(domain));
    keccak_final(&k, &hash);
    return hash;
}

static int shape_result(bool ok, const char *call, size_t len, struct am_err *err)
{
    return ok ? 0 : am_fail(err, AM_EFORMAT, "%s: the result (%zu bytes) does not have its shape", call, len);
}

void cluster_put_cluster(struct abi_writer *out)
{
    abi_put_selector(out, ABI_CLUSTER_SELECTOR);
}

int cluster_take_cluster(const uint8_t *data, size_t len, struct address *out, struct am_err *err)
{
    bool ok;
    struct abi_reader reader = abi_reader_of(data, len, &ok);
    *out = abi_take_address(&reader);
    return shape_result(ok, "cluster", len, err);
}

void cluster_put_member_of(struct abi_writer *out, const struct address *member_contract)
{
    abi_put_selector(out, ABI_MEMBER_OF_SELECTOR);
    abi_put_address(out, member_contract);
}

static void take_record(struct abi_reader *reader, struct cluster_member *out)
{
    out->attestor_id = abi_take_bytes32(reader);
    out->member_contract = abi_take_address(reader);
    out->mesh_ip = abi_take_u32(reader);
    out->registered_at = abi_take_u64(reader);
    out->keys.x = abi_take_bytes32(reader);
    out->keys.wg = abi_take_bytes32(reader);
    out->keys.ed25519 = abi_take_bytes32(reader);
    out->removed = abi_take_bool(reader);
}

int cluster_take_member(const uint8_t *data, size_t len, struct cluster_member *out, struct am_err *err)
{
    bool ok;
    struct abi_reader reader = abi_reader_of(data, len, &ok);
    *out = (struct cluster_member){0};
    take_record(&reader, out);
    return shape_result(ok, "memberOf", len, err);
}

void cluster_put_members_page(struct abi_writer *out, uint64_t offset, uint64_t limit)
{
    abi_put_selector(out, ABI_MEMBERS_PAGE_SELECTOR);
    abi_put_u64(out, offset);
    abi_put_u64(out, limit);
}

int cluster_take_members_page(const uint8_t *data, size_t len, size_t capacity, struct cluster_member *out,
                              size_t *count, uint64_t *total, struct am_err *err)
{
    bool ok;
    struct abi_reader reader = abi_reader_of(data, len, &ok);
    struct abi_reader members = abi_take_array(&reader, MEMBER_VIEW_SIZE, count);
    *total = abi_take_u64(&reader);
    if (*count > capacity)
        return am_fail(err, AM_EFORMAT, "membersPage: %zu members where at most %zu were asked for", *count,
                       capacity);
    for (size_t i = 0; i < *count; i++) {
        out[i].member_id = abi_take_bytes32(&members);
        take_record(&members, &out[i]);
    }
    return shape_result(ok, "membersPage", len, err);
}

void cluster_put_node_state(struct abi_writer *out, const struct bytes32 *member_id)
{
    abi_put_selector(out, ABI_NODE_STATE_SELECTOR);
    abi_put_bytes32(out, member_id);
}

int cluster_take_node_state(const uint8_t *data, size_t len, struct cluster_state *out, struct am_err *err)
{
    bool ok;
    struct abi_reader reader = abi_reader_of(data, len, &ok);
    out->version = abi_take_u64(&reader);
    out->head = abi_take_bytes32(&reader);
    out->members = abi_take_u64(&reader);
    out->removed = abi_take_u64(&reader);
    out->cidr_ip = abi_take_u32(&reader);
    out->cidr_prefix = abi_take_u8(&reader);
    out->csk_generation = abi_take_u64(&reader);
    out->csk_commitment = abi_take_bytes32(&reader);
    out->inbox_count = abi_take_u64(&reader);
    out->inbox_head = abi_take_bytes32(&reader);
    return shape_result(ok, "nodeState", len, err);
}

/* The proof's own tuple: two static words, six dynamic values. */
static void put_proof(struct abi_writer *out, const struct dstack_proof *proof)
{
    const struct {
        const void *data;
        size_t len;
    } parts[] = {
        {proof->message_signature.b, sizeof(proof->message_signature.b)},
        {proof->app_signature.b, sizeof(proof->app_signature.b)},
        {proof->kms_signature.b, sizeof(proof->kms_signature.b)},
        {proof->derived_pubkey.b, sizeof(proof->derived_pubkey.b)},
        {proof->app_pubkey.b, sizeof(proof->app_pubkey.b)},
        {CLUSTER_PURPOSE_BINDING, sizeof(CLUSTER_PURPOSE_BINDING) - 1},
    };
    const size_t parts_len = sizeof(parts) / sizeof(parts[0]);
    const size_t tuple = abi_here(out);
    abi_put_bytes32(out, &proof->code_id);
    abi_put_bytes32(out, &proof->message_hash);
    const size_t slots = abi_here(out);
    for (size_t i = 0; i < parts_len; i++)
        abi_reserve(out);
    for (size_t i = 0; i < parts_len; i++) {
        abi_point(out, tuple, slots + i * ABI_WORD);
        abi_put_bytes(out, parts[i].data, parts[i].len);
    }
}

void cluster_put_dstack_register(struct abi_writer *out, const struct dstack_proof *proof,
                                 const struct address *member_contract, const struct cluster_keys *keys)
{
    abi_put_selector(out, ABI_DSTACK_REGISTER_SELECTOR);
    const size_t arguments = abi_here(out);
    const size_t proof_slot = abi_reserve(out);
    abi_put_address(out, member_contract);
    abi_put_bytes32(out, &keys->x);
    abi_put_bytes32(out, &keys->wg);
    abi_put_bytes32(out, &keys->ed25519);
    abi_point(out, arguments, proof_slot);
    put_proof(out, proof);
}

void cluster_put_set_csk_commitment(struct abi_writer *out, uint64_t generation,
                                    const struct bytes32 *commitment)
{
    abi_put_selector(out, ABI_SET_CSK_COMMITMENT_SELECTOR);
    abi_put_u64(out, generation);
    abi_put_bytes32(out, commitment);
}

void cluster_put_publish_wg_key(struct abi_writer *out, const struct bytes32 *key)
{
    abi_put_selector(out, ABI_PUBLISH_WG_KEY_SELECTOR);
    abi_put_bytes32(out, key);
}

void cluster_put_send(struct abi_writer *out, const struct bytes32 *recipient,
                      const struct bytes32 *envelope_id, const uint8_t *ciphertext, size_t len)
{
    abi_put_selector(out, ABI_SEND_SELECTOR);
    const size_t arguments = abi_here(out);
    abi_put_bytes32(out, recipient);
    abi_put_bytes32(out, envelope_id);
    const size_t ciphertext_slot = abi_reserve(out);
    abi_point(out, arguments, ciphertext_slot);
    abi_put_bytes(out, ciphertext, len);
}

void cluster_put_execute(struct abi_writer *out, const struct address *target, const uint8_t *data,
                         size_t len)
{
    abi_put_selector(out, ABI_EXECUTE_SELECTOR);
    const size_t arguments = abi_here(out);
    abi_put_address(out, target);
    abi_put_u64(out, 0);
    const size_t data_slot = abi_reserve(out);
    abi_point(out, arguments, data_slot);
    abi_put_bytes(out, data, len);
}

void cluster_put_get_nonce(struct abi_writer *out, const struct address *sender)
{
    abi_put_selector(out, ABI_GET_NONCE_SELECTOR);
    abi_put_address(out, sender);
    abi_put_u64(out, 0);
}

void cluster_put_indexer(struct abi_writer *out)
{
    abi_put_selector(out, ABI_CURRENT_SELECTOR);
}

int cluster_take_indexer(const uint8_t *data, size_t len, struct cluster_indexer *out, struct am_err *err)
{
    bool ok;
    size_t endpoint_len;
    struct abi_reader reader = abi_reader_of(data, len, &ok);
    const uint8_t *const endpoint = abi_take_bytes(&reader, &endpoint_len);
    *out = (struct cluster_indexer){0};
    out->code_id = abi_take_bytes32(&reader);
    out->key = abi_take_bytes32(&reader);
    out->updated_at = abi_take_u64(&reader);
    for (size_t i = 0; i < endpoint_len; i++)
        ok = ok && endpoint[i] > ' ' && endpoint[i] <= '~';
    if (!ok || endpoint_len > CLUSTER_ENDPOINT_MAX)
        return shape_result(false, "current", len, err);
    memcpy(out->endpoint, endpoint, endpoint_len);
    return 0;
}
