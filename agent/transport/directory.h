/* Who may connect: the members by id, between the thread that knows them and the one that verifies prefaces.
 */
#ifndef AGENT_TRANSPORT_DIRECTORY_H
#define AGENT_TRANSPORT_DIRECTORY_H

#include <pthread.h>
#include <stdbool.h>

#include "agent/transport/transport.h"

struct directory {
    pthread_mutex_t lock;
    void *by_member_id; /* search tree of const struct transport_peer */
};

void directory_init(struct directory *directory);
void directory_clear(struct directory *directory);

/* `info` must live until it is removed. An id that is there already stays with whom it names: that one
 * connects, the other can be dialed. Returns 0 or -ENOMEM. */
int directory_add(struct directory *directory, const struct transport_peer *info);
void directory_remove(struct directory *directory, const struct transport_peer *info);

/* Copies what is known of the member with this id; false when there is none. On any thread. */
bool directory_find(struct directory *directory, const struct bytes32 *member_id, struct transport_peer *out);

#endif
