/* The files are answers of wireguard-go, as they came over its socket. */
#include "netlink/uapi_text.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "fixture.h"

static void set_up(void)
{
    cr_assert_eq(secret_init(), 0);
}

TestSuite(netlink_uapi_text, .init = set_up);

static int feed(struct wg_device_observed *device, const char *text, size_t len, size_t step,
                struct am_err *err)
{
    int rc = UAPI_MORE;
    struct uapi_reader *reader = uapi_reader_new(device);
    cr_assert_not_null(reader);
    for (size_t at = 0; at < len && rc == UAPI_MORE; at += step)
        rc = uapi_reader_feed(reader, text + at, len - at < step ? len - at : step, err);
    uapi_reader_free(reader);
    return rc;
}

static void assert_refused(const char *text, const char *why)
{
    struct wg_device_observed device = {0};
    struct am_err err = {0};
    cr_assert_eq(feed(&device, text, strlen(text), strlen(text), &err), AM_EFORMAT, "%s", text);
    cr_assert_not_null(strstr(err.text, why), "'%s' names '%s'", err.text, why);
    wg_device_clear(&device);
}

Test(netlink_uapi_text, device_of_a_recorded_answer_in_every_cut)
{
    size_t len;
    const char *text = (const char *)fixture_corpus("uapi/device", &len);
    for (size_t step = 1; step <= len; step++) {
        struct wg_device_observed device = {0};
        struct am_err err = {0};
        char key[WG_KEY_TEXT_SIZE];
        const struct wg_peer first = fixture_peer(0);
        cr_assert_eq(feed(&device, text, len, step, &err), 0, "%s", err.text);
        cr_assert_str_eq(wg_key_text(&device.public_key, key),
                         "EyxEK+AQ+9V+cmAzKKp25x/MwVA6riGTJ9FNnJmT9HI=");
        cr_assert_eq(device.listen_port, 51821);
        cr_assert_eq(device.fwmark, 7);
        cr_assert_eq(device.peers_len, 2);
        cr_assert_eq(memcmp(&device.peers[0].config, &first, sizeof(first)), 0);
        cr_assert_eq(device.peers[0].tx_bytes, 148);
        cr_assert(device.peers[1].preshared);
        cr_assert_eq(device.peers[1].config.endpoint.family, AF_INET6);
        wg_device_clear(&device);
    }
}

Test(netlink_uapi_text, refusal_names_the_errno)
{
    struct wg_device_observed device = {0};
    struct am_err err = {0};
    size_t len;
    const char *text = (const char *)fixture_corpus("uapi/refused", &len);
    cr_assert_eq(feed(&device, text, len, len, &err), AM_EREMOTE);
    cr_assert_not_null(strstr(err.text, "Invalid argument"), "%s", err.text);
}

Test(netlink_uapi_text, malformed_answers_are_refused)
{
    assert_refused("\n", "without an errno");
    assert_refused("nonsense\n", "without a name");
    assert_refused("endpoint=1.2.3.4:5\n", "before any public_key");
    assert_refused("listen_port=65536\n", "listen_port");
    assert_refused("listen_port=\n", "listen_port");
    assert_refused("listen_port=-1\n", "listen_port");
    assert_refused("fwmark=0x1\n", "fwmark");
    assert_refused("public_key=00\n", "public_key");
    assert_refused("errno=4096\n", "errno");
}

Test(netlink_uapi_text, malformed_lines_of_a_peer_are_refused)
{
    static const char *const lines[] = {"endpoint=1.2.3.4",
                                        "endpoint=1.2.3:4",
                                        "endpoint=[::1:4",
                                        "endpoint=]:4",
                                        "endpoint=:4",
                                        "endpoint=[::1]4:5",
                                        "allowed_ip=1.2.3.4",
                                        "allowed_ip=1.2.3.4/33",
                                        "allowed_ip=fd00::/129",
                                        "allowed_ip=/8",
                                        "rx_bytes=18446744073709551616",
                                        "preshared_key=zz",
                                        "persistent_keepalive_interval=65536",
                                        "last_handshake_time_sec=9223372036854775808"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "public_key=%064d\n%s\n", 1, lines[i]);
        assert_refused(text, "malformed");
    }
}

