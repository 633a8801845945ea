// The logs' page. It needs what the mock tells.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { REAL, start, until, visit } from "./harness.mjs";
import { LOG_HUGE, LOG_MARKUP, idOf } from "./mock-logs.mjs";

const ask = (query, more = "") => `/logs?q=${encodeURIComponent(query)}${more}`;

describe("the logs' page", { skip: REAL !== null && "needs the mock's data" }, () => {
  let site;
  before(async () => {
    site = await start();
  });
  after(() => site.close());

  const rows = (page) => page.locator("[data-row]");
  const editor = (page) => page.getByRole("textbox", { name: "Query" });
  const words = (page) => page.getByRole("searchbox", { name: "Words in the text" });
  const bars = (page) => page.getByRole("slider", { name: /^Lines over time/ });
  const total = async (page) => Number((await page.locator(".legend strong").innerText()).replace(/\D/g, ""));
  const tab = (page, text) => page.locator("fieldset label", { hasText: text });
  const asked = (page, what) => page.waitForRequest((request) => new URL(request.url()).pathname === `/api/v1/logs/${what}`);
  const queryOf = (page) => new URL(page.url()).searchParams.get("q");

  test("shows the newest lines with level, service and text, and their number over time", async () => {
    await visit(site, "/logs", async (page) => {
      await rows(page).first().waitFor();
      assert.equal(await rows(page).count(), 200);
      await page.getByText("200 lines shown").waitFor();
      assert.ok((await total(page)) > 900);
      const item = page.locator("li.item").first();
      assert.match(await item.innerText(), /\d\d:\d\d:\d\d\.\d{3}/);
      assert.match(await item.innerText(), /Error/);
    });
  });

  test("words and levels make the query, and the query makes words and levels", async () => {
    await visit(site, "/logs", async (page) => {
      await rows(page).first().waitFor();
      await words(page).pressSequentially("Timeout -88ms");
      await words(page).press("Enter");
      await until(() => editor(page).inputValue(), (text) => text === '|~ "(?i)Timeout" !~ "(?i)88ms"', "the query of words");
      await page.locator("mark", { hasText: "timeout" }).first().waitFor();
      await page.locator(".levels button", { hasText: "Error" }).click();
      await until(() => queryOf(page), (text) => text === '{level="error"} |~ "(?i)Timeout" !~ "(?i)88ms"', "the query with a level");
      await until(() => page.locator("li.item:not(.error)").count(), (n) => n === 0, "only errors");
      await editor(page).fill('{level=~"warn|error"} |= "db-1"');
      await editor(page).press("Enter");
      await until(() => words(page).inputValue(), (text) => text === "db-1", "the words of the query");
      assert.equal(await page.locator(".levels button[aria-pressed=true]").count(), 2);
      assert.ok(!(await page.getByLabel("Upper and lower case are the same").isChecked()));
      await page.goBack();
      await until(() => words(page).inputValue(), (text) => text === "Timeout -88ms", "the words of before");
    });
  });

  test("a query for numbers is drawn over time, and lines come back with a query for lines", async () => {
    await visit(site, ask('sum by (service) (rate({level!="debug"}[5m]))'), async (page) => {
      const graph = page.getByRole("region", { name: "Numbers over time" });
      await graph.locator("canvas").waitFor();
      await graph.getByText('{service="app"}', { exact: true }).waitFor();
      assert.equal(await rows(page).count(), 0);
      assert.equal(await page.getByRole("button", { name: "Live" }).count(), 0);
      await editor(page).fill("sum(rate([5m]))");
      await editor(page).press("Enter");
      await page.getByText("expected `{`").first().waitFor();
      assert.equal(await graph.locator("canvas").count(), 0);
      await editor(page).fill('{service="app"}');
      await editor(page).press("Enter");
      await rows(page).first().waitFor();
      assert.equal(await graph.count(), 0);
    }, { expected: /400/ });
  });

  test("names and values are suggested while a query is typed", async () => {
    await visit(site, "/logs", async (page) => {
      const list = page.getByRole("listbox", { name: "Suggestions" });
      await editor(page).pressSequentially("{se");
      await list.getByRole("option", { name: /^service/ }).waitFor();
      await page.keyboard.press("Tab");
      await editor(page).pressSequentially('="');
      await list.getByRole("option", { name: "db value" }).waitFor();
      await editor(page).pressSequentially("d");
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("Enter");
      await editor(page).pressSequentially('"} | lo');
      await page.keyboard.press("Tab");
      assert.equal(await editor(page).inputValue(), '{service="db"} | logfmt');
      await page.keyboard.press("Enter");
      await list.waitFor({ state: "detached" });
      await until(() => queryOf(page), (text) => text === '{service="db"} | logfmt', "the query");
    });
  });

  test("values at the side are chosen, added, left out and taken back", async () => {
    await visit(site, "/logs", async (page) => {
      const value = (name) => page.getByRole("checkbox", { name: new RegExp(`^${name}\\s`) });
      await value("app").click();
      await until(() => queryOf(page), (text) => text === '{service="app"}', "one service");
      // Others can still be added, because the label is counted without its own choice.
      await value("db").click();
      await until(() => queryOf(page), (text) => text === '{service=~"app|db"}', "two services");
      await page.getByRole("button", { name: "Without Host = db-1" }).click();
      await until(() => queryOf(page), (text) => text === '{service=~"app|db", host!="db-1"}', "without a host");
      await value("app").click();
      await value("db").click();
      await until(() => queryOf(page), (text) => text === '{host!="db-1"}', "what is left");
    });
  });

  test("an error of the query is shown at its place, and nothing of before stays", async () => {
    await visit(
      site,
      ask('{dienst="größe"} nonsense here'),
      async (page) => {
        await page.getByText("found `nonsense`").waitFor();
        assert.equal(await page.locator(".place mark").innerText(), "nonsense");
        assert.equal(await editor(page).getAttribute("aria-invalid"), "true");
        assert.equal(await rows(page).count(), 0);
        await editor(page).fill('{service="app"');
        await editor(page).press("Enter");
        await page.getByText("found the end").waitFor();
      },
      { expected: /400/ },
    );
  });

  test("more lines come from behind the last one, and the order can be turned", async () => {
    await visit(site, "/logs", async (page) => {
      await rows(page).first().waitFor();
      const request = asked(page, "search");
      await page.getByRole("button", { name: "Show more lines" }).click();
      assert.equal(new URL((await request).url()).searchParams.get("cursor"), "200");
      await until(() => rows(page).count(), (n) => n === 400, "two pages");
      await tab(page, "Oldest first").click();
      await page.waitForURL(/order=oldest/);
      await until(() => rows(page).count(), (n) => n === 200, "one page again");
      const times = await page.locator("li.item .time").evaluateAll((all) => all.slice(0, 5).map((one) => one.textContent));
      assert.deepEqual(times, [...times].sort());
    });
  });

  test("the arrows move between lines, Enter opens one, and the address names it", async () => {
    await visit(site, ask('{service="app"} |= "connection"'), async (page) => {
      await rows(page).first().waitFor();
      assert.equal(await page.locator("[data-row][tabindex='0']").count(), 1);
      await rows(page).first().focus();
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("j");
      await page.keyboard.press("ArrowUp");
      assert.equal(await page.evaluate(() => [...document.querySelectorAll("[data-row]")].indexOf(document.activeElement)), 1);
      await page.keyboard.press("Enter");
      await page.locator(".detail").waitFor();
      await page.waitForURL(/[?&]at=\d{19}/);
      await page.locator(".pattern .gap").first().waitFor();
      const link = page.url();
      await page.goto("about:blank");
      await page.goto(link);
      await page.locator(".detail").waitFor();
      await page.keyboard.press("/");
      await until(() => page.evaluate(() => document.activeElement?.getAttribute("type")), (type) => type === "search", "the search box");
      await rows(page).first().focus();
      await page.locator("[data-row][aria-expanded=true]").focus();
      await page.keyboard.press("Escape");
      await page.locator(".detail").waitFor({ state: "detached" });
    });
  });

  test("an open line filters by label, by field and by pattern, and shows what was around it", async () => {
    await visit(site, ask('{service="app"} |= "connection"'), async (page) => {
      await page.locator("li.item .text").first().click();
      const detail = page.locator(".detail").first();
      await detail.getByRole("button", { name: "Lines around it" }).click();
      await detail.locator(".near.this").waitFor();
      assert.ok((await detail.locator(".near").count()) > 20);
      await detail.getByRole("button", { name: /^Only trace_id = / }).click();
      await page.waitForURL((url) => /^\{service="app"\} \|= "connection" \| trace_id="4bf9\w+"$/.test(url.searchParams.get("q") ?? ""));
      await until(() => rows(page).count(), (n) => n >= 1 && n < 5, "lines of one trace");
      await page.goBack();
      await until(() => rows(page).count(), (n) => n > 50, "all again");
      await page.locator("li.item .text").first().click();
      await page.locator(".detail").first().getByRole("button", { name: "Without lines like this" }).click();
      await page.getByText("No line fits").waitFor();
      await page.getByRole("button", { name: "Ask for all lines" }).click();
      await rows(page).first().waitFor();
    });
  });

  test("what a stage read from the text is asked for behind it", async () => {
    await visit(site, ask('{service="app"} |= "declined"'), async (page) => {
      await page.locator("li.item .text").first().click();
      await page.getByRole("button", { name: "Read the fields in the text" }).click();
      await page.waitForURL((url) => (url.searchParams.get("q") ?? "").endsWith('|= "declined" | json'));
      await until(() => page.locator(".detail").count(), (n) => n === 0, "the list anew");
      await page.locator("li.item .text").first().click();
      await page.getByRole("button", { name: /^Without status = / }).first().click();
      await page.waitForURL((url) => /\| json \| status!="50\d"$/.test(url.searchParams.get("q") ?? ""));
      await rows(page).first().waitFor();
    });
  });

  test("dragging over the bars, or marking with the keyboard, chooses that time", async () => {
    await visit(site, "/logs", async (page) => {
      await rows(page).first().waitFor();
      const box = await bars(page).boundingBox();
      await page.mouse.move(box.x + box.width * 0.4, box.y + 40);
      await page.locator(".tip").waitFor();
      await page.mouse.down();
      await page.mouse.move(box.x + box.width * 0.6, box.y + 40, { steps: 4 });
      await page.mouse.up();
      await page.waitForURL(/from=\d+&to=\d+/);
      const minutes = () => {
        const args = new URL(page.url()).searchParams;
        return (Number(args.get("to")) - Number(args.get("from"))) / 60_000;
      };
      assert.ok(minutes() > 8 && minutes() < 18, `${minutes()} min`);
      await rows(page).first().waitFor();
      const before = minutes();
      await bars(page).focus();
      await page.keyboard.press("End");
      for (let i = 0; i < 9; i += 1) await page.keyboard.press("Shift+ArrowLeft");
      assert.match(await bars(page).getAttribute("aria-valuetext"), /\d\d:\d\d/);
      await page.keyboard.press("Enter");
      await until(() => Promise.resolve(minutes()), (now) => now < before / 5, "a shorter time");
    });
  });

  test("lines come live, the list waits for who scrolls up, and says what was dropped", async () => {
    site.mock.world.flood = 40;
    try {
      await visit(site, "/logs", async (page) => {
        await page.getByRole("button", { name: "Live" }).click();
        await page.waitForURL(/live=1/);
        await page.getByText("Following").waitFor();
        await page.getByText(/\d,\d{3} dropped/).waitFor();
        const kept = async () => Number((await page.locator(".tail .bar .muted").first().innerText()).replace(/\D/g, ""));
        await until(kept, (n) => n > 600, "lines that came");
        assert.ok((await rows(page).count()) <= 300, "no more are drawn than anybody can see run by");
        await page.locator(".scroll").hover();
        await page.mouse.wheel(0, -600);
        await page.getByRole("button", { name: /^Go on \(/ }).waitFor();
        const still = await page.locator(".scroll").evaluate((box) => [box.scrollTop, box.innerText.length]);
        await until(() => page.getByRole("button", { name: /^Go on \(/ }).innerText(), (text) => Number(text.replace(/\D/g, "")) > 40, "lines that wait");
        assert.deepEqual(await page.locator(".scroll").evaluate((box) => [box.scrollTop, box.innerText.length]), still);
        await page.getByRole("button", { name: /^Show \d+ earlier lines/ }).click();
        await until(() => rows(page).count(), (n) => n > 500, "all that are kept");
        await page.getByRole("button", { name: /^Go on \(/ }).click();
        await until(() => page.locator(".scroll").evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight), (far) => far < 60, "the foot");
        await until(kept, (n) => n === 2000, "a full list");
        await page.getByRole("button", { name: "Stop" }).click();
        await until(() => Promise.resolve(site.mock.world.tails.size), (n) => n === 0, "open streams");
      });
    } finally {
      delete site.mock.world.flood;
    }
  });

  test("a broken live stream is opened again, and the list says where lines may be missing", async () => {
    await visit(site, "/logs?live=1", async (page) => {
      await rows(page).first().waitFor();
      for (const tail of site.mock.world.tails) tail.end();
      await page.getByText("The stream was broken here").waitFor();
      const seen = await rows(page).count();
      await until(() => rows(page).count(), (n) => n > seen, "lines after the break");
    });
  });

  test("a live list of a wrong query says so, and tries no more", async () => {
    await visit(
      site,
      ask("{service=", "&live=1"),
      async (page) => {
        await page.getByText("Refused").waitFor();
        const again = [];
        page.on("request", (request) => request.url().includes("/tail") && again.push(request.url()));
        await page.waitForTimeout(1500);
        assert.deepEqual(again, []);
      },
      { expected: /400/ },
    );
  });

  test("patterns tell how often, since when and what is new, and lead to their lines", async () => {
    await visit(site, "/logs?tab=patterns", async (page) => {
      const one = page.locator(".patterns > ol > li", { hasText: "connection to" });
      await one.locator(".gap").first().waitFor();
      assert.match(await one.innerText(), /first seen/);
      await tab(page, "New").click();
      await until(() => page.locator(".patterns > ol > li").count(), (n) => n === 3, "new patterns");
      await tab(page, "Rising").click();
      await until(() => page.locator(".patterns > ol > li").count(), (n) => n === 8, "all patterns");
      await one.getByRole("button", { name: "Open" }).click();
      assert.ok((await one.locator(".examples .text").count()) > 0);
      await one.getByRole("button", { name: "Show its lines" }).click();
      await page.waitForURL((url) => url.searchParams.get("q") === `{template="${idOf(102)}"}` && !url.searchParams.has("tab"));
      await rows(page).first().waitFor();
    });
  });

  test("what is unusual is marked as harmless with a token, and taken back", async () => {
    await visit(
      site,
      `/logs?tab=unusual#token=${site.token}`,
      async (page) => {
        const odd = page.locator("section[aria-label=Unusual] li", { hasText: "30 times a minute" });
        await odd.getByRole("button", { name: "Mark as harmless" }).click();
        await page.getByRole("dialog").getByText("Unusual rate").waitFor();
        await page.getByRole("dialog").getByRole("button", { name: "Mark as harmless" }).click();
        await odd.waitFor({ state: "detached" });
        await page.getByText("by owner").waitFor();
        await page.getByRole("button", { name: "Take back" }).click();
        await page.getByRole("dialog").getByRole("button", { name: "Take back" }).click();
        await odd.waitFor();
        assert.deepEqual(site.mock.world.harmless, []);
        await odd.getByRole("link", { name: "See the lines" }).click();
        await page.waitForURL((url) => url.searchParams.get("q") === `{template="${idOf(102)}"}` && url.searchParams.has("from"));
        await rows(page).first().waitFor();
      },
    );
  });

  test("marking without a token asks for one", async () => {
    await visit(site, "/logs?tab=unusual", async (page) => {
      await page.getByRole("button", { name: "Mark as harmless" }).first().click();
      await page.getByRole("dialog").getByRole("button", { name: "Mark as harmless" }).click();
      await page.getByRole("dialog").getByText("Who are you?").waitFor();
    });
  });

  test("hostile lines stay text, are cut, and can be read in full", async () => {
    await visit(site, "/logs", async (page) => {
      const main = page.locator("main");
      await main.getByText("invoice\\u{202e}gnp.exe\\u{2066}").first().waitFor();
      await main.getByText("nul \\u{0} byte and \\u{1b}[31mred").first().waitFor();
      await main.getByText(LOG_MARKUP).first().waitFor();
      const safe = () => page.evaluate(() => [document.querySelector("main img, main b") === null, /[\u202a-\u202e\u2066-\u2069\u001b\0]/.test(document.body.innerText)]);
      assert.deepEqual(await safe(), [true, false]);
      assert.ok((await page.evaluate(() => document.body.innerText.length)) < LOG_HUGE.length);
      // All of them opened at once.
      const handles = await rows(page).all();
      for (const handle of handles.slice(0, 7)) await handle.click();
      await page.getByText("was not UTF-8").waitFor();
      assert.deepEqual(await safe(), [true, false]);
      assert.equal(await page.getByRole("button", { name: /5xx/ }).count(), 0, "a name that no query can speak of");
      await page.getByRole("button", { name: "Show the whole text" }).click();
      await until(() => page.evaluate(() => document.body.innerText.length), (n) => n > LOG_HUGE.length, "the whole line");
      const panic = page.locator(".detail pre", { hasText: "index out of range" });
      assert.equal((await panic.innerText()).split("\n").length, 3, "line breaks of a stack trace");
    });
  });

  test("a word far inside a long line is shown where it stands", async () => {
    await visit(site, ask('|= "NEEDLE"'), async (page) => {
      await page.locator("mark", { hasText: "NEEDLE" }).waitFor();
      await page.getByText(/\+[\d,]+ characters before/).waitFor();
    });
  });

  test("a value that tries to break out of the query stays a value", async () => {
    await visit(site, "/logs", async (page) => {
      await page.getByRole("checkbox", { name: LOG_MARKUP }).click();
      await until(() => queryOf(page), (text) => text === `{service="${LOG_MARKUP}"}`, "the query");
      await until(() => rows(page).count(), (n) => n === 1, "its one line");
    });
  });

  test("says how to bring lines in when there are none, and when the search stopped early", async () => {
    site.mock.world.bare = true;
    site.mock.world.logsStopped = "bytes";
    try {
      await visit(site, "/logs", async (page) => {
        await page.getByText("No line has come yet").waitFor();
        for (const text of ["/loki/api/v1/push", "/_bulk", "/v1/logs", "journal: true", "syslog:"]) await page.getByText(text).first().waitFor();
        await page.getByText("The search stopped early").waitFor();
      });
      await visit(site, "/logs?tab=unusual", (page) => page.getByText("Nothing unusual").waitFor());
      await visit(site, "/logs?tab=patterns", (page) => page.getByText("No line fits").waitFor());
    } finally {
      site.mock.world.bare = false;
      delete site.mock.world.logsStopped;
    }
  });

  test("the state lies in the address, and comes back after another page", async () => {
    const path = ask('{service="db"}', "&range=15m&tab=patterns");
    await visit(site, path, async (page) => {
      await page.locator(".patterns li").first().waitFor();
      await page.getByRole("link", { name: "Now" }).click();
      await page.waitForURL(`${site.url}/`);
      await page.keyboard.press("g");
      await page.keyboard.press("l");
      await page.waitForURL((url) => url.searchParams.get("q") === '{service="db"}' && url.searchParams.get("range") === "15m");
      await page.locator(".patterns li").first().waitFor();
    });
  });

  test("an incident leads to the lines of its time", async () => {
    await visit(site, "/incidents/12", async (page) => {
      await page.getByRole("link", { name: "Lines of app" }).click();
      await page.waitForURL((url) => url.pathname === "/logs" && url.searchParams.get("q") === '{service="app"}' && url.searchParams.has("from"));
      await rows(page).first().waitFor();
    });
  });

  test("a page whose files are gone says so, and can be loaded anew", async () => {
    await visit(
      site,
      "/",
      async (page) => {
        await page.route(/\/assets\/Logs-.*\.js$/, (route) => route.fulfill({ status: 404, body: "" }));
        await page.getByRole("link", { name: "Logs" }).click();
        await page.getByText("This page could not be loaded").waitFor();
        await page.unroute(/\/assets\/Logs-.*\.js$/);
        await page.getByRole("button", { name: "Load the console anew" }).click();
        await rows(page).first().waitFor();
      },
      { expected: /404/ },
    );
  });

  test("help offers queries that work", async () => {
    await visit(site, "/logs", async (page) => {
      await page.getByRole("button", { name: "How to ask" }).click();
      await page.getByRole("button", { name: '{level=~"error|critical"}' }).click();
      await until(() => queryOf(page), (text) => text === '{level=~"error|critical"}', "the query");
      await until(() => page.locator("li.item:not(.error):not(.critical)").count(), (n) => n === 0, "only grave lines");
    });
  });

  test("nothing is wider than a small phone, in both languages", async () => {
    for (const locale of ["en-GB", "zh-CN"]) {
      for (const path of ["/logs", ask('{service="app"} |~ "(?i)averyveryverylongwordthatdoesnotbreakanywhereatallinthisquery" | json'), "/logs?tab=patterns", "/logs?tab=unusual", "/logs?live=1", "/incidents/12"]) {
        await visit(
          site,
          path,
          async (page) => {
            await page.locator("main .card").nth(1).waitFor();
            await page.waitForTimeout(400);
            for (const handle of (await rows(page).all()).slice(0, 3)) await handle.click();
            const [inner, outer] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
            assert.ok(inner <= outer, `${path}: ${inner} of ${outer}`);
          },
          { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, locale },
        );
      }
    }
  });
});
