/* Hostile and broken clients at a real ingress: each is closed, said why, and a member still gets through. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/transport/frame.h"
#include "agent/transport/ingress.h"
#include "agent/transport/preface.h"
#include "pair.h"

struct client {
    int fd;
    SSL_CTX *context;
    SSL *ssl;
    struct preface preface; /* as an honest `low` would send it */
    uint8_t exporter[PREFACE_EXPORTER_SIZE];
};

static int tcp_connect_from(const struct node *node, const char *source)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(node->config.ingress_port)};
    const struct timeval patience = {.tv_sec = 15};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, source, &from.sin_addr);
    inet_pton(AF_INET, node->config.ingress_address, &to.sin_addr);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&from, sizeof(from)), 0, "%m");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    cr_assert_eq(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0, "%m");
    return fd;
}

static int tcp_connect(const struct node *node)
{
    return tcp_connect_from(node, "127.0.0.1");
}

/* Whether the other side ends the connection; any bytes before that are skipped. */
static bool tcp_is_closed(int fd)
{
    char bytes[256];
    ssize_t len;
    while ((len = recv(fd, bytes, sizeof(bytes), 0)) > 0)
        ;
    return len == 0 || errno == ECONNRESET;
}

static struct client client_start(const struct pair *pair)
{
    struct client client = {.fd = tcp_connect(&pair->high),
                            .context = SSL_CTX_new(TLS_client_method()),
                            .preface = {.cluster = pair->low.config.cluster,
                                        .from = pair->low.config.member_id,
                                        .to = pair->high.config.member_id}};
    client.ssl = SSL_new(client.context);
    SSL_set_fd(client.ssl, client.fd);
    return client;
}

static struct client client_shake_hands(const struct pair *pair)
{
    struct client client = client_start(pair);
    cr_assert_eq(SSL_connect(client.ssl), 1);
    cr_assert_eq(SSL_version(client.ssl), TLS1_3_VERSION);
    cr_assert_eq(SSL_export_keying_material(client.ssl, client.exporter, sizeof(client.exporter),
                                            PREFACE_EXPORTER_LABEL, strlen(PREFACE_EXPORTER_LABEL), NULL, 0,
                                            0),
                 1);
    return client;
}

static void client_send(struct client *client, const uint8_t *payload, size_t len)
{
    uint8_t frame[FRAME_HEADER_SIZE + 1024];
    be16_write(frame, (uint16_t)len);
    memcpy(frame + FRAME_HEADER_SIZE, payload, len);
    cr_assert_eq(SSL_write(client->ssl, frame, (int)(FRAME_HEADER_SIZE + len)),
                 (int)(FRAME_HEADER_SIZE + len));
}

static void client_send_preface(struct client *client, const struct pair *pair)
{
    uint8_t preface[PREFACE_SIZE_MAX];
    size_t len;
    cr_assert_eq(preface_build(&client->preface, pair->low.config.seed, client->exporter, preface, &len), 0);
    client_send(client, preface, len);
}

static void client_stop(struct client *client)
{
    SSL_free(client->ssl);
    SSL_CTX_free(client->context);
    close(client->fd);
}

/* The client gets nothing, is closed, and the refusal says `reason`; then it goes. */
static void client_expect_refusal(struct client *client, struct pair *pair, const char *reason)
{
    uint8_t byte;
    cr_assert_leq(SSL_read(client->ssl, &byte, 1), 0, "refused clients are told nothing");
    PAIR_UNTIL(pair, pair->high.refusals > 0);
    cr_assert(strstr(pair->high.reason, reason), "%s", pair->high.reason);
    cr_assert_eq(pair->high.ups, 0);
    client_stop(client);
}

Test(ingress, honest_client_is_answered)
{
    struct pair pair;
    pair_start(&pair);
    pair_introduce(&pair);
    struct client client = client_shake_hands(&pair);
    client_send_preface(&client, &pair);
    uint8_t answer[FRAME_HEADER_SIZE + PREFACE_SIZE_MAX];
    const int len = SSL_read(client.ssl, answer, sizeof(answer));
    struct preface preface;
    struct am_err err = {0};
    cr_assert_gt(len, FRAME_HEADER_SIZE);
    cr_assert_eq(be16_read(answer), len - FRAME_HEADER_SIZE);
    cr_assert_eq(preface_parse(answer + FRAME_HEADER_SIZE, be16_read(answer), &preface, &err), 0, "%s",
                 err.text);
    cr_assert_eq(preface_check(&preface, &pair.low.config.cluster, &pair.high.self.member_id,
                               &pair.low.self.member_id, &pair.high.self.ed25519_pubkey, client.exporter,
                               &err),
                 0, "%s", err.text);
    PAIR_UNTIL(&pair, pair.high.is_up);
    client_stop(&client);
    PAIR_UNTIL(&pair, !pair.high.is_up);
    pair_stop(&pair);
}

