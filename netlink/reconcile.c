#include "netlink/reconcile.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "netlink/backend.h"
#include "netlink/plan.h"
#include "netlink/watch.h"

#define RETRY_FIRST_MS 1000
#define RETRY_LAST_MS 60000

struct reconciler {
    enum wg_backend_kind kind;
    const struct wg_backend_ops *ops;
    struct wg_backend *backend;
    struct link_socket *links;
    struct link_watch *watch;
    struct link_interest left; /* what the last pass left */
    bool without_ipv6;         /* in that pass */
    unsigned failed_passes;    /* in a row */
    char ifname[WG_IFNAME_SIZE];
};

static const char *const backend_names[] = {
    [WG_BACKEND_KERNEL] = "kernel", [WG_BACKEND_USERSPACE] = "userspace", [WG_BACKEND_AUTO] = "auto"};

bool wg_backend_parse(const char *name, enum wg_backend_kind *out)
{
    for (size_t i = 0; i < sizeof(backend_names) / sizeof(backend_names[0]); i++) {
        if (strcmp(name, backend_names[i]) == 0) {
            *out = (enum wg_backend_kind)i;
            return true;
        }
    }
    return false;
}

const char *wg_backend_name(enum wg_backend_kind kind)
{
    return backend_names[kind];
}

static int check_capability(struct am_err *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    if (syscall(SYS_capget, &header, data) < 0)
        return am_fail(err, -errno, "capget: %s", strerror(errno));
    if (!(data[CAP_TO_INDEX(CAP_NET_ADMIN)].effective & CAP_TO_MASK(CAP_NET_ADMIN)))
        return am_fail(
            err, AM_ECONFIG,
            "CAP_NET_ADMIN is missing: run as root, or give the container the capability NET_ADMIN");
    return 0;
}

static bool open_backend(struct reconciler *r, enum wg_backend_kind kind, struct am_err *err)
{
    r->kind = kind;
    r->ops = kind == WG_BACKEND_KERNEL ? &wg_kernel_ops : &wg_uapi_ops;
    r->backend = r->ops->open(r->ifname, err);
    return r->backend;
}

/* An interface that a userspace WireGuard drives stays with it: the device outlives the agent. */
static bool open_any_backend(struct reconciler *r, struct am_err *err)
{
    struct am_err kernel_err = {0};
    if (wg_uapi_answers(r->ifname))
        return open_backend(r, WG_BACKEND_USERSPACE, err);
    if (open_backend(r, WG_BACKEND_KERNEL, &kernel_err))
        return true;
    if (open_backend(r, WG_BACKEND_USERSPACE, err))
        return true;
    am_fail_context(err, "%s; nor userspace", kernel_err.text);
    return false;
}

struct reconciler *reconciler_new(enum wg_backend_kind kind, const char *ifname, struct am_err *err)
{
    if (!wg_ifname_valid(ifname)) {
        am_fail(err, AM_ECONFIG, "interface name '%.40s': 1 to 15 of A-Z a-z 0-9 _ - .", ifname);
        return NULL;
    }
    if (check_capability(err) < 0)
        return NULL;
    struct reconciler *r = calloc(1, sizeof(*r));
    if (!r) {
        am_fail(err, -ENOMEM, "no memory for the reconciler");
        return NULL;
    }
    memcpy(r->ifname, ifname, strlen(ifname) + 1);
    memcpy(r->left.ifname, ifname, strlen(ifname) + 1);
    r->links = link_socket_new(err);
    r->watch = r->links ? link_watch_new(err) : NULL;
    if (r->watch)
        r->left.portid = link_socket_portid(r->links);
    const bool opened =
        r->watch && (kind == WG_BACKEND_AUTO ? open_any_backend(r, err) : open_backend(r, kind, err));
    if (!opened) {
        reconciler_free(r);
        return NULL;
    }
    return r;
}

void reconciler_free(struct reconciler *r)
{
    if (!r)
        return;
    if (r->backend)
        r->ops->close(r->backend);
    link_watch_free(r->watch);
    link_socket_free(r->links);
    free(r);
}

enum wg_backend_kind reconciler_backend(const struct reconciler *r)
{
    return r->kind;
}

