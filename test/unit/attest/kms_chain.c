#include "agent/attest/kms_chain.h"

#include <criterion/criterion.h>
#include <json-c/json_object.h>
#include <json-c/json_util.h>
#include <string.h>

#define PURPOSE "attestmesh.binding.v1"

/* The registration of test/vectors/core.json. */
static json_object *vectors;

static void load_vectors(void)
{
    cr_assert_eq(secret_init(), 0);
    vectors = json_object_from_file(VECTORS_DIR "/core.json");
    cr_assert_not_null(vectors);
}

static void drop_vectors(void)
{
    json_object_put(vectors);
}

TestSuite(kms_chain, .init = load_vectors, .fini = drop_vectors);

static void read_vector(const char *name, uint8_t *out, size_t len)
{
    json_object *registration = json_object_object_get(vectors, "registration");
    const char *text = json_object_get_string(json_object_object_get(registration, name));
    cr_assert(hex_decode_exact(text, out, len), "%s", name);
}

static struct kms_chain chain;
static struct secp_signature app_signature, kms_signature;

static int recover(const char *purpose, struct am_err *err)
{
    SECRET_AUTO key = secret_new();
    struct address app_id;
    read_vector("derivedPrivateKey", key->b, sizeof(key->b));
    read_vector("memberContract", app_id.b, sizeof(app_id.b));
    return kms_chain_recover(key, purpose, &app_id, &app_signature, &kms_signature, &chain, err);
}

static void read_signatures(void)
{
    read_vector("appSignature", app_signature.b, sizeof(app_signature.b));
    read_vector("kmsSignature", kms_signature.b, sizeof(kms_signature.b));
}

Test(kms_chain, vectors_recover_to_app_key_and_root)
{
    struct secp_pubkey derived, app;
    struct address root;
    read_vector("derivedCompressedPubkey", derived.b, sizeof(derived.b));
    read_vector("appCompressedPubkey", app.b, sizeof(app.b));
    read_vector("kmsRoot", root.b, sizeof(root.b));
    read_signatures();
    cr_assert_eq(recover(PURPOSE, NULL), 0);
    cr_assert_arr_eq(chain.derived_pubkey.b, derived.b, sizeof(derived.b));
    cr_assert_arr_eq(chain.app_pubkey.b, app.b, sizeof(app.b));
    cr_assert(address_equal(&chain.kms_root, &root));
}

Test(kms_chain, other_purpose_gives_a_chain_that_does_not_agree)
{
    read_signatures();
    cr_assert_eq(recover(PURPOSE, NULL), 0);
    const struct kms_chain right = chain;
    cr_assert(kms_chain_agrees(&right, &chain));
    cr_assert_eq(recover("other", NULL), 0);
    cr_assert_not(kms_chain_agrees(&right, &chain));
}

Test(kms_chain, impossible_signature_is_refused_by_name)
{
    struct am_err err = {0};
    read_signatures();
    memset(app_signature.b, 0xff, 64);
    cr_assert_eq(recover(PURPOSE, &err), AM_EAUTH);
    cr_assert(strstr(err.text, "signature_chain[0]"));
    read_signatures();
    kms_signature.b[64] = 9;
    cr_assert_eq(recover(PURPOSE, &err), AM_EAUTH);
    cr_assert(strstr(err.text, "signature_chain[1]"));
}

Test(kms_chain, zero_key_is_refused)
{
    SECRET_AUTO zero = secret_new();
    const struct address app_id = {{1}};
    struct am_err err = {0};
    read_signatures();
    cr_assert_eq(kms_chain_recover(zero, "", &app_id, &app_signature, &kms_signature, &chain, &err),
                 AM_EFORMAT);
    cr_assert(strstr(err.text, "field key"));
}
