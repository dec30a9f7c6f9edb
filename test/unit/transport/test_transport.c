#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/transport/loopback.h"
#include "pair.h"
#include "vectors.h"

Test(host_name, matches_vector)
{
    json_object *vector = vectors_section("gatewayHost");
    const struct address app = vector_address(vector, "appId");
    const uint16_t port = (uint16_t)json_object_get_int(vector_get(vector, "port"));
    char host[TRANSPORT_HOST_SIZE];
    cr_assert_eq(transport_host_name(&app, port, vector_text(vector, "domain"), host), 0);
    cr_assert_str_eq(host, vector_text(vector, "host"));
}

Test(transport, impossible_settings_are_refused_by_name)
{
    struct transport_config config = {.gateway_domain = "gw/example",
                                      .gateway_port = 443,
                                      .ingress_port = 51900,
                                      .wireguard_port = 51821,
                                      .loopback_port = 51901};
    struct transport_callbacks callbacks = {0};
    struct am_err err = {0};
    cr_assert_null(transport_new(NULL, &config, &callbacks, NULL, &err));
    cr_assert(strstr(err.text, "gw/example"), "%s", err.text);
    config.gateway_domain = NULL;
    config.ingress_port = 0;
    cr_assert_null(transport_new(NULL, &config, &callbacks, NULL, &err));
    cr_assert_eq(err.code, AM_ECONFIG);
}

Test(transport, ports_in_use_are_named)
{
    struct pair pair;
    pair_start(&pair);
    const struct transport_callbacks callbacks = {0};
    struct am_err err = {0};
    struct transport_config config = pair.low.config;
    cr_assert_null(transport_new(pair.base, &config, &callbacks, NULL, &err));
    cr_assert(strstr(err.text, "51901"), "%s", err.text);
    config.loopback_port = 51999;
    cr_assert_null(transport_new(pair.base, &config, &callbacks, NULL, &err));
    cr_assert(strstr(err.text, "51900"), "%s", err.text);
    pair_stop(&pair);
}

Test(transport, datagrams_pass_both_ways)
{
    struct pair pair;
    pair_start(&pair);
    pair_connect(&pair);
    cr_assert_eq(pair.low.direction, TRANSPORT_DIALED);
    cr_assert_eq(pair.high.direction, TRANSPORT_ACCEPTED);
    for (uint32_t i = 0; i < 100; i++) {
        pair_send(&pair.low, &pair.high, i);
        cr_assert_eq(pair_await(&pair, &pair.high, &pair.low), i);
        pair_send(&pair.high, &pair.low, ~i);
        cr_assert_eq(pair_await(&pair, &pair.low, &pair.high), ~i);
    }
    const struct transport_counters counters = node_counters(&pair.low, &pair.high);
    cr_assert_eq(counters.sent, 100);
    cr_assert_eq(counters.sent_bytes, 100 * PAIR_MESSAGE_SIZE);
    cr_assert_eq(counters.received, 100);
    cr_assert_eq(counters.received_bytes, 100 * PAIR_MESSAGE_SIZE);
    cr_assert_eq(counters.streams, 1);
    cr_assert_gt(counters.rtt_us, 0);
    pair_stop(&pair);
}

Test(transport, every_datagram_of_a_burst_is_counted_once)
{
    struct pair pair;
    pair_start(&pair);
    pair_connect(&pair);
    const uint32_t burst = 10000; /* what the socket holds while nobody reads */
    for (uint32_t i = 0; i < burst; i++)
        pair_send(&pair.low, &pair.high, i);
    struct transport_counters sender;
    PAIR_UNTIL(&pair, (sender = node_counters(&pair.low, &pair.high),
                       sender.sent + sender.dropped_late + sender.dropped_full == burst));
    struct transport_counters receiver;
    PAIR_UNTIL(&pair, (receiver = node_counters(&pair.high, &pair.low),
                       receiver.received + receiver.dropped_full == sender.sent));
    cr_assert_eq(receiver.dropped_malformed, 0);
    pair_stop(&pair);
}

Test(transport, datagrams_without_a_stream_are_dropped_not_kept)
{
    struct pair pair;
    pair_start(&pair);
    pair_introduce(&pair);
    pair_send(&pair.low, &pair.high, 1);
    PAIR_UNTIL(&pair, node_counters(&pair.low, &pair.high).dropped_down == 1);
    pair_connect(&pair);
    pair_send(&pair.low, &pair.high, 2);
    cr_assert_eq(pair_await(&pair, &pair.high, &pair.low), 2);
    pair_stop(&pair);
}

