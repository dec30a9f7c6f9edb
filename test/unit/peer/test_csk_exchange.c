/* Server and client of the cluster shared key, over the loopback interface on one loop. */
#include <criterion/criterion.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/peer/csk_pull.h"
#include "agent/peer/csk_server.h"
#include "agent/peer/mesh_socket.h"

/* Tests run at the same time: each process has addresses of its own. */
#define OWN_IP(net) (0x7f000000u + ((net) << 16) + ((uint32_t)getpid() & 0xffff))
#define SERVER_IP OWN_IP(77u)
#define MEMBER_IP OWN_IP(78u)
#define STRANGER_IP OWN_IP(79u)

static struct event_base *base;
static struct csk_server *server;
static bool removed; /* the member, as soon as it has connected */
static int asked;
static int answers;
static bool held;
static char failure[64];

static bool is_member(void *user, uint32_t source_ip)
{
    (void)user;
    return source_ip == MEMBER_IP && !(removed && ++asked > 1);
}

static bool seal(void *user, uint32_t source_ip, uint64_t generation, uint8_t out[CSK_SEALED_SIZE])
{
    (void)user;
    memset(out, (int)source_ip, CSK_SEALED_SIZE);
    return generation == 5;
}

static void on_pulled(void *user, const struct csk_response *response, const char *error)
{
    (void)user;
    answers++;
    held = response && response->held && response->sealed[0] == (uint8_t)MEMBER_IP;
    snprintf(failure, sizeof(failure), "%s", error ? error : "");
    event_base_loopexit(base, NULL);
}

static void start(void)
{
    const struct csk_source source = {.is_member = is_member, .seal = seal};
    struct am_err err;
    cr_assert_eq(secret_init(), 0);
    base = event_base_new();
    server = csk_server_new(base, SERVER_IP, &source, &err);
    cr_assert_not_null(server, "%s", err.text);
}

static void stop(void)
{
    csk_server_free(server);
    event_base_free(base);
}

TestSuite(csk_exchange, .init = start, .fini = stop, .timeout = 30);

static void pull(uint32_t from, uint32_t to, uint64_t generation)
{
    cr_assert_not_null(csk_pull_start(base, from, to, generation, on_pulled, NULL));
    event_base_dispatch(base);
    cr_assert_eq(answers, 1);
}

Test(csk_exchange, a_member_gets_the_key_sealed_for_its_address)
{
    pull(MEMBER_IP, SERVER_IP, 5);
    cr_assert(held, "%s", failure);
}

Test(csk_exchange, a_generation_that_is_not_held_is_said)
{
    pull(MEMBER_IP, SERVER_IP, 4);
    cr_assert_str_eq(failure, "it does not hold the key");
}

Test(csk_exchange, a_stranger_gets_no_answer)
{
    pull(STRANGER_IP, SERVER_IP, 5);
    cr_assert_str_eq(failure, "it closes the connection");
}

Test(csk_exchange, a_member_that_is_removed_while_it_asks_gets_no_answer)
{
    removed = true;
    pull(MEMBER_IP, SERVER_IP, 5);
    cr_assert_str_eq(failure, "it closes the connection");
}

Test(csk_exchange, nobody_there_is_a_failure)
{
    pull(MEMBER_IP, STRANGER_IP, 5);
    cr_assert_neq(failure[0], '\0');
    cr_assert_not(held);
}

Test(csk_exchange, a_server_that_stays_silent_is_given_up)
{
    const int fd = mesh_socket_bind(SOCK_STREAM, STRANGER_IP, CSK_PORT, NULL);
    cr_assert_geq(fd, 0);
    cr_assert_eq(listen(fd, 1), 0);
    pull(MEMBER_IP, STRANGER_IP, 5);
    cr_assert_str_eq(failure, "no answer within 2 s");
    close(fd);
}

Test(csk_exchange, a_cancelled_pull_says_nothing)
{
    struct csk_pull *cancelled = csk_pull_start(base, MEMBER_IP, SERVER_IP, 5, on_pulled, NULL);
    cr_assert_not_null(cancelled);
    csk_pull_cancel(cancelled);
    for (int i = 0; i < 8; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    cr_assert_eq(answers, 0);
}
