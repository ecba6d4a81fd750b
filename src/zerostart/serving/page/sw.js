/**
 * The page's shell without a network. The server is asked first, so a new version shows at once; what it gave last is the
 * answer when it cannot be reached. Inspections (/v1) are never kept.
 */

const CACHE = "zerostart-shell";
const SHELL = [
  "/",
  "/static/manifest.webmanifest",
  "/static/icons/icon-192.png",
  "/static/icons/icon-512.png",
  "/static/icons/icon-maskable-512.png",
  "/static/icons/icon.svg",
  "/static/modules/api.js",
  "/static/modules/bars.js",
  "/static/modules/box_editor.js",
  "/static/modules/camera.js",
  "/static/modules/cases.js",
  "/static/modules/dom.js",
  "/static/modules/editing.js",
  "/static/modules/figures.js",
  "/static/modules/findings_list.js",
  "/static/modules/geometry.js",
  "/static/modules/icons.js",
  "/static/modules/intake.js",
  "/static/modules/main.js",
  "/static/modules/next_list.js",
  "/static/modules/overlay.js",
  "/static/modules/picture.js",
  "/static/modules/picture_list.js",
  "/static/modules/reasons.js",
  "/static/modules/shown.js",
  "/static/modules/state.js",
  "/static/modules/tabs.js",
  "/static/modules/tags.js",
  "/static/modules/upload_queue.js",
  "/static/modules/verdict.js",
  "/static/modules/verdict_panel.js",
  "/static/modules/views.js",
  "/static/modules/words.js",
  "/static/styles/base.css",
  "/static/styles/layout.css",
  "/static/styles/panel.css",
  "/static/styles/stage.css",
  "/static/words/en.json",
  "/static/words/es.json",
];

self.addEventListener("install", (event) => {
  const fresh = SHELL.map((path) => new Request(path, { cache: "reload" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(fresh)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { pathname, origin } = new URL(event.request.url);
  if (origin === location.origin && event.request.method === "GET" && SHELL.includes(pathname)) event.respondWith(shell(event.request, pathname));
});

async function shell(request, pathname) {
  const cache = await caches.open(CACHE);
  try {
    const answer = await fetch(request);
    if (answer.ok) await cache.put(pathname, answer.clone());
    return answer;
  } catch {
    return (await cache.match(pathname)) ?? Response.error();
  }
}
