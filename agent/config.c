#include "agent/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/config_variable.h"

#define VALUE_MAX 8192
#define NAME_SHOWN_MAX 64

static const char *const own_prefixes[] = {"AGENT_",   "BUNDLER_", "ENVELOPE_", "GATEWAY_",
                                           "INDEXER_", "SPONSOR",  "WG_"};
static const char *const foreign_names[] = {"WG_COLOR_MODE", "WG_ENDPOINT_RESOLUTION_RETRIES",
                                            "WG_HIDE_KEYS"};

static const struct config_variable *find_variable(const char *name, size_t len)
{
    for (size_t i = 0; i < config_variables_len; i++) {
        if (strlen(config_variables[i].name) == len && memcmp(config_variables[i].name, name, len) == 0)
            return &config_variables[i];
    }
    return NULL;
}

/* The variable that shares the longest beginning with a name nobody knows. */
static const char *find_similar(const char *name, size_t len)
{
    size_t best_len = 0;
    const char *best = config_variables[0].name;
    for (size_t i = 0; i < config_variables_len; i++) {
        size_t common = 0;
        while (common < len && config_variables[i].name[common] == name[common])
            common++;
        if (common > best_len) {
            best_len = common;
            best = config_variables[i].name;
        }
    }
    return best;
}

static int refuse_name(const char *where, const char *name, size_t len, struct am_err *err)
{
    const int shown = len < NAME_SHOWN_MAX ? (int)len : NAME_SHOWN_MAX;
    return am_fail(err, AM_ECONFIG, "%s: %.*s is not a variable of the agent (the nearest is %s)", where,
                   shown, name, find_similar(name, len));
}

static int set_value(struct config *config, const struct config_variable *variable, const char *value,
                     size_t len)
{
    char **const slot = &config->values[variable - config_variables];
    free(*slot);
    *slot = strndup(value, len);
    return *slot ? 0 : -ENOMEM;
}

/* One line of the file: empty, a comment, or NAME=value with the value bare or in one pair of quotes. */
static int read_line(struct config *config, const char *line, size_t len, const char *where,
                     struct am_err *err)
{
    if (memchr(line, '\0', len))
        return am_fail(err, AM_ECONFIG, "%s: holds a zero byte", where);
    while (len > 0 && isspace((unsigned char)line[len - 1]))
        len--;
    while (len > 0 && isspace((unsigned char)line[0])) {
        line++;
        len--;
    }
    if (len == 0 || line[0] == '#')
        return 0;
    const char *const equals = memchr(line, '=', len);
    if (!equals)
        return am_fail(err, AM_ECONFIG, "%s: not of the form NAME=value", where);
    const size_t name_len = (size_t)(equals - line);
    const struct config_variable *variable = find_variable(line, name_len);
    if (!variable)
        return refuse_name(where, line, name_len, err);
    if (config->values[variable - config_variables])
        return am_fail(err, AM_ECONFIG, "%s: %s is given twice", where, variable->name);
    const char *value = equals + 1;
    size_t value_len = len - name_len - 1;
    if (value_len >= 2 && (value[0] == '"' || value[0] == '\'') && value[value_len - 1] == value[0]) {
        value++;
        value_len -= 2;
    }
    if (value_len > VALUE_MAX)
        return am_fail(err, AM_ECONFIG, "%s: %s is longer than %d bytes", where, variable->name, VALUE_MAX);
    return value_len ? set_value(config, variable, value, value_len) : 0;
}

static int read_file_text(struct config *config, const char *text, size_t len, struct am_err *err)
{
    if (len > CONFIG_FILE_MAX)
        return am_fail(err, AM_ECONFIG, "configuration file: longer than %d bytes", CONFIG_FILE_MAX);
    for (unsigned number = 1; len > 0; number++) {
        const char *const newline = memchr(text, '\n', len);
        const size_t line_len = newline ? (size_t)(newline - text) : len;
        char where[48];
        snprintf(where, sizeof(where), "configuration file, line %u", number);
        const int code = read_line(config, text, line_len, where, err);
        if (code)
            return code;
        const size_t taken = line_len + (newline ? 1 : 0);
        text += taken;
        len -= taken;
    }
    return 0;
}