/* A link of another kind under our name is foreign and stays untouched. */
static int check_kind(const struct reconciler *r, const struct link_identity *identity, struct am_err *err)
{
    if (strcmp(identity->kind, r->ops->link_kind) == 0)
        return 0;
    return am_fail(
        err, AM_ECONFIG,
        "interface %s exists and is of kind '%s', not '%s': remove it, or choose another WG_INTERFACE or "
        "WG_BACKEND",
        r->ifname, identity->kind, r->ops->link_kind);
}

static int observe(struct reconciler *r, struct link_identity *identity, struct wg_device_observed *observed,
                   struct am_err *err)
{
    wg_device_clear(observed);
    int rc = link_observe(r->links, r->ifname, identity, observed, err);
    if (rc < 0 || !observed->exists)
        return rc;
    rc = check_kind(r, identity, err);
    if (rc == 0)
        rc = r->ops->dump(r->backend, observed, err);
    if (rc == -ENODEV) { /* it went away in between */
        wg_device_clear(observed);
        *identity = (struct link_identity){0};
        return 0;
    }
    if (rc == 0)
        wg_device_sort(observed);
    return rc;
}

/* Observes, and makes the device first when there is none. */
static int observe_or_create(struct reconciler *r, struct link_identity *identity,
                             struct wg_device_observed *observed, struct reconcile_result *result,
                             struct am_err *err)
{
    int rc = observe(r, identity, observed, err);
    if (rc < 0 || observed->exists)
        return rc;
    result->planned++;
    rc = r->ops->create(r->backend, r->links, err);
    if (rc < 0)
        return rc;
    result->applied++;
    rc = observe(r, identity, observed, err);
    if (rc == 0 && !observed->exists)
        return am_fail(err, -ENODEV, "%s vanished while it was made", r->ifname);
    return rc;
}

static void note_outcome(struct reconcile_result *result, const struct wg_edit *edit, int rc,
                         const struct am_err *cause)
{
    char text[WG_EDIT_TEXT_SIZE];
    if (rc == 0) {
        result->applied++;
        return;
    }
    if (result->failed++ == 0)
        am_fail(&result->failure, rc, "%s: %s", wg_edit_text(edit, text), cause->text);
}

/* Edits of the WireGuard device, in one go; if it refuses one of them, one by one, to do all others. */
static void apply_wireguard(struct reconciler *r, const struct wg_edit *edits, size_t len,
                            struct reconcile_result *result)
{
    struct am_err cause = {0};
    int rc = r->ops->apply(r->backend, edits, len, &cause);
    if (rc == 0)
        result->applied += len;
    for (size_t i = 0; rc != 0 && i < len; i++) {
        int one = rc;
        if (rc == AM_EREMOTE)
            one = r->ops->apply(r->backend, &edits[i], 1, &cause);
        note_outcome(result, &edits[i], one, &cause);
        if (one != 0)
            rc = one;
    }
}

static void apply_plan(struct reconciler *r, int ifindex, const struct wg_plan *plan,
                       struct reconcile_result *result)
{
    for (size_t i = 0, run; i < plan->len; i += run) {
        const struct wg_edit *edit = &plan->edits[i];
        run = 1;
        if (!wg_edit_is_wireguard(edit->kind)) {
            struct am_err cause = {0};
            const int rc = link_apply(r->links, ifindex, edit, &cause);
            note_outcome(result, edit, rc, &cause);
            continue;
        }
        while (i + run < plan->len && wg_edit_is_wireguard(edit[run].kind))
            run++;
        apply_wireguard(r, edit, run, result);
    }
}

static uint64_t retry_delay_ms(unsigned failed_passes)
{
    const unsigned doublings = failed_passes - 1;
    return doublings < 6 ? (uint64_t)RETRY_FIRST_MS << doublings : RETRY_LAST_MS;
}

static size_t keep_ipv4(struct wg_prefix *list, size_t len)
{
    size_t kept = 0;
    for (size_t i = 0; i < len; i++) {
        if (list[i].family == AF_INET)
            list[kept++] = list[i];
    }
    return kept;
}

/* A host without IPv6 still makes a mesh, by IPv4. */
static struct wg_device_desired fit_to_host(const struct reconciler *r,
                                            const struct wg_device_desired *desired)
{
    struct wg_device_desired fitting = *desired;
    if (!r->without_ipv6 || desired->addresses_len > WG_DEVICE_PREFIXES_MAX)
        return fitting;
    fitting.addresses_len = keep_ipv4(fitting.addresses, fitting.addresses_len);
    fitting.ipv4_only = true;
    return fitting;
}

