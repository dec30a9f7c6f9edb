/* An answer as meshctl and the client library take it. What decodes encodes again, and points nowhere else.
 */
#include <pb_decode.h>
#include <pb_encode.h>
#include <stdlib.h>

#include "agent/api/api.h"
#include "agent/client/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_answer(const api_Response *response)
{
    static struct answer answer;
    answer_set(&answer, response);
    if (answer.public.id != response->id)
        abort();
    if (answer.public.kind == ATTESTMESH_PEERS) {
        for (size_t i = 0; i < answer.public.peers.len; i++) {
            if (answer.public.peers.peers[i]->problem != response->body.peer_page.peers[i].problem)
                abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static api_Response response;
    static uint8_t encoded[api_Response_size];
    response = (api_Response)api_Response_init_zero;
    pb_istream_t in = pb_istream_from_buffer(data, len);
    if (!pb_decode(&in, api_Response_fields, &response))
        return 0;
    pb_ostream_t out = pb_ostream_from_buffer(encoded, sizeof(encoded));
    if (!pb_encode(&out, api_Response_fields, &response))
        abort();
    check_answer(&response);
    return 0;
}
