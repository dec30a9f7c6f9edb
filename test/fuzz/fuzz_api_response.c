/* An answer as meshctl takes it. What decodes encodes again. */
#include <pb_decode.h>
#include <pb_encode.h>
#include <stdlib.h>

#include "agent/api/api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

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
    return 0;
}
