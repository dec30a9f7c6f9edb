/* Errors of the kernel, with the sentence that it adds to the number (extended acks). */
#ifndef NETLINK_NLERR_H
#define NETLINK_NLERR_H

#include <linux/netlink.h>
#include <stddef.h>

#include "crypto/am_error.h"

#define NLERR_SENTENCE_SIZE 160

/* Copies the kernel's sentence of an NLMSG_ERROR or NLMSG_DONE message, which lies whole in memory; "" when
 * there is none. */
void nlerr_read_sentence(const struct nlmsghdr *message, char out[NLERR_SENTENCE_SIZE]);

/* Sets `err` to "<errno text>: <sentence>" and, where one can help, what to do about it. `code` is a negative
 * errno; returns it. */
int nlerr_fail(struct am_err *err, int code, const char *sentence);

/* Switches on extended acks and strict checking, as far as this kernel knows them. */
void nlerr_enable(int socket_fd);

#endif