Test(netlink_uapi_text, endless_line_is_refused)
{
    char text[4096];
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_refused(text, "longer than");
}

Test(netlink_uapi_text, no_key_material_in_errors)
{
    struct wg_device_observed device = {0};
    struct am_err err = {0};
    static const char text[] =
        "private_key=4242424242424242424242424242424242424242424242424242424242424242x\n";
    cr_assert_eq(feed(&device, text, strlen(text), 7, &err), AM_EFORMAT);
    cr_assert_null(strstr(err.text, "4242"), "%s", err.text);
}

Test(netlink_uapi_text, bytes_behind_the_end_are_refused)
{
    struct wg_device_observed device = {0};
    struct uapi_reader *reader = uapi_reader_new(&device);
    cr_assert_eq(uapi_reader_feed(reader, "errno=0\n\n", 9, NULL), 0);
    cr_assert_eq(uapi_reader_feed(reader, "x", 1, NULL), AM_EFORMAT);
    uapi_reader_free(reader);
}

Test(netlink_uapi_text, request_has_the_protocols_words)
{
    char text[2048];
    const struct wg_peer peer = fixture_peer(0);
    const struct secret key = {{0x42}};
    const struct wg_edit edits[] = {
        {.kind = WG_EDIT_SET_PRIVATE_KEY, .private_key = &key},
        {.kind = WG_EDIT_SET_LISTEN_PORT, .number = 51821},
        {.kind = WG_EDIT_CLEAR_FWMARK},
        {.kind = WG_EDIT_REMOVE_PEER, .pubkey = &peer.pubkey},
        {.kind = WG_EDIT_SET_PEER,
         .peer = &peer,
         .peer_fields = WG_PEER_ENDPOINT | WG_PEER_PREFIXES | WG_PEER_KEEPALIVE | WG_PEER_NO_PRESHARED}};
    size_t len;
    cr_assert_eq(uapi_build_set(text, sizeof(text) - 1, edits, 5, &len), 5);
    text[len] = '\0';
    cr_assert_str_eq(text, "set=1\n"
                           "private_key=4200000000000000000000000000000000000000000000000000000000000000\n"
                           "listen_port=51821\n"
                           "fwmark=0\n"
                           "public_key=000000015a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a\n"
                           "remove=true\n"
                           "public_key=000000015a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a\n"
                           "preshared_key=0000000000000000000000000000000000000000000000000000000000000000\n"
                           "endpoint=127.64.0.1:51901\n"
                           "persistent_keepalive_interval=25\n"
                           "replace_allowed_ips=true\n"
                           "allowed_ip=10.13.1.0/32\n"
                           "allowed_ip=fd01:203:405::1/128\n"
                           "\n");
}

Test(netlink_uapi_text, any_capacity_keeps_requests_whole)
{
    struct wg_peer peers[8];
    struct wg_edit edits[8];
    char text[2049];
    for (uint32_t i = 0; i < 8; i++) {
        peers[i] = fixture_peer(i);
        edits[i] = (struct wg_edit){.kind = WG_EDIT_SET_PEER,
                                    .peer = &peers[i],
                                    .peer_fields = WG_PEER_ENDPOINT | WG_PEER_PREFIXES | WG_PEER_KEEPALIVE};
    }
    for (size_t capacity = 1024; capacity < 2048; capacity++) {
        struct wg_device_observed device = {0};
        for (size_t done = 0, len; done < 8;) {
            memset(text, 'x', sizeof(text));
            done += uapi_build_set(text, capacity, edits + done, 8 - done, &len);
            cr_assert_eq(text[capacity], 'x', "nothing is written behind the capacity");
            cr_assert_eq(memcmp(text + len - 2, "\n\n", 2), 0);
            /* The lines of a request are, but for their end, those of an answer. */
            cr_assert_eq(feed(&device, text, len - 1, len, NULL), UAPI_MORE);
        }
        cr_assert_eq(device.peers_len, 8);
        cr_assert_eq(memcmp(&device.peers[7].config, &peers[7], sizeof(peers[7])), 0);
        wg_device_clear(&device);
    }
}
