#include <criterion/criterion.h>
#include <stdlib.h>

#include "evm/cluster.h"
#include "test/unit/evm/evm_vectors.h"
#include "test/unit/vectors.h"

static void assert_call(struct abi_writer *w, const char *name)
{
    const struct evm_bytes expected = evm_vector("calls", name);
    cr_assert_not(w->failed);
    cr_assert_eq(w->len, expected.len, "%s has %zu bytes, not %zu", name, w->len, expected.len);
    cr_assert_arr_eq(w->data, expected.data, expected.len);
    abi_writer_free(w);
    free(expected.data);
}

static struct cluster_keys keys_of_registration(void)
{
    json_object *r = vectors_section("registration");
    return (struct cluster_keys){vector_bytes32(r, "xPubKey"), vector_bytes32(r, "wgPubKey"),
                                 vector_bytes32(r, "ed25519PubKey")};
}

static struct dstack_proof proof_of_registration(void)
{
    json_object *r = vectors_section("registration");
    struct dstack_proof proof = {.code_id = vector_bytes32(r, "codeId"),
                                 .message_hash = vector_bytes32(r, "bindHash")};
    vector_bytes(r, "messageSignature", proof.message_signature.b, sizeof(proof.message_signature.b));
    vector_bytes(r, "appSignature", proof.app_signature.b, sizeof(proof.app_signature.b));
    vector_bytes(r, "kmsSignature", proof.kms_signature.b, sizeof(proof.kms_signature.b));
    vector_bytes(r, "derivedCompressedPubkey", proof.derived_pubkey.b, sizeof(proof.derived_pubkey.b));
    vector_bytes(r, "appCompressedPubkey", proof.app_pubkey.b, sizeof(proof.app_pubkey.b));
    return proof;
}

Test(cluster, member_ids_match_the_vectors)
{
    json_object *members = vectors_section("members");
    struct address cluster;
    const struct bytes32 dstack = vector_bytes32(vectors_section("attestorIds"), "dstack");
    const struct bytes32 attestor = cluster_attestor_id_dstack();
    cr_assert(
        hex_decode_exact(json_object_get_string(vectors_section("cluster")), cluster.b, sizeof(cluster.b)));
    cr_assert(bytes32_equal(&attestor, &dstack));
    for (size_t i = 0; i < json_object_array_length(members); i++) {
        json_object *member = json_object_array_get_idx(members, i);
        const struct address contract = vector_address(member, "memberContract");
        const struct bytes32 expected = vector_bytes32(member, "memberId");
        const struct bytes32 id = cluster_member_id(&cluster, &contract, &attestor);
        cr_assert(bytes32_equal(&id, &expected), "member %zu", i);
    }
}

Test(cluster, bind_hash_matches_the_vector)
{
    json_object *r = vectors_section("registration");
    const struct address cluster = vector_address(r, "cluster"), member = vector_address(r, "memberContract");
    const struct cluster_keys keys = keys_of_registration();
    const struct bytes32 expected = vector_bytes32(r, "bindHash"),
                         hash = cluster_bind_hash(&cluster, &member, &keys);
    cr_assert(bytes32_equal(&hash, &expected));
}

Test(cluster, simple_calls_match_viem)
{
    json_object *member = json_object_array_get_idx(vectors_section("members"), 0);
    const struct address contract = vector_address(member, "memberContract");
    const struct bytes32 id = vector_bytes32(member, "memberId");
    struct abi_writer w = {0};
    cluster_put_cluster(&w);
    assert_call(&w, "cluster");
    cluster_put_member_of(&w, &contract);
    assert_call(&w, "memberOf");
    cluster_put_members_page(&w, 50, 25);
    assert_call(&w, "membersPage");
    cluster_put_node_state(&w, &id);
    assert_call(&w, "nodeState");
    cluster_put_get_nonce(&w, &contract);
    assert_call(&w, "getNonce");
}

Test(cluster, registration_call_matches_viem)
{
    json_object *r = vectors_section("registration");
    const struct address cluster = vector_address(r, "cluster"), member = vector_address(r, "memberContract");
    const struct cluster_keys keys = keys_of_registration();
    const struct dstack_proof proof = proof_of_registration();
    struct abi_writer inner = {0}, w = {0};
    cluster_put_dstack_register(&inner, &proof, &member, &keys);
    cluster_put_execute(&w, &cluster, inner.data, inner.len);
    assert_call(&w, "executeDstackRegister");
    assert_call(&inner, "dstackRegister");
}

