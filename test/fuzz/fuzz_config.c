/* The configuration file: refused with a sentence or accepted with every required value present. */
#include <stdlib.h>

#include "agent/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *const environment[] = {NULL};
    struct config *config;
    struct am_err err = {0};
    const int code = config_parse((const char *)data, len, environment, &config, &err);
    if (code && !err.text[0])
        abort();
    if (code == 0) {
        if (config->chain_id == 0 || config->rpc_urls.len == 0 || config->sponsors_len == 0)
            abort();
        config_free(config);
    }
    return 0;
}
