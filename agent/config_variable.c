#include "agent/config_variable.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <json-c/json_object.h>
#include <json-c/json_tokener.h>
#include <string.h>

#define SOCKET_PATH_MAX 107 /* sun_path with its NUL is 108 */
#define CONTEXT_DEPTH_MAX 8

static bool parse_decimal(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        const uint64_t digit = (uint64_t)(*text - '0');
        if (value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return value >= min;
}

static bool is_text_of(const char *text, size_t max, const char *extra)
{
    const size_t len = strlen(text);
    if (len == 0 || len > max)
        return false;
    for (; *text; text++) {
        if (!isalnum((unsigned char)*text) && !strchr(extra, *text))
            return false;
    }
    return true;
}

static bool is_url(const char *text, bool tls_allowed)
{
    const char *host = NULL;
    if (strncmp(text, "http://", 7) == 0)
        host = text + 7;
    else if (tls_allowed && strncmp(text, "https://", 8) == 0)
        host = text + 8;
    if (!host || (!isalnum((unsigned char)*host) && *host != '['))
        return false;
    for (; *host; host++) {
        if (*host <= ' ' || *host > '~' || strchr("\"<>\\^`{|}", *host))
            return false;
    }
    return true;
}

static bool is_absolute_path(const char *text, size_t max)
{
    return text[0] == '/' && strlen(text) <= max;
}

static bool parse_chain_id(char *value, void *field, struct config *config)
{
    (void)config;
    return parse_decimal(value, 1, UINT64_MAX, field);
}

static bool parse_sample(char *value, void *field, struct config *config)
{
    (void)config;
    return parse_decimal(value, 1, 1000000, field);
}

static bool parse_envelope_members(char *value, void *field, struct config *config)
{
    (void)config;
    uint64_t members;
    if (!parse_decimal(value, 0, 1000, &members))
        return false;
    *(uint32_t *)field = (uint32_t)members;
    return true;
}

static bool parse_port(char *value, void *field, struct config *config)
{
    (void)config;
    uint64_t port;
    if (!parse_decimal(value, 1, UINT16_MAX, &port))
        return false;
    *(uint16_t *)field = (uint16_t)port;
    return true;
}

static bool parse_url_list(char *value, void *field, struct config *config)
{
    (void)config;
    struct config_list *list = field;
    for (char *url; (url = strsep(&value, ",")); list->len++) {
        if (list->len == CONFIG_LIST_MAX || !is_url(url, true))
            return false;
        list->items[list->len] = url;
    }
    return true;
}

static bool parse_address(char *value, void *field, struct config *config)
{
    (void)config;
    struct address *address = field;
    return strncmp(value, "0x", 2) == 0 && hex_decode_exact(value, address->b, sizeof(address->b)) &&
           !address_is_zero(address);
}

static bool parse_domain(char *value, void *field, struct config *config)
{
    (void)config;
    *(const char **)field = value;
    /* A member's host name puts a label of up to 48 bytes and a dot in front; RFC 1035 ends names at 253. */
    return is_text_of(value, 204, ".-") && value[0] != '.' && !strstr(value, "..") &&
           value[strlen(value) - 1] != '.';
}

static bool parse_dstack_endpoint(char *value, void *field, struct config *config)
{
    (void)config;
    *(const char **)field = value;
    return is_absolute_path(value, SOCKET_PATH_MAX) || is_url(value, false);
}

static bool parse_interface(char *value, void *field, struct config *config)
{
    (void)config;
    *(const char **)field = value;
    return is_text_of(value, 15, "_-=+.") && strcmp(value, ".") != 0 && strcmp(value, "..") != 0;
}

static bool parse_directory(char *value, void *field, struct config *config)
{
    (void)config;
    *(const char **)field = value;
    return is_absolute_path(value, 1024);
}

static bool parse_socket_path(char *value, void *field, struct config *config)
{
    (void)config;
    *(const char **)field = value;
    return is_absolute_path(value, SOCKET_PATH_MAX);
}

static bool parse_group(char *value, void *field, struct config *config)
{
    (void)config;
    *(const char **)field = value;
    return is_text_of(value, 32, "_-.");
}

static bool parse_health_address(char *value, void *field, struct config *config)
{
    (void)field;
    char *const colon = strrchr(value, ':');
    uint8_t binary[sizeof(struct in6_addr)];
    if (!colon || !parse_port(colon + 1, &config->health_port, config))
        return false;
    *colon = '\0';
    config->health_host = value;
    if (value[0] != '[')
        return inet_pton(AF_INET, value, binary) == 1;
    if (colon[-1] != ']')
        return false;
    colon[-1] = '\0';
    config->health_host = value + 1;
    return inet_pton(AF_INET6, config->health_host, binary) == 1;
}

static bool parse_word(const char *value, const char *const *words, size_t words_len, unsigned *index)
{
    for (*index = 0; *index < words_len; (*index)++) {
        if (strcmp(value, words[*index]) == 0)
            return true;
    }
    return false;
}

static bool parse_backend(char *value, void *field, struct config *config)
{
    (void)field;
    static const char *const words[] = {"kernel", "userspace", "auto"};
    unsigned index;
    if (!parse_word(value, words, 3, &index))
        return false;
    config->wg_backend = (enum config_backend)index;
    return true;
}

static bool parse_log_level(char *value, void *field, struct config *config)
{
    (void)field;
    static const char *const words[] = {"error", "warn", "info", "debug"};
    unsigned index;
    if (!parse_word(value, words, 4, &index))
        return false;
    config->log_level = (enum log_level)index;
    return true;
}

static bool parse_log_format(char *value, void *field, struct config *config)
{
    (void)field;
    static const char *const words[] = {"json", "text"};
    unsigned index;
    if (!parse_word(value, words, 2, &index))
        return false;
    config->log_format = (enum log_format)index;
    return true;
}

/* The end of the JSON object that starts at `text`, found by its brackets; NULL when it never ends. */
static char *find_object_end(char *text)
{
    unsigned depth = 0;
    bool in_string = false;
    for (; *text; text++) {
        if (in_string) {
            if (*text == '\\' && text[1])
                text++;
            else if (*text == '"')
                in_string = false;
        } else if (*text == '"') {
            in_string = true;
        } else if (*text == '{') {
            depth++;
        } else if (*text == '}' && --depth == 0) {
            return text + 1;
        }
    }
    return NULL;
}

static bool is_json_object(const char *text, size_t len)
{
    struct json_tokener *tokener = json_tokener_new_ex(CONTEXT_DEPTH_MAX);
    if (!tokener)
        return false;
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    json_object *object = json_tokener_parse_ex(tokener, text, (int)len);
    const bool good = json_tokener_get_error(tokener) == json_tokener_success &&
                      json_object_is_type(object, json_type_object);
    json_object_put(object);
    json_tokener_free(tokener);
    return good;
}

/* Cuts one "kind=target[#context]" off the front of `rest`, which is left NULL after the last. */
static bool parse_sponsor(char **rest, struct config_sponsor *sponsor)
{
    static const char *const kinds[] = {"erc7677", "alchemy", "pimlico"};
    char *const separator = strpbrk(*rest, "=,");
    unsigned kind;
    if (!separator || *separator != '=')
        return false;
    *separator = '\0';
    if (!parse_word(*rest, kinds, 3, &kind))
        return false;
    *sponsor = (struct config_sponsor){.kind = (enum config_sponsor_kind)kind, .target = separator + 1};

    char *end = strpbrk(separator + 1, "#,");
    if (end && *end == '#') {
        *end++ = '\0';
        sponsor->context_json = end;
        end = *end == '{' ? find_object_end(end) : NULL;
        if (!end || (*end && *end != ',') ||
            !is_json_object(sponsor->context_json, (size_t)(end - sponsor->context_json)))
            return false;
    }
    *rest = end && *end == ',' ? end + 1 : NULL;
    if (end)
        *end = '\0';
    if (sponsor->kind == CONFIG_SPONSOR_ERC7677)
        return is_url(sponsor->target, true);
    return is_text_of(sponsor->target, 128, "_-");
}

static bool parse_sponsors(char *value, void *field, struct config *config)
{
    (void)field;
    for (char *rest = value; rest; config->sponsors_len++) {
        if (config->sponsors_len == CONFIG_LIST_MAX ||
            !parse_sponsor(&rest, &config->sponsors[config->sponsors_len]))
            return false;
    }
    return true;
}

#define URLS_ALLOWED "http:// or https:// URLs, comma-separated, at most 8"
#define ADDRESS_ALLOWED "0x and 40 hexadecimal digits, not all zero"
#define PORT_ALLOWED "a port, 1 to 65535"
#define SOCKET_ALLOWED "an absolute path of at most 107 bytes"

#define FIELD(name) offsetof(struct config, name)
const struct config_variable config_variables[] = {
    {"CHAIN_ID", NULL, true, FIELD(chain_id), parse_chain_id, "a decimal number above 0"},
    {"RPC_URL", NULL, true, FIELD(rpc_urls), parse_url_list, URLS_ALLOWED},
    {"BUNDLER_URL", NULL, true, FIELD(bundler_urls), parse_url_list, URLS_ALLOWED},
    {"SPONSOR", NULL, true, FIELD(sponsors), parse_sponsors,
     "erc7677=<url>, alchemy=<policy id>, pimlico=<policy id>, each with #<json object> if need be; "
     "comma-separated, at "
     "most 8"},
    {"INDEXER_REGISTRY", NULL, false, FIELD(indexer_registry), parse_address, ADDRESS_ALLOWED},
    {"INDEXER_SAMPLE", "64", false, FIELD(indexer_sample), parse_sample, "1 (every push) to 1000000"},
    {"GATEWAY_DOMAIN", NULL, false, FIELD(gateway_domain), parse_domain,
     "a domain name of at most 204 bytes"},
    {"GATEWAY_PORT", "443", false, FIELD(gateway_port), parse_port, PORT_ALLOWED},
    {"ENVELOPE_MAX_MEMBERS", "32", false, FIELD(envelope_members_max), parse_envelope_members,
     "0 (never tell the others where this node is) to 1000"},
    {"MEMBER_CONTRACT", NULL, false, FIELD(member_contract), parse_address, ADDRESS_ALLOWED},
    {"DSTACK_ENDPOINT", "/var/run/dstack.sock", false, FIELD(dstack_endpoint), parse_dstack_endpoint,
     SOCKET_ALLOWED " or a http:// URL"},
    {"ENTRY_POINT", "0x0000000071727De22E5E9d8BAf0edAc6f37da032", false, FIELD(entry_point), parse_address,
     ADDRESS_ALLOWED},
    {"WG_INTERFACE", "attestmesh0", false, FIELD(wg_interface), parse_interface,
     "an interface name of at most 15 letters, digits or _-=+."},
    {"WG_LISTEN_PORT", "51821", false, FIELD(wg_listen_port), parse_port, PORT_ALLOWED},
    {"WG_TCP_PORT", "51900", false, FIELD(wg_tcp_port), parse_port, PORT_ALLOWED},
    {"WG_BACKEND", "kernel", false, FIELD(wg_backend), parse_backend, "kernel, userspace or auto"},
    {"STATE_DIR", NULL, false, FIELD(state_dir), parse_directory, "an absolute path"},
    {"AGENT_SOCKET", "/run/attestmesh/agent.sock", false, FIELD(agent_socket), parse_socket_path,
     SOCKET_ALLOWED},
    {"AGENT_SOCKET_GROUP", NULL, false, FIELD(agent_socket_group), parse_group, "a group name or number"},
    {"HEALTH_ADDR", "127.0.0.1:9090", false, FIELD(health_host), parse_health_address,
     "<IPv4 address>:<port> or [<IPv6 address>]:<port>"},
    {"LOG_LEVEL", "info", false, FIELD(log_level), parse_log_level, "error, warn, info or debug"},
    {"LOG_FORMAT", "json", false, FIELD(log_format), parse_log_format, "json or text"},
};
const size_t config_variables_len = sizeof(config_variables) / sizeof(config_variables[0]);

_Static_assert(sizeof(config_variables) / sizeof(config_variables[0]) <= CONFIG_VARIABLES_MAX,
               "room for every value");
