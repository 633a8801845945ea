// The mock's story: one open incident, and what a person can do about it. Not run against a real server.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { REAL, start, until, visit } from "./harness.mjs";
import { newWorld } from "./mock-data.mjs";

describe("the story of the mock", { skip: REAL === null ? false : "needs the mock server" }, () => {
  let site;
  before(async () => {
    site = await start();
  });
  beforeEach(() => Object.assign(site.mock.world, newWorld()));
  after(() => site.close());

  test("what is not well is said, since when, why, and what is being done", async () => {
    await visit(site, "/", async (page) => {
      await page.getByRole("heading", { level: 1, name: /^Not well since/ }).waitFor();
      const card = page.locator("article").first();
      for (const text of ["app does not stay up", "Critical", "Diagnosing", "Bad setting", "DATABASE_URL vanished", "Restart", "A plan waits for your approval"]) {
        await card.getByText(text).first().waitFor();
      }
      await page.locator("#service-app .badge").getByText("Down").waitFor();
      await page.locator("#service-web .badge").getByText("Failing").waitFor();
      await page.getByText("Full in 5 h 24 min").waitFor();
      assert.match(await page.title(), /^Not well \(1\)/);
    });
  });

  test("an incident is approved, seen to end, and undone", async () => {
    await visit(site, `/incidents/12#token=${site.token}`, async (page) => {
      await page.getByRole("button", { name: "Approve the plan" }).click();
      const dialog = page.getByRole("dialog", { name: "Carry out this plan?" });
      await dialog.getByText("Roll back on app · /srv/shop/env (can be put back)").waitFor();
      await dialog.getByText("Restart on app (cannot be undone)").waitFor();
      await dialog.getByRole("button", { name: "Approve the plan" }).click();
      await page.getByText("Approved. The plan is being carried out.").waitFor();
      await page.getByText("Quiet for 5 s and the health check passes.").waitFor();
      await page.getByText("Put back version 3f9a12").waitFor();

      await page.getByRole("button", { name: "Undo" }).click();
      await page.getByRole("dialog").getByText("Take back: Roll back on app · /srv/shop/env").waitFor();
      await page.getByRole("dialog").getByRole("button", { name: "Undo" }).click();
      await page.getByText("undone", { exact: true }).waitFor();

      await page.keyboard.press("g");
      await page.keyboard.press("n");
      await page.getByRole("heading", { level: 1, name: "All is well" }).waitFor();
    });
  });

  test("of an incident that came back the last round is shown, and the first when asked for", async () => {
    await visit(site, "/incidents/11", async (page) => {
      const [first, last] = [page.locator("details").filter({ hasText: "The first time" }), page.locator("details").filter({ hasText: "It is back (time 1)" })];
      await last.getByText("Resolved.").waitFor();
      await first.getByText("3 entries").waitFor();
      assert.equal(await first.getByText("Resolved.").isVisible(), false);
      await first.locator("summary").click();
      await first.getByText("Resolved.").waitFor();
    });
  });

  test("an incident is handed over", async () => {
    await visit(site, `/incidents/12#token=${site.token}`, async (page) => {
      await page.getByRole("button", { name: "Hand over to a person" }).click();
      await page.getByRole("dialog").getByText("No further action on incident 12").waitFor();
      await page.getByRole("dialog").getByRole("button", { name: "Hand over to a person" }).click();
      await page.locator("header.card").getByText("Needs a person").waitFor();
    });
  });

  test("evidence shows its chart, and can hide it", async () => {
    await visit(site, "/incidents/12", async (page) => {
      await page.getByRole("slider").first().waitFor();
      await page.getByRole("button", { name: "Hide chart" }).click();
      await page.getByRole("slider").first().waitFor({ state: "detached" });
      await page.getByRole("button", { name: "Show chart" }).first().click();
      await page.getByRole("slider").first().waitFor();
    });
  });

  test("what hosts say is text, never markup", async () => {
    await visit(site, "/incidents/12", async (page) => {
      await page.getByText("<img src=x onerror=alert(1)>").first().waitFor();
      // The findings and the lines of the logs say it.
      await page.getByText("uploaded <img src=x onerror=alert(1)>").waitFor();
      assert.equal(await page.locator("img").count(), 0);
    });
  });

  test("times are relative, and exact when asked", async () => {
    await visit(site, "/incidents/12", async (page) => {
      const time = page.locator("header.card time").first();
      assert.match(await time.innerText(), /ago$/);
      assert.match((await time.getAttribute("title")) ?? "", /\d{4}.*\d\d:\d\d:\d\d/);
    });
  });

  test("the list shows open ones or all", async () => {
    await visit(site, "/incidents", async (page) => {
      assert.equal(await page.locator("main ul.list > li").count(), 4);
      await page.getByText("Open", { exact: true }).first().click();
      await until(() => page.locator("main ul.list > li").count(), (n) => n === 1, "open incidents");
      await page.locator("main ul.list a").click();
      await page.waitForURL(`${site.url}/incidents/12`);
    });
  });

  test("a dead stream is seen, nothing looks well meanwhile, and the page comes back by itself", async () => {
    await visit(
      site,
      "/",
      async (page) => {
        await page.locator(".fresh").getByText("Live", { exact: true }).waitFor();
        site.mock.sleep();
        await page.getByRole("alert").getByText(/No news for \d+ s/).waitFor();
        await page.getByRole("heading", { level: 1, name: "Not known" }).waitFor();
        assert.match(await page.title(), /^No news/);
        site.mock.wake();
        await page.getByRole("alert").waitFor({ state: "detached" });
        await page.locator(".fresh").getByText("Live", { exact: true }).waitFor();
      },
      { expected: /ERR_EMPTY_RESPONSE|ERR_CONNECTION|ERR_INCOMPLETE/ },
    );
  });

  test("a server that is not there from the start is said so", async () => {
    site.mock.sleep();
    await visit(
      site,
      "/",
      async (page) => {
        await page.getByText("Wellkept does not answer").waitFor();
        site.mock.wake();
        await page.getByRole("button", { name: "Try again" }).click();
        await page.getByRole("heading", { level: 1, name: /^Not well/ }).waitFor();
      },
      { expected: /ERR_/ },
    );
  });
});
