#include "agent/transport/resolver.h"

#include <event2/dns.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define RESOLV_CONF "/etc/resolv.conf"
#define HOSTS "/etc/hosts"

/* What tells one state of a file from another; all zero when there is none. */
struct file_mark {
    ino_t inode;
    off_t size;
    struct timespec modified;
};

struct resolver {
    struct evdns_base *dns;
    struct file_mark resolv_conf;
    struct file_mark hosts;
};

/* A name that does not resolve is reported by its dial. */
static void ignore_log(int is_warning, const char *message)
{
    (void)is_warning;
    (void)message;
}

/* Whether the file is another than the mark says, which then says so. */
static bool file_has_changed(const char *path, struct file_mark *mark)
{
    struct stat status;
    struct file_mark now = {0};
    if (stat(path, &status) == 0)
        now = (struct file_mark){status.st_ino, status.st_size, status.st_mtim};
    const bool changed = now.inode != mark->inode || now.size != mark->size ||
                         now.modified.tv_sec != mark->modified.tv_sec ||
                         now.modified.tv_nsec != mark->modified.tv_nsec;
    *mark = now;
    return changed;
}

struct resolver *resolver_new(struct event_base *base)
{
    struct resolver *resolver = calloc(1, sizeof(*resolver));
    if (!resolver)
        return NULL;
    evdns_set_log_fn(ignore_log);
    resolver->dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (resolver->dns)
        return resolver;
    free(resolver);
    return NULL;
}

void resolver_free(struct resolver *resolver)
{
    if (!resolver)
        return;
    evdns_base_free(resolver->dns, 0);
    free(resolver);
}

struct evdns_base *resolver_dns(struct resolver *resolver)
{
    const bool servers_changed = file_has_changed(RESOLV_CONF, &resolver->resolv_conf);
    const bool hosts_changed = file_has_changed(HOSTS, &resolver->hosts);
    if (!servers_changed && !hosts_changed)
        return resolver->dns;
    evdns_base_clear_host_addresses(resolver->dns);
    evdns_base_clear_nameservers_and_suspend(resolver->dns);
    /* Reads both files. Without a name server 127.0.0.1 is asked, as the C library does. */
    (void)evdns_base_resolv_conf_parse(resolver->dns, DNS_OPTIONS_ALL, RESOLV_CONF);
    evdns_base_resume(resolver->dns);
    return resolver->dns;
}
