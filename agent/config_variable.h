/* The table of the agent's variables (PROTOCOL section 14): name, default, how its value is read, what is
 * allowed. */
#ifndef AGENT_CONFIG_VARIABLE_H
#define AGENT_CONFIG_VARIABLE_H

#include <stdbool.h>

#include "agent/config.h"

struct config_variable {
    const char *name;
    const char *fallback; /* taken when none is given */
    bool required;
    size_t offset; /* of the field in struct config */
    /* Reads one value into its field; false when it is not allowed. May cut `value`, which lives as long as
     * `config`, into pieces that fields then point into. */
    bool (*parse)(char *value, void *field, struct config *config);
    const char *allowed;
};

extern const struct config_variable config_variables[];
extern const size_t config_variables_len;

#endif
