/* The indexer's configuration: environment variables, each checked before anything is done. An empty value
 * counts as not given. */
#ifndef INDEXER_CONFIG_H
#define INDEXER_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "agent/log.h"
#include "crypto/am_error.h"
#include "crypto/bytes.h"

#define INDEXER_URLS_MAX 8
#define INDEXER_FACTORIES_MAX 8
#define INDEXER_HOST_SIZE 64

struct indexer_config {
    uint64_t chain_id;
    size_t rpc_urls_len;
    const char *rpc_urls[INDEXER_URLS_MAX];
    size_t factories_len;
    struct address factories[INDEXER_FACTORIES_MAX];
    uint64_t first_block;
    struct address registry; /* zero: none */
    const char *dstack_endpoint;
    const char *store_path;
    char listen_host[INDEXER_HOST_SIZE];
    uint16_t listen_port;
    char health_host[INDEXER_HOST_SIZE];
    uint16_t health_port;
    enum log_level log_level;
    enum log_format log_format;
    char *urls_text; /* the memory behind rpc_urls */
};

/* Reads the environment; texts point into it. Returns 0, AM_ECONFIG with the variable's name and what is
 * allowed, or -ENOMEM. */
int indexer_config_load(struct indexer_config *out, struct am_err *err);
void indexer_config_clear(struct indexer_config *config);

/* The table of variables, for --help. */
void indexer_config_print(void);

#endif
