// The story on the real binary: a real service breaks, the console tells it live, a person acts in the browser.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";

import { until, visit } from "./harness.mjs";
import { BROKEN, LONG, PATIENCE_MS, raise } from "./stage.mjs";

const PHONE = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };

/** Waits for an element as long as the product, not the page, may take. */
const appears = (locator) => locator.waitFor({ timeout: PATIENCE_MS });

/** The page stays the one that was loaded; a reload would lose the mark. */
const mark = (page) => page.evaluate(() => { globalThis.stayed = true; });
const assertStayed = async (page) => assert.equal(await page.evaluate(() => globalThis.stayed), true, "the page was never reloaded");

/** Fails, naming the culprits, when anything is wider than the screen. */
async function assertFits(page, what) {
  const wide = () => page.evaluate(() => {
    const out = [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > innerWidth + 0.5 && one.closest(".visually-hidden") === null);
    return { scroll: document.documentElement.scrollWidth, of: innerWidth, out: out.slice(0, 5).map((one) => `${one.tagName}.${one.className}`) };
  });
  await until(wide, (seen) => seen.scroll <= seen.of, what);
}

async function giveToken(page, stage) {
  const who = page.getByRole("dialog", { name: "Who are you?" });
  await who.getByLabel("Token").fill(await stage.token());
  await who.getByRole("button", { name: "Use it" }).click();
}

/** Goes to the newest incident by its card on Now. */
async function openIncident(page) {
  const card = page.locator("article.incident").first();
  await appears(card);
  await card.locator("h3 a").click();
  await page.waitForURL(/\/incidents\/\d+$/);
}

