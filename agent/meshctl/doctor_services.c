#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "agent/attest/dstack.h"
#include "agent/meshctl/doctor.h"
#include "agent/meshctl/probe.h"
#include "agent/transport/transport.h"
#include "evm/chain.h"
#include "evm/http_client.h"

#define BLOCKS_BEHIND_MAX 5
#define CLOCK_BEHIND_MAX_S 60 /* beyond it the agent waits */

/* One endpoint of RPC_URL, BUNDLER_URL or SPONSOR. */
struct endpoint {
    struct services *services;
    struct finding *finding;
    struct rpc *rpc;
    char origin[HTTP_ORIGIN_SIZE];
    struct chain_block block; /* of an RPC endpoint: its latest, once it has answered */
};

struct services {
    const struct config *config;
    struct findings *findings;
    struct event_base *base;
    struct http_client *http;
    struct rpc *node; /* the first of RPC_URL that answers, and for the right chain */
    size_t rpcs_failed;
    struct attestor *attestor;
    struct probe *probe;
    struct address member_contract, cluster;
    struct finding *guest_agent, *membership, *gateway, *indexer, *clock;
    struct endpoint rpcs[CONFIG_LIST_MAX], bundlers[CONFIG_LIST_MAX], sponsors[CONFIG_LIST_MAX];
    bool short_of_memory;
};

static const char unreachable[] =
    "see whether the URL is right, the service runs and this machine may reach it";

/* Notes when something could not even be begun. */
static void expect(struct services *services, bool begun)
{
    services->short_of_memory |= !begun;
}

/* ---- What the chain says: membership, indexer ---- */

static void on_member(void *user, const struct chain_result *result)
{
    struct services *services = user;
    char text[ADDRESS_HEX_SIZE];
    address_hex(&services->cluster, text);
    if (result->code != 0)
        finding_close(services->findings, services->membership, FINDING_FAIL, unreachable, "%s",
                      result->error);
    else if (bytes32_is_zero(&result->member.member_id))
        finding_close(services->findings, services->membership, FINDING_OK, "",
                      "not registered yet in cluster %s", text);
    else if (result->member.removed)
        finding_close(services->findings, services->membership, FINDING_FAIL,
                      "it can join again only as a new member, with a new contract",
                      "removed from cluster %s", text);
    else
        finding_close(services->findings, services->membership, FINDING_OK, "", "a member of cluster %s",
                      text);
}

static void on_cluster(void *user, const struct chain_result *result)
{
    struct services *services = user;
    static const char advice[] = "deploy a member contract for this app, or set MEMBER_CONTRACT";
    char text[ADDRESS_HEX_SIZE];
    services->cluster = result->address;
    if (result->code != 0)
        finding_close(services->findings, services->membership, FINDING_FAIL, advice, "%s", result->error);
    else if (address_is_zero(&services->cluster))
        finding_close(services->findings, services->membership, FINDING_FAIL, advice,
                      "contract %s belongs to no cluster", address_hex(&services->member_contract, text));
    else
        expect(services, chain_read_member(services->node, &services->cluster, &services->member_contract,
                                           NULL, on_member, services) != NULL);
}

static void on_indexer(void *user, const struct chain_result *result)
{
    struct services *services = user;
    if (result->code != 0)
        finding_close(services->findings, services->indexer, FINDING_FAIL, "correct INDEXER_REGISTRY", "%s",
                      result->error);
    else if (!*result->indexer.endpoint)
        finding_close(services->findings, services->indexer, FINDING_WARN, "", "the registry names none");
    else
        finding_close(services->findings, services->indexer, FINDING_OK, "", "the registry names %s",
                      result->indexer.endpoint);
}

/* As soon as a node of the chain and the contract are known. */
static void read_membership(struct services *services)
{
    if (services->node && !address_is_zero(&services->member_contract))
        expect(services,
               chain_read_cluster(services->node, &services->member_contract, on_cluster, services) != NULL);
}

static void read_indexer(struct services *services)
{
    if (services->indexer)
        expect(services, chain_read_indexer(services->node, &services->config->indexer_registry, on_indexer,
                                            services) != NULL);
}

/* ---- RPC_URL: chain id, latest block ---- */

