/* The WireGuard device: when to reconcile it, when to look at it, and what handshakes say about the peers.
 * Internal to agent/core. */
#ifndef AGENT_CORE_DEVICE_H
#define AGENT_CORE_DEVICE_H

#include "agent/core/state.h"

void device_applied(struct core *core, const struct core_apply_result *result);
void device_failed(struct core *core, const struct core_failure *failure);
void device_observed(struct core *core, const struct core_observation *observation);

/* Another hand changed the device, or may have. */
void device_drifted(struct core *core);

/* The desired peer of this row came, changed or went. */
void device_note_change(struct core *core, uint32_t index);

/* Decides anew whether the peer is up. */
void device_judge_peer(struct core *core, struct row *row);

/* Seconds since the peer's last handshake, CORE_NEVER when none was seen. */
uint64_t device_handshake_age_s(const struct core *core, const struct row *row);

/* Asks for an apply or an observation that is due. */
void device_pump(struct core *core);
uint64_t device_deadline(const struct core *core);

/* Whether all that the device derives from is known. */
bool device_known(const struct core *core);

#endif
