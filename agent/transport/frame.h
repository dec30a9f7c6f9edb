/* Frames of a stream: a uint16 big-endian length and as many bytes; length 0 is a keepalive (PROTOCOL section
 * 6).
 *
 * Pure. The first frame each way holds the preface, all others one WireGuard message each.
 */
#ifndef AGENT_TRANSPORT_FRAME_H
#define AGENT_TRANSPORT_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_HEADER_SIZE 2
#define FRAME_PAYLOAD_MAX 65507 /* what an IPv4 UDP datagram can carry */

/* Cuts a byte stream into frames. Holds at most one incomplete payload; nothing while idle. Zero-initialise,
 * then set `limit`. */
struct frame_reader {
    size_t limit;     /* longest payload allowed from the next frame on */
    uint8_t *partial; /* NULL until a payload arrives in pieces */
    size_t have;      /* bytes in `partial` */
    uint8_t header[FRAME_HEADER_SIZE];
    uint8_t header_have;
    bool delivered; /* `partial` was handed out by the last call */
};

/* Takes bytes from the front of *data, advancing *data and *len. Returns
 *
 * - 1: one frame is complete; `payload` is valid until the next call and as long as *data,
 * - 0: all bytes are taken, more are needed,
 * - AM_EFORMAT: the frame is longer than the limit,
 * - -ENOMEM.
 *
 * After an error the reader is of no more use. */
int frame_reader_next(struct frame_reader *reader, const uint8_t **data, size_t *len, const uint8_t **payload,
                      size_t *payload_len);

/* Frees what the reader holds. */
void frame_reader_clear(struct frame_reader *reader);

/* Whether the bytes can be a message of WireGuard's: type 1 to 4, three zero bytes, and the length of that
 * type. The length of transport data (type 4) is at least 32 and need not be a multiple of 16: padding stops
 * at the interface's MTU. */
bool frame_is_wireguard(const uint8_t *payload, size_t len);

/* Whether a message of WireGuard's must not wait behind data: a handshake's, or a keepalive. */
bool frame_is_urgent(const uint8_t *payload, size_t len);

#endif
