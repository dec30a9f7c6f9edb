/* Has one UserOperation paid for: walks through the steps of one sponsor after the other, the best first,
 * until the operation has gas limits and a paymaster. Part of evm/operation.c. */
#ifndef EVM_SPONSORING_H
#define EVM_SPONSORING_H

#include "evm/operation.h"
#include "evm/userop.h"

struct sponsoring;

/* `method` is about to be asked at `sponsor`. Lives during the call only. */
typedef void (*sponsoring_step_fn)(void *user, const struct sponsor *sponsor, const char *method);

/* `failure` is NULL when the operation is ready to be signed. Otherwise the failure to report: one that may
 * pass goes before a denial; `retry_after_s` is when somebody may be asked again, 0 for any time. May come
 * from within begin and renew. */
typedef void (*sponsoring_done_fn)(void *user, const struct am_err *failure, uint32_t retry_after_s);

/* `services` and `op` outlive the result. Returns NULL when memory is short. */
struct sponsoring *sponsoring_new(const struct operation_services *services, struct userop *op,
                                  sponsoring_step_fn step, sponsoring_done_fn done, void *user);

/* Cancels; NULL is allowed; allowed from `done` as its last act. */
void sponsoring_free(struct sponsoring *sponsoring);

/* Asks for everything anew. With `fees_fixed` the operation's fees are not the sponsor's to lower. */
void sponsoring_begin(struct sponsoring *sponsoring, bool fees_fixed);

/* After the fees were raised: the sponsor of last time signs again, or another takes over. */
void sponsoring_renew(struct sponsoring *sponsoring);

/* Who pays; NULL before the first success. */
const struct sponsor *sponsoring_sponsor(const struct sponsoring *sponsoring);

#endif