static void rpc_failed(struct endpoint *endpoint, enum finding_state state, const char *advice,
                       const char *text)
{
    static const char unknown[] = "unknown without an RPC endpoint";
    struct services *services = endpoint->services;
    finding_close(services->findings, endpoint->finding, state, advice, "%s", text);
    if (++services->rpcs_failed < services->config->rpc_urls.len)
        return;
    finding_close(services->findings, services->membership, FINDING_WARN, "", unknown);
    finding_close(services->findings, services->indexer, FINDING_WARN, "", unknown);
}

static void on_wrong_chain(void *user, const char *origin, uint64_t chain_id)
{
    struct endpoint *endpoint = user;
    struct am_err err;
    am_fail(&err, AM_EMISMATCH, "%s serves chain %" PRIu64 ", CHAIN_ID is %" PRIu64, origin, chain_id,
            endpoint->services->config->chain_id);
    rpc_failed(endpoint, FINDING_FAIL, "correct CHAIN_ID or RPC_URL", err.text);
}

static void on_block(void *user, const struct chain_result *result)
{
    struct endpoint *endpoint = user;
    struct services *services = endpoint->services;
    const bool limited = result->code == -EBUSY;
    if (result->code != 0 && endpoint->finding && endpoint->finding->state == FINDING_OPEN)
        rpc_failed(endpoint, limited ? FINDING_WARN : FINDING_FAIL,
                   limited ? "ask its provider for more, or list another in RPC_URL" : unreachable,
                   result->error);
    if (result->code != 0)
        return;
    endpoint->block = result->block;
    if (services->node)
        return;
    services->node = endpoint->rpc;
    read_membership(services);
    read_indexer(services);
}

/* The endpoint with the newest block; NULL when none has answered. */
static const struct endpoint *newest_rpc(const struct services *services)
{
    const struct endpoint *newest = NULL;
    for (size_t i = 0; i < services->config->rpc_urls.len; i++) {
        const struct endpoint *one = &services->rpcs[i];
        if (one->block.timestamp != 0 && (!newest || one->block.number > newest->block.number))
            newest = one;
    }
    return newest;
}

static void judge_clock(struct services *services, const struct endpoint *newest)
{
    const int64_t ahead_s = newest ? (int64_t)time(NULL) - (int64_t)newest->block.timestamp : 0;
    if (!newest)
        finding_close(services->findings, services->clock, FINDING_WARN, "",
                      "no block to compare the clock with");
    else if (ahead_s < -CLOCK_BEHIND_MAX_S)
        finding_close(services->findings, services->clock, FINDING_FAIL,
                      "set the clock: the agent waits until it is right",
                      "%" PRId64 " s behind the chain's latest block", -ahead_s);
    else
        finding_close(services->findings, services->clock, FINDING_OK, "",
                      "not behind the chain's latest block, made %" PRId64 " s ago", ahead_s);
}

/* Endpoints are behind only in comparison. */
static void judge_blocks(struct services *services)
{
    const struct endpoint *newest = newest_rpc(services);
    judge_clock(services, newest);
    for (size_t i = 0; newest && i < services->config->rpc_urls.len; i++) {
        struct endpoint *one = &services->rpcs[i];
        const uint64_t behind = newest->block.number - one->block.number;
        if (one->block.timestamp == 0)
            continue;
        if (behind > BLOCKS_BEHIND_MAX)
            finding_close(services->findings, one->finding, FINDING_WARN,
                          "put it last in RPC_URL, or replace it", "%s is %" PRIu64 " blocks behind",
                          one->origin, behind);
        else
            finding_close(services->findings, one->finding, FINDING_OK, "",
                          "%s, chain %" PRIu64 ", block %" PRIu64, one->origin, services->config->chain_id,
                          one->block.number);
    }
}

/* ---- BUNDLER_URL, SPONSOR ---- */

static bool lists_address(json_object *list, const struct address *wanted)
{
    char text[ADDRESS_HEX_SIZE];
    address_hex(wanted, text);
    for (size_t i = 0; json_object_is_type(list, json_type_array) && i < json_object_array_length(list);
         i++) {
        const char *one = json_object_get_string(json_object_array_get_idx(list, i));
        if (one && strcasecmp(one, text) == 0)
            return true;
    }
    return false;
}

