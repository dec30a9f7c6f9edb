/* The shell around the core: performs its actions and brings their outcomes back as events. Everything runs
 * on one event loop, and nothing blocks it.
 *
 *   onchain.h   identity, registration and reads of the chain
 *   tunnels.h   the WireGuard device
 *   transport   streams through the gateway
 *   views.h     what the application socket, health and metrics show
 */
#ifndef AGENT_SHELL_SHELL_H
#define AGENT_SHELL_SHELL_H

#include <stdbool.h>

#include "agent/config.h"
#include "crypto/am_error.h"

struct event_base;
struct shell;

/* Opens the WireGuard backend, the application socket and the health endpoint; sends nothing yet. `base`
 * (with threads enabled) and `config` outlive the shell. Returns NULL with `err` set. */
struct shell *shell_new(struct event_base *base, const struct config *config, struct am_err *err);

/* Whether the backend is wireguard-go, which may have to be started at any time. */
bool shell_starts_programs(const struct shell *shell);

/* Starts the core. When going on can not help, the shell logs why and ends the loop by itself. */
void shell_start(struct shell *shell);

/* 0, or the negative code that made the shell end the loop. */
int shell_exit_code(const struct shell *shell);

/* Closes everything except the WireGuard interface, which stays for the next start. NULL is allowed. */
void shell_free(struct shell *shell);

#endif
