/* The files are datagrams of a 6.1 kernel, with sequence 7 and port id 9 written in; the *-sentence ones are
 * made by hand after linux/netlink.h. */
#include "netlink/wg_genl.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/wireguard.h>

#include "fixture.h"

static const struct wg_genl_expect expect = {.sequence = 7, .portid = 9, .family = 0x20};

static int parse_device(const char *file, struct wg_device_observed *device, struct am_err *err)
{
    size_t len;
    const uint8_t *datagram = fixture_corpus(file, &len);
    return wg_genl_parse_device(datagram, len, &expect, device, err);
}

static void assert_recorded_device(const struct wg_device_observed *device)
{
    const struct wg_peer first = fixture_peer(0);
    char key[WG_KEY_TEXT_SIZE];
    cr_assert_str_eq(wg_key_text(&device->public_key, key), "EyxEK+AQ+9V+cmAzKKp25x/MwVA6riGTJ9FNnJmT9HI=");
    cr_assert_eq(device->listen_port, 51821);
    cr_assert_eq(device->fwmark, 7);
    cr_assert_eq(device->peers_len, 2);
    const struct wg_peer_observed *one = &device->peers[0], *two = &device->peers[1];
    cr_assert(bytes32_equal(&one->config.pubkey, &first.pubkey));
    cr_assert(wg_endpoint_equal(&one->config.endpoint, &first.endpoint));
    cr_assert_eq(one->config.prefixes_len, 2);
    cr_assert_eq(one->config.keepalive_s, 25);
    cr_assert_not(one->preshared);
    cr_assert_eq(one->last_handshake_s, 0);
    cr_assert(two->preshared);
    cr_assert_eq(two->config.endpoint.family, AF_INET6);
    cr_assert_eq(two->config.endpoint.port, 7);
    cr_assert_eq(two->config.prefixes_len, 1);
    cr_assert_eq(two->config.keepalive_s, 0);
}

Test(netlink_wg_genl, family_id_of_a_recorded_answer)
{
    size_t len;
    uint16_t family = 0;
    const uint8_t *datagram = fixture_corpus("wg_genl/family", &len);
    cr_assert_eq(wg_genl_parse_family(datagram, len, &expect, &family, NULL), WG_GENL_MORE);
    cr_assert_eq(family, 0x20);
    datagram = fixture_corpus("wg_genl/ack", &len);
    cr_assert_eq(wg_genl_parse_family(datagram, len, &expect, &family, NULL), 0);
}

Test(netlink_wg_genl, device_of_a_recorded_dump)
{
    struct wg_device_observed device = {0};
    struct am_err err = {0};
    cr_assert_eq(parse_device("wg_genl/device", &device, &err), 0, "%s", err.text);
    assert_recorded_device(&device);
    wg_device_clear(&device);
}

Test(netlink_wg_genl, peer_split_over_two_datagrams_is_joined)
{
    struct wg_device_observed device = {0};
    cr_assert_eq(parse_device("wg_genl/split-1", &device, NULL), WG_GENL_MORE);
    cr_assert_eq(device.peers_len, 1);
    cr_assert_eq(parse_device("wg_genl/split-2", &device, NULL), 0);
    cr_assert_eq(device.peers_len, 2);
    cr_assert(device.peers[0].more_prefixes);
    cr_assert_not(device.peers[1].more_prefixes);
    wg_device_clear(&device);
}

Test(netlink_wg_genl, interrupted_dump_is_told)
{
    struct wg_device_observed device = {0};
    cr_assert_eq(parse_device("wg_genl/interrupted", &device, NULL), -EINTR);
    wg_device_clear(&device);
}

static bool ends(const char *file)
{
    size_t len;
    const uint8_t *datagram = fixture_corpus(file, &len);
    return wg_genl_ends(datagram, len, &expect);
}

Test(netlink_wg_genl, end_of_a_reply_is_found_whatever_it_says)
{
    size_t len;
    cr_assert(ends("wg_genl/ack"));
    cr_assert(ends("wg_genl/refused"));
    cr_assert(ends("wg_genl/done-sentence"));
    cr_assert(ends("wg_genl/length-beyond"), "what can not be read goes no further");
    cr_assert_not(ends("wg_genl/split-1"));
    cr_assert_not(ends("wg_genl/family"));
    const uint8_t *datagram = fixture_corpus("wg_genl/ack", &len);
    const struct wg_genl_expect later = {.sequence = 8, .portid = 9, .family = 0x20};
    cr_assert_not(wg_genl_ends(datagram, len, &later), "the end of another reply");
}

Test(netlink_wg_genl, refusal_has_the_kernels_number)
{
    struct am_err err = {0};
    size_t len;
    const uint8_t *datagram = fixture_corpus("wg_genl/refused", &len);
    cr_assert_eq(wg_genl_parse_ack(datagram, len, &expect, &err), -ENODEV);
    cr_assert_str_eq(err.text, "No such device");
}

Test(netlink_wg_genl, refusal_has_the_kernels_sentence)
{
    struct am_err err = {0};
    size_t len;
    const uint8_t *datagram = fixture_corpus("wg_genl/refused-sentence", &len);
    cr_assert_eq(wg_genl_parse_ack(datagram, len, &expect, &err), -EINVAL);
    cr_assert_str_eq(err.text, "Invalid argument: Attribute failed policy validation");
    datagram = fixture_corpus("wg_genl/done-sentence", &len);
    cr_assert_eq(wg_genl_parse_ack(datagram, len, &expect, &err), -EOPNOTSUPP);
    cr_assert_not_null(strstr(err.text, "no dump today"), "%s", err.text);
}

