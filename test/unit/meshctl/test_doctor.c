/* What doctor says of the endpoints of RPC_URL. They are processes, since doctor has a loop of its own. */
#include <criterion/criterion.h>
#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/meshctl/doctor.h"
#include "crypto/secret.h"
#include "test/unit/evm/fake_server.h"

#define CHAIN "0x7a69"
#define LIMITED UINT64_MAX /* instead of a block */
#define ENDPOINTS 2

struct endpoint {
    uint64_t block; /* the latest, or LIMITED */
    struct event_base *base;
    struct fake_server *server;
    pid_t pid;
};

static struct endpoint endpoints[ENDPOINTS];
static struct findings findings;

static void on_request(void *user, const struct fake_request *request, struct fake_reply *reply)
{
    const struct endpoint *endpoint = user;
    char block[256];

    snprintf(block, sizeof(block),
             "\"result\":{\"number\":\"0x%" PRIx64 "\",\"timestamp\":\"0x%llx\",\"baseFeePerGas\":\"0x7\","
             "\"hash\":\"0x%064x\"}",
             endpoint->block, (unsigned long long)time(NULL), 1);
    if (endpoint->block == LIMITED)
        reply->status = 429;
    else if (strstr(request->body, "eth_chainId"))
        fake_reply_rpc(reply, request, "\"result\":\"" CHAIN "\"");
    else if (strstr(request->body, "eth_getBlockByNumber"))
        fake_reply_rpc(reply, request, block);
    else
        fake_reply_rpc(reply, request, "\"error\":{\"code\":-32601,\"message\":\"no such method\"}");
}

static void serve(struct endpoint *endpoint, uint64_t block)
{
    endpoint->block = block;
    endpoint->base = event_base_new();
    endpoint->server = fake_server_new(endpoint->base, NULL, on_request, endpoint);
    endpoint->pid = fork();
    cr_assert_geq(endpoint->pid, 0);
    if (endpoint->pid > 0)
        return;
    event_reinit(endpoint->base);
    event_base_dispatch(endpoint->base);
    _exit(0);
}

static void end(struct endpoint *endpoint)
{
    kill(endpoint->pid, SIGKILL);
    waitpid(endpoint->pid, NULL, 0);
    fake_server_free(endpoint->server);
    event_base_free(endpoint->base);
}

/* Examines a node with these two endpoints, which are its bundler and sponsor too. */
static void examine(uint64_t first, uint64_t second)
{
    char rpc[256], bundler[128], sponsor[128];
    char *environment[] = {
        "CHAIN_ID=31337", rpc, bundler, sponsor, "DSTACK_ENDPOINT=/nonexistent/dstack.sock", NULL};
    struct config *config;
    struct am_err err;

    serve(&endpoints[0], first);
    serve(&endpoints[1], second);
    snprintf(rpc, sizeof(rpc), "RPC_URL=%s,%s", fake_server_url(endpoints[0].server),
             fake_server_url(endpoints[1].server));
    snprintf(bundler, sizeof(bundler), "BUNDLER_URL=%s", fake_server_url(endpoints[0].server));
    snprintf(sponsor, sizeof(sponsor), "SPONSOR=erc7677=%s", fake_server_url(endpoints[0].server));
    cr_assert_eq(secret_init(), 0);
    cr_assert_eq(config_load("/nonexistent/agent.env", environment, &config, &err), 0, "%s", err.text);
    cr_assert_eq(doctor_check_services(config, &findings), 0);
    config_free(config);
    for (size_t i = 0; i < ENDPOINTS; i++)
        end(&endpoints[i]);
}

/* The finding about the endpoint number `i`. */
static const struct finding *finding_of(size_t i)
{
    for (size_t at = 0; at < findings.len; at++)
        if (strcmp(findings.list[at].name, "rpc") == 0 && i-- == 0)
            return &findings.list[at];
    cr_assert_fail("no finding about the endpoint");
    return NULL;
}

static void assert_says(size_t i, enum finding_state state, const char *fact, const char *advice)
{
    const struct finding *finding = finding_of(i);

    cr_assert_eq(finding->state, state, "%s", finding->fact);
    cr_assert(strstr(finding->fact, fact), "%s", finding->fact);
    cr_assert(strstr(finding->advice, advice), "%s", finding->advice);
}

Test(doctor, endpoints_a_few_blocks_apart_are_well)
{
    examine(1005, 1000);
    assert_says(0, FINDING_OK, "block 1005", "");
    assert_says(1, FINDING_OK, "block 1000", "");
}

Test(doctor, an_endpoint_that_lags_is_named_with_how_far)
{
    examine(1000, 1006);
    assert_says(0, FINDING_WARN, "is 6 blocks behind", "put it last in RPC_URL");
    assert_says(1, FINDING_OK, "block 1006", "");
}

Test(doctor, an_endpoint_that_limits_its_rate_is_a_warning_and_does_not_hide_the_other)
{
    examine(LIMITED, 1000);
    assert_says(0, FINDING_WARN, "too many requests", "ask its provider for more");
    assert_says(1, FINDING_OK, "block 1000", "");
}
