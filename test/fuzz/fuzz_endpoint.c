/* A protocol envelope's payload: what is taken is the same when it is built again, and has the same id. */
#include <stdlib.h>
#include <string.h>

#include "agent/message/endpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct endpoint endpoint, again;
    uint8_t bytes[ENDPOINT_BYTES_MAX];
    if (endpoint_take(data, len, &endpoint, NULL))
        return 0;
    if (endpoint_take(bytes, endpoint_build(&endpoint, bytes), &again, NULL) ||
        strcmp(again.host, endpoint.host) != 0 || again.port != endpoint.port ||
        again.issued_ms != endpoint.issued_ms)
        abort();
    const struct bytes32 recipient = {{1}};
    const struct bytes32 a = endpoint_envelope_id(&endpoint, &recipient);
    const struct bytes32 b = endpoint_envelope_id(&again, &recipient);
    if (!bytes32_equal(&a, &b))
        abort();
    return 0;
}
