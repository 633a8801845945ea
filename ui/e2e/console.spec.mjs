// What holds on every installation: run against the mock server and against the real one.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { CSP, start, until, visit } from "./harness.mjs";

let site;
before(async () => {
  site = await start();
});
after(() => site.close());

const PAGES = ["/", "/host", "/incidents", "/fleet", "/explore", "/alerts", "/targets", "/store"];

test("every page is served under the content security policy", async () => {
  for (const path of PAGES) {
    const answer = await fetch(site.url + path);
    assert.equal(answer.status, 200, path);
    const policy = answer.headers.get("content-security-policy") ?? "";
    for (const rule of CSP.split("; ")) assert.ok(policy.includes(rule), `${path}: ${rule} in ${policy}`);
  }
});

test("the first page says whether all is well, and that the news is fresh", async () => {
  await visit(site, "/", async (page) => {
    const headline = page.locator("main h1");
    await until(() => headline.innerText(), (text) => /^(All is well|Not well)/.test(text), "headline");
    await page.locator(".fresh").getByText("Live", { exact: true }).waitFor();
    assert.ok((await page.getByRole("meter").count()) > 0, "file systems are shown with how full they are");
    assert.match(await page.title(), /well/i);
  });
});

test("a deep link shows its page, also after a reload", async () => {
  for (const path of PAGES) {
    await visit(site, path, async (page) => {
      const current = await page.locator("nav a[aria-current=page]").getAttribute("href");
      assert.equal(current, path);
      await page.reload();
      await page.locator("main h1").first().waitFor();
      assert.equal(new URL(page.url()).pathname, path);
      assert.equal(await page.locator("nav a[aria-current=page]").getAttribute("href"), path);
    });
  }
});

test("links move without loading the page anew, and the back button returns", async () => {
  await visit(site, "/", async (page) => {
    await page.evaluate(() => {
      globalThis.stayed = true;
    });
    await page.locator("nav a[href='/incidents']").click();
    await page.getByRole("heading", { level: 1, name: "Incidents" }).waitFor();
    await page.goBack();
    await page.waitForURL(`${site.url}/`);
    assert.equal(await page.evaluate(() => globalThis.stayed), true);
  });
});

test("an incident that does not exist is said so", async () => {
  await visit(
    site,
    "/incidents/99999999",
    async (page) => {
      await page.getByText("There is no incident 99999999").waitFor();
    },
    { expected: /404/ },
  );
});

test("a page that does not exist leads home", async () => {
  await visit(site, "/incidents/x", async (page) => {
    await page.getByText("There is no such page").waitFor();
    await page.getByRole("link", { name: "Go to Now" }).click();
    await page.waitForURL(`${site.url}/`);
  });
});

test("the keyboard reaches everything", async () => {
  await visit(site, "/", async (page) => {
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement?.className.includes("skip")), true, "the skip link comes first");
    await page.keyboard.press("Enter");
    await until(() => page.evaluate(() => document.activeElement?.id), (id) => id === "main", "focus");

    await page.keyboard.press("g");
    await page.keyboard.press("h");
    await page.waitForURL(`${site.url}/host`);
    await until(() => page.evaluate(() => document.activeElement?.id), (id) => id === "main", "focus after a move");
    await page.keyboard.press("g");
    await page.keyboard.press("i");
    await page.waitForURL(`${site.url}/incidents`);
    await page.keyboard.press("g");
    await page.keyboard.press("n");
    await page.waitForURL(`${site.url}/`);

    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
  });
});

test("focus is visible", async () => {
  await visit(site, "/", async (page) => {
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.equal(outline, "solid");
  });
});

test("the language can be switched, and the choice stays", async () => {
  await visit(site, "/", async (page) => {
    const asked = page.waitForRequest((request) => request.url().includes("/api/v1/overview?lang=zh-CN"));
    await page.getByLabel("Language").selectOption("zh-CN");
    await asked;
    await page.locator("nav").getByText("主机").waitFor();
    assert.equal(await page.locator("html").getAttribute("lang"), "zh-CN");
    await page.reload();
    await page.locator("nav").getByText("主机").waitFor();
  });
});

test("a Chinese browser is spoken to in Chinese", async () => {
  await visit(site, "/incidents", async (page) => page.getByRole("heading", { level: 1, name: "事件" }).waitFor(), { locale: "zh-CN" });
});

test("dark and light follow the system, and a choice overrides it and stays", async () => {
  const background = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const seen = {};
  for (const colorScheme of ["light", "dark"]) {
    await visit(
      site,
      "/",
      async (page) => {
        seen[colorScheme] = await background(page);
      },
      { colorScheme },
    );
  }
  assert.notEqual(seen.light, seen.dark);
  await visit(
    site,
    "/",
    async (page) => {
      const button = page.getByRole("button", { name: /^Look:/ });
      await button.click();
      assert.equal(await background(page), seen.light, "the first choice after the system is light");
      await button.click();
      assert.equal(await background(page), seen.dark);
      await page.reload();
      await page.locator("main h1").first().waitFor();
      assert.equal(await background(page), seen.dark);
    },
    { colorScheme: "light" },
  );
});

