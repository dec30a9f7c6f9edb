/* Between the control thread and a worker: commands one way, reports the other; and from the worker that has
 * the ingress to the others: verified streams.
 *
 * Commands and reports are flags in a `struct mail` that every peer embeds, so posting never allocates or
 * waits for the other side, and the mailbox can not hold more than there are peers. A flag says what is to be
 * done or what is so; one that is posted twice before it is read is read once.
 */
#ifndef AGENT_TRANSPORT_MAILBOX_H
#define AGENT_TRANSPORT_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "agent/transport/transport.h"

#define MAIL_REASON_SIZE 160
#define MAIL_STREAMS_MAX 64 /* on their way; more wait for nobody */

struct stream;

/* Obeyed in this order. */
enum mail_command { MAIL_ADD = 1, MAIL_REMOVE = 2, MAIL_HANGUP = 4, MAIL_DIAL = 8 };

enum mail_report { MAIL_UP_DIALED = 1, MAIL_UP_ACCEPTED = 2, MAIL_DOWN = 4, MAIL_DIAL_FAILED = 8 };

/* All fields but the index belong to the mailbox. */
struct mail {
    uint32_t index;    /* of the peer, constant */
    unsigned commands; /* not yet read */
    unsigned reports;  /* not yet read */
    unsigned state;    /* MAIL_UP_DIALED, MAIL_UP_ACCEPTED or MAIL_DOWN: what was reported last */
    char down_reason[MAIL_REASON_SIZE];
    char dial_reason[MAIL_REASON_SIZE];
    TAILQ_ENTRY(mail) command_link;
    TAILQ_ENTRY(mail) report_link;
};

struct mail_refusals {
    uint64_t count;
    char reason[MAIL_REASON_SIZE];
};

TAILQ_HEAD(mail_list, mail);

struct mailbox {
    pthread_mutex_t lock;
    struct mail_list commands;
    struct mail_list reports;
    struct mail_refusals refusals;
    struct stream *streams[MAIL_STREAMS_MAX]; /* a ring */
    size_t stream_first;
    size_t stream_count;
    bool stop;
    int command_fd; /* readable when there is something for the worker */
    int report_fd;  /* readable when there is something for the control thread */
};

/* Returns 0 or a negative errno; mailbox_clear is due after 0 only. */
int mailbox_init(struct mailbox *mailbox);
void mailbox_clear(struct mailbox *mailbox);

/* Control thread. A hangup takes back a dial that was not read yet. */
void mailbox_command(struct mailbox *mailbox, struct mail *mail, enum mail_command command);
void mailbox_stop(struct mailbox *mailbox);

/* Control thread: takes the oldest reports, with the texts that belong to them, into `copy` and returns whose
 * they are; NULL when there are none. */
const struct mail *mailbox_next_report(struct mailbox *mailbox, struct mail *copy);
struct mail_refusals mailbox_take_refusals(struct mailbox *mailbox);

/* Worker: takes the oldest commands; NULL when there are none. */
struct mail *mailbox_next_command(struct mailbox *mailbox, unsigned *commands);
bool mailbox_is_stopped(struct mailbox *mailbox);

/* Worker. The reason is kept for MAIL_DOWN and MAIL_DIAL_FAILED. */
void mailbox_report(struct mailbox *mailbox, struct mail *mail, enum mail_report report, const char *reason);
void mailbox_report_refusals(struct mailbox *mailbox, uint64_t count, const char *reason);

/* Worker: takes back everything about `mail`, which may be freed then. */
void mailbox_withdraw(struct mailbox *mailbox, struct mail *mail);

/* Any worker: leaves a detached stream to the worker of this mailbox. False when there is no room. */
bool mailbox_hand_over(struct mailbox *mailbox, struct stream *stream);

/* Worker: takes the oldest; NULL when there are none. */
struct stream *mailbox_next_stream(struct mailbox *mailbox);

/* Empties an eventfd after it has become readable. */
void mailbox_hear(int fd);

#endif
