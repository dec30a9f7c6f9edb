/* Pages for operators, to look at only: all clusters, and one with its members, its mesh and its latest
 * events. Plain HTML that needs no script; it loads itself anew every few seconds. What is long is cut, and
 * says so. */
#ifndef INDEXER_PAGE_H
#define INDEXER_PAGE_H

#include "indexer/ops.h"

#define PAGE_CLUSTERS_MAX 200
#define PAGE_MEMBERS_MAX 1000
#define PAGE_HISTORY_MAX 10000 /* registrations, removals and new keys read for them */
#define PAGE_EVENTS_MAX 50
#define PAGE_DRAWN_MAX 48 /* members in the picture */

/* What the browser may load: the style sheet from here, nothing from anywhere else. */
#define PAGE_POLICY                                                                                          \
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

struct evbuffer;

/* Where the pages take things from; store and hub are NULL until the service serves. */
struct page_source {
    struct store *store;
    const struct hub *hub;
    struct ops_view view;
};

enum page_result {
    PAGE_HTML,
    PAGE_STYLE, /* CSS */
    PAGE_UNKNOWN
};

/* Writes what is at `path` to `out`. */
enum page_result page_write(const struct page_source *source, const char *path, struct evbuffer *out);

#endif
