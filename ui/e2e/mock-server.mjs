// Serves the built console and the API's shapes from memory, under the headers that the real server sends.
//
// By itself: `node e2e/mock-server.mjs [port]`. In tests: `await startMock()`.

import { readFile, readdir } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { incidents, newWorld, overview, summary } from "./mock-data.mjs";
import { fleet } from "./mock-fleet.mjs";
import { incidentStory, logs, markHarmless } from "./mock-logs.mjs";
import { prometheus } from "./mock-metrics.mjs";

export const MOCK_TOKEN = "wk_mock_0123456789";
export const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/** Stricter than the real server asks for today; the console keeps it already. */
const TRUSTED_TYPES = "; require-trusted-types-for 'script'; trusted-types 'none'";

const DIST = join(dirname(fileURLToPath(import.meta.url)), "..", "dist");
const TYPES = { html: "text/html; charset=utf-8", js: "text/javascript; charset=utf-8", css: "text/css; charset=utf-8", svg: "image/svg+xml" };
const BODY_MAX = 65_536;

async function loadFiles() {
  const files = new Map();
  for (const name of await readdir(DIST, { recursive: true, withFileTypes: true })) {
    if (!name.isFile()) continue;
    const full = join(name.parentPath, name.name);
    files.set(full.slice(DIST.length), await readFile(full));
  }
  return files;
}

/** Starts on `port` (0: any). Gives the address, the state that acts change, and ways to break it. */
export async function startMock({ port = 0 } = {}) {
  const files = await loadFiles();
  const world = newWorld();
  const streams = new Set();
  const server = createServer((request, response) => {
    handle(request, response, { files, world, streams }).catch(() => response.destroy());
  });
  await new Promise((done) => server.listen(port, "127.0.0.1", done));
  const beat = setInterval(() => {
    if (world.quiet) return;
    for (const stream of streams) stream.send("overview", overview(world));
  }, 1000);
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    token: MOCK_TOKEN,
    world,
    /** Ends all streams and refuses everything until `wake`. */
    sleep() {
      world.quiet = true;
      for (const stream of streams) stream.end();
    },
    wake() {
      world.quiet = false;
    },
    close() {
      clearInterval(beat);
      server.closeAllConnections();
      return new Promise((done) => server.close(done));
    },
  };
}

async function handle(request, response, { files, world, streams }) {
  const url = new URL(request.url, "http://mock");
  const language = url.searchParams.get("lang") ?? "en";
  response.setHeader("Content-Security-Policy", CSP + TRUSTED_TYPES);
  response.setHeader("X-Content-Type-Options", "nosniff");
  const json = (status, body) => {
    response.writeHead(status, { "Content-Type": "application/json", "Cache-Control": "no-store" });
    response.end(JSON.stringify(body));
  };
  const refuse = (status, errorType, error) => json(status, { status: "error", errorType, error });
  const path = url.pathname;

  if (!/^\/(?:api|loki)\//.test(path)) return page(path, files, response);
  if (world.quiet) return response.destroy();
  if (request.method === "POST" && !path.startsWith("/api/v1/query")) {
    if (request.headers.authorization !== `Bearer ${MOCK_TOKEN}`) return refuse(401, "unauthorized", "a token is needed");
    const body = await readBody(request);
    return act(path, body, { world, streams, json, refuse });
  }
  if (path === "/api/v1/overview") return json(200, overview(world));
  if (path === "/api/v1/incidents") return json(200, { incidents: incidents(world, language).map(summary) });
  const one = /^\/api\/v1\/incidents\/(\d+)$/.exec(path);
  if (one !== null) {
    const found = incidents(world, language).find((incident) => incident.id === one[1]);
    return found === undefined ? refuse(404, "not_found", `no incident ${one[1]}`) : json(200, found);
  }
  const story = /^\/api\/v1\/incidents\/(\d+)\/logs$/.exec(path);
  if (story !== null) return json(200, { status: "success", data: incidentStory(story[1]) });
  if (path === "/api/v1/events") return stream(response, { world, streams, language });
  const ok = (data, notes = {}) => (json(200, { status: "success", data, ...notes }), true);
  if (fleet(path, url.searchParams, world, { ok, refuse: (...said) => (refuse(...said), true), token: request.headers.authorization === `Bearer ${MOCK_TOKEN}` }) !== null) return;
  if (logs(path, url.searchParams, world, { ok, refuse: (...said) => (refuse(...said), true), response, language }) !== null) return;
  if (prometheus(path, url.searchParams, world, { ok, refuse: (...said) => (refuse(...said), true) }) !== null) return;
  return refuse(404, "not_found", "no such resource");
}

function page(path, files, response) {
  const asset = files.get(path);
  const isPage = path === "/" || asset === undefined;
  if (asset === undefined && path.startsWith("/assets/")) {
    response.writeHead(404).end();
    return;
  }
  const body = isPage ? files.get("/index.html") : asset;
  const kind = isPage ? "html" : path.slice(path.lastIndexOf(".") + 1);
  response.writeHead(200, { "Content-Type": TYPES[kind] ?? "application/octet-stream", "Cache-Control": "no-cache" });
  response.end(body);
}

function stream(response, { world, streams, language }) {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  const one = {
    language,
    send: (event, data) => response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`),
    end: () => response.end(),
  };
  streams.add(one);
  response.on("close", () => streams.delete(one));
  response.write(": here\n\n");
  one.send("overview", overview(world));
}

async function readBody(request) {
  let text = "";
  for await (const chunk of request) {
    text += chunk;
    if (text.length > BODY_MAX) throw new Error("the body is too long");
  }
  return text === "" ? {} : JSON.parse(text);
}

function act(path, body, { world, streams, json, refuse }) {
  const told = () => {
    for (const stream of streams) {
      stream.send("incident", summary(incidents(world, stream.language).find((one) => one.id === "12")));
      stream.send("overview", overview(world));
    }
    json(200, { status: "success" });
  };
  switch (path) {
    case "/api/v1/freeze":
      world.frozen = String(body.reason ?? "");
      return told();
    case "/api/v1/unfreeze":
      world.frozen = null;
      return told();
    case "/api/v1/logs/harmless":
      markHarmless(world, body);
      return json(200, { status: "success", data: {} });
    case "/api/v1/incidents/12/approve":
      if (body.generation !== 1) return refuse(409, "conflict", "the plan is older than the last one");
      world.status = "resolved";
      world.resolvedAt = Date.now();
      return told();
    case "/api/v1/incidents/12/undo":
      world.undone = true;
      return told();
    case "/api/v1/incidents/12/escalate":
      world.status = "escalated";
      return told();
    default:
      return refuse(404, "not_found", "no such act");
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const mock = await startMock({ port: Number(process.argv[2] ?? 7677) });
  process.stdout.write(`${mock.url}#token=${mock.token}\n`);
}
