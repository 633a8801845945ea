// A real `wellkept up` over a tiny real service, in a temporary folder: what the tests of the story break and mend.
//
// WELLKEPT_BIN names the binary. The tiny service is the one of `wellkept try`: it needs one setting, answers over
// HTTP, and writes its pid file. Nothing outside the folder is touched.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

import { launch } from "./browser.mjs";
import { until } from "./harness.mjs";

/** How long the product may take for something that we wait for. */
export const PATIENCE_MS = 90_000;
/** As long as the name of a service may be. */
export const LONG = "warehouse-synchronisation-worker-with-the-longest-name-possible";
const SETTING = "GREETING=hello\n";
/** A file's content counts as good once its service was well for 5 s; two rounds more, to be sure. */
const GOOD_AFTER_MS = 7_000;

function binary() {
  const given = process.env.WELLKEPT_BIN;
  assert.ok(given, "WELLKEPT_BIN must name the binary: npm run e2e:real from `cargo xtask test`, or by hand");
  return resolve(process.env.INIT_CWD ?? ".", given);
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** One tiny service: its files, and the command that starts it. */
class Tiny {
  constructor(folder, name, port) {
    Object.assign(this, { name, port, settings: join(folder, `${name}.settings`), pidfile: join(folder, `${name}.pid`) });
    this.start = [binary(), "try-start", `--port=${port}`, `--settings=${this.settings}`, `--pidfile=${this.pidfile}`];
  }

  keep(dependsOn) {
    return {
      start: this.start,
      pidfile: this.pidfile,
      health: { http: `http://127.0.0.1:${this.port}/`, expect: 200, every: "500ms" },
      listens: [`127.0.0.1:${this.port}`],
      files: [{ path: this.settings, kind: "setting" }],
      may: ["restart", "rollback"],
      ...(dependsOn.length === 0 ? {} : { depends_on: dependsOn }),
    };
  }

  async pid() {
    return Number(await readFile(this.pidfile, "utf8"));
  }

  async kill() {
    process.kill(await this.pid(), "SIGKILL");
  }

  async answers() {
    return fetch(`http://127.0.0.1:${this.port}/`, { signal: AbortSignal.timeout(1000) }).then((answer) => answer.ok, () => false);
  }
}

/** Starts everything, two services of these names of which the first needs the second, and waits until Wellkept sees the services well and takes their settings as good. */
export async function raise(mode, [first, second] = ["tiny", LONG]) {
  const folder = await mkdtemp(join(tmpdir(), "wellkept-e2e-"));
  const tiny = new Tiny(folder, first, await freePort());
  const long = new Tiny(folder, second, await freePort());
  const keep = {
    services: { [first]: tiny.keep([second]), [second]: long.keep([]) },
    automation: { mode, attempts: "20 per target per hour", verify_hold: "2s" },
  };
  await writeFile(join(folder, "wellkept.yml"), JSON.stringify(keep)); // JSON is YAML.
  for (const one of [tiny, long]) {
    await writeFile(one.settings, SETTING);
    execFileSync(one.start[0], one.start.slice(1), { stdio: "ignore" });
  }
  const url = `http://127.0.0.1:${await freePort()}`;
  const log = createWriteStream(join(folder, "up.log"));
  const args = ["up", "--keep", join(folder, "wellkept.yml"), "--data-dir", join(folder, "data"), "--listen", url.slice(7)];
  const up = spawn(binary(), args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  up.stdout.pipe(log);
  up.stderr.pipe(log);
  const stage = new Stage({ folder, tiny, long, url, up, browser: await launch() });
  try {
    await stage.waitWell();
  } catch (error) {
    console.error(await readFile(join(folder, "up.log"), "utf8"));
    await stage.close();
    throw error;
  }
  return stage;
}

class Stage {
  constructor(parts) {
    Object.assign(this, parts);
  }

  async get(path) {
    const answer = await fetch(this.url + path);
    assert.equal(answer.status, 200, path);
    return answer.json();
  }

  async token() {
    return (await readFile(join(this.folder, "data", "token"), "utf8")).trim();
  }

  async waitWell() {
    let since = null;
    const look = async () => {
      const overview = await this.get("/api/v1/overview").catch(() => null);
      const well = overview?.services.length === 2 && overview.services.every((one) => one.state === "running" && one.healthy === 1);
      since = well ? (since ?? Date.now()) : null;
      return since === null ? overview : Date.now() - since;
    };
    await until(look, (value) => typeof value === "number" && value >= GOOD_AFTER_MS, "services that stay well", PATIENCE_MS);
  }

  /** Puts another text where the service has its setting, and makes the service read it. */
  async breakSetting() {
    await writeFile(this.tiny.settings, BROKEN);
    await this.tiny.kill();
  }

  async close() {
    await this.browser.close();
    if (this.up.exitCode === null && this.up.signalCode === null) {
      this.up.kill("SIGTERM");
      await once(this.up, "exit");
    }
    for (const one of [this.tiny, this.long]) await one.kill().catch(() => {}); // Already gone is as good.
    await rm(this.folder, { recursive: true, force: true });
  }
}

export const BROKEN = "# somebody edited this file\n";