test("charts are drawn, move on by themselves and can be read with the keyboard", async () => {
  await visit(site, "/host", async (page) => {
    const chart = page.getByRole("slider", { name: /^CPU by mode/ });
    await chart.waitFor();
    assert.ok((await chart.locator("canvas").count()) === 1);
    const value = () => chart.getAttribute("aria-valuetext");
    const first = await value();
    assert.match(first, /user [\d.]+ %/);
    await until(value, (now) => now !== first, "the newest values");

    await chart.focus();
    await page.keyboard.press("End");
    await page.keyboard.press("ArrowLeft");
    const back = await until(value, (now) => /^\d\d:\d\d:\d\d/.test(now), "the value under the cursor");
    await page.keyboard.press("Shift+ArrowLeft");
    await until(value, (now) => /^\d\d:\d\d:\d\d/.test(now) && now !== back, "another time");
    const load = page.getByRole("slider", { name: /^Load/ });
    await until(() => load.getAttribute("aria-valuetext"), (text) => /^\d\d:\d\d:\d\d/.test(text), "the cursor of the next chart");
  });
});

test("another time range loads another window", async () => {
  await visit(site, "/host", async (page) => {
    await page.getByRole("slider", { name: /^Load/ }).waitFor();
    const asked = page.waitForRequest((request) => {
      const url = new URL(request.url());
      const span = Number(url.searchParams.get("end")) - Number(url.searchParams.get("start"));
      return url.pathname === "/api/v1/query_range" && span > 3500 && span < 3700;
    });
    await page.getByText("1 h", { exact: true }).click();
    await asked;
    await page.getByText("one point every 4 s").waitFor();
  });
});

test("a hidden tab asks for no charts", async () => {
  await visit(site, "/host", async (page) => {
    await page.getByRole("slider", { name: /^Load/ }).waitFor();
    await page.evaluate(() => {
      Object.defineProperty(document, "hidden", { value: true, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    });
    await page.getByText("Paused while the tab is hidden").waitFor();
    let asked = 0;
    page.on("request", (request) => {
      if (request.url().includes("query_range")) asked += 1;
    });
    await page.waitForTimeout(2500); // Nothing happening has no condition to wait for: two periods of the charts.
    assert.equal(asked, 0);
    await page.evaluate(() => {
      Object.defineProperty(document, "hidden", { value: false, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    });
    await until(() => asked, (n) => n > 0, "charts after the tab is seen again");
  });
});

test("nothing is wider than a small phone", async () => {
  for (const path of PAGES) {
    await visit(
      site,
      path,
      async (page) => {
        await page.waitForTimeout(300); // Charts measure their box after the first drawing.
        const [inner, outer] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.ok(inner <= outer, `${path}: ${inner} of ${outer}`);
        for (const link of await page.locator("nav a").all()) assert.ok(await link.isVisible());
      },
      { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true },
    );
  }
});

test("a token in the address is taken and leaves the address bar", async () => {
  await visit(site, "/incidents#token=abc%2Bd", async (page) => {
    assert.equal(page.url(), `${site.url}/incidents`);
    assert.equal(await page.evaluate(() => sessionStorage.getItem("wellkept.token")), "abc+d");
    await page.getByRole("button", { name: "Forget the token" }).click();
    assert.equal(await page.evaluate(() => sessionStorage.getItem("wellkept.token")), null);
  });
});

test("the stop switch asks first, then for the token, and shows that it is on", async (context) => {
  if (site.token === null) {
    context.skip("WELLKEPT_TOKEN is not set");
    return;
  }
  await visit(
    site,
    "/",
    async (page) => {
      await page.getByRole("button", { name: "Stop all actions" }).click();
      const ask = page.getByRole("dialog", { name: "Stop all actions?" });
      await ask.getByLabel("Why (others will read it)").fill("a test of the console");
      await ask.getByRole("button", { name: "Stop all actions" }).click();

      const who = page.getByRole("dialog", { name: "Who are you?" });
      await who.getByLabel("Token").fill("wrong");
      await who.getByRole("button", { name: "Use it" }).click();
      await who.getByText("The server refused that token.").waitFor();
      await who.getByLabel("Token").fill(site.token);
      await who.getByRole("button", { name: "Use it" }).click();
      await page.locator(".banner").getByText("a test of the console").waitFor();

      await page.getByRole("button", { name: "Allow actions again" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Allow actions again" }).click();
      await page.locator(".banner").waitFor({ state: "detached" });
    },
    { expected: /40[13]/ },
  );
});

test("closing a dialog does nothing", async () => {
  await visit(site, "/", async (page) => {
    const acts = [];
    page.on("request", (request) => {
      if (request.method() === "POST") acts.push(request.url());
    });
    await page.getByRole("button", { name: "Stop all actions" }).click();
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    assert.deepEqual(acts, []);
  });
});