Test(ingress, preface_of_another_session_is_refused)
{
    struct pair pair;
    pair_start(&pair);
    pair_introduce(&pair);
    struct client first = client_shake_hands(&pair);
    struct client second = client_shake_hands(&pair);
    memcpy(second.exporter, first.exporter, sizeof(second.exporter));
    client_send_preface(&second, &pair);
    client_expect_refusal(&second, &pair, "signature");
    client_stop(&first);
    pair_stop(&pair);
}

Test(ingress, preface_for_another_member_is_refused)
{
    struct pair pair;
    pair_start(&pair);
    pair_introduce(&pair);
    struct client client = client_shake_hands(&pair);
    client.preface.to.b[0] ^= 1;
    client_send_preface(&client, &pair);
    client_expect_refusal(&client, &pair, "meant for another member");
    pair_stop(&pair);
}

Test(ingress, preface_of_another_cluster_is_refused)
{
    struct pair pair;
    pair_start(&pair);
    pair_introduce(&pair);
    struct client client = client_shake_hands(&pair);
    client.preface.cluster.b[0] ^= 1;
    client_send_preface(&client, &pair);
    client_expect_refusal(&client, &pair, "another cluster");
    pair_stop(&pair);
}

Test(ingress, datagram_instead_of_a_preface_is_refused)
{
    struct pair pair;
    pair_start(&pair);
    pair_introduce(&pair);
    struct client client = client_shake_hands(&pair);
    const uint8_t datagram[64] = {4};
    client_send(&client, datagram, sizeof(datagram));
    client_expect_refusal(&client, &pair, "preface");
    pair_stop(&pair);
}

Test(ingress, more_than_a_preface_before_the_answer_is_refused)
{
    struct pair pair;
    pair_start(&pair);
    pair_introduce(&pair);
    struct client client = client_shake_hands(&pair);
    uint8_t frames[FRAME_HEADER_SIZE + PREFACE_SIZE_MAX + FRAME_HEADER_SIZE];
    uint8_t *preface = frames + FRAME_HEADER_SIZE;
    size_t len;
    cr_assert_eq(preface_build(&client.preface, pair.low.config.seed, client.exporter, preface, &len), 0);
    be16_write(frames, (uint16_t)len);
    be16_write(preface + len, 0); /* a keepalive */
    len += 2 * (size_t)FRAME_HEADER_SIZE;
    cr_assert_eq(SSL_write(client.ssl, frames, (int)len), (int)len);
    client_expect_refusal(&client, &pair, "more than a preface");
    pair_stop(&pair);
}

Test(ingress, long_first_frame_is_refused_at_its_header)
{
    struct pair pair;
    pair_start(&pair);
    pair_introduce(&pair);
    struct client client = client_shake_hands(&pair);
    const uint8_t header[] = {0xff, 0xff};
    cr_assert_eq(SSL_write(client.ssl, header, sizeof(header)), 2);
    client_expect_refusal(&client, &pair, "frame");
    pair_stop(&pair);
}

Test(ingress, older_tls_is_refused)
{
    struct pair pair;
    pair_start(&pair);
    pair_introduce(&pair);
    struct client client = client_start(&pair);
    SSL_set_max_proto_version(client.ssl, TLS1_2_VERSION);
    cr_assert_neq(SSL_connect(client.ssl), 1);
    PAIR_UNTIL(&pair, pair.high.refusals == 1);
    cr_assert(strstr(pair.high.reason, "TLS"), "%s", pair.high.reason);
    client_stop(&client);
    pair_stop(&pair);
}

Test(ingress, garbage_instead_of_a_client_hello_is_refused)
{
    struct pair pair;
    pair_start(&pair);
    pair_introduce(&pair);
    const int fd = tcp_connect(&pair.high);
    static const char garbage[] = "GET / HTTP/1.1\r\nHost: mesh\r\n\r\n";
    cr_assert_eq(write(fd, garbage, sizeof(garbage)), sizeof(garbage));
    cr_assert(tcp_is_closed(fd));
    PAIR_UNTIL(&pair, pair.high.refusals == 1);
    close(fd);
    pair_stop(&pair);
}

Test(ingress, silent_clients_are_closed_in_each_phase)
{
    struct pair pair;
    pair_start(&pair);
    pair_introduce(&pair);
    const int silent = tcp_connect(&pair.high);
    struct client without_preface = client_shake_hands(&pair);
    cr_assert(tcp_is_closed(silent));
    PAIR_UNTIL(&pair, pair.high.refusals > 0);
    client_expect_refusal(&without_preface, &pair, "in time");
    close(silent);
    pair_stop(&pair);
}