/* From here on, what differs from this is news. */
static void note_left(struct reconciler *r, int ifindex, const struct wg_device_desired *fitting)
{
    r->left.ifindex = ifindex;
    r->left.mtu = fitting->mtu;
    memcpy(r->left.addresses, fitting->addresses, sizeof(r->left.addresses));
    r->left.addresses_len = fitting->addresses_len;
}

static int plan_and_apply(struct reconciler *r, const struct wg_device_desired *desired, int ifindex,
                          const struct wg_device_observed *observed, struct reconcile_result *result,
                          struct am_err *err)
{
    struct wg_plan plan;
    r->without_ipv6 = !link_enable_ipv6(r->ifname);
    result->without_ipv6 = r->without_ipv6;
    const struct wg_device_desired fitting = fit_to_host(r, desired);
    const int rc = wg_plan_build(&fitting, observed, &plan, err);
    if (rc < 0)
        return rc;
    note_left(r, ifindex, &fitting);
    result->planned += plan.len;
    apply_plan(r, ifindex, &plan, result);
    wg_plan_clear(&plan);
    return 0;
}

static int pass(struct reconciler *r, const struct wg_device_desired *desired,
                struct reconcile_result *result, struct am_err *err)
{
    struct wg_device_observed observed = {0};
    struct link_identity identity;
    /* What was told so far, the dump will show. */
    (void)link_watch_read(r->watch, &r->left);
    int rc = observe_or_create(r, &identity, &observed, result, err);
    if (rc == 0)
        rc = plan_and_apply(r, desired, identity.ifindex, &observed, result, err);
    wg_device_clear(&observed);
    return rc;
}

int reconciler_apply(struct reconciler *r, const struct wg_device_desired *desired, uint64_t now_ms,
                     struct reconcile_result *result, struct am_err *err)
{
    *result = (struct reconcile_result){0};
    const int rc = pass(r, desired, result, err);
    if (rc < 0 || result->failed > 0)
        result->retry_at_ms = now_ms + retry_delay_ms(++r->failed_passes);
    else
        r->failed_passes = 0;
    return rc;
}

int reconciler_apply_peers(struct reconciler *r, const struct bytes32 *own,
                           const struct wg_peer_change *changes, size_t len, struct reconcile_result *result,
                           struct am_err *err)
{
    struct wg_plan plan;
    *result = (struct reconcile_result){.without_ipv6 = r->without_ipv6};
    const int rc = wg_plan_build_changes(own, r->without_ipv6, changes, len, &plan, err);
    if (rc < 0)
        return rc;
    result->planned = plan.len;
    apply_plan(r, r->left.ifindex, &plan, result);
    wg_plan_clear(&plan);
    return 0;
}

int reconciler_compare(const struct reconciler *r, const struct wg_device_desired *desired,
                       const struct wg_device_observed *observed, size_t *edits, struct am_err *err)
{
    struct wg_plan plan;
    const struct wg_device_desired fitting = fit_to_host(r, desired);
    const int rc = wg_plan_build(&fitting, observed, &plan, err);
    *edits = plan.len;
    wg_plan_clear(&plan);
    return rc;
}

int reconciler_watch_fd(const struct reconciler *r)
{
    return link_watch_fd(r->watch);
}

bool reconciler_watch_read(struct reconciler *r)
{
    return link_watch_read(r->watch, &r->left);
}

int reconciler_observe(struct reconciler *r, struct wg_device_observed *observed, struct am_err *err)
{
    struct link_identity identity;
    return observe(r, &identity, observed, err);
}

/* The link, when it is there and ours; otherwise ifindex is 0. */
static int find_own(struct reconciler *r, struct link_identity *identity, struct am_err *err)
{
    const int rc = link_identify(r->links, r->ifname, identity, err);
    return rc < 0 || identity->ifindex == 0 ? rc : check_kind(r, identity, err);
}

int reconciler_silence(struct reconciler *r, struct am_err *err)
{
    struct link_identity identity;
    const int rc = find_own(r, &identity, err);
    return rc < 0 || identity.ifindex == 0 ? rc : link_set_down(r->links, identity.ifindex, err);
}

int reconciler_remove(struct reconciler *r, struct am_err *err)
{
    struct link_identity identity;
    const int rc = find_own(r, &identity, err);
    return rc < 0 || identity.ifindex == 0 ? rc : link_remove(r->links, r->ifname, err);
}
