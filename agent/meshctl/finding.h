/* What `meshctl doctor` finds out: one finding for each check, in the order in which the checks were begun.
 */
#ifndef AGENT_MESHCTL_FINDING_H
#define AGENT_MESHCTL_FINDING_H

#include <stdbool.h>
#include <stddef.h>

#define FINDINGS_MAX 64
#define FINDING_NAME_SIZE 24
#define FINDING_TEXT_SIZE 320

enum finding_state {
    FINDING_OPEN, /* no answer yet */
    FINDING_OK,
    FINDING_WARN, /* works, and an operator would want to know */
    FINDING_FAIL
};

struct finding {
    char name[FINDING_NAME_SIZE];
    enum finding_state state;
    char fact[FINDING_TEXT_SIZE];
    const char *advice; /* what to do; "" for nothing */
};

struct findings {
    struct finding list[FINDINGS_MAX];
    size_t len;
    size_t open;
};

/* Begins a check; NULL beyond FINDINGS_MAX, which the functions below take. */
struct finding *finding_open(struct findings *findings, const char *name);

/* Ends it. `advice` stays valid. */
void finding_close(struct findings *findings, struct finding *finding, enum finding_state state,
                   const char *advice, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Closes what is open still, and prints all. Returns whether none has failed. */
bool findings_show(struct findings *findings, bool json);

#endif
