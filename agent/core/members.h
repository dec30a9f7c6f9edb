/* The member table: registry rows by index, and which of them are peers of this node. Internal to agent/core.
 */
#ifndef AGENT_CORE_MEMBERS_H
#define AGENT_CORE_MEMBERS_H

#include "agent/core/state.h"

/* Makes room for `count` rows. Returns 0 or -ENOMEM. */
int members_reserve(struct core *core, uint32_t count);
void members_release(struct members *members);

/* Takes in what the registry says about row `index` <= count, for which there is room. False when the row
 * holds another member, as after a reorg: then this row and all behind it are removed, and the record is to
 * be given again once the shell has taken the actions that follow from that. The same member may be removed,
 * and live again when a reorg took that back. */
bool members_put(struct core *core, uint32_t index, const struct core_record *record);

/* The index of the live member with this id, CORE_NO_INDEX when there is none. */
uint32_t members_find(const struct members *members, const struct bytes32 *member_id);

/* Removes the rows from `count` on: the chain does not have them any more. */
void members_truncate(struct core *core, uint32_t count);

/* Looks at every row again: our own key, our address or the network changed. */
void members_settle_all(struct core *core);

/* Asks the shell for something about a row (enum row_ask). */
void members_ask(struct members *members, uint32_t index, uint32_t asks);

/* The row of a wanted peer by its WireGuard key, or NULL. */
struct row *members_find_peer(struct members *members, const struct bytes32 *wg_pubkey);

/* The row at `index`, or NULL when it is not a wanted peer's. */
struct row *members_wanted_row(struct members *members, uint32_t index);

/* Sets whether the peer is up, with the event for subscribers. */
void members_set_up(struct core *core, struct row *row, bool up);

/* The index of a row of the table. */
uint32_t members_index(const struct members *members, const struct row *row);

#endif
