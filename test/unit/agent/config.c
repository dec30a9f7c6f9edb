#include "agent/config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MINIMUM "CHAIN_ID=8453\nRPC_URL=http://a:1\nBUNDLER_URL=https://b\nSPONSOR=alchemy=policy-1\n"

static char *const no_environment[] = {NULL};
static struct config *config;
static struct am_err err;

static int parse(const char *text, char *const *environment)
{
    return config_parse(text, strlen(text), environment, &config, &err);
}

static void accept(const char *text, char *const *environment)
{
    const int code = parse(text, environment);
    cr_assert_eq(code, 0, "%s", err.text);
}

static void refuse(const char *text, char *const *environment, const char *sentence)
{
    cr_assert_eq(parse(text, environment), AM_ECONFIG);
    cr_assert(strstr(err.text, sentence), "\"%s\" is not in: %s", sentence, err.text);
}

Test(config, defaults_are_those_of_the_protocol)
{
    accept(MINIMUM, no_environment);
    char entry_point[ADDRESS_HEX_SIZE];
    cr_assert_eq(config->chain_id, 8453);
    cr_assert_eq(config->gateway_port, 443);
    cr_assert_eq(config->wg_listen_port, 51821);
    cr_assert_eq(config->wg_tcp_port, 51900);
    cr_assert_eq(config->wg_backend, CONFIG_BACKEND_KERNEL);
    cr_assert_eq(config->health_port, 9090);
    cr_assert_eq(config->log_level, LOG_LEVEL_INFO);
    cr_assert_eq(config->log_format, LOG_FORMAT_JSON);
    cr_assert_str_eq(config->wg_interface, "attestmesh0");
    cr_assert_str_eq(config->dstack_endpoint, "/var/run/dstack.sock");
    cr_assert_str_eq(config->agent_socket, "/run/attestmesh/agent.sock");
    cr_assert_str_eq(config->health_host, "127.0.0.1");
    cr_assert_str_eq(address_hex(&config->entry_point, entry_point),
                     "0x0000000071727de22e5e9d8baf0edac6f37da032");
    cr_assert_null(config->gateway_domain);
    cr_assert_null(config->state_dir);
    cr_assert_null(config->agent_socket_group);
    cr_assert(address_is_zero(&config->member_contract));
    cr_assert(address_is_zero(&config->indexer_registry));
    config_free(config);
}

Test(config, environment_wins_over_file)
{
    char *const environment[] = {"CHAIN_ID=31337", "WG_BACKEND=", "HOME=/root", "not an assignment", NULL};
    accept(MINIMUM "WG_BACKEND=auto\n", environment);
    cr_assert_eq(config->chain_id, 31337);
    cr_assert_eq(config->wg_backend, CONFIG_BACKEND_AUTO, "an empty value counts as not given");
    config_free(config);
}

Test(config, file_allows_comments_blanks_quotes_and_a_missing_last_newline)
{
    accept("# comment\n\n  "
           "CHAIN_ID=1\r\nRPC_URL='http://a'\nBUNDLER_URL=\"http://b\"\nSPONSOR=pimlico=x\nLOG_LEVEL=debug",
           no_environment);
    cr_assert_eq(config->chain_id, 1);
    cr_assert_str_eq(config->rpc_urls.items[0], "http://a");
    cr_assert_str_eq(config->bundler_urls.items[0], "http://b");
    cr_assert_eq(config->log_level, LOG_LEVEL_DEBUG);
    config_free(config);
}

Test(config, lists_keep_their_order)
{
    char *const environment[] = {"RPC_URL=http://one,https://two/path?key=1,http://[::1]:8545",
                                 "SPONSOR=erc7677=http://w:8787/"
                                 "rpc#{\"a\":[1,\"},\"],\"b\":{}},alchemy=p_1,erc7677=https://x,pimlico=sp_2",
                                 NULL};
    accept(MINIMUM, environment);
    cr_assert_eq(config->rpc_urls.len, 3);
    cr_assert_str_eq(config->rpc_urls.items[2], "http://[::1]:8545");
    cr_assert_eq(config->sponsors_len, 4);
    cr_assert_eq(config->sponsors[0].kind, CONFIG_SPONSOR_ERC7677);
    cr_assert_str_eq(config->sponsors[0].target, "http://w:8787/rpc");
    cr_assert_str_eq(config->sponsors[0].context_json, "{\"a\":[1,\"},\"],\"b\":{}}");
    cr_assert_eq(config->sponsors[1].kind, CONFIG_SPONSOR_ALCHEMY);
    cr_assert_str_eq(config->sponsors[1].target, "p_1");
    cr_assert_str_eq(config->sponsors[2].target, "https://x");
    cr_assert_null(config->sponsors[2].context_json);
    cr_assert_eq(config->sponsors[3].kind, CONFIG_SPONSOR_PIMLICO);
    config_free(config);
}

Test(config, health_address_takes_both_families)
{
    char *const environment[] = {"HEALTH_ADDR=[::1]:80", NULL};
    accept(MINIMUM, environment);
    cr_assert_str_eq(config->health_host, "::1");
    cr_assert_eq(config->health_port, 80);
    config_free(config);
}

