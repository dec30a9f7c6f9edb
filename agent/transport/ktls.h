/* Kernel TLS for what a TLS 1.3 session writes (Linux, Documentation/networking/tls.rst): OpenSSL shakes
 * hands and goes on reading, the kernel makes the records and encrypts them on their way into the socket's
 * buffer.
 *
 * OpenSSL can do this by itself, but not as Debian builds it. So the write key is taken from what OpenSSL
 * tells key logs, and the number of the next record from what it shows its message callback. A session that
 * is handed over never writes by OpenSSL again: no alert, and no answer to a request for new keys, which no
 * member makes.
 */
#ifndef AGENT_TRANSPORT_KTLS_H
#define AGENT_TRANSPORT_KTLS_H

#include <openssl/ssl.h>
#include <stdbool.h>

/* Whether the kernel has it. Has the module loaded if need be, which takes CAP_NET_ADMIN. */
bool ktls_is_available(void);

/* Sessions made from this context from now on can be handed over. Their secrets are kept until then, or until
 * they are freed. */
void ktls_prepare(SSL_CTX *context);

/* Hands the writing of `ssl`, whose handshake has just ended, to the kernel: what is sent on the socket from
 * then on is plaintext. False when it stays with OpenSSL: the session was not prepared for, has another
 * cipher than AES-128-GCM, or the socket is not TCP's. */
bool ktls_hand_over(SSL *ssl);

#endif