Test(cluster, cluster_result)
{
    const struct evm_bytes result = evm_vector("results", "cluster");
    struct address cluster, expected;
    cr_assert_eq(cluster_take_cluster(result.data, result.len, &cluster, NULL), 0);
    cr_assert(
        hex_decode_exact(json_object_get_string(vectors_section("cluster")), expected.b, sizeof(expected.b)));
    cr_assert(address_equal(&cluster, &expected));
    cr_assert_eq(cluster_take_cluster(result.data, result.len - 1, &cluster, NULL), AM_EFORMAT);
    free(result.data);
}

static void assert_member(const struct cluster_member *m, unsigned i, bool with_id)
{
    json_object *vector = json_object_array_get_idx(vectors_section("members"), i);
    const struct address contract = vector_address(vector, "memberContract");
    const struct bytes32 id = vector_bytes32(vector, "memberId"), attestor = cluster_attestor_id_dstack();
    cr_assert(with_id ? bytes32_equal(&m->member_id, &id) : bytes32_is_zero(&m->member_id));
    cr_assert(bytes32_equal(&m->attestor_id, &attestor));
    cr_assert(address_equal(&m->member_contract, &contract));
    cr_assert_eq(m->mesh_ip, 0x0a0d0001 + i);
    cr_assert_eq(m->registered_at, 1700000000 + i);
    cr_assert_eq(be16_read(m->keys.x.b + 30), 0x1001 + 16 * i);
    cr_assert_eq(be16_read(m->keys.wg.b + 30), 0x1002 + 16 * i);
    cr_assert_eq(be16_read(m->keys.ed25519.b + 30), 0x1003 + 16 * i);
}

Test(cluster, member_result)
{
    const struct evm_bytes result = evm_vector("results", "memberOf");
    struct cluster_member member;
    struct am_err err;
    cr_assert_eq(cluster_take_member(result.data, result.len, &member, &err), 0);
    assert_member(&member, 0, false);
    cr_assert_not(member.removed);
    cr_assert_eq(cluster_take_member(result.data, result.len - 32, &member, &err), AM_EFORMAT);
    cr_assert_str_eq(err.text, "memberOf: the result (224 bytes) does not have its shape");
    free(result.data);
}

Test(cluster, page_result)
{
    const struct evm_bytes result = evm_vector("results", "membersPage");
    struct cluster_member members[3];
    struct am_err err;
    size_t count;
    uint64_t total;
    cr_assert_eq(cluster_take_members_page(result.data, result.len, 3, members, &count, &total, &err), 0);
    cr_assert_eq(count, 3);
    cr_assert_eq(total, 103);
    for (unsigned i = 0; i < 3; i++) {
        assert_member(&members[i], i, true);
        cr_assert_eq(members[i].removed, i == 1);
    }
    cr_assert_eq(cluster_take_members_page(result.data, result.len, 2, members, &count, &total, &err),
                 AM_EFORMAT);
    for (size_t len = 0; len < result.len; len++)
        cr_assert_eq(cluster_take_members_page(result.data, len, 3, members, &count, &total, &err),
                     AM_EFORMAT, "%zu bytes", len);
    free(result.data);
}

Test(cluster, empty_page_result)
{
    const struct evm_bytes result = evm_vector("results", "membersPageEmpty");
    struct cluster_member member;
    size_t count;
    uint64_t total;
    cr_assert_eq(cluster_take_members_page(result.data, result.len, 1, &member, &count, &total, NULL), 0);
    cr_assert_eq(count, 0);
    cr_assert_eq(total, 3);
    free(result.data);
}

Test(cluster, state_result)
{
    const struct evm_bytes result = evm_vector("results", "nodeState");
    struct cluster_state state;
    cr_assert_eq(cluster_take_node_state(result.data, result.len, &state, NULL), 0);
    cr_assert_eq(state.version, 7);
    cr_assert_eq(state.head.b[31], 0x77);
    cr_assert_eq(state.members, 5);
    cr_assert_eq(state.removed, 1);
    cr_assert_eq(state.cidr_ip, 0x0a0d0000);
    cr_assert_eq(state.cidr_prefix, 16);
    cr_assert_eq(state.csk_generation, 1);
    cr_assert_eq(state.csk_commitment.b[31], 0x88);
    cr_assert_eq(state.inbox_count, 9);
    cr_assert_eq(state.inbox_head.b[31], 0x99);
    cr_assert_eq(cluster_take_node_state(result.data, result.len - 1, &state, NULL), AM_EFORMAT);
    cr_assert_eq(cluster_take_node_state(result.data, 0, &state, NULL), AM_EFORMAT);
    free(result.data);
}
