/* A bundle that was dropped on the page, kept for when the page is loaded again. */

export const DROPPED = "dropped";
const CACHE = "vae-edge-dropped";
const NAME_HEADER = "x-name";
const NEEDS_HTTPS = "A bundle can be dropped on pages of https and localhost alone; put it beside the page, or give ?bundle=ADDRESS";

export async function cacheFile(file) {
  if (!globalThis.caches) throw new Error(NEEDS_HTTPS);
  const headers = { [NAME_HEADER]: encodeURIComponent(file.name) };
  const cache = await caches.open(CACHE);
  await cache.put(DROPPED, new Response(file, { headers }));
}

/* undefined where there is none any more. */
export async function cachedFile() {
  const cache = await globalThis.caches?.open(CACHE);
  const response = await cache?.match(DROPPED);
  if (!response) return undefined;
  const name = decodeURIComponent(response.headers.get(NAME_HEADER));
  return new File([await response.blob()], name);
}
