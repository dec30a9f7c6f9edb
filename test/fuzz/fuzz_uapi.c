/* Answers of a userspace WireGuard: whole or in pieces, the reader must come to the same end. */
#include <stdlib.h>

#include "netlink/uapi_text.h"

static int feed(struct wg_device_observed *device, const uint8_t *data, size_t len, size_t step)
{
    struct am_err err = {0};
    struct uapi_reader *reader = uapi_reader_new(device);
    if (!reader)
        abort();
    int rc = UAPI_MORE;
    for (size_t at = 0; at < len && rc == UAPI_MORE; at += step)
        rc = uapi_reader_feed(reader, (const char *)data + at, len - at < step ? len - at : step, &err);
    uapi_reader_free(reader);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static bool ready;
    struct wg_device_observed whole = {0}, pieces = {0};
    if (!ready && secret_init() < 0)
        abort();
    ready = true;
    if (feed(&whole, data, len, len + 1) != feed(&pieces, data, len, 3) ||
        whole.peers_len != pieces.peers_len)
        abort();
    wg_device_clear(&whole);
    wg_device_clear(&pieces);
    return 0;
}