Test(netlink_wg_genl, answers_to_others_are_skipped)
{
    struct wg_device_observed device = {0};
    size_t len;
    const uint8_t *datagram = fixture_corpus("wg_genl/device", &len);
    struct wg_genl_expect other = expect;
    other.sequence++;
    cr_assert_eq(wg_genl_parse_device(datagram, len, &other, &device, NULL), WG_GENL_MORE);
    other = expect;
    other.portid++;
    cr_assert_eq(wg_genl_parse_device(datagram, len, &other, &device, NULL), WG_GENL_MORE);
    cr_assert_eq(device.peers_len, 0);
}

Test(netlink_wg_genl, every_truncation_is_refused_or_incomplete)
{
    size_t len;
    const uint8_t *whole = fixture_corpus("wg_genl/device", &len);
    for (size_t cut = 0; cut < len; cut++) {
        struct wg_device_observed device = {0};
        const int rc = wg_genl_parse_device(whole, cut, &expect, &device, NULL);
        cr_assert_neq(rc, 0, "%zu bytes", cut);
        wg_device_clear(&device);
    }
}

Test(netlink_wg_genl, message_longer_than_its_datagram_is_refused)
{
    struct wg_device_observed device = {0};
    struct am_err err = {0};
    cr_assert_eq(parse_device("wg_genl/length-beyond", &device, &err), AM_EFORMAT);
    cr_assert_not_null(strstr(err.text, "stray bytes"), "%s", err.text);
}

/* Sends edits through as many messages as they need and reads these back as if the kernel had sent them. */
static size_t round_trip(const struct wg_edit *edits, size_t len, size_t capacity,
                         struct wg_device_observed *device)
{
    static _Alignas(8) uint8_t buffer[8192];
    const struct wg_genl_expect own = {.sequence = 7, .portid = 0, .family = 0x20};
    size_t messages = 0;
    for (size_t done = 0; done < len; messages++) {
        size_t message_len;
        struct am_err err = {0};
        memset(buffer, 0xa5, sizeof(buffer));
        const size_t taken = wg_genl_build_set(buffer, capacity, 0x20, 7, "attestmesh0", edits + done,
                                               len - done, &message_len);
        cr_assert_gt(taken, 0);
        cr_assert_leq(message_len, capacity);
        cr_assert_eq(buffer[capacity], 0xa5, "nothing is written behind the capacity");
        cr_assert_eq(wg_genl_parse_device(buffer, message_len, &own, device, &err), WG_GENL_MORE, "%s",
                     err.text);
        done += taken;
    }
    return messages;
}

Test(netlink_wg_genl, peers_go_out_in_pieces_and_arrive_whole)
{
    struct wg_peer peers[40];
    struct wg_edit edits[41] = {{.kind = WG_EDIT_SET_LISTEN_PORT, .number = 51821}};
    struct wg_device_observed device = {0};
    for (uint32_t i = 0; i < 40; i++) {
        peers[i] = fixture_peer(i);
        edits[i + 1] =
            (struct wg_edit){.kind = WG_EDIT_SET_PEER,
                             .peer = &peers[i],
                             .peer_fields = WG_PEER_ENDPOINT | WG_PEER_PREFIXES | WG_PEER_KEEPALIVE};
    }
    cr_assert_gt(round_trip(edits, 41, 1024, &device), 5);
    cr_assert_eq(device.listen_port, 51821);
    cr_assert_eq(device.peers_len, 40);
    for (size_t i = 0; i < 40; i++)
        cr_assert_eq(memcmp(&device.peers[i].config, &peers[i], sizeof(peers[i])), 0, "peer %zu", i);
    wg_device_clear(&device);
}

Test(netlink_wg_genl, any_capacity_keeps_messages_whole)
{
    struct wg_peer peers[8];
    struct wg_edit edits[8];
    for (uint32_t i = 0; i < 8; i++) {
        peers[i] = fixture_peer(i);
        edits[i] = (struct wg_edit){.kind = WG_EDIT_SET_PEER,
                                    .peer = &peers[i],
                                    .peer_fields = WG_PEER_ENDPOINT | WG_PEER_PREFIXES | WG_PEER_KEEPALIVE};
    }
    for (size_t capacity = 1024; capacity < 2048; capacity++) {
        struct wg_device_observed device = {0};
        round_trip(edits, 8, capacity, &device);
        cr_assert_eq(device.peers_len, 8);
        wg_device_clear(&device);
    }
}

Test(netlink_wg_genl, device_settings_after_peers_take_another_message)
{
    static _Alignas(8) uint8_t buffer[2048];
    const struct wg_peer peer = fixture_peer(0);
    const struct wg_edit edits[] = {{.kind = WG_EDIT_REMOVE_PEER, .pubkey = &peer.pubkey},
                                    {.kind = WG_EDIT_CLEAR_FWMARK}};
    size_t message_len;
    cr_assert_eq(wg_genl_build_set(buffer, sizeof(buffer), 0x20, 7, "x", edits, 2, &message_len), 1);
}

Test(netlink_wg_genl, requests_fit_their_room)
{
    static _Alignas(8) uint8_t buffer[WG_GENL_REQUEST_MAX];
    cr_assert_leq(wg_genl_build_get_family(buffer, 1), sizeof(buffer));
    cr_assert_leq(wg_genl_build_get_device(buffer, 0x20, 1, "123456789012345"), sizeof(buffer));
}
