// Screenshots for a look by eye: `node e2e/shots.mjs FOLDER`. Not a test.

import { mkdir } from "node:fs/promises";
import { launch } from "./browser.mjs";
import { startMock } from "./mock-server.mjs";

const folder = process.argv[2];
if (folder === undefined) throw new Error("name a folder for the pictures");
await mkdir(folder, { recursive: true });

const mock = await startMock();
const browser = await launch();
const LOOKS = [
  { name: "light", width: 1280, height: 860, colorScheme: "light", locale: "en-GB" },
  { name: "dark", width: 1280, height: 860, colorScheme: "dark", locale: "en-GB" },
  { name: "small", width: 360, height: 740, colorScheme: "light", locale: "en-GB" },
  { name: "zh", width: 1280, height: 860, colorScheme: "light", locale: "zh-CN" },
];
const PAGES = { now: "/", host: "/host", incidents: "/incidents", incident: "/incidents/12" };
for (const { name, width, height, ...rest } of LOOKS) {
  const context = await browser.newContext({ viewport: { width, height }, ...rest });
  const page = await context.newPage();
  for (const [title, path] of Object.entries(PAGES)) {
    await page.goto(mock.url + path);
    await page.waitForSelector("h1:visible");
    await page.waitForTimeout(2500);
    await page.screenshot({ path: `${folder}/${name}-${title}.png`, fullPage: true });
  }
  await context.close();
}
await browser.close();
await mock.close();
