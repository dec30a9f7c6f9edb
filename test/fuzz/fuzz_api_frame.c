/* A stream of frames as a client sends them: framing, then Request. What decodes encodes to the same value
 * again. */
#include <pb_decode.h>
#include <pb_encode.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/api.h"
#include "agent/api/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_request(const struct frame *frame)
{
    api_Request request = api_Request_init_zero, again = api_Request_init_zero;
    uint8_t encoded[api_Request_size], encoded_again[api_Request_size];
    pb_istream_t in = pb_istream_from_buffer(frame->message, frame->message_len);
    if (!pb_decode(&in, api_Request_fields, &request))
        return;
    pb_ostream_t out = pb_ostream_from_buffer(encoded, sizeof(encoded));
    if (!pb_encode(&out, api_Request_fields, &request))
        abort();
    in = pb_istream_from_buffer(encoded, out.bytes_written);
    if (!pb_decode(&in, api_Request_fields, &again))
        abort();
    pb_ostream_t out_again = pb_ostream_from_buffer(encoded_again, sizeof(encoded_again));
    if (!pb_encode(&out_again, api_Request_fields, &again) || out.bytes_written != out_again.bytes_written ||
        memcmp(encoded, encoded_again, out.bytes_written) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct frame frame;
    while (frame_parse(data, len, API_FRAME_MAX, &frame) == 1) {
        if (frame.len > len || frame.message_len > API_FRAME_MAX)
            abort();
        check_request(&frame);
        data += frame.len;
        len -= frame.len;
    }
    return 0;
}
