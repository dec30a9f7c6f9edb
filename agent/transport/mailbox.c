#include "agent/transport/mailbox.h"

#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void mailbox_ring(int fd)
{
    const uint64_t one = 1;
    /* Fails only when the counter is full, and then it is readable. */
    (void)!write(fd, &one, sizeof(one));
}

void mailbox_hear(int fd)
{
    uint64_t count;
    (void)!read(fd, &count, sizeof(count));
}

int mailbox_init(struct mailbox *mailbox)
{
    *mailbox = (struct mailbox){0};
    TAILQ_INIT(&mailbox->commands);
    TAILQ_INIT(&mailbox->reports);
    mailbox->command_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (mailbox->command_fd < 0)
        return -errno;
    mailbox->report_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (mailbox->report_fd < 0) {
        const int rc = -errno;
        close(mailbox->command_fd);
        return rc;
    }
    pthread_mutex_init(&mailbox->lock, NULL);
    return 0;
}

void mailbox_clear(struct mailbox *mailbox)
{
    close(mailbox->command_fd);
    close(mailbox->report_fd);
    pthread_mutex_destroy(&mailbox->lock);
}

void mailbox_command(struct mailbox *mailbox, struct mail *mail, enum mail_command command)
{
    pthread_mutex_lock(&mailbox->lock);
    if (!mail->commands)
        TAILQ_INSERT_TAIL(&mailbox->commands, mail, command_link);
    if (command == MAIL_HANGUP)
        mail->commands &= ~(unsigned)MAIL_DIAL;
    mail->commands |= command;
    pthread_mutex_unlock(&mailbox->lock);
    mailbox_ring(mailbox->command_fd);
}

void mailbox_stop(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    mailbox->stop = true;
    pthread_mutex_unlock(&mailbox->lock);
    mailbox_ring(mailbox->command_fd);
}

struct mail *mailbox_next_command(struct mailbox *mailbox, unsigned *commands)
{
    pthread_mutex_lock(&mailbox->lock);
    struct mail *mail = TAILQ_FIRST(&mailbox->commands);
    if (mail) {
        TAILQ_REMOVE(&mailbox->commands, mail, command_link);
        *commands = mail->commands;
        mail->commands = 0;
    }
    pthread_mutex_unlock(&mailbox->lock);
    return mail;
}

bool mailbox_is_stopped(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    const bool stop = mailbox->stop;
    pthread_mutex_unlock(&mailbox->lock);
    return stop;
}

void mailbox_report(struct mailbox *mailbox, struct mail *mail, enum mail_report report, const char *reason)
{
    pthread_mutex_lock(&mailbox->lock);
    if (!mail->reports)
        TAILQ_INSERT_TAIL(&mailbox->reports, mail, report_link);
    mail->reports |= report;
    if (report == MAIL_DIAL_FAILED)
        snprintf(mail->dial_reason, sizeof(mail->dial_reason), "%s", reason);
    else
        mail->state = report;
    if (report == MAIL_DOWN)
        snprintf(mail->down_reason, sizeof(mail->down_reason), "%s", reason);
    pthread_mutex_unlock(&mailbox->lock);
    mailbox_ring(mailbox->report_fd);
}

const struct mail *mailbox_next_report(struct mailbox *mailbox, struct mail *copy)
{
    pthread_mutex_lock(&mailbox->lock);
    struct mail *mail = TAILQ_FIRST(&mailbox->reports);
    if (mail) {
        TAILQ_REMOVE(&mailbox->reports, mail, report_link);
        *copy = *mail;
        mail->reports = 0;
    }
    pthread_mutex_unlock(&mailbox->lock);
    return mail;
}

void mailbox_report_refusals(struct mailbox *mailbox, uint64_t count, const char *reason)
{
    pthread_mutex_lock(&mailbox->lock);
    mailbox->refusals.count += count;
    snprintf(mailbox->refusals.reason, sizeof(mailbox->refusals.reason), "%s", reason);
    pthread_mutex_unlock(&mailbox->lock);
    mailbox_ring(mailbox->report_fd);
}

struct mail_refusals mailbox_take_refusals(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    const struct mail_refusals refusals = mailbox->refusals;
    mailbox->refusals.count = 0;
    pthread_mutex_unlock(&mailbox->lock);
    return refusals;
}

bool mailbox_hand_over(struct mailbox *mailbox, struct stream *stream)
{
    pthread_mutex_lock(&mailbox->lock);
    const bool room = mailbox->stream_count < MAIL_STREAMS_MAX;
    if (room)
        mailbox->streams[(mailbox->stream_first + mailbox->stream_count++) % MAIL_STREAMS_MAX] = stream;
    pthread_mutex_unlock(&mailbox->lock);
    if (room)
        mailbox_ring(mailbox->command_fd);
    return room;
}

struct stream *mailbox_next_stream(struct mailbox *mailbox)
{
    struct stream *stream = NULL;
    pthread_mutex_lock(&mailbox->lock);
    if (mailbox->stream_count) {
        stream = mailbox->streams[mailbox->stream_first];
        mailbox->stream_first = (mailbox->stream_first + 1) % MAIL_STREAMS_MAX;
        mailbox->stream_count--;
    }
    pthread_mutex_unlock(&mailbox->lock);
    return stream;
}

void mailbox_withdraw(struct mailbox *mailbox, struct mail *mail)
{
    pthread_mutex_lock(&mailbox->lock);
    if (mail->commands)
        TAILQ_REMOVE(&mailbox->commands, mail, command_link);
    if (mail->reports)
        TAILQ_REMOVE(&mailbox->reports, mail, report_link);
    mail->commands = 0;
    mail->reports = 0;
    pthread_mutex_unlock(&mailbox->lock);
}
