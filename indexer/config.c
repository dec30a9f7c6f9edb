#include "indexer/config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef bool (*parse_fn)(const char *value, struct indexer_config *config);

static bool parse_u64(const char *text, uint64_t max, uint64_t *out)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *out <= max;
}

static bool parse_chain_id(const char *value, struct indexer_config *config)
{
    return parse_u64(value, INT64_MAX, &config->chain_id) && config->chain_id > 0;
}

static bool parse_first_block(const char *value, struct indexer_config *config)
{
    return parse_u64(value, INT64_MAX, &config->first_block);
}

static bool is_url(const char *text)
{
    return strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
}

static bool parse_urls(const char *value, struct indexer_config *config)
{
    char *rest = config->urls_text = strdup(value);
    for (char *url; rest && (url = strsep(&rest, ","));) {
        if (config->rpc_urls_len == INDEXER_URLS_MAX || !is_url(url))
            return false;
        config->rpc_urls[config->rpc_urls_len++] = url;
    }
    return config->rpc_urls_len > 0;
}

static bool parse_address(const char *text, size_t len, struct address *out)
{
    char copy[ADDRESS_HEX_SIZE];
    if (len != sizeof(copy) - 1 || strncmp(text, "0x", 2) != 0)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return hex_decode_exact(copy, out->b, sizeof(out->b)) && !address_is_zero(out);
}

static bool parse_factories(const char *value, struct indexer_config *config)
{
    for (const char *text = value; text;) {
        const char *const comma = strchr(text, ',');
        const size_t len = comma ? (size_t)(comma - text) : strlen(text);
        if (config->factories_len == INDEXER_FACTORIES_MAX ||
            !parse_address(text, len, &config->factories[config->factories_len]))
            return false;
        config->factories_len++;
        text = comma ? comma + 1 : NULL;
    }
    return true;
}

static bool parse_registry(const char *value, struct indexer_config *config)
{
    return parse_address(value, strlen(value), &config->registry);
}

static bool parse_dstack(const char *value, struct indexer_config *config)
{
    config->dstack_endpoint = value;
    return (value[0] == '/' && strlen(value) <= 107) || strncmp(value, "http://", 7) == 0;
}

static bool parse_store(const char *value, struct indexer_config *config)
{
    config->store_path = value;
    return value[0] == '/';
}

/* host:port, an IPv6 host in brackets. */
static bool parse_endpoint(const char *value, char host[INDEXER_HOST_SIZE], uint16_t *port)
{
    const char *const colon = strrchr(value, ':');
    uint64_t number;
    if (!colon || !parse_u64(colon + 1, UINT16_MAX, &number) || number == 0)
        return false;
    size_t len = (size_t)(colon - value);
    if (len >= 2 && value[0] == '[' && colon[-1] == ']') {
        value++;
        len -= 2;
    }
    if (len == 0 || len >= INDEXER_HOST_SIZE)
        return false;
    memcpy(host, value, len);
    host[len] = '\0';
    *port = (uint16_t)number;
    return true;
}

static bool parse_listen(const char *value, struct indexer_config *config)
{
    return parse_endpoint(value, config->listen_host, &config->listen_port);
}

static bool parse_health(const char *value, struct indexer_config *config)
{
    return parse_endpoint(value, config->health_host, &config->health_port);
}

static bool parse_log_level(const char *value, struct indexer_config *config)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(value, names[i]) == 0) {
            config->log_level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static bool parse_log_format(const char *value, struct indexer_config *config)
{
    config->log_format = strcmp(value, "text") == 0 ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
    return strcmp(value, "text") == 0 || strcmp(value, "json") == 0;
}

static const struct {
    const char *name;
    const char *fallback;
    bool required;
    parse_fn parse;
    const char *allowed;
} variables[] = {
    {"CHAIN_ID", NULL, true, parse_chain_id, "a decimal number above 0"},
    {"RPC_URL", NULL, true, parse_urls, "http:// or https:// URLs, comma-separated, at most 8"},
    {"CLUSTER_FACTORIES", NULL, true, parse_factories, "0x addresses, comma-separated, at most 8"},
    {"FIRST_BLOCK", "0", false, parse_first_block, "the block of the first factory's deployment"},
    {"INDEXER_REGISTRY", NULL, false, parse_registry, "0x and 40 hexadecimal digits, not all zero"},
    {"DSTACK_ENDPOINT", "/var/run/dstack.sock", false, parse_dstack,
     "an absolute path of at most 107 bytes or a http:// URL"},
    {"STORE_PATH", "/var/lib/attestmesh/indexer.db", false, parse_store, "an absolute path"},
    {"LISTEN_ADDR", "0.0.0.0:51902", false, parse_listen, "<IPv4 address>:<port> or [<IPv6 address>]:<port>"},
    {"HEALTH_ADDR", "127.0.0.1:9091", false, parse_health,
     "<IPv4 address>:<port> or [<IPv6 address>]:<port>"},
    {"LOG_LEVEL", "info", false, parse_log_level, "error, warn, info or debug"},
    {"LOG_FORMAT", "json", false, parse_log_format, "json or text"},
};

int indexer_config_load(struct indexer_config *out, struct am_err *err)
{
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        const char *value = getenv(variables[i].name);
        if (!value || !*value)
            value = variables[i].fallback;
        if (!value && !variables[i].required)
            continue;
        if (value && variables[i].parse(value, out))
            continue;
        indexer_config_clear(out);
        return am_fail(err, AM_ECONFIG, "%s: %s; allowed: %s", variables[i].name,
                       value ? "not understood" : "required, but not given", variables[i].allowed);
    }
    return 0;
}

void indexer_config_clear(struct indexer_config *config)
{
    free(config->urls_text);
    config->urls_text = NULL;
}

void indexer_config_print(void)
{
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        printf("  %-18s %s", variables[i].name, variables[i].allowed);
        if (variables[i].required)
            printf(" (required)");
        else if (variables[i].fallback)
            printf(" (default %s)", variables[i].fallback);
        printf("\n");
    }
}
