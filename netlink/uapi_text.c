#include "netlink/uapi_text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/box.h"

#define HEX_KEY_SIZE (2 * sizeof(struct bytes32) + 1)
/* The longest line that is known: a key's name and 64 digits, or an IPv6 endpoint with a zone. */
#define LINE_MAX_LEN 160

/* ---- building ---- */

struct text {
    char *buf;
    size_t capacity;
    size_t len;
    bool full;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const size_t room = text->capacity - text->len;
    const int written = vsnprintf(text->buf + text->len, room, format, args);
    va_end(args);
    if (written < 0 || (size_t)written >= room)
        text->full = true;
    else
        text->len += (size_t)written;
}

static void put_key(struct text *text, const char *name, const uint8_t key[32])
{
    put(text, "%s=", name);
    if (text->capacity - text->len < HEX_KEY_SIZE + 1) {
        text->full = true;
        return;
    }
    hex_encode(key, 32, text->buf + text->len);
    text->len += HEX_KEY_SIZE - 1;
    put(text, "\n");
}

static void put_endpoint(struct text *text, const struct wg_endpoint *endpoint)
{
    char address[INET6_ADDRSTRLEN];
    inet_ntop(endpoint->family, endpoint->address, address, sizeof(address));
    put(text, endpoint->family == AF_INET6 ? "endpoint=[%s]:%u\n" : "endpoint=%s:%u\n", address,
        endpoint->port);
}

static void put_peer(struct text *text, const struct wg_edit *edit)
{
    static const uint8_t no_key[32];
    char prefix[WG_PREFIX_TEXT_SIZE];
    const struct wg_peer *peer = edit->peer;
    put_key(text, "public_key", peer->pubkey.b);
    if (edit->peer_fields & WG_PEER_NO_PRESHARED)
        put_key(text, "preshared_key", no_key);
    if (edit->peer_fields & WG_PEER_ENDPOINT)
        put_endpoint(text, &peer->endpoint);
    if (edit->peer_fields & WG_PEER_KEEPALIVE)
        put(text, "persistent_keepalive_interval=%u\n", peer->keepalive_s);
    if (!(edit->peer_fields & WG_PEER_PREFIXES))
        return;
    put(text, "replace_allowed_ips=true\n");
    for (size_t i = 0; i < peer->prefixes_len; i++)
        put(text, "allowed_ip=%s\n", wg_prefix_text(&peer->prefixes[i], prefix));
}

static void put_edit(struct text *text, const struct wg_edit *edit)
{
    switch (edit->kind) {
    case WG_EDIT_SET_PRIVATE_KEY: put_key(text, "private_key", edit->private_key->b); return;
    case WG_EDIT_SET_LISTEN_PORT: put(text, "listen_port=%u\n", edit->number); return;
    case WG_EDIT_CLEAR_FWMARK: put(text, "fwmark=0\n"); return;
    case WG_EDIT_REMOVE_PEER:
        put_key(text, "public_key", edit->pubkey->b);
        put(text, "remove=true\n");
        return;
    case WG_EDIT_SET_PEER: put_peer(text, edit); return;
    case WG_EDIT_CREATE_DEVICE:
    case WG_EDIT_SET_MTU:
    case WG_EDIT_REMOVE_ADDRESS:
    case WG_EDIT_ADD_ADDRESS:
    case WG_EDIT_SET_UP:
    case WG_EDIT_REMOVE_ROUTE:
    case WG_EDIT_ADD_ROUTE:
    case WG_EDIT_SET_ROUTE_MTU: break;
    }
    text->full = true;
}

/* Lines of the device must stand before the first peer. */
static bool in_order(const struct wg_edit *edits, size_t index)
{
    const bool peer = edits[index].kind == WG_EDIT_SET_PEER || edits[index].kind == WG_EDIT_REMOVE_PEER;
    return peer || index == 0 ||
           (edits[index - 1].kind != WG_EDIT_SET_PEER && edits[index - 1].kind != WG_EDIT_REMOVE_PEER);
}

size_t uapi_build_set(char *buf, size_t capacity, const struct wg_edit *edits, size_t len, size_t *out_len)
{
    /* Room is kept for the empty line at the end. */
    struct text text = {.buf = buf, .capacity = capacity - 1};
    size_t taken = 0;
    put(&text, "set=1\n");
    while (taken < len && in_order(edits, taken)) {
        const size_t before = text.len;
        put_edit(&text, &edits[taken]);
        if (text.full) {
            text.len = before;
            break;
        }
        taken++;
    }
    buf[text.len] = '\n';
    *out_len = text.len + 1;
    return taken;
}

