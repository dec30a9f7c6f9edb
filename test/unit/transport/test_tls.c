#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/transport/tls.h"

#define EXPORTER_SIZE 32

struct link {
    int fds[2];
    SSL *server;
    SSL *client;
};

static void link_handshake(struct link *link, const struct tls *server, const struct tls *client,
                           struct tls_ticket *ticket)
{
    uint8_t byte;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, link->fds), 0);
    link->server = tls_accept(server, link->fds[0]);
    link->client = tls_connect(client, link->fds[1], "a.gw.attestmesh.test", ticket);
    cr_assert(link->server && link->client);
    for (unsigned round = 0; !SSL_is_init_finished(link->server) || !SSL_is_init_finished(link->client);
         round++) {
        cr_assert_lt(round, 10);
        (void)SSL_do_handshake(link->client);
        (void)SSL_do_handshake(link->server);
    }
    cr_assert_leq(SSL_read(link->client, &byte, 1), 0, "nothing but the ticket is there");
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