Test(transport, each_peers_datagrams_reach_the_worker_that_serves_it)
{
    enum { PEERS = 24 };
    struct pair pair;
    struct transport_counters counters;
    pair_start(&pair);
    for (uint32_t index = 100; index < 100 + PEERS; index++) {
        struct transport_peer info = pair.high.self;
        info.index = index;
        info.member_id.b[0] = (uint8_t)index;
        cr_assert_eq(transport_set_peer(pair.low.transport, &info), 0);
    }
    for (uint32_t index = 100; index < 100 + PEERS; index++) {
        const struct node peer = {.index = index};
        pair_send(&pair.low, &peer, 1);
    }
    for (uint32_t index = 100; index < 100 + PEERS; index++)
        PAIR_UNTIL(&pair, transport_read_counters(pair.low.transport, index, &counters) == 0 &&
                              counters.dropped_down == 1);
    pair_stop(&pair);
}

Test(transport, implausible_datagrams_are_dropped_and_counted)
{
    struct pair pair;
    pair_start(&pair);
    pair_connect(&pair);
    const uint8_t garbage[40] = {9};
    const struct sockaddr_in peer = {.sin_family = AF_INET,
                                     .sin_port = htons(pair.low.config.loopback_port),
                                     .sin_addr.s_addr = htonl(loopback_address_of_index(pair.high.index))};
    cr_assert_eq(sendto(pair.low.wireguard, garbage, sizeof(garbage), 0, (const void *)&peer, sizeof(peer)),
                 40);
    PAIR_UNTIL(&pair, node_counters(&pair.low, &pair.high).dropped_malformed == 1);
    pair_stop(&pair);
}

Test(transport, only_wireguards_port_is_heard)
{
    struct pair pair;
    pair_start(&pair);
    pair_connect(&pair);
    struct node stranger = pair.low;
    stranger.wireguard = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    pair_send(&stranger, &pair.high, 1);
    pair_send(&pair.low, &pair.high, 2);
    cr_assert_eq(pair_await(&pair, &pair.high, &pair.low), 2);
    cr_assert_eq(node_counters(&pair.low, &pair.high).sent, 1);
    close(stranger.wireguard);
    pair_stop(&pair);
}

Test(transport, stranger_is_refused)
{
    struct pair pair;
    pair_start(&pair);
    cr_assert_eq(transport_set_peer(pair.low.transport, &pair.high.self), 0);
    cr_assert_eq(transport_dial(pair.low.transport, pair.high.index), 0);
    PAIR_UNTIL(&pair, pair.low.dial_failures == 1 && pair.high.refusals == 1);
    cr_assert(strstr(pair.high.reason, "not a live member"), "%s", pair.high.reason);
    cr_assert_eq(pair.low.ups + pair.high.ups, 0);
    pair_stop(&pair);
}

Test(transport, wrong_key_is_refused_by_the_acceptor)
{
    struct pair pair;
    pair_start(&pair);
    struct transport_peer impostor = pair.low.self;
    impostor.ed25519_pubkey = pair.high.self.ed25519_pubkey;
    cr_assert_eq(transport_set_peer(pair.low.transport, &pair.high.self), 0);
    cr_assert_eq(transport_set_peer(pair.high.transport, &impostor), 0);
    cr_assert_eq(transport_dial(pair.low.transport, pair.high.index), 0);
    PAIR_UNTIL(&pair, pair.low.dial_failures == 1 && pair.high.refusals == 1);
    cr_assert(strstr(pair.high.reason, "signature"), "%s", pair.high.reason);
    pair_stop(&pair);
}

Test(transport, wrong_key_is_refused_by_the_dialer)
{
    struct pair pair;
    pair_start(&pair);
    struct transport_peer impostor = pair.high.self;
    impostor.ed25519_pubkey = pair.low.self.ed25519_pubkey;
    cr_assert_eq(transport_set_peer(pair.low.transport, &impostor), 0);
    cr_assert_eq(transport_set_peer(pair.high.transport, &pair.low.self), 0);
    cr_assert_eq(transport_dial(pair.low.transport, pair.high.index), 0);
    PAIR_UNTIL(&pair, pair.low.dial_failures == 1);
    cr_assert(strstr(pair.low.reason, "signature"), "%s", pair.low.reason);
    PAIR_UNTIL(&pair, !pair.high.is_up && pair.high.downs == pair.high.ups);
    pair_stop(&pair);
}

