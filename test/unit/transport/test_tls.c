#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/transport/ktls.h"
#include "agent/transport/tls.h"

#define EXPORTER_SIZE 32
#define PATIENCE_MS 10000
#define LARGEST 60000 /* several records */

struct link {
    int fds[2];
    SSL *server;
    SSL *client;
};

static void link_connect(struct link *link)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(listen(listener, 1), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    link->fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    (void)connect(link->fds[1], (struct sockaddr *)&address, size);
    link->fds[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    cr_assert_geq(link->fds[0], 0);
    close(listener);
    for (unsigned i = 0; i < 2; i++) {
        const int room = 4 * LARGEST;
        cr_assert_eq(setsockopt(link->fds[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
    }
}

static void await_bytes(int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    cr_assert_eq(poll(&readable, 1, PATIENCE_MS), 1);
}

/* The client begins; then each answers what it got. */
static void link_shake_hands(struct link *link, const struct tls *server, const struct tls *client,
                             struct tls_ticket *ticket)
{
    uint8_t byte;
    link->server = tls_accept(server, link->fds[0]);
    link->client = tls_connect(client, link->fds[1], "a.gw.attestmesh.test", ticket);
    cr_assert(link->server && link->client);
    cr_assert_lt(SSL_do_handshake(link->client), 1);
    while (!SSL_is_init_finished(link->server) || !SSL_is_init_finished(link->client)) {
        await_bytes(link->fds[0]);
        (void)SSL_do_handshake(link->server);
        await_bytes(link->fds[1]);
        (void)SSL_do_handshake(link->client);
    }
    cr_assert_leq(SSL_read(link->client, &byte, 1), 0, "nothing but the ticket is there");
}

static void link_handshake(struct link *link, const struct tls *server, const struct tls *client,
                           struct tls_ticket *ticket)
{
    link_connect(link);
    link_shake_hands(link, server, client, ticket);
}

static void link_close(struct link *link)
{
    SSL_free(link->server);
    SSL_free(link->client);
    close(link->fds[0]);
    close(link->fds[1]);
}

static void link_export(const struct link *link, uint8_t out[EXPORTER_SIZE])
{
    cr_assert_eq(SSL_export_keying_material(link->client, out, EXPORTER_SIZE, "x", 1, NULL, 0, 0), 1);
}

static struct tls tls_new(void)
{
    struct tls tls;
    struct am_err err = {0};
    cr_assert_eq(tls_init(&tls, &err), 0, "%s", err.text);
    return tls;
}

Test(tls, second_connection_resumes_with_an_exporter_of_its_own)
{
    struct tls server = tls_new();
    struct tls client = tls_new();
    struct tls_ticket ticket = {0};
    struct link link;
    uint8_t first[EXPORTER_SIZE];
    uint8_t second[EXPORTER_SIZE];
    link_handshake(&link, &server, &client, &ticket);
    cr_assert_not(SSL_session_reused(link.client));
    link_export(&link, first);
    link_close(&link);
    for (unsigned i = 0; i < 2; i++) {
        link_handshake(&link, &server, &client, &ticket);
        cr_assert(SSL_session_reused(link.client));
        cr_assert(SSL_session_reused(link.server));
        link_export(&link, second);
        cr_assert_neq(memcmp(first, second, EXPORTER_SIZE), 0);
        link_close(&link);
    }
    tls_ticket_clear(&ticket);
    tls_clear(&client);
    tls_clear(&server);
}

Test(tls, ticket_of_a_server_that_restarted_costs_a_full_handshake)
{
    struct tls server = tls_new();
    struct tls client = tls_new();
    struct tls_ticket ticket = {0};
    struct link link;
    link_handshake(&link, &server, &client, &ticket);
    link_close(&link);
    cr_assert(ticket.der);
    tls_clear(&server);
    server = tls_new();
    link_handshake(&link, &server, &client, &ticket);
    cr_assert_not(SSL_session_reused(link.client));
    link_close(&link);
    link_handshake(&link, &server, &client, &ticket);
    cr_assert(SSL_session_reused(link.client), "the new server's ticket has replaced the old one's");
    link_close(&link);
    tls_ticket_clear(&ticket);
    tls_clear(&client);
    tls_clear(&server);
}

Test(tls, unreadable_ticket_is_ignored)
{
    struct tls server = tls_new();
    struct tls client = tls_new();
    struct tls_ticket ticket = {.der = calloc(1, 40), .len = 40};
    struct link link;
    link_handshake(&link, &server, &client, &ticket);
    cr_assert_not(SSL_session_reused(link.client));
    link_close(&link);
    tls_ticket_clear(&ticket);
    tls_clear(&client);
    tls_clear(&server);
}

/* Sends on the bare socket `from`, which must arrive as what TLS carries. */
static void carry(int from, SSL *to, size_t len)
{
    static uint8_t sent[LARGEST];
    static uint8_t got[LARGEST];
    for (size_t i = 0; i < len; i++)
        sent[i] = (uint8_t)(i * 31 + len);
    cr_assert_eq(send(from, sent, len, 0), (ssize_t)len);
    for (size_t have = 0; have < len;) {
        const int more = SSL_read(to, got + have, (int)(len - have));
        if (more > 0) {
            have += (size_t)more;
            continue;
        }
        cr_assert_eq(SSL_get_error(to, more), SSL_ERROR_WANT_READ, "after %zu of %zu bytes", have, len);
        await_bytes(SSL_get_fd(to));
    }
    cr_assert_arr_eq(got, sent, len);
}

Test(tls, what_the_kernel_encrypts_openssl_reads)
{
    if (!ktls_is_available())
        cr_skip_test("this kernel has no TLS");
    static const size_t sizes[] = {1, 100, 16384, 16385, LARGEST};
    struct tls server = tls_new();
    struct tls client = tls_new();
    struct tls_ticket ticket = {0};
    for (int resumed = 0; resumed < 2; resumed++) {
        struct link link;
        link_handshake(&link, &server, &client, &ticket);
        cr_assert_eq(SSL_session_reused(link.client), resumed);
        cr_assert(ktls_hand_over(link.server));
        cr_assert(ktls_hand_over(link.client));
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            carry(link.fds[0], link.client, sizes[i]);
            carry(link.fds[1], link.server, sizes[i]);
        }
        link_close(&link);
    }
    tls_ticket_clear(&ticket);
    tls_clear(&client);
    tls_clear(&server);
}

Test(tls, without_tcp_openssl_goes_on_writing)
{
    struct tls server = tls_new();
    struct tls client = tls_new();
    struct tls_ticket ticket = {0};
    struct link link;
    uint8_t byte = 7;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, link.fds), 0);
    link_shake_hands(&link, &server, &client, &ticket);
    cr_assert_not(ktls_hand_over(link.client));
    cr_assert_not(ktls_hand_over(link.client), "nor later");
    cr_assert_eq(SSL_write(link.client, &byte, 1), 1);
    cr_assert_eq(SSL_read(link.server, &byte, 1), 1);
    cr_assert_eq(byte, 7);
    link_close(&link);
    tls_ticket_clear(&ticket);
    tls_clear(&client);
    tls_clear(&server);
}
