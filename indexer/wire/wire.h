/* The indexer's frames (indexer.proto, PROTOCOL section 12): built, parsed, signed and verified. Pure.
 *
 * Builders write a whole frame, length prefix included. Parsers take a message without its prefix
 * (agent/api/frame.h splits a stream); what they give by reference points into that message.
 */
#ifndef INDEXER_WIRE_WIRE_H
#define INDEXER_WIRE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"
#include "crypto/bytes.h"
#include "crypto/secret.h"
#include "crypto/sign.h"
#include "evm/eth_log.h"
#include "indexer.pb.h"

#define WIRE_PROTOCOL 1
#define WIRE_FRAME_MAX (256u << 10)
#define WIRE_HELLO_MAX 512 /* bytes of any frame a client sends */
#define WIRE_SMALL_MAX 512 /* of any frame that has no push, and no quote */
#define WIRE_EXPORTER_LABEL "EXPORTER-attestmesh"
#define WIRE_EXPORTER_SIZE 32

/* The place of an event. All zero: before everything. */
struct wire_cursor {
    uint64_t block;
    uint32_t log_index;
    struct bytes32 block_hash;
};

struct wire_hello {
    uint32_t protocol;
    uint64_t chain_id;
    struct address cluster;
    struct bytes32 member_id;
    bool has_cursor;
    struct wire_cursor cursor;
    uint8_t signature[SIGN_SIGNATURE_SIZE];
};

struct wire_client_frame {
    bool is_hello;
    struct wire_hello hello; /* one of the two */
    struct wire_cursor ack;
};

struct wire_checkpoint {
    uint64_t block;
    struct bytes32 block_hash;
    uint64_t block_time; /* unix seconds */
};

/* A signed body, not verified yet. */
struct wire_signed {
    const uint8_t *body;
    size_t body_len;
    uint8_t signature[SIGN_SIGNATURE_SIZE];
};

struct wire_server_frame {
    pb_size_t type; /* indexer_ServerFrame_<type>_tag */
    union {
        struct {
            const uint8_t *quote;
            size_t quote_len;
        } welcome;
        struct wire_signed push;
        struct wire_signed retraction;
        struct wire_checkpoint checkpoint;
        struct {
            indexer_RefusalCode code;
            char text[160];
        } refusal;
    };
};

struct wire_event {
    uint64_t chain_id;
    struct address cluster;
    struct eth_log log; /* its data point into the body */
    indexer_EventKind kind;
    const char *repro; /* not NUL-terminated */
    size_t repro_len;
};

struct wire_retraction {
    uint64_t chain_id;
    struct address cluster;
    uint64_t block;
    struct bytes32 block_hash;
};

/* ---- Builders; 0, -ENOMEM, or -EMSGSIZE when the frame would be too long ---- */

/* `out` is the caller's to free. The log's address is the cluster. */
int wire_build_push(const struct secret *seed, const struct bytes32 *key, uint64_t chain_id,
                    const struct eth_log *log, uint8_t **out, size_t *len);
int wire_build_welcome(const uint8_t *quote, size_t quote_len, uint8_t **out, size_t *len);

/* These always fit; they return the length. wire_build_retraction and wire_build_hello sign, and return 0
 * when that fails for want of memory. */
size_t wire_build_retraction(const struct secret *seed, const struct wire_retraction *retraction,
                             uint8_t out[WIRE_SMALL_MAX]);
size_t wire_build_checkpoint(const struct wire_checkpoint *checkpoint, uint8_t out[WIRE_SMALL_MAX]);
size_t wire_build_refusal(indexer_RefusalCode code, const char *text, uint8_t out[WIRE_SMALL_MAX]);
size_t wire_build_hello(const struct secret *seed, struct wire_hello *hello,
                        const uint8_t exporter[WIRE_EXPORTER_SIZE], uint8_t out[WIRE_HELLO_MAX]);
size_t wire_build_ack(const struct wire_cursor *cursor, uint8_t out[WIRE_HELLO_MAX]);

/* The parameters of eth_getLogs that return this log and few others; for the caller to free. */
char *wire_build_repro(const struct eth_log *log);

/* ---- Parsers; 0 or AM_EFORMAT with a sentence ---- */

int wire_parse_client(const uint8_t *message, size_t len, struct wire_client_frame *out, struct am_err *err);
int wire_parse_server(const uint8_t *message, size_t len, struct wire_server_frame *out, struct am_err *err);

/* AM_EAUTH when the signature is not `pubkey`'s. */
int wire_verify_hello(const struct wire_hello *hello, const struct bytes32 *pubkey,
                      const uint8_t exporter[WIRE_EXPORTER_SIZE], struct am_err *err);

/* The shape of a push whose signature is known to be good: of one's own making, say. */
int wire_parse_push(const struct wire_signed *push, struct wire_event *out, struct am_err *err);

/* Checks signature, shape, and that kind and repro say the same as the log. AM_EAUTH or AM_EFORMAT. */
int wire_verify_push(const struct wire_signed *push, const struct bytes32 *pubkey, struct wire_event *out,
                     struct am_err *err);
int wire_verify_retraction(const struct wire_signed *retraction, const struct bytes32 *pubkey,
                           struct wire_retraction *out, struct am_err *err);

/* keccak(abi.encode("attestmesh.indexer.v1", key)): what the indexer's quote begins its report data with. */
struct bytes32 wire_report_data(const struct bytes32 *key);

/* The 64 bytes of report data in a TDX quote (version 4); NULL when it is none. */
const uint8_t *wire_quote_report_data(const uint8_t *quote, size_t quote_len);

/* Before, at or behind: negative, 0, positive. */
int wire_cursor_compare(const struct wire_cursor *a, const struct wire_cursor *b);

#endif
