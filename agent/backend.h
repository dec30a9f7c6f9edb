/* Which WireGuard backend the configuration asks for, in the words of netlink/. */
#ifndef AGENT_BACKEND_H
#define AGENT_BACKEND_H

#include <stdlib.h>

#include "agent/config.h"
#include "netlink/reconcile.h"

static inline enum wg_backend_kind backend_kind(enum config_backend backend)
{
    switch (backend) {
    case CONFIG_BACKEND_KERNEL: return WG_BACKEND_KERNEL;
    case CONFIG_BACKEND_USERSPACE: return WG_BACKEND_USERSPACE;
    case CONFIG_BACKEND_AUTO: return WG_BACKEND_AUTO;
    }
    abort();
}

#endif
