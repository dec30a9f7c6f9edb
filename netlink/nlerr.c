#include "netlink/nlerr.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Where the attributes begin: behind the error number, for NLMSG_ERROR also behind the request that it
 * quotes. */
static size_t attributes_offset(const struct nlmsghdr *message)
{
    if (message->nlmsg_type == NLMSG_DONE)
        return sizeof(int);
    const struct nlmsgerr *error = mnl_nlmsg_get_payload(message);
    size_t offset = sizeof(*error);
    if (!(message->nlmsg_flags & NLM_F_CAPPED) && error->msg.nlmsg_len > sizeof(error->msg))
        offset += NLMSG_ALIGN((size_t)error->msg.nlmsg_len) - sizeof(error->msg);
    return offset;
}

void nlerr_read_sentence(const struct nlmsghdr *message, char out[NLERR_SENTENCE_SIZE])
{
    const size_t least = message->nlmsg_type == NLMSG_DONE ? sizeof(int) : sizeof(struct nlmsgerr);
    const size_t payload_len = mnl_nlmsg_get_payload_len(message);
    out[0] = '\0';
    if (!(message->nlmsg_flags & NLM_F_ACK_TLVS) || payload_len < least)
        return;
    const size_t offset = attributes_offset(message);
    if (offset > payload_len)
        return;
    const char *end = mnl_nlmsg_get_payload_tail(message);
    const struct nlattr *attr = mnl_nlmsg_get_payload_offset(message, offset);
    for (; mnl_attr_ok(attr, (int)(end - (const char *)attr)); attr = mnl_attr_next(attr)) {
        if (mnl_attr_get_type(attr) != NLMSGERR_ATTR_MSG)
            continue;
        snprintf(out, NLERR_SENTENCE_SIZE, "%.*s", mnl_attr_get_payload_len(attr),
                 (const char *)mnl_attr_get_payload(attr));
        return;
    }
}

static const char *hint(int code)
{
    switch (-code) {
    case EPERM: return " (needs CAP_NET_ADMIN)";
    case EOPNOTSUPP: return " (this kernel does not support it)";
    default: return "";
    }
}

int nlerr_fail(struct am_err *err, int code, const char *sentence)
{
    return am_fail(err, code, "%s%s%s%s", strerror(-code), sentence[0] ? ": " : "", sentence, hint(code));
}

void nlerr_enable(int socket_fd)
{
    const int on = 1;
    /* Each is a comfort: a kernel that does not know one still works. */
    (void)setsockopt(socket_fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
    (void)setsockopt(socket_fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
    (void)setsockopt(socket_fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
}