static void on_entry_points(void *user, const struct rpc_result *result)
{
    struct endpoint *endpoint = user;
    const struct address *entry_point = &endpoint->services->config->entry_point;
    char text[ADDRESS_HEX_SIZE];
    if (result->code != 0)
        finding_close(endpoint->services->findings, endpoint->finding, FINDING_FAIL, unreachable, "%s",
                      result->error);
    else if (!lists_address(result->value, entry_point))
        finding_close(endpoint->services->findings, endpoint->finding, FINDING_FAIL,
                      "use a bundler for EntryPoint v0.7, or correct ENTRY_POINT", "%s does not support %s",
                      endpoint->origin, address_hex(entry_point, text));
    else
        finding_close(endpoint->services->findings, endpoint->finding, FINDING_OK, "", "%s, supports %s",
                      endpoint->origin, address_hex(entry_point, text));
}

/* That it is there is all that can be asked without an operation: it refuses this in its own words. */
static void on_sponsor(void *user, const struct rpc_result *result)
{
    struct endpoint *endpoint = user;
    if (result->code == 0 || result->code == AM_EREMOTE)
        finding_close(endpoint->services->findings, endpoint->finding, FINDING_OK, "", "%s answers",
                      endpoint->origin);
    else
        finding_close(endpoint->services->findings, endpoint->finding, FINDING_FAIL, unreachable, "%s",
                      result->error);
}

static void open_endpoint(struct services *services, struct endpoint *endpoint, const char *name,
                          const char *url)
{
    endpoint->services = services;
    endpoint->finding = finding_open(services->findings, name);
    endpoint->rpc = rpc_new(services->http, &url, 1);
    if (!http_url_origin(url, endpoint->origin))
        snprintf(endpoint->origin, sizeof(endpoint->origin), "%s", name);
    expect(services, endpoint->rpc != NULL);
}

static void ask_endpoint(struct endpoint *endpoint, const char *method, rpc_done_fn done)
{
    json_object *params = json_object_new_array();
    expect(endpoint->services,
           endpoint->rpc && params && rpc_call(endpoint->rpc, method, params, done, endpoint) != NULL);
}

static void begin_rpc(struct endpoint *endpoint)
{
    if (!endpoint->rpc)
        return;
    rpc_expect_chain(endpoint->rpc, endpoint->services->config->chain_id, on_wrong_chain, endpoint);
    expect(endpoint->services, chain_read_block(endpoint->rpc, on_block, endpoint) != NULL);
}

static void check_endpoints(struct services *services)
{
    const struct config *config = services->config;
    for (size_t i = 0; i < config->rpc_urls.len; i++) {
        open_endpoint(services, &services->rpcs[i], "rpc", config->rpc_urls.items[i]);
        begin_rpc(&services->rpcs[i]);
    }
    services->clock = finding_open(services->findings, "clock");
    for (size_t i = 0; i < config->bundler_urls.len; i++) {
        open_endpoint(services, &services->bundlers[i], "bundler", config->bundler_urls.items[i]);
        ask_endpoint(&services->bundlers[i], "eth_supportedEntryPoints", on_entry_points);
    }
    for (size_t i = 0; i < config->sponsors_len; i++) {
        if (config->sponsors[i].kind != CONFIG_SPONSOR_ERC7677) /* asked at the bundler */
            continue;
        open_endpoint(services, &services->sponsors[i], "sponsor", config->sponsors[i].target);
        ask_endpoint(&services->sponsors[i], "pm_getPaymasterStubData", on_sponsor);
    }
}

/* ---- Guest agent, gateway ---- */

static void on_probed(void *user, enum probe_step reached, const char *reason)
{
    struct services *services = user;
    char host[TRANSPORT_HOST_SIZE];
    transport_host_name(&services->member_contract, services->config->wg_tcp_port,
                        services->config->gateway_domain, host);
    if (reached == PROBE_CONNECT)
        finding_close(services->findings, services->gateway, FINDING_FAIL,
                      "correct GATEWAY_DOMAIN and GATEWAY_PORT, or the name server", "%s: %s", host, reason);
    else if (reached == PROBE_HANDSHAKE)
        finding_close(
            services->findings, services->gateway, FINDING_WARN,
            "as it should be while the agent does not run; else see whether the platform leads to port 51900 "
            "of this node",
            "the gateway answers, and does not lead to this node (%s)", reason);
    else
        finding_close(services->findings, services->gateway, FINDING_OK, "", "%s leads to this node", host);
}

