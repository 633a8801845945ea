// Screenshots for a look by eye: `node e2e/shots.mjs FOLDER [PAGE…]`. Not a test.

import { mkdir } from "node:fs/promises";
import { launch } from "./browser.mjs";
import { startMock } from "./mock-server.mjs";

const [, , folder, ...only] = process.argv;
if (folder === undefined) throw new Error("name a folder for the pictures");
await mkdir(folder, { recursive: true });

const mock = await startMock();
const browser = await launch();
const LOOKS = [
  { name: "light", width: 1280, height: 860, colorScheme: "light", locale: "en-GB" },
  { name: "dark", width: 1280, height: 860, colorScheme: "dark", locale: "en-GB" },
  { name: "small", width: 360, height: 740, colorScheme: "light", locale: "en-GB" },
  { name: "zh", width: 1280, height: 860, colorScheme: "light", locale: "zh-CN" },
  { name: "zh-small-dark", width: 390, height: 844, colorScheme: "dark", locale: "zh-CN" },
];
const ASKED = new URLSearchParams([["q", "sum by (mode) (rate(node_cpu_seconds_total[5m]))"], ["q", "up"]]).toString();
const PAGES = {
  now: "/", host: "/host", incidents: "/incidents", incident: "/incidents/12",
  explore: `/explore?${ASKED}`, table: "/explore?q=hostile_metric&tab=table", many: "/explore?q=shop_many_series", empty: "/explore?step=15s",
  logs: "/logs", "logs-open": "/logs?q=%7Bservice%3D%22app%22%7D", "logs-patterns": "/logs?tab=patterns", "logs-unusual": "/logs?tab=unusual", "logs-live": "/logs?live=1",
  "logs-wrong": "/logs?q=%7Bservice%3D%22app%22%7D+nonsense+here", "logs-none": "/logs?q=%7C%3D+%22nowhere+to+be+found%22",
  fleet: "/fleet", "fleet-run": "/fleet/runs/001700000400000-7", "fleet-play": "/fleet/runs/001700000300000-7", "fleet-locked": "/fleet/runs/001700000400000-7?",
  "fleet-agents": "/fleet?tab=agents", "fleet-deployments": "/fleet?tab=deployments", "fleet-none": "/fleet?kind=facts&host=nowhere",
  alerts: "/alerts", targets: "/targets", store: "/store",
};
for (const { name, width, height, ...rest } of LOOKS) {
  const context = await browser.newContext({ viewport: { width, height }, ...rest });
  const page = await context.newPage();
  for (const [title, path] of Object.entries(PAGES)) {
    if (only.length > 0 && !only.includes(title)) continue;
    // What commands said on other hosts is for those who have the token.
    await page.goto(mock.url + path + (/^fleet-(run|play)$/.test(title) ? `#token=${mock.token}` : ""));
    if (title === "fleet-locked") await page.evaluate(() => sessionStorage.clear());
    if (title === "fleet-locked") await page.reload();
    await page.waitForSelector("h1:visible");
    await page.waitForTimeout(2500);
    if (title === "logs-open") await page.locator("[data-row]").nth(5).click();
    if (title === "logs-open") await page.waitForTimeout(800);
    // A list of lines is long, and what is out of sight is not drawn.
    await page.screenshot({ path: `${folder}/${name}-${title}.png`, fullPage: !title.startsWith("logs") });
  }
  await context.close();
}
await browser.close();
await mock.close();
