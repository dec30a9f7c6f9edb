/* The style sheet of the operators' pages. */
#ifndef INDEXER_PAGE_STYLE_H
#define INDEXER_PAGE_STYLE_H

static const char page_style[] =
    ":root{color-scheme:light dark;--line:#8885;--quiet:#888;--good:#2a8f4f;--bad:#c43c2f}"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:0 auto;padding:0 1.5rem 3rem}"
    "header{display:flex;flex-wrap:wrap;gap:.4rem 1rem;align-items:baseline;padding:1rem 0;"
    "border-bottom:1px solid var(--line)}"
    "header a{font-weight:700;font-size:1.2rem;color:inherit;text-decoration:none}"
    "header p{margin:0 0 0 auto;color:var(--quiet)}"
    ".good,.bad{color:#fff;border-radius:1em;padding:0 .7em;font-size:.85rem}"
    ".good{background:var(--good)}.bad{background:var(--bad)}"
    "section p{color:var(--quiet);font-size:.85rem}"
    "h1{font-size:1.3rem;overflow-wrap:anywhere}h2{font-size:1rem;margin-top:2rem}"
    "code{font:13px/1.5 ui-monospace,monospace}"
    "table{border-collapse:collapse;width:100%;display:block;overflow-x:auto}"
    "th{text-align:left;font-weight:500;color:var(--quiet)}"
    "th,td{padding:.35rem 1rem .35rem 0;border-bottom:1px solid var(--line);white-space:nowrap}"
    ".gone{color:var(--quiet);text-decoration:line-through}"
    ".pair{display:flex;flex-wrap:wrap;gap:2rem}.pair section{flex:1 1 22rem;min-width:0}"
    "ol{list-style:none;margin:0;padding:0;max-height:24rem;overflow-y:auto;border-left:2px solid "
    "var(--line)}"
    "li{padding:.15rem 0 .15rem 1rem}time{color:var(--quiet);display:inline-block;min-width:10rem}"
    "svg{width:100%;max-width:26rem}line{stroke:var(--good);stroke-opacity:.45}"
    "line.away{stroke:var(--line);stroke-dasharray:3 4}circle{fill:var(--good)}"
    ".away circle{fill:#999}text{fill:#fff;font-size:12px;text-anchor:middle}";

#endif
