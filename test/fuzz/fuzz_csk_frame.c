/* The frames of a key pull, from either side: what is taken is the same when it is built again. */
#include <stdlib.h>
#include <string.h>

#include "agent/peer/csk_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_request(const uint8_t *data, size_t len)
{
    uint8_t frame[CSK_FRAME_MAX];
    uint64_t generation, again;
    if (csk_request_take(data, len, &generation) != 1)
        return;
    if (csk_request_take(frame, csk_request_build(generation, frame), &again) != 1 || again != generation)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t frame[CSK_FRAME_MAX];
    struct csk_response response, again;
    check_request(data, len);
    if (csk_response_take(data, len, &response) != 1)
        return 0;
    if (csk_response_take(frame, csk_response_build(&response, frame), &again) != 1 ||
        again.held != response.held || again.generation != response.generation ||
        memcmp(again.sealed, response.sealed, sizeof(again.sealed)) != 0)
        abort();
    return 0;
}