Test(ingress, member_gets_through_a_crowd_of_idle_connections)
{
    struct pair pair;
    int crowd[3 * INGRESS_PENDING_MAX];
    pair_start(&pair);
    for (size_t i = 0; i < sizeof(crowd) / sizeof(crowd[0]); i++)
        crowd[i] = tcp_connect(&pair.high);
    pair_connect(&pair);
    pair_send(&pair.low, &pair.high, 3);
    cr_assert_eq(pair_await(&pair, &pair.high, &pair.low), 3);
    PAIR_UNTIL(&pair, pair.high.refusals >= 3 * INGRESS_PENDING_MAX - INGRESS_PENDING_PER_SOURCE);
    for (size_t i = 0; i < sizeof(crowd) / sizeof(crowd[0]); i++)
        close(crowd[i]);
    pair_stop(&pair);
}

Test(ingress, member_that_does_not_read_is_bounded_and_closed)
{
    struct pair pair;
    pair_start(&pair);
    pair_introduce(&pair);
    struct client client = client_shake_hands(&pair);
    client_send_preface(&client, &pair);
    PAIR_UNTIL(&pair, pair.high.is_up);
    struct transport_counters counters;
    do {
        for (uint32_t i = 0; i < 5000; i++)
            pair_send(&pair.high, &pair.low, i);
        pair_run(&pair, 20);
        counters = node_counters(&pair.high, &pair.low);
    } while (counters.dropped_late == 0);
    pair_run(&pair, 500); /* all that came before is counted */
    counters = node_counters(&pair.high, &pair.low);
    for (uint32_t i = 0; i < 1000; i++)
        pair_send(&pair.high, &pair.low, i);
    PAIR_UNTIL(&pair, node_counters(&pair.high, &pair.low).dropped_late == counters.dropped_late + 1000);
    cr_assert_eq(node_counters(&pair.high, &pair.low).sent, counters.sent, "nothing more is taken");
    PAIR_UNTIL(&pair, pair.high.downs == 1);
    client_stop(&client);
    pair_stop(&pair);
}

Test(ingress, one_address_can_not_push_out_all_others)
{
    struct pair pair;
    int quiet[INGRESS_PENDING_MAX - INGRESS_PENDING_PER_SOURCE];
    int crowd[2 * INGRESS_PENDING_MAX];
    const size_t quiet_len = sizeof(quiet) / sizeof(quiet[0]);
    const size_t crowd_len = sizeof(crowd) / sizeof(crowd[0]);
    char byte;
    pair_start(&pair);
    for (size_t i = 0; i < quiet_len; i++)
        quiet[i] = tcp_connect_from(&pair.high, "127.0.2.1");
    for (size_t i = 0; i < crowd_len; i++)
        crowd[i] = tcp_connect_from(&pair.high, "127.0.2.2");
    cr_assert(tcp_is_closed(crowd[crowd_len - INGRESS_PENDING_PER_SOURCE - 1]));
    for (size_t i = 0; i < quiet_len; i++) {
        cr_assert_eq(recv(quiet[i], &byte, 1, MSG_DONTWAIT), -1, "connection %zu was pushed out", i);
        cr_assert_eq(errno, EAGAIN);
        close(quiet[i]);
    }
    for (size_t i = 0; i < crowd_len; i++)
        close(crowd[i]);
    pair_stop(&pair);
}

Test(ingress, one_member_with_many_streams_holds_two)
{
    struct pair pair;
    struct client clients[20];
    pair_start(&pair);
    pair_introduce(&pair);
    for (unsigned i = 0; i < 20; i++) {
        clients[i] = client_shake_hands(&pair);
        client_send_preface(&clients[i], &pair);
        PAIR_UNTIL(&pair, node_counters(&pair.high, &pair.low).streams == i + 1);
    }
    for (unsigned i = 0; i < 18; i++)
        cr_assert(tcp_is_closed(clients[i].fd), "stream %u", i);
    for (unsigned i = 0; i < 20; i++)
        client_stop(&clients[i]);
    pair_stop(&pair);
}

Test(ingress, members_datagrams_pass_while_strangers_come)
{
    struct pair pair;
    int strangers[2 * INGRESS_PENDING_MAX];
    const size_t count = sizeof(strangers) / sizeof(strangers[0]);
    static const uint8_t slow_hello[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01};
    pair_start(&pair);
    pair_connect(&pair);
    for (uint32_t i = 0; i < count; i++) {
        strangers[i] = tcp_connect(&pair.high);
        if (i % 3)
            cr_assert_gt(send(strangers[i], slow_hello, sizeof(slow_hello) - (i % 3 == 1), MSG_NOSIGNAL), 0);
        pair_send(&pair.low, &pair.high, i);
        cr_assert_eq(pair_await(&pair, &pair.high, &pair.low), i);
    }
    for (size_t i = 0; i < count; i++)
        close(strangers[i]);
    cr_assert_eq(pair.low.downs + pair.high.downs, 0);
    cr_assert_eq(node_counters(&pair.low, &pair.high).streams, 1);
    pair_stop(&pair);
}