Test(transport, removal_closes_at_once_and_refuses_from_then_on)
{
    struct pair pair;
    pair_start(&pair);
    pair_connect(&pair);
    transport_remove_peer(pair.high.transport, pair.low.index);
    PAIR_UNTIL(&pair, pair.low.downs == 1);
    cr_assert_eq(transport_dial(pair.high.transport, pair.low.index), -ENOENT);
    cr_assert_eq(transport_dial(pair.low.transport, pair.high.index), 0);
    PAIR_UNTIL(&pair, pair.low.dial_failures == 1 && pair.high.refusals == 1);
    cr_assert_eq(pair.high.downs, 0, "a removed peer is not reported");
    pair_stop(&pair);
}

Test(transport, changed_key_closes_and_unchanged_peer_keeps_its_stream)
{
    struct pair pair;
    pair_start(&pair);
    pair_connect(&pair);
    pair_introduce(&pair);
    pair_send(&pair.low, &pair.high, 5);
    cr_assert_eq(pair_await(&pair, &pair.high, &pair.low), 5);
    struct transport_peer rotated = pair.low.self;
    rotated.ed25519_pubkey.b[0] ^= 1;
    cr_assert_eq(transport_set_peer(pair.high.transport, &rotated), 0);
    PAIR_UNTIL(&pair, pair.low.downs == 1);
    pair_stop(&pair);
}

Test(transport, hangup_is_reported_on_both_sides)
{
    struct pair pair;
    pair_start(&pair);
    pair_connect(&pair);
    cr_assert_eq(transport_hangup(pair.low.transport, pair.high.index), 0);
    PAIR_UNTIL(&pair, pair.low.downs == 1 && pair.high.downs == 1);
    cr_assert_eq(transport_dial(pair.high.transport, pair.low.index), 0);
    PAIR_UNTIL(&pair, pair.low.is_up && pair.high.is_up);
    pair_stop(&pair);
}

Test(transport, renewal_makes_before_it_breaks)
{
    struct pair pair;
    pair_start(&pair);
    pair_connect(&pair);
    for (unsigned renewal = 2; renewal <= 4; renewal++) {
        cr_assert_eq(transport_dial(pair.low.transport, pair.high.index), 0);
        for (uint32_t i = 0; pair.low.ups < renewal || pair.high.ups < renewal; i++) {
            pair_send(&pair.high, &pair.low, i);
            cr_assert_eq(pair_await(&pair, &pair.low, &pair.high), i);
            pair_run(&pair, 5);
        }
    }
    pair_run(&pair, 3000); /* the old ones have drained */
    pair_send(&pair.low, &pair.high, 77);
    cr_assert_eq(pair_await(&pair, &pair.high, &pair.low), 77);
    cr_assert_eq(pair.low.downs + pair.high.downs, 0);
    cr_assert_eq(node_counters(&pair.low, &pair.high).streams, 4);
    pair_stop(&pair);
}

Test(transport, simultaneous_dials_leave_one_stream)
{
    struct pair pair;
    pair_start(&pair);
    pair_introduce(&pair);
    cr_assert_eq(transport_dial(pair.low.transport, pair.high.index), 0);
    cr_assert_eq(transport_dial(pair.high.transport, pair.low.index), 0);
    PAIR_UNTIL(&pair, pair.low.is_up && pair.high.is_up);
    pair_run(&pair, 3500); /* whatever lost has been closed */
    cr_assert_eq(pair.low.downs + pair.high.downs, 0);
    cr_assert_eq(pair.low.direction, TRANSPORT_DIALED, "the lower member's dial wins");
    cr_assert_eq(pair.high.direction, TRANSPORT_ACCEPTED);
    pair_send(&pair.low, &pair.high, 1);
    cr_assert_eq(pair_await(&pair, &pair.high, &pair.low), 1);
    pair_send(&pair.high, &pair.low, 2);
    cr_assert_eq(pair_await(&pair, &pair.low, &pair.high), 2);
    pair_stop(&pair);
}

