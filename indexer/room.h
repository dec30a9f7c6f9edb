/* The live sessions of each cluster: a hash table of lists, and another that finds a member's. Intrusive: a
 * session carries a room_seat. */
#ifndef INDEXER_ROOM_H
#define INDEXER_ROOM_H

#include <stddef.h>
#include <sys/queue.h>

#include "crypto/bytes.h"

#define ROOM_BUCKETS 4096
#define ROOM_MEMBER_BUCKETS 32768

struct room_seat {
    LIST_ENTRY(room_seat) link, member_link;
    struct room *room; /* NULL while not seated */
    struct bytes32 member_id;
};

struct room {
    struct address cluster;
    LIST_HEAD(, room_seat) seats;
    size_t count;
    LIST_ENTRY(room) link;
};

/* Zeroed: empty. */
struct rooms {
    LIST_HEAD(, room) buckets[ROOM_BUCKETS];
    LIST_HEAD(, room_seat) members[ROOM_MEMBER_BUCKETS];
};

/* NULL when nobody is there. */
struct room *rooms_find(const struct rooms *rooms, const struct address *cluster);

/* Where a member sits; NULL when nowhere. */
struct room_seat *rooms_find_member(const struct rooms *rooms, const struct address *cluster,
                                    const struct bytes32 *member_id);

/* 0 or -ENOMEM. */
int rooms_enter(struct rooms *rooms, const struct address *cluster, const struct bytes32 *member_id,
                struct room_seat *seat);

/* The last to leave frees the room. Nothing when not seated. */
void rooms_leave(struct room_seat *seat);

#endif
