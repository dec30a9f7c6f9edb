/* The agent's configuration: environment variables, and a file of the same variables (PROTOCOL section 14).
 *
 * The environment wins over the file; an empty value counts as not given. Every value is checked before the
 * agent does anything. A name that the file may not hold, or that the environment holds with one of our
 * prefixes (AGENT_, BUNDLER_, ENVELOPE_, GATEWAY_, INDEXER_, SPONSOR, WG_; the variables of wg(8) excepted),
 * is refused: a misspelt variable must not leave a default in force silently. Other variables of the
 * environment are somebody else's.
 */
#ifndef AGENT_CONFIG_H
#define AGENT_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "agent/log.h"
#include "crypto/am_error.h"
#include "crypto/bytes.h"

#define CONFIG_FILE_DEFAULT "/etc/attestmesh/agent.env"
#define CONFIG_FILE_MAX 65536
#define CONFIG_LIST_MAX 8
#define CONFIG_VARIABLES_MAX 32

enum config_backend {
    CONFIG_BACKEND_KERNEL,
    CONFIG_BACKEND_USERSPACE,
    CONFIG_BACKEND_AUTO, /* the kernel where it can, else userspace */
};

enum config_sponsor_kind {
    CONFIG_SPONSOR_ERC7677,
    CONFIG_SPONSOR_ALCHEMY,
    CONFIG_SPONSOR_PIMLICO,
};

struct config_sponsor {
    enum config_sponsor_kind kind;
    const char *target;       /* a URL for ERC-7677, a policy id for the others */
    const char *context_json; /* a JSON object of further parameters for the service, or NULL */
};

struct config_list {
    size_t len; /* 1 to CONFIG_LIST_MAX */
    const char *items[CONFIG_LIST_MAX];
};

/* Texts are owned by the struct. Zero addresses and NULL texts mean "not given". */
struct config {
    uint64_t chain_id;
    struct config_list rpc_urls;
    struct config_list bundler_urls;
    struct config_sponsor sponsors[CONFIG_LIST_MAX];
    size_t sponsors_len;
    struct address indexer_registry;
    uint64_t indexer_sample; /* one push in so many is checked against RPC_URL */
    const char *gateway_domain;
    uint16_t gateway_port;
    uint32_t
        envelope_members_max; /* clusters of up to so many live members tell each other their endpoints */
    struct address member_contract;
    const char *dstack_endpoint; /* an absolute path of a unix socket, or a http:// URL */
    struct address entry_point;
    const char *wg_interface;
    uint16_t wg_listen_port;
    uint16_t wg_tcp_port;
    enum config_backend wg_backend;
    const char *state_dir;
    const char *agent_socket;
    const char *agent_socket_group;
    const char *health_host; /* a numeric address */
    uint16_t health_port;
    enum log_level log_level;
    enum log_format log_format;
    char *values[CONFIG_VARIABLES_MAX]; /* the memory behind the texts */
};

/* Reads `path` if it exists, then `environment` ("NAME=value", ends with NULL). Returns 0 and a new struct in
 * `out`, or AM_ECONFIG with a sentence that names the variable and what is allowed, -ENOMEM, or an errno of
 * reading. */
int config_load(const char *path, char *const *environment, struct config **out, struct am_err *err);

/* The same from the text of a file; without system calls. */
int config_parse(const char *file_text, size_t file_len, char *const *environment, struct config **out,
                 struct am_err *err);

/* NULL is allowed. */
void config_free(struct config *config);

#endif
