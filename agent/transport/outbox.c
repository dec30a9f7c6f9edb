#include "agent/transport/outbox.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#include "agent/transport/loopback.h"

/* The source address, and the size of a run's datagrams when it has several. */
union run_control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(uint16_t))];
};

struct dispatch {
    struct mmsghdr messages[OUTBOX_RUNS];
    struct iovec parts[OUTBOX_RUNS];
    union run_control controls[OUTBOX_RUNS];
};

static bool run_continues(const struct outbox_run *run, uint32_t index, size_t len)
{
    return !run->closed && run->index == index && len && len <= run->datagram_size &&
           run->len + len <= OUTBOX_RUN_SIZE_MAX;
}

bool outbox_put(struct outbox *outbox, uint32_t index, const uint8_t *data, size_t len)
{
    if (OUTBOX_SIZE - outbox->len < len)
        return false;
    struct outbox_run *run = outbox->run_count ? &outbox->runs[outbox->run_count - 1] : NULL;
    if (!run || !run_continues(run, index, len)) {
        if (outbox->run_count == OUTBOX_RUNS)
            return false;
        run = &outbox->runs[outbox->run_count++];
        *run = (struct outbox_run){.index = index, .datagram_size = (uint16_t)len, .offset = outbox->len};
    }
    memcpy(outbox->bytes + outbox->len, data, len);
    outbox->len += len;
    run->len += len;
    run->count++;
    run->closed = len < run->datagram_size || run->count == OUTBOX_SEGMENTS_MAX;
    return true;
}

static void control_fill(struct msghdr *message, const struct outbox_run *run, unsigned ifindex)
{
    const struct in_pktinfo source = {.ipi_ifindex = (int)ifindex,
                                      .ipi_spec_dst.s_addr = htonl(loopback_address_of_index(run->index))};
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    header->cmsg_level = IPPROTO_IP;
    header->cmsg_type = IP_PKTINFO;
    header->cmsg_len = CMSG_LEN(sizeof(source));
    memcpy(CMSG_DATA(header), &source, sizeof(source));
    if (run->count == 1) {
        message->msg_controllen = CMSG_SPACE(sizeof(source));
        return;
    }
    header = CMSG_NXTHDR(message, header);
    header->cmsg_level = SOL_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof(run->datagram_size));
    memcpy(CMSG_DATA(header), &run->datagram_size, sizeof(run->datagram_size));
}

static void dispatch_fill(struct dispatch *dispatch, struct outbox *outbox, unsigned ifindex,
                          const struct sockaddr_in *to)
{
    for (size_t i = 0; i < outbox->run_count; i++) {
        const struct outbox_run *run = &outbox->runs[i];
        dispatch->controls[i] = (union run_control){0};
        dispatch->parts[i] = (struct iovec){outbox->bytes + run->offset, run->len};
        dispatch->messages[i].msg_hdr = (struct msghdr){.msg_name = (void *)(uintptr_t)to,
                                                        .msg_namelen = sizeof(*to),
                                                        .msg_iov = &dispatch->parts[i],
                                                        .msg_iovlen = 1,
                                                        .msg_control = &dispatch->controls[i],
                                                        .msg_controllen = sizeof(dispatch->controls[i])};
        control_fill(&dispatch->messages[i].msg_hdr, run, ifindex);
    }
}

void outbox_send(struct outbox *outbox, int fd, unsigned ifindex, const struct sockaddr_in *to,
                 outbox_sent_fn sent, void *user)
{
    struct dispatch dispatch;
    dispatch_fill(&dispatch, outbox, ifindex, to);
    for (size_t done = 0; done < outbox->run_count;) {
        const int taken = sendmmsg(fd, dispatch.messages + done, (unsigned)(outbox->run_count - done),
                                   MSG_DONTWAIT | MSG_NOSIGNAL);
        if (taken < 0 && errno == EINTR)
            continue;
        if (taken < 0)
            sent(user, &outbox->runs[done++], -errno);
        for (int i = 0; i < taken; i++)
            sent(user, &outbox->runs[done++], 0);
    }
    outbox->run_count = 0;
    outbox->len = 0;
}
