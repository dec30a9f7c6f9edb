#include "indexer/identity.h"

#include <event2/event.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/attest/dstack.h"
#include "crypto/sign.h"
#include "indexer/wire/wire.h"

#define RETRY_S 2
/* Wide: the key is what counts, and the members' clocks are not ours to judge. */
#define CERTIFICATE_PAST_S (-24 * 3600L)
#define CERTIFICATE_LIFE_S (20L * 365 * 24 * 3600)

struct identity {
    struct attestor *attestor;
    struct event *retry;
    struct secret *seed;
    struct bytes32 key;
    uint8_t *quote;
    size_t quote_len;
    SSL_CTX *tls;
    identity_fn done;
    void *user;
};

/* ---- TLS ---- */

static bool fill_certificate(X509 *certificate, EVP_PKEY *key)
{
    X509_NAME *const name = X509_get_subject_name(certificate);
    return X509_set_version(certificate, X509_VERSION_3) &&
           ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), CERTIFICATE_PAST_S) &&
           X509_gmtime_adj(X509_getm_notAfter(certificate), CERTIFICATE_LIFE_S) &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"attestmesh-indexer",
                                      -1, -1, 0) &&
           X509_set_issuer_name(certificate, name) && X509_set_pubkey(certificate, key) &&
           X509_sign(certificate, key, NULL);
}

/* No tickets: every session proves itself anew. Idle sessions give their buffers back. */
static bool set_options(SSL_CTX *context)
{
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_num_tickets(context, 0) == 1 &&
           SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256") == 1 &&
           SSL_CTX_set1_groups_list(context, "X25519:P-256") == 1;
}

SSL_CTX *identity_tls_new(const struct secret *seed)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed->b, sizeof(seed->b));
    X509 *certificate = X509_new();
    const bool ok = context && key && certificate && fill_certificate(certificate, key) &&
                    set_options(context) && SSL_CTX_use_certificate(context, certificate) == 1 &&
                    SSL_CTX_use_PrivateKey(context, key) == 1;
    X509_free(certificate);
    EVP_PKEY_free(key);
    if (ok)
        return context;
    SSL_CTX_free(context);
    return NULL;
}

/* ---- Key, then quote ---- */

static void fail(struct identity *identity, const struct am_err *err)
{
    static const struct timeval delay = {RETRY_S, 0};
    evtimer_add(identity->retry, &delay);
    identity->done(identity->user, NULL, err);
}

static void on_quote(void *user, const uint8_t *quote, size_t quote_len, const struct am_err *err)
{
    struct identity *identity = user;
    const struct bytes32 wanted = wire_report_data(&identity->key);
    const uint8_t *const found = quote ? wire_quote_report_data(quote, quote_len) : NULL;
    struct am_err own = {0};
    if (!quote) {
        fail(identity, err);
        return;
    }
    if (!found || memcmp(found, wanted.b, sizeof(wanted.b)) != 0) {
        am_fail(&own, AM_EMISMATCH, "the guest agent's quote does not carry the key");
        fail(identity, &own);
        return;
    }
    identity->quote = malloc(quote_len);
    identity->tls = identity_tls_new(identity->seed);
    if (!identity->quote || !identity->tls) {
        am_fail(&own, AM_EFORMAT, "the TLS certificate can not be made");
        fail(identity, &own);
        return;
    }
    memcpy(identity->quote, quote, quote_len);
    identity->quote_len = quote_len;
    identity->done(identity->user, identity, NULL);
}

static void on_key(void *user, struct secret *key, const struct am_err *err)
{
    struct identity *identity = user;
    uint8_t report_data[ATTEST_REPORT_DATA_SIZE] = {0};
    struct am_err own;
    if (!key) {
        fail(identity, err);
        return;
    }
    secret_free(identity->seed);
    identity->seed = key;
    sign_pubkey_of_seed(key, &identity->key);
    const struct bytes32 hash = wire_report_data(&identity->key);
    memcpy(report_data, hash.b, sizeof(hash.b));
    if (attestor_read_quote(identity->attestor, report_data, on_quote, identity) == 0)
        return;
    am_fail(&own, AM_EFORMAT, "out of memory");
    fail(identity, &own);
}

static void begin(evutil_socket_t fd, short what, void *user)
{
    struct identity *identity = user;
    struct am_err err;
    (void)fd, (void)what;
    free(identity->quote);
    SSL_CTX_free(identity->tls);
    identity->quote = NULL;
    identity->tls = NULL;
    if (attestor_derive_key(identity->attestor, ATTEST_KEY_INDEXER_SIGNING, 0, on_key, identity) == 0)
        return;
    am_fail(&err, AM_EFORMAT, "out of memory");
    fail(identity, &err);
}

struct identity *identity_new(struct event_base *base, struct http_client *http, const char *dstack_endpoint,
                              identity_fn done, void *user)
{
    static const struct timeval now = {0, 0};
    struct identity *identity = calloc(1, sizeof(*identity));
    if (!identity)
        return NULL;
    identity->done = done;
    identity->user = user;
    identity->attestor = dstack_new(http, dstack_endpoint);
    identity->retry = evtimer_new(base, begin, identity);
    if (!identity->attestor || !identity->retry) {
        identity_free(identity);
        return NULL;
    }
    evtimer_add(identity->retry, &now);
    return identity;
}

void identity_free(struct identity *identity)
{
    if (!identity)
        return;
    attestor_free(identity->attestor);
    if (identity->retry)
        event_free(identity->retry);
    SSL_CTX_free(identity->tls);
    secret_free(identity->seed);
    free(identity->quote);
    free(identity);
}

const struct secret *identity_seed(const struct identity *identity)
{
    return identity->seed;
}

const struct bytes32 *identity_key(const struct identity *identity)
{
    return &identity->key;
}

const uint8_t *identity_quote(const struct identity *identity, size_t *len)
{
    *len = identity->quote_len;
    return identity->quote;
}

SSL_CTX *identity_tls(const struct identity *identity)
{
    return identity->tls;
}
