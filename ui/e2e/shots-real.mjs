// Screenshots of the real binary for a look by eye: `WELLKEPT_BIN=… node e2e/shots-real.mjs FOLDER`. Not a test.
//
// The pictures of the README are `readme-now-waiting.png` and `readme-incident-resolved.png` of a run, with fewer colours.

import { mkdir } from "node:fs/promises";
import { until } from "./harness.mjs";
import { PATIENCE_MS, raise } from "./stage.mjs";

const folder = process.argv[2];
if (folder === undefined) throw new Error("name a folder for the pictures");
await mkdir(folder, { recursive: true });

const LOOKS = [
  { name: "light", viewport: { width: 1280, height: 860 }, colorScheme: "light", locale: "en-GB" },
  { name: "dark", viewport: { width: 1280, height: 860 }, colorScheme: "dark", locale: "en-GB" },
  { name: "small", viewport: { width: 360, height: 740 }, colorScheme: "light", locale: "en-GB" },
  { name: "readme", viewport: { width: 1160, height: 780 }, colorScheme: "light", locale: "en-GB" },
  { name: "zh", viewport: { width: 1280, height: 860 }, colorScheme: "light", locale: "zh-CN" },
];

const stage = await raise("propose", ["app", "db"]);
const pages = [];
for (const { name, ...options } of LOOKS) pages.push({ name, page: await (await stage.browser.newContext(options)).newPage() });

async function shoot(title, path) {
  for (const { name, page } of pages) {
    await page.goto(stage.url + path);
    await page.waitForSelector("h1:visible");
    await page.waitForTimeout(2500);
    await page.screenshot({ path: `${folder}/${name}-${title}.png`, fullPage: name !== "readme" });
  }
}

/** The newest incident once `fits` says so. */
async function incident(fits) {
  const read = async () => (await stage.get("/api/v1/incidents")).incidents[0] ?? null;
  return until(read, (one) => one !== null && fits(one), "the newest incident", PATIENCE_MS);
}

/** Approves one plan after another: the first may only restart, and what is behind it shows then. */
async function approve(id) {
  const { plan } = await stage.get(`/api/v1/incidents/${id}`);
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${await stage.token()}` };
  await fetch(`${stage.url}/api/v1/incidents/${id}/approve`, { method: "POST", headers, body: JSON.stringify({ generation: plan.generation }) });
  const moved = await incident((one) => one.status === "resolved" || (one.plan_waiting && one.updated_at > plan.made_at + 1 && one.actions.some((action) => action.status === "succeeded")));
  if (moved.status !== "resolved") await approve(id);
}

try {
  await shoot("now-well", "/");
  await shoot("host", "/host");
  await stage.breakSetting();
  const { id } = await incident((one) => one.plan_waiting);
  await shoot("now-waiting", "/");
  await shoot("incident-waiting", `/incidents/${id}`);
  await approve(id);
  await shoot("incident-resolved", `/incidents/${id}`);
  await stage.tiny.kill();
  const again = await incident((one) => one.plan_waiting);
  await shoot("now-again", "/");
  await approve(again.id);
  await shoot("incident-again", `/incidents/${again.id}`);
  await shoot("incidents", "/incidents");
} finally {
  await stage.close();
}
