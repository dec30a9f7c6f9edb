/* The registry one change at a time, and back again: a reorganisation undoes the newest changes. Internal to
 * agent/core. */
#ifndef AGENT_CORE_JOURNAL_H
#define AGENT_CORE_JOURNAL_H

#include "agent/core/state.h"

enum journal_verdict {
    JOURNAL_FOLLOWED,    /* registry.known is the target now, and the member table with it */
    JOURNAL_ROLLED_BACK, /* known is the newest state that the target's chain has in common with it */
    JOURNAL_BROKEN       /* the changes do not lead to the target: nothing was touched */
};

/* Takes registry.known towards registry.target by the newest of `changes`, for whose rows there is room. The
 * head of the target proves that these are all changes, in order. */
enum journal_verdict journal_follow(struct core *core, const struct core_changes *changes);

/* The member table is no longer what single changes made of it. */
void journal_forget(struct core *core);

#endif
