/* How soon the scheduler lets a thread in that has been woken. */
#ifndef AGENT_TRANSPORT_TURN_H
#define AGENT_TRANSPORT_TURN_H

/* Asks short and early turns for the calling thread: a woken thread otherwise waits until one that computes
 * has used up its turn, which takes milliseconds. Short turns need no privilege and Linux 6.12; going first
 * needs CAP_SYS_NICE or a limit that allows it. What is not granted is done without. */
void turn_hasten(void);

/* Raises that limit (RLIMIT_NICE), for a process that is about to give up its privileges. */
void turn_permit(void);

#endif
