/* Text from outside, on its way to readers that insist on UTF-8 (JSON, protobuf strings). */
#ifndef AGENT_UTF8_H
#define AGENT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The length of the UTF-8 sequence that `text` begins with (1 for the NUL too), 0 when it begins with none
 * (RFC 3629). */
size_t utf8_sequence_len(const char *text);

/* Puts '?' in the place of every byte that belongs to no sequence. */
void utf8_make_valid(char *text);

/* Whether bytes, zeros among them, are UTF-8 as a whole. */
bool utf8_is_valid(const uint8_t *bytes, size_t len);

#endif