Test(transport, repeated_commands_end_in_the_last_state)
{
    struct pair pair;
    pair_start(&pair);
    pair_introduce(&pair);
    for (unsigned i = 0; i < 50; i++) {
        transport_dial(pair.low.transport, pair.high.index);
        if (i % 3 == 0)
            pair_run(&pair, 1);
        transport_hangup(pair.low.transport, pair.high.index);
        if (i % 7 == 0) {
            transport_remove_peer(pair.high.transport, pair.low.index);
            pair_introduce(&pair);
        }
    }
    transport_dial(pair.low.transport, pair.high.index);
    uint32_t
        number; /* reports of what was before may still be under way: only a datagram proves the stream */
    PAIR_UNTIL(&pair, (pair_send(&pair.low, &pair.high, 9), pair_receive(&pair.high, &pair.low, &number)));
    pair_stop(&pair);
}

Test(transport, dead_gateway_fails_the_dial)
{
    struct pair pair;
    pair_start(&pair);
    pair_introduce(&pair);
    transport_free(pair.high.transport);
    pair.high.transport = NULL;
    cr_assert_eq(transport_dial(pair.low.transport, pair.high.index), 0);
    PAIR_UNTIL(&pair, pair.low.dial_failures == 1);
    cr_assert(strstr(pair.low.reason, "refused"), "%s", pair.low.reason);
    pair_stop(&pair);
}

Test(transport, unresolvable_name_fails_the_dial)
{
    struct pair pair;
    pair_start(&pair);
    struct transport_peer nobody = pair.high.self;
    nobody.member_contract.b[0] ^= 1;
    cr_assert_eq(transport_set_peer(pair.low.transport, &nobody), 0);
    cr_assert_eq(transport_dial(pair.low.transport, pair.high.index), 0);
    PAIR_UNTIL(&pair, pair.low.dial_failures == 1);
    cr_assert(strstr(pair.low.reason, "name"), "%s", pair.low.reason);
    pair_stop(&pair);
}

Test(transport, name_that_resolves_later_is_found)
{
    struct pair pair;
    char hosts[PAIR_HOSTS_SIZE];
    pair_start(&pair);
    pair_introduce(&pair);
    pair_describe_hosts(&pair, hosts, sizeof(hosts));
    pair_write_hosts("");
    cr_assert_eq(transport_dial(pair.low.transport, pair.high.index), 0);
    PAIR_UNTIL(&pair, pair.low.dial_failures == 1);
    pair_write_hosts(hosts);
    cr_assert_eq(transport_dial(pair.low.transport, pair.high.index), 0);
    PAIR_UNTIL(&pair, pair.low.is_up && pair.high.is_up);
    pair_stop(&pair);
}

Test(transport, peer_is_dialed_where_it_wants_to_be_and_its_stream_outlasts_a_change)
{
    struct pair pair;
    char hosts[PAIR_HOSTS_SIZE];
    pair_start(&pair);
    pair_introduce(&pair);
    snprintf(hosts, sizeof(hosts), "%s elsewhere.test\n", pair.high.config.ingress_address);
    pair_write_hosts(hosts);
    cr_assert_eq(transport_set_endpoint(pair.low.transport, pair.high.index, "elsewhere.test",
                                        pair.high.config.ingress_port),
                 0);
    cr_assert_eq(transport_dial(pair.low.transport, pair.high.index), 0);
    PAIR_UNTIL(&pair, pair.low.is_up && pair.high.is_up);
    cr_assert_eq(transport_set_endpoint(pair.low.transport, pair.high.index, NULL, 0), 0);
    cr_assert_eq(transport_dial(pair.low.transport, pair.high.index), 0);
    PAIR_UNTIL(&pair, pair.low.dial_failures == 1);
    cr_assert(strstr(pair.low.reason, "name"), "%s", pair.low.reason);
    cr_assert(pair.low.is_up);
    cr_assert_eq(transport_set_endpoint(pair.low.transport, 77, NULL, 0), -ENOENT);
    pair_stop(&pair);
}

Test(transport, stopped_or_hung_up_while_resolving)
{
    struct pair pair;
    pair_start(&pair);
    struct transport_peer nobody = pair.high.self;
    nobody.member_contract.b[0] ^= 1;
    cr_assert_eq(transport_set_peer(pair.low.transport, &nobody), 0);
    cr_assert_eq(transport_dial(pair.low.transport, pair.high.index), 0);
    pair_run(&pair, 50);
    cr_assert_eq(transport_hangup(pair.low.transport, pair.high.index), 0);
    PAIR_UNTIL(&pair, pair.low.dial_failures == 1);
    cr_assert(strstr(pair.low.reason, "hung up"), "%s", pair.low.reason);
    cr_assert_eq(transport_dial(pair.low.transport, pair.high.index), 0);
    pair_run(&pair, 50);
    pair_stop(&pair);
}
