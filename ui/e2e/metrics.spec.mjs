// The pages of the group "Metrics": explore, alerts, targets, store. They need what the mock tells.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { REAL, start, until, visit } from "./harness.mjs";
import { LONG, MARKUP } from "./mock-metrics.mjs";

const PAGES = ["/explore", "/alerts", "/targets", "/store"];
const SHOWN = "safe\\u{202e}gnp.exe\\u{2066}";

describe("the metrics pages", { skip: REAL !== null && "needs the mock's data" }, () => {
  let site;
  before(async () => {
    site = await start();
  });
  after(() => site.close());

  const editor = (page, letter = "A") => page.getByRole("textbox", { name: `Query ${letter}` });
  const choose = (page, text) => page.locator("fieldset label", { hasText: text });
  const graph = (page) => page.getByRole("slider", { name: /^Graph/ });

  test("a query runs with Enter, is drawn, and can be read with the keyboard", async () => {
    await visit(site, "/explore", async (page) => {
      await editor(page).fill("up");
      await editor(page).press("Enter");
      await graph(page).waitFor();
      assert.equal(new URL(page.url()).search, "?q=up");
      await page.getByText("4 series", { exact: true }).waitFor();
      await graph(page).focus();
      await page.keyboard.press("ArrowLeft");
      const first = await until(() => graph(page).getAttribute("aria-valuetext"), (text) => /^\d\d:\d\d:\d\d: /.test(text), "the value under the cursor");
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("ArrowDown");
      await until(() => graph(page).getAttribute("aria-valuetext"), (text) => text !== first && text.includes("shop-2"), "the second series");
    });
  });

  test("Shift+Enter starts a new line and asks nothing", async () => {
    await visit(site, "/explore", async (page) => {
      const asked = [];
      page.on("request", (request) => request.url().includes("/query") && asked.push(request.url()));
      await editor(page).fill("up +");
      await editor(page).press("Shift+Enter");
      await page.keyboard.type("1 ");
      assert.equal(await editor(page).inputValue(), "up +\n1 ");
      assert.deepEqual(asked, []);
    });
  });

  test("names, labels, values and functions are completed with the keyboard", async () => {
    await visit(site, "/explore", async (page) => {
      const list = page.getByRole("listbox", { name: "Suggestions" });
      await editor(page).pressSequentially("irat");
      await list.getByRole("option", { name: /^irate/ }).waitFor();
      await page.keyboard.press("Tab");
      await editor(page).pressSequentially("node_cpu");
      await list.getByRole("option", { name: /^node_cpu_seconds_total/ }).waitFor();
      await page.keyboard.press("ArrowDown");
      assert.equal(await list.getByRole("option", { selected: true }).count(), 1);
      assert.ok(await editor(page).getAttribute("aria-activedescendant"), "the choice is told to a screen reader");
      await page.keyboard.press("Enter");
      await editor(page).pressSequentially("{mo");
      await list.getByRole("option", { name: /^mode/ }).waitFor();
      await page.keyboard.press("Tab");
      await editor(page).pressSequentially('="io');
      await list.getByRole("option", { name: /^iowait/ }).waitFor();
      await page.keyboard.press("Tab");
      assert.equal(await editor(page).inputValue(), 'irate(node_cpu_seconds_total{mode="iowait');
      await page.getByText("Seconds the CPUs spent in each mode.").waitFor();

      await editor(page).pressSequentially('"}[5m');
      await page.keyboard.press("Escape");
      await list.waitFor({ state: "detached" });
      assert.equal(new URL(page.url()).search, "", "nothing was run by choosing");
    });
  });

  test("what the server says to a wrong query stands at that query", async () => {
    await visit(
      site,
      "/explore?q=up&q=boom%28",
      async (page) => {
        const wrong = page.getByRole("alert").getByText("1:5: parse error: unexpected end of input");
        await wrong.waitFor();
        assert.equal(await editor(page, "B").getAttribute("aria-invalid"), "true");
        assert.equal(await editor(page, "A").getAttribute("aria-invalid"), "false");
        await page.getByText("4 series", { exact: true }).waitFor();
        await editor(page, "B").fill("rate(node_load1[5m])");
        await editor(page, "B").press("Enter");
        await wrong.waitFor({ state: "detached" });
        await page.getByText("PromQL info: metric might not be a counter").waitFor();
      },
      { expected: /400/ },
    );
  });

  test("queries are added, switched off and removed, and the address keeps step", async () => {
    await visit(site, "/explore?q=up", async (page) => {
      await page.getByRole("button", { name: "Add a query" }).click();
      await editor(page, "B").fill("node_load1");
      await editor(page, "B").press("Enter");
      await page.getByText("5 series", { exact: true }).waitFor();
      await page.getByRole("button", { name: "Query A is on; switch it off" }).click();
      await page.getByText("1 series", { exact: true }).waitFor();
      assert.equal(new URL(page.url()).search, "?q=up&q=node_load1&off=0");
      await page.getByRole("button", { name: "Remove query A" }).click();
      assert.equal(await editor(page).inputValue(), "node_load1");
      assert.equal(new URL(page.url()).search, "?q=node_load1");
    });
  });

  test("a link shows the same again: queries, table, time; and back takes a step back", async () => {
    await visit(site, "/explore?q=up&tab=table&from=1700000000000&to=1700003600000", async (page) => {
      const asked = page.waitForRequest((request) => request.url().includes("/api/v1/query?"));
      await page.reload();
      assert.match((await asked).url(), /time=1700003600\.000/);
      assert.equal(await page.locator("tbody tr").count(), 4);
      assert.ok(await page.getByRole("radio", { name: "Table" }).isChecked());
      await page.getByText("Graph", { exact: true }).click();
      await graph(page).waitFor();
      assert.ok(!page.url().includes("tab="));
      await page.goBack();
      await page.locator("tbody tr").first().waitFor();
      assert.ok(page.url().includes("tab=table"));
    });
  });

  test("queries stay when the reader looks at another page meanwhile", async () => {
    await visit(site, "/explore?q=up", async (page) => {
      await graph(page).waitFor();
      await page.getByRole("link", { name: "Targets" }).click();
      await page.getByRole("heading", { level: 1, name: "Targets" }).waitFor();
      const asked = page.waitForRequest((request) => request.url().includes("query_range"));
      await page.getByRole("link", { name: "Explore" }).click();
      await asked;
      await graph(page).waitFor();
      assert.equal(await editor(page).inputValue(), "up");
      assert.equal(new URL(page.url()).search, "?q=up");
    });
  });

  test("time range and step are asked as chosen", async () => {
    await visit(site, "/explore?q=up", async (page) => {
      await graph(page).waitFor();
      const spanOf = (request) => {
        const args = new URL(request.url()).searchParams;
        return [Number(args.get("end")) - Number(args.get("start")), args.get("step")];
      };
      const query = (request) => request.url().includes("query_range");
      let asked = page.waitForRequest(query);
      await page.getByText("6 h", { exact: true }).click();
      const [span, step] = spanOf(await asked);
      assert.ok(Math.abs(span - 21_600) <= 60 && step === "60", `${span} ${step}`);
      asked = page.waitForRequest(query);
      await page.getByLabel("Step").fill("5m");
      await page.keyboard.press("Enter");
      assert.equal(spanOf(await asked)[1], "300");
      await page.getByLabel("Step").fill("soon");
      await page.keyboard.press("Tab");
      await page.getByText("Write it as 15s, 1m or 1h30m.").waitFor();

      await page.getByText("From … to", { exact: true }).click();
      asked = page.waitForRequest(query);
      await page.getByLabel("From", { exact: true }).fill("2026-01-01T00:00:00");
      await page.getByLabel("From", { exact: true }).press("Tab");
      assert.match((await asked).url(), /query_range/);
      await page.waitForURL(/from=\d+&to=\d+/);
    });
  });

  test("dragging over the graph looks closer", async () => {
    await visit(site, "/explore?q=up", async (page) => {
      await graph(page).waitFor();
      const box = await graph(page).locator(".u-over").boundingBox();
      await page.mouse.move(box.x + box.width * 0.25, box.y + 100);
      await page.mouse.down();
      await page.mouse.move(box.x + box.width * 0.5, box.y + 100, { steps: 5 });
      await page.mouse.up();
      await page.waitForURL(/from=\d+&to=\d+/);
      const args = new URL(page.url()).searchParams;
      const minutes = (Number(args.get("to")) - Number(args.get("from"))) / 60_000;
      assert.ok(minutes > 12 && minutes < 18, `${minutes} min`);
    });
  });

  test("hovering names the nearest series with its value", async () => {
    await visit(site, "/explore?q=shop_many_series", async (page) => {
      await graph(page).waitFor();
      const box = await graph(page).locator(".u-over").boundingBox();
      await page.mouse.move(box.x + box.width / 2, box.y + 120);
      await until(() => page.locator(".tip").innerText(), (text) => /shard="\d+"/.test(text), "the tip");
    });
  });

  test("a graph of too many series is capped, says so, and is quick", async () => {
    await visit(site, "/explore?q=shop_many_series", async (page) => {
      await page.getByText("250 series were found; the graph shows the 200 with the highest values.").waitFor();
      const items = page.locator("li button[aria-pressed]");
      assert.equal(await items.count(), 200);
      // Each in one frame of drawing: the browser's own clock, without the way of the test's commands.
      const took = await page.evaluate(async () => {
        const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        const over = document.querySelector(".u-over");
        const { left, top, width } = over.getBoundingClientRect();
        const began = performance.now();
        for (let i = 0; i < 20; i += 1) {
          over.dispatchEvent(new MouseEvent("mousemove", { clientX: left + (width * i) / 20, clientY: top + 90, bubbles: true }));
          await frame();
        }
        return (performance.now() - began) / 20;
      });
      assert.ok(took < 250, `${took.toFixed(0)} ms for a move of the pointer`);
    });
  });

  test("series are hidden, shown alone and shown again", async () => {
    await visit(site, "/explore?q=up", async (page) => {
      const pressed = () => page.locator("li button[aria-pressed=true]").count();
      await graph(page).waitFor();
      const first = page.locator("li button[aria-pressed]").first();
      await first.click();
      assert.equal(await pressed(), 3);
      await first.click({ modifiers: ["Shift"] });
      assert.equal(await pressed(), 1);
      await page.getByRole("button", { name: "Show all" }).click();
      assert.equal(await pressed(), 4);
      await page.getByRole("button", { name: "Hide all" }).click();
      assert.equal(await pressed(), 0);
    });
  });

  test("native histograms are a count in the graph, and buckets in the table", async () => {
    await visit(site, "/explore?q=http_request_duration_seconds", async (page) => {
      await page.getByText("Native histograms are drawn by their count.").waitFor();
      await page.getByText("Table", { exact: true }).click();
      await page.getByText("count 1200, sum 86.4").waitFor();
      await page.getByText("5 buckets").click();
      await page.getByRole("rowheader", { name: "(0.25, +Inf]" }).waitFor();
    });
  });

  test("the server's layout can be put in place of what was typed", async () => {
    await visit(site, "/explore?q=sum%28+up+%29", async (page) => {
      await page.getByRole("button", { name: "Format" }).click();
      await until(() => editor(page).inputValue(), (text) => text === "sum(\n  up\n)", "the formatted query");
    });
  });

  test("hostile names stay text, on every page", async () => {
    for (const path of ["/explore?q=hostile_metric&tab=table", "/alerts", "/targets"]) {
      await visit(site, path, async (page) => {
        await page.locator("main").getByText(MARKUP).first().waitFor();
        await page.locator("main").getByText(SHOWN).first().waitFor();
        const seen = await page.evaluate(() => [document.querySelector("main img, main b") === null, /[\u202a-\u202e\u2066-\u2069]/.test(document.body.innerText), document.body.innerText.length]);
        assert.deepEqual(seen.slice(0, 2), [true, false], path);
        assert.ok(seen[2] < LONG.length, `${path}: the long value is cut`);
      });
    }
    await visit(site, "/explore?q=hostile_metric", async (page) => {
      await page.getByText("3 series have values that are NaN or infinite; they are gaps here.").waitFor();
    });
  });

  test("a cut value can be read in full", async () => {
    await visit(site, "/explore?q=hostile_metric&tab=table", async (page) => {
      await page.getByRole("button", { name: "+9,840 characters" }).click();
      assert.equal(await page.getByText(LONG).count(), 1);
    });
  });

  test("alerts are chosen by state and search, and lead to their query", async () => {
    await visit(site, "/alerts", async (page) => {
      await page.getByText("DiskFillsUp").waitFor();
      await page.getByText("many-to-many matching not allowed").waitFor();
      await choose(page, "Pending").click();
      await page.getByText("DiskFillsUp").waitFor({ state: "detached" });
      await page.getByText("SlowRequests").waitFor();
      await choose(page, "All").click();
      await page.getByRole("searchbox", { name: "Search rules and labels" }).fill("mountpoint=/data");
      await until(() => page.locator("main details").count(), (n) => n === 1, "rules that fit");
      await page.getByRole("link", { name: "Explore" }).last().click();
      await page.waitForURL(/\/explore\?q=predict_linear/);
      await graph(page).or(page.getByText("The query found no series in this time.")).waitFor();
    });
  });

  test("only web addresses in annotations are links, and they open elsewhere", async () => {
    await visit(site, "/alerts", async (page) => {
      await page.getByText("javascript:alert(1)").first().waitFor();
      const links = await page.locator("main a[target=_blank]").evaluateAll((all) => all.map((one) => [one.protocol, one.rel]));
      assert.ok(links.length >= 2);
      for (const [protocol, rel] of links) {
        assert.equal(protocol, "https:");
        assert.match(rel, /noopener/);
      }
    });
  });

  test("targets are counted, those that are down can be seen alone, dropped ones are folded up", async () => {
    await visit(site, "/targets", async (page) => {
      await page.getByText("7 targets are scraped").waitFor();
      await page.getByText("connection refused (os error 111)").waitFor();
      await page.getByText("not yet scraped").waitFor();
      assert.equal(await page.getByText("__meta_filepath").count(), 0);
      await page.getByText("2 targets were dropped by relabeling").click();
      await page.getByText("__meta_filepath").waitFor();
      await choose(page, "Not up").click();
      await page.getByText("http://shop-1:9100/metrics").waitFor({ state: "detached" });
      await page.getByText("http://db-2:9187/metrics", { exact: true }).waitFor();
    });
  });

  test("the store tells what fills it, and each line leads to the series behind it", async () => {
    await visit(site, "/store", async (page) => {
      await page.getByText("48,213").waitFor();
      await page.getByText("0.423 bytes").waitFor();
      await page.getByText("checksum of values.col does not match").waitFor();
      await page.getByRole("link", { name: /^job=shop/ }).click();
      await page.waitForURL(/\/explore\?/);
      assert.equal(await editor(page).inputValue(), 'topk(20, count by (__name__) ({job="shop"}))');
      await page.locator("tbody tr").first().waitFor();
    });
  });

  test("pages without anything say how to get it", async () => {
    site.mock.world.bare = true;
    try {
      await visit(site, "/alerts", (page) => page.getByText("- /etc/wellkept/rules/*.yml").waitFor());
      await visit(site, "/targets", (page) => page.getByText("scrape: /etc/wellkept/prometheus.yml").waitFor());
      await visit(site, "/store", (page) => page.getByText("The store is empty").waitFor());
    } finally {
      site.mock.world.bare = false;
    }
  });

  test("the keyboard leads to each page, and each says which it is", async () => {
    await visit(site, "/", async (page) => {
      for (const [key, path] of [["e", "/explore"], ["a", "/alerts"], ["t", "/targets"], ["s", "/store"]]) {
        await page.keyboard.press("g");
        await page.keyboard.press(key);
        await page.waitForURL(site.url + path);
        assert.equal(await page.locator("nav a[aria-current=page]").getAttribute("href"), path);
        await until(() => page.evaluate(() => document.activeElement?.id), (id) => id === "main", "focus after a move");
      }
    });
  });

  test("nothing is wider than a small phone, in both languages", async () => {
    for (const locale of ["en-GB", "zh-CN"]) {
      for (const path of [...PAGES, "/explore?q=hostile_metric&tab=table", "/explore?q=hostile_metric&q=up&from=1700000000000&to=1700003600000"]) {
        await visit(
          site,
          path,
          async (page) => {
            await page.locator("main .card").nth(path.startsWith("/explore") ? 1 : 0).waitFor();
            await page.waitForTimeout(300); // Charts measure their box after the first drawing.
            const [inner, outer] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
            assert.ok(inner <= outer, `${path}: ${inner} of ${outer}`);
            for (const link of await page.locator("nav a").all()) {
              const box = await link.boundingBox();
              assert.ok(box !== null && box.x >= 0 && box.x + box.width <= 360.5, `${path}: ${JSON.stringify(box)}`);
            }
          },
          { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, locale },
        );
      }
    }
  });
});
