/* TLS contexts of the gateway leg: a server with a throw-away certificate, a client that believes any
 * (OpenSSL 3).
 *
 * The leg routes, it does not protect: the gateway needs a ClientHello to route by, WireGuard inside protects
 * the payload, and the preface, bound to the session by its exporter, proves who is at the other end. A
 * certificate chain would prove less: that some authority vouches for a name of the gateway's.
 */
#ifndef AGENT_TRANSPORT_TLS_H
#define AGENT_TRANSPORT_TLS_H

#include <openssl/ssl.h>

#include "crypto/am_error.h"

struct tls {
    SSL_CTX *server;
    SSL_CTX *client;
};

/* TLS 1.3 only; the certificate (P-256, self-signed) is made here and never leaves memory. Returns 0 or
 * -ENOMEM with `err` set; tls_clear is due after 0 only. */
int tls_init(struct tls *tls, struct am_err *err);
void tls_clear(struct tls *tls);

/* A session on a connected socket, which stays the caller's. NULL without memory. */
SSL *tls_accept(const struct tls *tls, int fd);
SSL *tls_connect(const struct tls *tls, int fd, const char *host);

/* Says in words why an operation on `ssl` failed for good; `ssl_error` is what SSL_get_error said. Empties
 * the thread's error queue. Returns `out`. */
const char *tls_describe_failure(int ssl_error, char *out, size_t size);

#endif
