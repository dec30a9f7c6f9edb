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
#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"

struct tls {
    SSL_CTX *server;
    SSL_CTX *client;
};

#define TLS_TICKET_SIZE_MAX 2048

/* What lets the next connection to the same server resume the session: a handshake without certificates.
 * Zero-initialise. Encoded, since OpenSSL's own form is many times larger and there is one for every peer. */
struct tls_ticket {
    uint8_t *der; /* NULL: none */
    size_t len;
};

void tls_ticket_clear(struct tls_ticket *ticket);

/* TLS 1.3 only; the certificate (P-256, self-signed) is made here and never leaves memory. Returns 0 or
 * -ENOMEM with `err` set; tls_clear is due after 0 only. */
int tls_init(struct tls *tls, struct am_err *err);
void tls_clear(struct tls *tls);

/* A session on a connected socket, which stays the caller's. NULL without memory. `ticket` must outlive the
 * session: it is offered, and replaced by what the server gives. A server that does not know it any more
 * makes a full handshake. */
SSL *tls_accept(const struct tls *tls, int fd);
SSL *tls_connect(const struct tls *tls, int fd, const char *host, struct tls_ticket *ticket);

/* Says in words why an operation on `ssl` failed for good; `ssl_error` is what SSL_get_error said. Empties
 * the thread's error queue. Returns `out`. */
const char *tls_describe_failure(int ssl_error, char *out, size_t size);

#endif
