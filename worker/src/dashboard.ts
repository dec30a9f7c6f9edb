import page from "./dashboard.html";

const HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy":
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'",
  "cache-control": "no-store",
};

/**
 * The page that shows `GET /stats` as a chart. It holds no figures itself: the reader's token fetches them.
 */
export function dashboard(): Response {
  return new Response(page, { headers: HEADERS });
}
