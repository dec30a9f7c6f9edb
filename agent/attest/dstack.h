/* Attestation by dstack: keys from the guest agent of the confidential VM, proof by the signatures of its KMS
 * (PROTOCOL sections 2.5 and 3). */
#ifndef AGENT_ATTEST_DSTACK_H
#define AGENT_ATTEST_DSTACK_H

#include "agent/attest/attestor.h"

struct http_client;

/* `endpoint` is an absolute path of a unix socket or a http:// URL; copied. `http` outlives the attestor.
 * Returns NULL on memory shortage. */
struct attestor *dstack_new(struct http_client *http, const char *endpoint);

#endif
