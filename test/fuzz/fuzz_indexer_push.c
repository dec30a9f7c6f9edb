/* What an indexer sends to the agent: any frame, and the body of a push or retraction whose signature is
 * good. */
#include "crypto/secret.h"
#include "indexer/wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The input as a signed body: the fuzzer can not sign. */
static void verify_as_body(const uint8_t *data, size_t len)
{
    static const char *const domains[] = {"attestmesh.indexer.push.v1", "attestmesh.indexer.retraction.v1"};
    static struct secret *seed;
    struct wire_signed body = {.body = data, .body_len = len};
    struct wire_event event;
    struct wire_retraction retraction;
    struct bytes32 key;
    struct am_err err;
    if (!seed && (secret_init() != 0 || !(seed = secret_new())))
        return;
    sign_pubkey_of_seed(seed, &key);
    for (size_t i = 0; i < 2; i++) {
        const struct sign_part parts[] = {{domains[i], __builtin_strlen(domains[i])}, {data, len}};
        sign_parts(seed, parts, 2, body.signature);
        wire_verify_push(&body, &key, &event, &err);
        wire_verify_retraction(&body, &key, &retraction, &err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct wire_server_frame frame;
    struct am_err err;
    if (wire_parse_server(data, len, &frame, &err) == 0 && frame.type == indexer_ServerFrame_welcome_tag)
        wire_quote_report_data(frame.welcome.quote, frame.welcome.quote_len);
    verify_as_body(data, len);
    return 0;
}
