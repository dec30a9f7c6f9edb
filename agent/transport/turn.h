/* How soon the scheduler lets a thread in that has been woken. */
#ifndef AGENT_TRANSPORT_TURN_H
#define AGENT_TRANSPORT_TURN_H

#include <stdint.h>

#define TURN_NS UINT64_C(100000)

/* Asks for turns of TURN_NS for the calling thread. Short turns come early: a woken thread otherwise waits
 * until one that computes has used up its turn, which takes milliseconds. Needs no privilege but Linux 6.12,
 * and does nothing before. */
void turn_shorten(void);

#endif
