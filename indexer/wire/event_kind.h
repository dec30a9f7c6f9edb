/* What a cluster's log is, from its first topic. Pure. */
#ifndef INDEXER_WIRE_EVENT_KIND_H
#define INDEXER_WIRE_EVENT_KIND_H

#include "crypto/bytes.h"
#include "indexer.pb.h"

/* indexer_EventKind_EVENT_OTHER for what no contract of ours emits. */
indexer_EventKind event_kind_of_topic(const struct bytes32 *topic);

/* "MemberRegistered"; "other". */
const char *event_kind_name(indexer_EventKind kind);

#endif
