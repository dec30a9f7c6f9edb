#include <inttypes.h>
#include <json-c/json_object.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/meshctl/show.h"
#include "agent/utf8.h"
#include "crypto/bytes.h"

#define SHORT_BYTES 6 /* of the sender's id, in text */
#define CURSOR_SIZE 48

static const char *format_cursor(const api_Cursor *cursor, char out[CURSOR_SIZE])
{
    snprintf(out, CURSOR_SIZE, "%" PRIu64 ":%" PRIu32, cursor->block, cursor->log_index);
    return out;
}

/* Control characters could drive the terminal: they are shown by number, as is what is no UTF-8. */
static void print_payload(const uint8_t *bytes, size_t len)
{
    const bool text = utf8_is_valid(bytes, len);
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] < ' ' || bytes[i] == 0x7f || (bytes[i] >= 0x80 && !text))
            printf("\\x%02x", bytes[i]);
        else
            putchar(bytes[i]);
    }
}

void show_message_text(const api_MessageEvent *event)
{
    char cursor[CURSOR_SIZE], sender[2 * SHORT_BYTES + 1];
    if (event->kind == api_MessageEvent_Kind_CAUGHT_UP)
        return;
    printf("%s  ", format_cursor(&event->cursor, cursor));
    if (event->kind == api_MessageEvent_Kind_MESSAGE) {
        hex_encode(event->sender, SHORT_BYTES, sender);
        printf("%s  ", sender);
        print_payload(event->payload.bytes, event->payload.size);
    } else {
        printf("(%s)", api_message_event_name(event->kind));
    }
    putchar('\n');
}

static void add_hex(json_object *object, const char *name, const uint8_t *bytes, size_t len)
{
    static char digits[2 + 2 * sizeof(((api_MessageEvent *)0)->payload.bytes) + 1] = "0x";
    hex_encode(bytes, len, digits + 2);
    json_object_object_add(object, name, json_object_new_string(digits));
}

void show_message_json(const api_MessageEvent *event)
{
    char cursor[CURSOR_SIZE];
    const uint8_t *bytes = event->payload.bytes;
    const size_t len = event->payload.size;
    json_object *object = json_object_new_object();
    json_object_object_add(object, "event", json_object_new_string(api_message_event_name(event->kind)));
    if (event->has_cursor)
        json_object_object_add(object, "cursor",
                               json_object_new_string(format_cursor(&event->cursor, cursor)));
    if (event->kind == api_MessageEvent_Kind_MESSAGE) {
        add_hex(object, "sender", event->sender, sizeof(event->sender));
        add_hex(object, "envelope_id", event->envelope_id, sizeof(event->envelope_id));
        add_hex(object, "payload", bytes, len);
        json_object_object_add(
            object, "text",
            utf8_is_valid(bytes, len) ? json_object_new_string_len((const char *)bytes, (int)len) : NULL);
    }
    puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(object);
}