describe("in mode propose", () => {
  let stage;
  before(async () => {
    stage = await raise("propose");
  });
  after(() => stage?.close());

  test("the services are shown well", async () => {
    await visit(stage, "/", async (page) => {
      await page.getByRole("heading", { level: 1, name: "All is well" }).waitFor();
      await page.getByText("2 services are as they should be.").waitFor();
      await page.locator("#service-tiny .badge").getByText("Running").waitFor();
      await page.locator("#service-tiny").getByText("1 of 1").waitFor();
      await page.locator(".fresh").getByText("Live", { exact: true }).waitFor();
      await page.getByText("Propose", { exact: true }).waitFor();
      assert.match(await page.title(), /^Well/);
    });
  });

  test("a killed service becomes an incident live, its plan is approved with the token, and it is verified", async () => {
    await visit(stage, "/", async (page) => {
      await page.getByRole("heading", { level: 1, name: "All is well" }).waitFor();
      await mark(page);
      const killed = await stage.tiny.pid();
      await stage.tiny.kill();

      await appears(page.getByRole("heading", { level: 1, name: /^Not well since/ }));
      const card = page.locator("article.incident").first();
      await appears(card.getByText("A plan waits for your approval"));
      await page.getByText("1 incident is open. A plan waits for your approval.").waitFor();
      await page.locator("#service-tiny .badge").getByText("Down").waitFor();
      await card.getByRole("link", { name: "Look at the plan" }).click();
      await page.waitForURL(/\/incidents\/\d+$/);

      await page.getByRole("button", { name: "Approve the plan" }).click();
      const dialog = page.getByRole("dialog", { name: "Carry out this plan?" });
      await dialog.waitFor();
      assert.match(await dialog.innerText(), /Restart on tiny \(cannot be undone\)/);
      assert.equal(await stage.tiny.answers(), false, "nothing is done before it is approved");
      await dialog.getByRole("button", { name: "Approve the plan" }).click();
      await giveToken(page, stage);
      await page.getByText("Approved. The plan is being carried out.").waitFor();

      await appears(page.locator("header.card").getByText(/Resolved after/));
      for (const word of ["Seen", "Why", "Plan", "Done", "Verified"]) {
        await page.locator(".timeline").getByText(word, { exact: true }).first().waitFor();
      }
      await page.locator(".timeline").getByText("A person approved the plan").waitFor();
      await page.locator(".actions").getByText("approved by a person").waitFor();
      assert.notEqual(await stage.tiny.pid(), killed);
      assert.equal(await stage.tiny.answers(), true, "the service answers again");

      await page.locator("nav a[href='/']").click();
      await appears(page.getByRole("heading", { level: 1, name: "All is well" }));
      await assertStayed(page);
    }, { expected: /401/ });
  });

  test("all actions are stopped from Now with a reason, and allowed again", async () => {
    await visit(stage, "/", async (page) => {
      await page.getByRole("button", { name: "Stop all actions" }).click();
      const ask = page.getByRole("dialog", { name: "Stop all actions?" });
      await ask.getByLabel("Why (others will read it)").fill("moving the database");
      await ask.getByRole("button", { name: "Stop all actions" }).click();
      await giveToken(page, stage);
      await page.locator(".banner").getByText("moving the database").waitFor();
      assert.match((await stage.get("/api/v1/overview")).frozen, /moving the database/);
      await page.getByRole("button", { name: "Allow actions again" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Allow actions again" }).click();
      await page.locator(".banner").waitFor({ state: "detached" });
      assert.equal((await stage.get("/api/v1/overview")).frozen, null);
    }, { expected: /401/ });
  });

  test("the charts of the host are live: their newest point moves on", async () => {
    await visit(stage, "/host", async (page) => {
      await mark(page);
      const newest = new Map();
      page.on("response", async (response) => {
        const asked = new URL(response.url());
        if (asked.pathname !== "/api/v1/query_range" || response.status() !== 200) return;
        const { data } = await response.json().catch(() => ({ data: { result: [] } })); // The page may be gone by now.
        const at = Math.max(0, ...data.result.map((series) => series.values.at(-1)[0]));
        const query = asked.searchParams.get("query");
        newest.set(query, [...(newest.get(query) ?? []), at]);
      });
      for (const title of ["CPU by mode", "Load", "Memory", "CPU by service (of one core)"]) {
        await page.getByRole("heading", { name: title, exact: true }).scrollIntoViewIfNeeded(); // Charts out of sight ask for nothing.
        await appears(page.getByRole("slider", { name: `${title}:` }));
      }
      await page.evaluate(() => scrollTo(0, 0));
      const moved = () => [...newest.values()].filter((times) => times.at(-1) > times[0] && times[0] > Date.now() / 1000 - 120).length;
      await until(moved, (n) => n >= 4, "queries whose newest point has moved on");
      const cpu = page.getByRole("slider", { name: /^CPU by mode/ });
      const spoken = () => cpu.getAttribute("aria-valuetext");
      const first = await spoken();
      assert.match(first, /user [\d.]+ %/);
      await until(spoken, (text) => text !== first, "the newest values of the chart");
      await assertStayed(page);
    });
  });

  test("the language is switched at once, also for what the server says", async () => {
    const { incidents } = await stage.get("/api/v1/incidents?lang=zh-CN");
    await visit(stage, "/incidents", async (page) => {
      await page.getByRole("heading", { level: 1, name: "Incidents" }).waitFor();
      await page.getByLabel("Language").selectOption("zh-CN");
      await page.getByRole("heading", { level: 1, name: "事件" }).waitFor();
      await page.getByRole("link", { name: incidents[0].title }).click();
      await page.getByRole("heading", { level: 1, name: incidents[0].title }).waitFor();
      assert.doesNotMatch(await page.locator("main").innerText(), /\b(Resolved|Verified|moment\.|console\.)/);
    });
  });

  test("in the dark every page is dark", async () => {
    const { incidents } = await stage.get("/api/v1/incidents");
    for (const path of ["/", "/host", "/incidents", `/incidents/${incidents[0].id}`]) {
      await visit(stage, path, async (page) => {
        const light = await page.evaluate(() => {
          const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
          canvas.fillStyle = getComputedStyle(document.body).backgroundColor;
          canvas.fillRect(0, 0, 1, 1);
          return Math.max(...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3));
        });
        assert.ok(light < 60, `${path}: ${light}`);
      }, { colorScheme: "dark" });
    }
  });

  test("nothing is wider than a small phone, with the longest names, in both languages", async () => {
    const { incidents } = await stage.get("/api/v1/incidents");
    assert.ok(incidents.length > 0);
    await stage.breakSetting();
    const waits = async () => (await stage.get("/api/v1/incidents")).incidents[0];
    await until(waits, (one) => one.plan_waiting && one.causes.some((cause) => cause.kind === "bad_setting"), "a plan that waits", PATIENCE_MS);
    for (const locale of ["en-GB", "zh-CN"]) {
      for (const path of ["/", "/host", "/incidents", `/incidents/${incidents[0].id}`]) {
        await visit(stage, path, async (page) => {
          if (path === "/") await page.locator(`#service-${LONG}`).waitFor();
          if (path === "/host") await appears(page.getByRole("slider").last());
          if (path.startsWith("/incidents/")) {
            await page.locator(".timeline li").first().waitFor({ state: "attached" });
            await page.evaluate(() => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
            await page.locator(".timeline li").first().waitFor();
          }
          await assertFits(page, `${path} in ${locale}`);
        }, { ...PHONE, locale });
      }
    }
  });

  test("nor with very long mount points", async () => {
    const overview = await stage.get("/api/v1/overview");
    const mountpoint = `/srv/${"a-very-long-folder-name-without-any-end/".repeat(6)}data`;
    overview.filesystems = [{ mountpoint, size_bytes: 1e15, avail_bytes: 1, full_in_seconds: 12.5 }, ...overview.filesystems];
    await visit({ ...stage, browser: altered(stage.browser, overview) }, "/", async (page) => {
      await page.getByRole("meter", { name: mountpoint }).waitFor();
      await assertFits(page, "/ with a long mount point");
    }, PHONE);
  });
});

/** A browser whose pages get this overview from the server instead of the real one, in the answer and in the stream. */
function altered(browser, overview) {
  const now = () => JSON.stringify({ ...overview, now: Date.now(), last_sample_at: Date.now() });
  return {
    async newContext(options) {
      const context = await browser.newContext(options);
      await context.route(/\/api\/v1\/overview/, (route) => route.fulfill({ contentType: "application/json", body: now() }));
      await context.route(/\/api\/v1\/events/, (route) => route.fulfill({ contentType: "text/event-stream", body: `event: overview\ndata: ${now()}\n\n` }));
      return context;
    },
  };
}

describe("in mode act", () => {
  let stage;
  before(async () => {
    stage = await raise("act");
  });
  after(() => stage?.close());

  test("a broken setting is put back by itself, and a person takes that back in the browser", async () => {
    const good = await readFile(stage.tiny.settings, "utf8");
    await visit(stage, "/", async (page) => {
      await page.getByRole("heading", { level: 1, name: "All is well" }).waitFor();
      await mark(page);
      await stage.breakSetting();
      await openIncident(page);
      await appears(page.locator("header.card").getByText(/Resolved after/));
      assert.equal(await readFile(stage.tiny.settings, "utf8"), good, "the good version is back");
      assert.equal(await stage.tiny.answers(), true);
      const rollback = page.locator(".actions > li").filter({ hasText: "Roll back" }).filter({ hasText: "done" });
      await rollback.getByText("by itself").waitFor();

      await rollback.getByRole("button", { name: "Undo" }).click();
      const dialog = page.getByRole("dialog", { name: "Undo this action?" });
      await dialog.getByText("Take back: Roll back on tiny").waitFor();
      await dialog.getByRole("button", { name: "Undo" }).click();
      await giveToken(page, stage);
      await page.getByText("The action is being undone.").waitFor();
      await appears(page.locator(".actions").getByText("undone", { exact: true }));
      assert.equal(await readFile(stage.tiny.settings, "utf8"), BROKEN, "what was there before is there again");
      await page.locator(".timeline").getByText("A person asked to take a step back").waitFor();
      await assertStayed(page);
    }, { expected: /401/ });
  });
});