static void check_gateway(struct services *services)
{
    const struct config *config = services->config;
    char host[TRANSPORT_HOST_SIZE];
    if (!services->gateway)
        return;
    if (transport_host_name(&services->member_contract, config->wg_tcp_port, config->gateway_domain, host) !=
        0) {
        finding_close(services->findings, services->gateway, FINDING_FAIL, "correct GATEWAY_DOMAIN",
                      "the host name is too long");
        return;
    }
    services->probe = probe_start(services->base, host, config->gateway_port, on_probed, services);
    expect(services, services->probe != NULL);
}

static void on_identity(void *user, const struct attest_identity *identity, const struct am_err *err)
{
    struct services *services = user;
    const struct address *configured = &services->config->member_contract;
    char text[ADDRESS_HEX_SIZE];
    if (!identity) {
        finding_close(services->findings, services->guest_agent, FINDING_FAIL, "", "%s", err->text);
        finding_close(services->findings, services->membership, FINDING_WARN, "",
                      "unknown without the guest agent");
        finding_close(services->findings, services->gateway, FINDING_WARN, "",
                      "this node's host name is unknown without the guest agent");
        return;
    }
    services->member_contract = address_is_zero(configured) ? identity->app_id : *configured;
    finding_close(services->findings, services->guest_agent, FINDING_OK, "", "%s, app %s",
                  services->config->dstack_endpoint, address_hex(&identity->app_id, text));
    read_membership(services);
    check_gateway(services);
}

static void check_identity(struct services *services)
{
    services->guest_agent = finding_open(services->findings, "guest agent");
    services->membership = finding_open(services->findings, "membership");
    if (services->config->gateway_domain)
        services->gateway = finding_open(services->findings, "gateway");
    expect(services, attestor_read_identity(services->attestor, on_identity, services) == 0);
}

static void check_indexer(struct services *services)
{
    if (address_is_zero(&services->config->indexer_registry))
        return;
    services->indexer = finding_open(services->findings, "indexer");
}

/* ---- Life ---- */

static bool open_services(struct services *services)
{
    const struct config *config = services->config;
    services->base = event_base_new();
    services->http = services->base ? http_client_new(services->base) : NULL;
    if (!services->http)
        return false;
    services->attestor = dstack_new(services->http, config->dstack_endpoint);
    return services->attestor;
}

static void close_services(struct services *services)
{
    probe_free(services->probe);
    attestor_free(services->attestor);
    for (size_t i = 0; i < CONFIG_LIST_MAX; i++) {
        rpc_free(services->rpcs[i].rpc);
        rpc_free(services->bundlers[i].rpc);
        rpc_free(services->sponsors[i].rpc);
    }
    http_client_free(services->http);
    if (services->base)
        event_base_free(services->base);
    free(services);
}

/* The findings that wait for an answer; those of the blocks are closed once no other is open. */
static size_t awaited(const struct services *services)
{
    size_t known = 1; /* the clock */
    for (size_t i = 0; i < services->config->rpc_urls.len; i++)
        known += services->rpcs[i].block.timestamp != 0;
    return services->findings->open - known;
}

static void run(struct services *services)
{
    const struct timeval patience = {.tv_sec = DOCTOR_PATIENCE_S};
    event_base_loopexit(services->base, &patience);
    while (awaited(services) > 0 && !services->short_of_memory && !event_base_got_exit(services->base))
        event_base_loop(services->base, EVLOOP_ONCE);
    judge_blocks(services);
}

int doctor_check_services(const struct config *config, struct findings *findings)
{
    struct services *services = calloc(1, sizeof(*services));
    if (!services)
        return -ENOMEM;
    services->config = config;
    services->findings = findings;
    if (open_services(services)) {
        check_endpoints(services);
        check_identity(services);
        check_indexer(services);
        run(services);
    } else {
        services->short_of_memory = true;
    }
    const int code = services->short_of_memory ? -ENOMEM : 0;
    close_services(services);
    return code;
}