/* ---- parsing ---- */

struct uapi_reader {
    struct wg_device_observed *device;
    struct wg_peer_observed *peer; /* the one that lines are about, NULL before the first */
    bool has_errno;
    bool done;
    int64_t errno_value;
    size_t line_len;
    char line[LINE_MAX_LEN + 1];
};

struct uapi_reader *uapi_reader_new(struct wg_device_observed *device)
{
    struct uapi_reader *reader = secret_buffer_new(sizeof(*reader));
    if (!reader)
        return NULL;
    memset(reader, 0, sizeof(*reader));
    reader->device = device;
    return reader;
}

void uapi_reader_free(struct uapi_reader *reader)
{
    secret_buffer_free(reader);
}

/* Decimal digits only, at most `max`. */
static bool parse_number(const char *text, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        const unsigned digit = (unsigned)*text - '0';
        if (digit > 9 || value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

static bool parse_address(const char *text, uint8_t *family, uint8_t out[16])
{
    *family = strchr(text, ':') ? AF_INET6 : AF_INET;
    return inet_pton(*family, text, out) == 1;
}

static int parse_private_key(struct uapi_reader *r, const char *value)
{
    SECRET_AUTO key = secret_new();
    if (!key)
        return -ENOMEM;
    if (!hex_decode_exact(value, key->b, sizeof(key->b)))
        return AM_EFORMAT;
    return box_pubkey_of_secret(key, &r->device->public_key) == 0 ? 0 : AM_EFORMAT;
}

static int parse_listen_port(struct uapi_reader *r, const char *value)
{
    uint64_t number;
    if (!parse_number(value, UINT16_MAX, &number))
        return AM_EFORMAT;
    r->device->listen_port = (uint16_t)number;
    return 0;
}

static int parse_fwmark(struct uapi_reader *r, const char *value)
{
    uint64_t number;
    if (!parse_number(value, UINT32_MAX, &number))
        return AM_EFORMAT;
    r->device->fwmark = (uint32_t)number;
    return 0;
}

static int parse_public_key(struct uapi_reader *r, const char *value)
{
    struct bytes32 pubkey;
    if (!hex_decode_exact(value, pubkey.b, sizeof(pubkey.b)))
        return AM_EFORMAT;
    r->peer = wg_device_add_peer(r->device, &pubkey);
    return r->peer ? 0 : -ENOMEM;
}

static int parse_preshared_key(struct uapi_reader *r, const char *value)
{
    struct bytes32 key;
    const bool valid = hex_decode_exact(value, key.b, sizeof(key.b));
    if (valid)
        r->peer->preshared = !bytes32_is_zero(&key);
    secret_wipe(&key, sizeof(key));
    return valid ? 0 : AM_EFORMAT;
}

static int parse_endpoint(struct uapi_reader *r, const char *value)
{
    char address[INET6_ADDRSTRLEN + 1];
    uint64_t port;
    const bool bracketed = value[0] == '[';
    const char *colon = strrchr(value, ':');
    const char *first = value + bracketed, *end = colon && bracketed ? colon - 1 : colon;
    if (!colon || end < first || (bracketed && *end != ']') || (size_t)(end - first) >= sizeof(address) ||
        !parse_number(colon + 1, UINT16_MAX, &port))
        return AM_EFORMAT;
    memcpy(address, first, (size_t)(end - first));
    address[end - first] = '\0';
    /* A zone, as in fe80::1%eth0, is no part of what is compared. */
    address[strcspn(address, "%")] = '\0';
    struct wg_endpoint *endpoint = &r->peer->config.endpoint;
    *endpoint = (struct wg_endpoint){.port = (uint16_t)port};
    return parse_address(address, &endpoint->family, endpoint->address) ? 0 : AM_EFORMAT;
}

static int parse_allowed_ip(struct uapi_reader *r, const char *value)
{
    char address[INET6_ADDRSTRLEN];
    struct wg_prefix prefix = {0};
    uint64_t bits;
    const char *slash = strchr(value, '/');
    if (!slash || (size_t)(slash - value) >= sizeof(address) || !parse_number(slash + 1, 128, &bits))
        return AM_EFORMAT;
    memcpy(address, value, (size_t)(slash - value));
    address[slash - value] = '\0';
    prefix.bits = (uint8_t)bits;
    if (!parse_address(address, &prefix.family, prefix.address) || !wg_prefix_valid(&prefix))
        return AM_EFORMAT;
    wg_peer_add_prefix(r->peer, &prefix);
    return 0;
}

static int parse_keepalive(struct uapi_reader *r, const char *value)
{
    uint64_t number;
    if (!parse_number(value, UINT16_MAX, &number))
        return AM_EFORMAT;
    r->peer->config.keepalive_s = (uint16_t)number;
    return 0;
}

static int parse_handshake(struct uapi_reader *r, const char *value)
{
    uint64_t number;
    if (!parse_number(value, INT64_MAX, &number))
        return AM_EFORMAT;
    r->peer->last_handshake_s = (int64_t)number;
    return 0;
}

static int parse_rx_bytes(struct uapi_reader *r, const char *value)
{
    return parse_number(value, UINT64_MAX, &r->peer->rx_bytes) ? 0 : AM_EFORMAT;
}

static int parse_tx_bytes(struct uapi_reader *r, const char *value)
{
    return parse_number(value, UINT64_MAX, &r->peer->tx_bytes) ? 0 : AM_EFORMAT;
}

static int parse_errno(struct uapi_reader *r, const char *value)
{
    uint64_t number;
    /* Some implementations answer a negative errno. */
    if (!parse_number(value + (value[0] == '-'), 4095, &number))
        return AM_EFORMAT;
    r->has_errno = true;
    r->errno_value = (int64_t)number;
    return 0;
}

static const struct line_kind {
    const char *name;
    bool of_peer; /* only behind a public_key line */
    int (*parse)(struct uapi_reader *r, const char *value);
} line_kinds[] = {
    {"private_key", false, parse_private_key},
    {"listen_port", false, parse_listen_port},
    {"fwmark", false, parse_fwmark},
    {"public_key", false, parse_public_key},
    {"preshared_key", true, parse_preshared_key},
    {"endpoint", true, parse_endpoint},
    {"allowed_ip", true, parse_allowed_ip},
    {"persistent_keepalive_interval", true, parse_keepalive},
    {"last_handshake_time_sec", true, parse_handshake},
    {"rx_bytes", true, parse_rx_bytes},
    {"tx_bytes", true, parse_tx_bytes},
    {"errno", false, parse_errno},
};

static const struct line_kind *find_line_kind(const char *name)
{
    for (size_t i = 0; i < sizeof(line_kinds) / sizeof(line_kinds[0]); i++) {
        if (strcmp(line_kinds[i].name, name) == 0)
            return &line_kinds[i];
    }
    return NULL;
}

static int finish(struct uapi_reader *r, struct am_err *err)
{
    r->done = true;
    if (!r->has_errno)
        return am_fail(err, AM_EFORMAT, "WireGuard socket: answer without an errno line");
    if (r->errno_value != 0)
        return am_fail(err, AM_EREMOTE, "WireGuard socket: %s", strerror((int)r->errno_value));
    return 0;
}

static int parse_line(struct uapi_reader *r, struct am_err *err)
{
    if (r->line_len == 0)
        return finish(r, err);
    r->line[r->line_len] = '\0';
    char *equals = strchr(r->line, '=');
    if (!equals || strlen(r->line) != r->line_len)
        return am_fail(err, AM_EFORMAT, "WireGuard socket: line without a name and a value");
    *equals = '\0';
    const struct line_kind *kind = find_line_kind(r->line);
    if (!kind)
        return UAPI_MORE;
    if (kind->of_peer && !r->peer)
        return am_fail(err, AM_EFORMAT, "WireGuard socket: %s before any public_key", kind->name);
    const int rc = kind->parse(r, equals + 1);
    if (rc < 0)
        return am_fail(err, rc, "WireGuard socket: %s %s", rc == -ENOMEM ? "too many lines of" : "malformed",
                       kind->name);
    return UAPI_MORE;
}

int uapi_reader_feed(struct uapi_reader *reader, const char *bytes, size_t len, struct am_err *err)
{
    if (reader->done)
        return am_fail(err, AM_EFORMAT, "WireGuard socket: bytes behind the end of the answer");
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != '\n') {
            if (reader->line_len == LINE_MAX_LEN)
                return am_fail(err, AM_EFORMAT, "WireGuard socket: line longer than %d bytes", LINE_MAX_LEN);
            reader->line[reader->line_len++] = bytes[i];
            continue;
        }
        const int rc = parse_line(reader, err);
        reader->line_len = 0;
        if (rc != UAPI_MORE)
            return rc;
    }
    return UAPI_MORE;
}
