#include "agent/transport/tls.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Wide, because the peer's clock is not ours to judge; nobody reads it anyway. */
#define CERTIFICATE_PAST_S (-24 * 3600L)
#define CERTIFICATE_LIFE_S (20L * 365 * 24 * 3600)

/* What one read from the socket may bring: several records. The buffer exists only while it is in use. */
#define READ_AHEAD_SIZE ((size_t)64 * 1024)

static int tls_fail(struct am_err *err, const char *what)
{
    char text[160];
    return am_fail(err, -ENOMEM, "%s: %s", what, tls_describe_failure(SSL_ERROR_SSL, text, sizeof(text)));
}

/* Longer than a stream serves, so that its successor can resume. The key that seals the tickets lives as long
 * as the context: a leg that does not protect needs no fresher one. */
#define TICKET_LIFE_S (24 * 3600L)

/* OpenSSL would ask for each connection, and each time the kernel looks for a module that it lacks. */
static bool kernel_has_tls(void)
{
    static const char name[] = "tls";
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    /* A kernel that has it misses the connection. */
    const bool has = setsockopt(fd, IPPROTO_TCP, TCP_ULP, name, sizeof(name)) == 0 || errno == ENOTCONN;
    close(fd);
    return has;
}

/* Idle sessions give their buffers back. */
static SSL_CTX *context_new(const SSL_METHOD *method)
{
    SSL_CTX *context = SSL_CTX_new(method);
    if (!context)
        return NULL;
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    if (kernel_has_tls())
        SSL_CTX_set_options(context, SSL_OP_ENABLE_KTLS);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, READ_AHEAD_SIZE);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(context, TICKET_LIFE_S);
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    if (SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
        SSL_CTX_set_num_tickets(context, 1) == 1 &&
        SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256") == 1 &&
        SSL_CTX_set1_groups_list(context, "X25519:P-256") == 1)
        return context;
    SSL_CTX_free(context);
    return NULL;
}

static bool certificate_fill(X509 *certificate, EVP_PKEY *key)
{
    X509_NAME *name = X509_get_subject_name(certificate);
    return X509_set_version(certificate, X509_VERSION_3) &&
           ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), CERTIFICATE_PAST_S) &&
           X509_gmtime_adj(X509_getm_notAfter(certificate), CERTIFICATE_LIFE_S) &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"attestmesh", -1, -1,
                                      0) &&
           X509_set_issuer_name(certificate, name) && X509_set_pubkey(certificate, key) &&
           X509_sign(certificate, key, EVP_sha256());
}

static bool context_certify(SSL_CTX *context)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    const bool ok = key && certificate && certificate_fill(certificate, key) &&
                    SSL_CTX_use_certificate(context, certificate) == 1 &&
                    SSL_CTX_use_PrivateKey(context, key) == 1;
    X509_free(certificate);
    EVP_PKEY_free(key);
    return ok;
}

void tls_ticket_clear(struct tls_ticket *ticket)
{
    free(ticket->der);
    *ticket = (struct tls_ticket){0};
}

/* The server has given a ticket. A large one would be somebody's way to fill our memory. Returns 0: the
 * session stays OpenSSL's. */
static int on_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct tls_ticket *ticket = SSL_get_app_data(ssl);
    const int len = i2d_SSL_SESSION(session, NULL);
    uint8_t *der = len > 0 && len <= TLS_TICKET_SIZE_MAX ? malloc((size_t)len) : NULL;
    if (!der)
        return 0;
    uint8_t *end = der;
    tls_ticket_clear(ticket);
    *ticket = (struct tls_ticket){der, (size_t)i2d_SSL_SESSION(session, &end)};
    return 0;
}

static void context_keep_tickets(SSL_CTX *context)
{
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_ticket);
}

int tls_init(struct tls *tls, struct am_err *err)
{
    *tls =
        (struct tls){.server = context_new(TLS_server_method()), .client = context_new(TLS_client_method())};
    if (!tls->server || !tls->client) {
        tls_fail(err, "TLS can not be set up");
    } else if (!context_certify(tls->server)) {
        tls_fail(err, "the ingress certificate can not be made");
    } else {
        context_keep_tickets(tls->client);
        return 0;
    }
    tls_clear(tls);
    return -ENOMEM;
}

void tls_clear(struct tls *tls)
{
    SSL_CTX_free(tls->server);
    SSL_CTX_free(tls->client);
    *tls = (struct tls){0};
}

static SSL *session_new(SSL_CTX *context, int fd)
{
    SSL *ssl = SSL_new(context);
    if (ssl && SSL_set_fd(ssl, fd) == 1)
        return ssl;
    SSL_free(ssl);
    return NULL;
}

SSL *tls_accept(const struct tls *tls, int fd)
{
    SSL *ssl = session_new(tls->server, fd);
    if (ssl)
        SSL_set_accept_state(ssl);
    return ssl;
}

static void session_offer(SSL *ssl, const struct tls_ticket *ticket)
{
    const uint8_t *der = ticket->der;
    SSL_SESSION *session = der ? d2i_SSL_SESSION(NULL, &der, (long)ticket->len) : NULL;
    if (session)
        (void)SSL_set_session(ssl, session);
    SSL_SESSION_free(session);
}

SSL *tls_connect(const struct tls *tls, int fd, const char *host, struct tls_ticket *ticket)
{
    SSL *ssl = session_new(tls->client, fd);
    if (!ssl)
        return NULL;
    SSL_set_connect_state(ssl);
    session_offer(ssl, ticket);
    if (SSL_set_app_data(ssl, ticket) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1)
        return ssl;
    SSL_free(ssl);
    return NULL;
}

const char *tls_describe_failure(int ssl_error, char *out, size_t size)
{
    const int saved_errno = errno;
    const unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    if (ssl_error == SSL_ERROR_ZERO_RETURN ||
        (code && ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING))
        snprintf(out, size, "the other side closed the connection");
    else if (reason)
        snprintf(out, size, "TLS: %s", reason);
    else if (ssl_error == SSL_ERROR_SYSCALL && saved_errno)
        snprintf(out, size, "%s", strerror(saved_errno));
    else
        snprintf(out, size, "the connection broke");
    return out;
}
