/* Length-delimited frames: a varint, then so many bytes of a message (PROTOCOL section 10). Pure. */
#ifndef AGENT_API_FRAME_H
#define AGENT_API_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define FRAME_PREFIX_MAX 5 /* bytes of a length */

struct frame {
    const uint8_t *message; /* inside the input */
    size_t message_len;
    size_t len; /* of the whole frame, prefix and message */
};

/* Looks at the beginning of a stream. Returns 1 and the frame, 0 when more bytes are needed, AM_EFORMAT when
 * the message would be longer than `max` or the length is none (then the stream can not go on). */
int frame_parse(const uint8_t *in, size_t in_len, size_t max, struct frame *out);

#endif
