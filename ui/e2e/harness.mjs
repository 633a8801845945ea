// Where the console under test is, and what must never happen on any of its pages.
//
// Without settings the mock server is started. With WELLKEPT_URL (and WELLKEPT_TOKEN) the real one is used, and tests
// that need the mock's story are skipped by name.

import assert from "node:assert/strict";

import { launch } from "./browser.mjs";
import { CSP, startMock } from "./mock-server.mjs";

export { CSP };
/** The real server, when there is one. */
export const REAL = process.env.WELLKEPT_URL?.replace(/\/$/, "") ?? null;
/** How long a page may take to show something. */
export const PATIENCE_MS = 15_000;

export async function start() {
  const mock = REAL === null ? await startMock() : null;
  const browser = await launch();
  return {
    url: mock?.url ?? REAL,
    token: mock?.token ?? process.env.WELLKEPT_TOKEN ?? null,
    mock,
    browser,
    async close() {
      await browser.close();
      await mock?.close();
    },
  };
}

/**
 * Opens `path`, gives the page to `use`, and then fails when anything was asked of another origin, logged as an error,
 * thrown, or stopped by the content security policy. `expected`: errors that the test provokes on purpose.
 */
export async function visit(site, path, use, { expected = null, ...options } = {}) {
  const context = await site.browser.newContext({ locale: "en-GB", viewport: { width: 1280, height: 860 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const bad = [];
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.origin !== site.url && !["data:", "blob:"].includes(url.protocol)) bad.push(`request to ${url.href}`);
  });
  page.on("console", (message) => {
    if (message.type() === "error" && !(expected?.test(message.text()) ?? false)) bad.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => bad.push(`thrown: ${error.message}`));
  await page.addInitScript(() => {
    globalThis.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => {
      globalThis.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
  });
  try {
    await page.goto(site.url + path);
    await page.locator("h1:visible, main .empty").first().waitFor();
    await use(page);
    bad.push(...(await page.evaluate(() => globalThis.violations)).map((one) => `policy: ${one}`));
    assert.deepEqual(bad, [], `on ${path}`);
  } catch (error) {
    if (process.env.E2E_SHOTS) {
      // For a look by eye at what the test has seen.
      await page.screenshot({ path: `${process.env.E2E_SHOTS}/failed-${Date.now()}.png` }).catch(() => {});
    }
    throw error;
  } finally {
    await context.close();
  }
}

/** Waits until `read` gives a value that `fits`; fails with the last one. */
export async function until(read, fits, what, patience = PATIENCE_MS) {
  const end = performance.now() + patience;
  let last = await read();
  while (!fits(last)) {
    assert.ok(performance.now() < end, `${what}: still ${JSON.stringify(last)}`);
    await new Promise((done) => setTimeout(done, 100));
    last = await read();
  }
  return last;
}
