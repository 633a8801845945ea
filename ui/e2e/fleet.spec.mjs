// The page of the fleet: runs, one run with its hosts, agents, deployments. Against the mock only: it has the story.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { REAL, start, until, visit } from "./harness.mjs";

const RUN = "/fleet/runs/001700000400000-7";
const PLAY = "/fleet/runs/001700000300000-7";
const TABS = ["/fleet", "/fleet?tab=agents", "/fleet?tab=deployments"];

describe("the fleet", { skip: REAL !== null && "needs the mock's story" }, () => {
  let site;
  before(async () => {
    site = await start();
  });
  after(() => site.close());

  const withToken = (path) => `${path}#token=${site.token}`;

  test("runs are listed newest first with what, who, where and how many hosts went how", async () => {
    await visit(site, "/fleet", async (page) => {
      const rows = page.locator("ul.list > li");
      await rows.first().waitFor();
      const first = rows.first();
      assert.match(await first.innerText(), /failed[\s\S]*Command[\s\S]*uptime[\s\S]*web:&prod[\s\S]*ann/);
      const counts = (await first.locator(".counts").innerText()).replace(/\s+/g, " ");
      assert.equal(counts, "1 failed 1 not reached 1 unknown 1 not begun 3 ok");
      assert.match(await rows.nth(2).innerText(), /damaged[\s\S]*001700000250000-9[\s\S]*cannot be read/);
      assert.match(await rows.nth(3).innerText(), /only looked/);
      assert.match(await rows.nth(4).innerText(), /\+\d+ characters/, "long commands are cut");
      assert.equal(await page.locator("nav a[href='/fleet']").getAttribute("aria-current"), "page");
    });
  });

  test("a new run appears by itself, and older ones on demand", async () => {
    await visit(site, "/fleet", async (page) => {
      const rows = page.locator("ul.list > li");
      await until(() => rows.count(), (n) => n === 50, "the first page");
      await page.getByRole("button", { name: "Show older runs" }).click();
      await until(() => rows.count(), (n) => n === 100, "two pages");
      site.mock.world.runs.push({ at: 1_800_000_000_000, what: ["brand", "new"], id: "001800000000000-7" });
      await rows.first().getByText("brand new").waitFor();
      assert.equal(await rows.count(), 101, "what was read before stays");
      site.mock.world.runs.length = 0;
    });
  });

  test("runs are chosen by kind and host, and the address keeps the choice", async () => {
    await visit(site, "/fleet", async (page) => {
      await page.getByLabel("Kind").selectOption("play");
      await page.locator("ul.list").getByText("site.yml").waitFor();
      await until(() => page.locator("ul.list > li").count(), (n) => n === 2, "plays, and the damaged one");
      await page.getByLabel("Hosts whose name contains").fill("web1");
      await page.waitForURL((url) => url.searchParams.get("kind") === "play" && url.searchParams.get("host") === "web1");
      await page.getByLabel("Hosts whose name contains").fill("nowhere");
      await page.waitForURL((url) => url.searchParams.get("host") === "nowhere");
      await page.reload();
      await until(() => page.locator("ul.list > li").count(), (n) => n === 1, "only the damaged one");
      assert.equal(await page.getByLabel("Hosts whose name contains").inputValue(), "nowhere");
      await page.goBack();
      await page.locator("ul.list").getByText("brand").waitFor({ state: "detached" });
    });
  });

  test("one run needs the token, which is asked for in place", async () => {
    await visit(site, RUN, async (page) => {
      await page.getByText("This needs the token").waitFor();
      await page.getByRole("button", { name: "Give the token" }).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByLabel("Token").fill("wrong");
      await dialog.getByRole("button", { name: "Use it" }).click();
      await page.getByRole("dialog").getByRole("alert").waitFor();
      await page.getByRole("dialog").getByLabel("Token").fill(site.token);
      await page.getByRole("dialog").getByRole("button", { name: "Use it" }).click();
      await page.getByRole("heading", { level: 1, name: "Command" }).waitFor();
    }, { expected: /401/ });
  });

  test("a run shows its hosts with what they said, and nothing of it can act or mislead", async () => {
    await visit(site, withToken(RUN), async (page) => {
      const hosts = page.locator("ul.hosts > li");
      await until(() => hosts.count(), (n) => n === 7, "hosts");
      assert.match(await hosts.first().innerText(), /web2\.prod\.example/, "what failed comes first");
      await hosts.first().locator("summary").click();
      const said = await hosts.first().locator(".said").innerText();
      assert.match(said, /\\u\{1b\}\[31mred\\u\{1b\}\[0m/);
      assert.match(said, /<img src=x onerror=alert\(1\)><b>bold<\/b>\tafter a tab/);
      assert.match(said, /safe\\u\{202e\}gnp\.exe/);
      assert.match(said, /47\.1 KiB more were not kept/);
      assert.equal(await hosts.first().locator(".said b, .said img").count(), 0);

      const long = hosts.filter({ hasText: "averylongname" });
      await long.locator("summary").click();
      assert.equal((await long.locator("pre").innerText()).split("\n").length, 100, "only so many lines are drawn");
      await long.getByRole("button", { name: "Show 250 more lines" }).click();
      await long.getByText("line 350").waitFor();

      const left = hosts.filter({ hasText: "web7" });
      await left.locator("summary").click();
      await left.getByRole("button", { name: "Show those of this host" }).click();
      await left.getByText("told alone").waitFor();

      await page.getByText("Of 1 host the record is damaged").waitFor();
      await page.getByText("not reached 1").click();
      await until(() => hosts.count(), (n) => n === 1, "hosts that were not reached");
      await page.getByLabel("Search hosts").fill("none of them");
      await page.getByText("No host fits this choice").waitFor();
      await page.getByRole("link", { name: "All runs" }).click();
      await page.waitForURL(`${site.url}/fleet`);
    });
  });

  test("a playbook's run shows counts and failed tasks, and hides what no_log hides", async () => {
    await visit(site, withToken(PLAY), async (page) => {
      const hosts = page.locator("ul.hosts > li");
      const failed = hosts.filter({ hasText: "app2" });
      await failed.getByText("web : install packages").waitFor();
      const text = await failed.innerText();
      assert.match(text, /6 ok[\s\S]*1 changed[\s\S]*1 failed[\s\S]*1 ignored/);
      assert.match(text, /No package matching '<img src=x onerror=alert\(1\)><b>bold<\/b>'/);
      assert.match(text, /web : probe · failed \(ignored\)/);
      assert.match(text, /web : set a password · failed\s+What it said is hidden by no_log/);
    });
  });

  test("a run that is not there is said so", async () => {
    await visit(site, withToken("/fleet/runs/1-1"), async (page) => {
      await page.getByText("There is no recorded run 1-1.").waitFor();
    }, { expected: /404/ });
  });

  test("agents are told with when they were heard and what waits for them", async () => {
    await visit(site, "/fleet", async (page) => {
      await page.getByText("Agents", { exact: true }).click();
      const rows = page.locator("tbody tr");
      await until(() => rows.count(), (n) => n === 5, "agents");
      assert.match(await rows.first().innerText(), /edge-7\s+silent\s+5 h( 1 min)? ago/, "what needs a look comes first");
      assert.match(await rows.first().innerText(), /412 18 dropped/);
      assert.match(await rows.nth(1).innerText(), /fresh\s+not heard yet\s+–/);
      await page.waitForURL((url) => url.searchParams.get("tab") === "agents");
    });
  });

  test("deployments are told by app, with what each host has now", async () => {
    await visit(site, "/fleet?tab=deployments", async (page) => {
      const shop = page.locator("section.app").filter({ hasText: "/srv/shop" });
      await shop.waitFor();
      assert.match(await shop.locator(".now").innerText(), /1\.4\.2\s+9 hosts: web1, web2[\s\S]*… \+1[\s\S]*1\.4\.1\s+not certain/);
      assert.match(await shop.innerText(), /the share of errors rose/);
      assert.match(await shop.innerText(), /1 record cannot be read: 000001700000000000-9/);
      assert.equal(await shop.locator("ol > li").count(), 5);
      await shop.getByRole("button", { name: "Show 2 more" }).click();
      assert.equal(await shop.locator("ol > li").count(), 7);
      await page.locator("section.app").filter({ hasText: "its journals have 70000000 bytes" }).waitFor();
      await page.locator("section.app").filter({ hasText: "/srv/api" }).getByText("under way").first().waitFor();
    });
  });

  test("where nothing is recorded, the command that would make the first entry is told", async () => {
    site.mock.world.noFleet = true;
    try {
      for (const [path, command] of [["/fleet", "wellkept run"], ["/fleet?tab=agents", "wellkept enroll"], ["/fleet?tab=deployments", "wellkept deploy"]]) {
        await visit(site, path, (page) => page.locator("pre").getByText(command).waitFor());
      }
    } finally {
      site.mock.world.noFleet = false;
    }
  });

  test("the keyboard reaches the page and opens a host", async () => {
    await visit(site, withToken("/"), async (page) => {
      await page.keyboard.press("g");
      await page.keyboard.press("f");
      await page.getByRole("heading", { level: 1, name: "Fleet" }).waitFor();
      await page.locator("ul.list a").first().focus();
      await page.keyboard.press("Enter");
      await page.waitForURL(/\/fleet\/runs\//);
      const host = page.locator("ul.hosts > li").first();
      await host.locator("summary").focus();
      await page.keyboard.press("Enter");
      await host.locator(".said").waitFor();
    });
  });

  test("nothing is wider than a small phone, in both languages", async () => {
    for (const locale of ["en-GB", "zh-CN"]) {
      for (const path of [...TABS, RUN, PLAY]) {
        await visit(site, withToken(path), async (page) => {
          await page.locator("ul.list > li, ul.hosts > li, tbody tr, section.app").first().waitFor();
          for (const summary of await page.locator("ul.hosts summary").all()) await summary.click();
          const wide = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, of: innerWidth }));
          assert.ok(wide.scroll <= wide.of, `${path} in ${locale}: ${JSON.stringify(wide)}`);
          const text = await page.locator("main").innerText();
          assert.doesNotMatch(text, /\b(fleet|agents|apps|deployment)(_\w+)?\.[a-z]/, `${path} in ${locale} has all its texts`);
        }, { locale, viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
      }
    }
  });
});
