/* Keeps the page for when there is no network: its own files from the first visit on, bundles as they were last loaded. */

// The build puts the list of the page's files here; their names change with their content.
const FILES = self.FILES;
const PAGE_CACHE = `vae-edge-page-${FILES.join()}`;
const BUNDLE_CACHE = "vae-edge-bundles";
const scope = self.registration.scope;
const own = new Set(FILES.map((name) => new URL(name, scope).href));

self.addEventListener("install", (event) => event.waitUntil(keepPage()));
self.addEventListener("activate", (event) => event.waitUntil(dropOldPages()));
self.addEventListener("message", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  const address = event.request.url.split(/[?#]/)[0];
  const isPage = event.request.mode === "navigate" || own.has(address);
  event.respondWith(isPage ? fromCache(address) : fromNetwork(event.request));
});

async function keepPage() {
  const cache = await caches.open(PAGE_CACHE);
  // A file that the browser has kept by itself may be an old one.
  await cache.addAll([...own].map((address) => new Request(address, { cache: "no-cache" })));
  await self.skipWaiting();
}

async function dropOldPages() {
  for (const name of await caches.keys()) {
    if (name.startsWith("vae-edge-page-") && name !== PAGE_CACHE) await caches.delete(name);
  }
  await self.clients.claim();
}

async function fromCache(address) {
  const cache = await caches.open(PAGE_CACHE);
  const name = address === new URL("index.html", scope).href ? scope : address;
  return (await cache.match(name)) ?? fetch(address);
}

async function fromNetwork(request) {
  const cache = await caches.open(BUNDLE_CACHE);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(request, response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(request);
    if (kept) return kept;
    throw error;
  }
}