static bool is_ours(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof(foreign_names) / sizeof(foreign_names[0]); i++) {
        if (strlen(foreign_names[i]) == len && memcmp(foreign_names[i], name, len) == 0)
            return false;
    }
    for (size_t i = 0; i < sizeof(own_prefixes) / sizeof(own_prefixes[0]); i++) {
        const size_t prefix_len = strlen(own_prefixes[i]);
        if (len >= prefix_len && memcmp(own_prefixes[i], name, prefix_len) == 0)
            return true;
    }
    return false;
}

static int read_environment(struct config *config, char *const *environment, struct am_err *err)
{
    for (; *environment; environment++) {
        const char *const equals = strchr(*environment, '=');
        if (!equals)
            continue;
        const size_t name_len = (size_t)(equals - *environment), value_len = strlen(equals + 1);
        const struct config_variable *variable = find_variable(*environment, name_len);
        if (!variable && is_ours(*environment, name_len))
            return refuse_name("environment", *environment, name_len, err);
        if (!variable || value_len == 0)
            continue;
        if (value_len > VALUE_MAX)
            return am_fail(err, AM_ECONFIG, "%s: longer than %d bytes", variable->name, VALUE_MAX);
        if (set_value(config, variable, equals + 1, value_len))
            return -ENOMEM;
    }
    return 0;
}

static int check_values(struct config *config, struct am_err *err)
{
    for (size_t i = 0; i < config_variables_len; i++) {
        const struct config_variable *variable = &config_variables[i];
        if (!config->values[i] && variable->required)
            return am_fail(err, AM_ECONFIG, "%s is required: %s", variable->name, variable->allowed);
        if (!config->values[i] && !variable->fallback)
            continue;
        if (!config->values[i] && set_value(config, variable, variable->fallback, strlen(variable->fallback)))
            return -ENOMEM;
        if (!variable->parse(config->values[i], (char *)config + variable->offset, config))
            return am_fail(err, AM_ECONFIG, "%s has a wrong value; allowed: %s", variable->name,
                           variable->allowed);
    }
    return 0;
}

int config_parse(const char *file_text, size_t file_len, char *const *environment, struct config **out,
                 struct am_err *err)
{
    struct config *config = calloc(1, sizeof(*config));
    if (!config)
        return -ENOMEM;
    int code = read_file_text(config, file_text, file_len, err);
    if (code == 0)
        code = read_environment(config, environment, err);
    if (code == 0)
        code = check_values(config, err);
    if (code) {
        config_free(config);
        return code;
    }
    *out = config;
    return 0;
}

/* At most CONFIG_FILE_MAX + 1 bytes, so that a file which is too long is seen to be. Returns a length or an
 * error. */
static ssize_t read_whole(int fd, char *text)
{
    size_t len = 0;
    while (len <= CONFIG_FILE_MAX) {
        const ssize_t got = read(fd, text + len, CONFIG_FILE_MAX + 1 - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        len += (size_t)got;
    }
    return (ssize_t)len;
}

int config_load(const char *path, char *const *environment, struct config **out, struct am_err *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return config_parse("", 0, environment, out, err);
    if (fd < 0)
        return am_fail(err, -errno, "%s: %s", path, strerror(errno));
    char *text = malloc(CONFIG_FILE_MAX + 1);
    const ssize_t len = text ? read_whole(fd, text) : -ENOMEM;
    close(fd);
    const int code = len < 0 ? am_fail(err, (int)len, "%s: %s", path, strerror((int)-len))
                             : config_parse(text, (size_t)len, environment, out, err);
    free(text);
    return code;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < CONFIG_VARIABLES_MAX; i++)
        free(config->values[i]);
    free(config);
}
