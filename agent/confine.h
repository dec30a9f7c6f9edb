/* Gives up, once the start is over, what only the start needed: a daemon that was taken over can then do
 * little besides what it was made to do.
 *
 * The process stays the user that it is, since the guest agent's socket, the state folder and the
 * application's socket are that user's. Root without capabilities is a user like others: it reads what is
 * root's, and has no power over anything else. */
#ifndef AGENT_CONFINE_H
#define AGENT_CONFINE_H

#include <stdbool.h>
#include <stdint.h>

#include "crypto/am_error.h"

struct event;
struct event_base;

#define CONFINE_CAPABILITY(number) (UINT64_C(1) << (number)) /* a CAP_* of linux/capability.h */

struct confine_options {
    uint64_t capabilities; /* those that may stay, when they are there; others go for good */
    bool starts_programs;  /* wireguard-go is to be started later: it gets the same limits */
};

/* For the whole process, which has one thread still: no supplementary groups (if it is root), no capabilities
 * but those named, no new privileges by exec, and system calls from a list only.
 * A call that is not on the list fails with EPERM, and is counted. To be killed would be safer still, but a
 * library that calls something new after an update would then take every node out of its cluster; so the
 * daemon goes on, and the count, which tests want to be 0, tells of it. (A thread that blocks SIGSYS is
 * killed.) A build with sanitizers keeps what they need: CAP_SYS_PTRACE, and every system call. Returns 0,
 * -EBUSY when there are other threads, or an errno with a sentence. */
int confine_process(const struct confine_options *options, struct am_err *err);

/* How many system calls were refused, and the latest one's name: "none" before the first. */
uint64_t confine_refused_calls(void);
const char *confine_refused_call(void);

/* Logs "process.call_refused" from the loop when there was one. Call after confine_process; the event is the
 * caller's to free, before `base`. Returns NULL when memory is short. */
struct event *confine_watch(struct event_base *base);

#endif
