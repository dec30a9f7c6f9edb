/* Streams to peers: who dials, when, and when again (PROTOCOL section 6). Internal to agent/core.
 *
 * The member with the lower id dials at once. The other one dials when it has had no working stream for 15 s.
 * Whose dial carries the peer renews the stream before the gateway ends it. Failures make the next dial wait,
 * until there is a sign that the path is good again: another stream after there was none at all, or somebody
 * who begins to hear the peer. */
#ifndef AGENT_CORE_LINKS_H
#define AGENT_CORE_LINKS_H

#include "agent/core/state.h"

#define LINKS_PATIENCE_MS                                                                                    \
    15000                   /* of the side with the higher id; also how long a lost stream keeps a peer up */
#define LINKS_HELD_MS 10000 /* a stream that lives this long clears the failures before it */
#define LINKS_HOPE_MS 1000  /* within this, peers are dialed of whom there is hope */
#define LINKS_BEGIN_MS 2000
#define LINKS_RENEW_MS (UINT64_C(4) * 3600 * 1000)
#define LINKS_RENEW_JITTER_MS (UINT64_C(10) * 60 * 1000)

/* The row became a peer, or is one no more. Stopping forgets its dial and streams; no event of theirs comes.
 */
void links_start(struct core *core, uint32_t index);
void links_stop(struct core *core, uint32_t index);

/* The peer seems to be reachable again: its failures are forgotten and it is dialed soon. */
void links_hope(struct core *core, uint32_t index);

void links_stream_up(struct core *core, const struct core_stream *stream);
void links_stream_down(struct core *core, const struct core_stream *stream);
void links_dial_failed(struct core *core, const struct core_stream *stream);

/* This node sends into the peer's tunnel from now on. When both sides do so at the moment at which a stream
 * comes up, their handshakes cross each other, WireGuard completes neither and tries again 5 s later: the
 * side that dialed begins at once, the other one when it hears of it, or after LINKS_BEGIN_MS. */
void links_begin(struct core *core, struct row *row);

/* Dials what is due. */
void links_pump(struct core *core);
uint64_t links_deadline(const struct core *core);

/* Whether the peer's datagrams pass, or passed moments ago. */
bool links_carries(const struct core *core, const struct row *row);

/* Whether dialing this peer is ours by the order of the ids. */
bool links_ours(const struct core *core, const struct row *row);

#endif
