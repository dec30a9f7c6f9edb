// Opens a page in Chromium without scripts, photographs it and prints what is on it as JSON.
//
//   visit.mjs CHROMIUM URL PNG_FILE

import { chromium } from "playwright-core";

const [executablePath, url, file] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
try {
  const context = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 1200, height: 900 } });
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => complaints.push(message.text()));
  page.on("requestfailed", (request) => complaints.push(request.url()));
  const requests = [];
  page.on("requestfinished", (request) => requests.push(request.url()));
  await page.goto(url, { timeout: 60_000 });
  await page.screenshot({ path: file, fullPage: true });
  console.log(JSON.stringify({
    circles: await page.locator("circle").count(),
    lines: await page.locator("line").count(),
    styled: requests.some((request) => request.endsWith("/page.css")),
    complaints,
  }));
} finally {
  await browser.close();
}