Test(config, missing_variable_is_named)
{
    refuse("", no_environment, "CHAIN_ID is required: a decimal number above 0");
    refuse("CHAIN_ID=1\n", no_environment, "RPC_URL is required");
    refuse("CHAIN_ID=1\nRPC_URL=http://a\nBUNDLER_URL=http://b\n", no_environment,
           "SPONSOR is required: erc7677=<url>");
}

Test(config, unknown_name_in_file_is_refused_with_its_line)
{
    refuse(MINIMUM "WG_LISTENPORT=1\n", no_environment,
           "line 5: WG_LISTENPORT is not a variable of the agent (the nearest is WG_LISTEN_PORT)");
    refuse("nonsense\n", no_environment, "line 1: not of the form NAME=value");
    refuse("CHAIN_ID=1\nCHAIN_ID=2\n", no_environment, "line 2: CHAIN_ID is given twice");
}

Test(config, unknown_name_with_our_prefix_in_environment_is_refused)
{
    char *const ours[] = {"AGENT_SOCKETS=/x", NULL}, *const foreign[] = {"WG_HIDE_KEYS=never", "WGX=1", NULL};
    refuse(MINIMUM, ours,
           "environment: AGENT_SOCKETS is not a variable of the agent (the nearest is AGENT_SOCKET)");
    accept(MINIMUM, foreign);
    config_free(config);
}

Test(config, zero_byte_in_file_is_refused)
{
    static const char text[] = "CHAIN_ID=1\0\n";
    cr_assert_eq(config_parse(text, sizeof(text) - 1, no_environment, &config, &err), AM_ECONFIG);
    cr_assert(strstr(err.text, "zero byte"));
}

Test(config, malformed_values_name_the_variable_and_not_the_value)
{
    static const char *const settings[] = {
        "CHAIN_ID=0",
        "CHAIN_ID=0x1",
        "CHAIN_ID=18446744073709551616",
        "RPC_URL=ftp://a",
        "RPC_URL=http://a,",
        "RPC_URL=http://",
        "RPC_URL=http://a b",
        "RPC_URL=http://1,http://2,http://3,http://4,http://5,http://6,http://7,http://8,http://9",
        "BUNDLER_URL=secret",
        "SPONSOR=secret",
        "SPONSOR=erc7677",
        "SPONSOR=erc7677=secret",
        "SPONSOR=erc7677=http://a#[1]",
        "SPONSOR=erc7677=http://a#{\"a\":1",
        "SPONSOR=erc7677=http://a#{\"a\":1}x",
        "SPONSOR=erc7677=http://a#{a:1}",
        "SPONSOR=alchemy=a b",
        "SPONSOR=alchemy=a#{",
        "SPONSOR=alchemy=a,",
        "SPONSOR=other=a",
        "INDEXER_REGISTRY=0x00",
        "MEMBER_CONTRACT=0x0000000000000000000000000000000000000000",
        "MEMBER_CONTRACT=1111111111111111111111111111111111111111",
        "GATEWAY_DOMAIN=.a",
        "GATEWAY_DOMAIN=a..b",
        "GATEWAY_DOMAIN=https://a",
        "GATEWAY_PORT=0",
        "GATEWAY_PORT=65536",
        "GATEWAY_PORT=+1",
        "DSTACK_ENDPOINT=run/dstack.sock",
        "DSTACK_ENDPOINT=https://a",
        "WG_INTERFACE=sixteen_letters_",
        "WG_INTERFACE=a/b",
        "WG_INTERFACE=..",
        "WG_BACKEND=Kernel",
        "STATE_DIR=relative",
        "AGENT_SOCKET=relative",
        "AGENT_SOCKET_GROUP=a b",
        "HEALTH_ADDR=9090",
        "HEALTH_ADDR=localhost:9090",
        "HEALTH_ADDR=[::1:9090",
        "HEALTH_ADDR=[:9090",
        "HEALTH_ADDR=::1:9090",
        "LOG_LEVEL=verbose",
        "LOG_FORMAT=xml",
    };
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        char *const environment[] = {(char *)settings[i], NULL};
        const int name_len = (int)(strchr(settings[i], '=') - settings[i]);
        char sentence[80];
        snprintf(sentence, sizeof(sentence), "%.*s has a wrong value; allowed: ", name_len, settings[i]);
        refuse(MINIMUM, environment, sentence);
        cr_assert_null(strstr(err.text, "secret"));
    }
}

Test(config, file_is_read_when_it_exists)
{
    char path[] = "/tmp/attestmesh-config-XXXXXX";
    const int fd = mkstemp(path);
    cr_assert_eq(write(fd, MINIMUM, strlen(MINIMUM)), (ssize_t)strlen(MINIMUM));
    close(fd);
    const int code = config_load(path, no_environment, &config, &err);
    unlink(path);
    cr_assert_eq(code, 0, "%s", err.text);
    config_free(config);
    cr_assert_eq(config_load(path, no_environment, &config, &err), AM_ECONFIG,
                 "an absent file is an empty one");
    cr_assert_eq(config_load("/tmp", no_environment, &config, &err), -EISDIR);
}
