/* Records for the disk: fields one after the other, as they are, integers big-endian. */
#ifndef CRYPTO_RECORD_H
#define CRYPTO_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Appends at `*at` and moves it on; the caller has made room. */
void record_put(uint8_t **at, const void *data, size_t len);
void record_put_u64(uint8_t **at, uint64_t value);

struct record_reader {
    const uint8_t *at; /* NULL once something was missing */
    size_t left;
};

/* Takes the next bytes; zeros when they are missing. */
void record_take(struct record_reader *reader, void *out, size_t len);
uint64_t record_take_u64(struct record_reader *reader);

/* Takes a text in an array of `size` bytes. False when it has no end there. */
bool record_take_text(struct record_reader *reader, char *out, size_t size);

#endif
