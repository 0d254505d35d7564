// Large files: fetched once, kept by the browser under the hash of their content, checked.

const CACHE = "edgesam";

/**
 * Return the content of a file of the manifest.
 * @param {URL} base of the page
 * @param {{path: string, bytes: number, sha256: string}} file
 * @param {(bytes: number) => void} onBytes told how many more are there
 * @returns {Promise<ArrayBuffer>}
 */
export async function loadFile(base, file, onBytes) {
  const address = addressOf(base, file);
  const cache = await openCache();
  const kept = await cache?.match(address);
  if (kept) {
    const content = await kept.arrayBuffer();
    if (await isIntact(content, file)) {
      onBytes(file.bytes);
      return content;
    }
    await cache.delete(address);
  }
  const content = await download(address, file, onBytes);
  if (!(await isIntact(content, file))) {
    throw new Error(`${file.path} arrived damaged: reload the page, or build it again`);
  }
  try {
    await cache?.put(address, new Response(content.slice(0)));
  } catch (error) {
    console.info("not kept for the next visit:", error.message); // no room: it will be fetched again
  }
  return content;
}

/** Forget files that an earlier build of this page left in the cache. */
export async function forgetOtherFiles(base, files) {
  const cache = await openCache();
  if (!cache) return;
  const needed = new Set(files.map((file) => addressOf(base, file)));
  for (const { url } of await cache.keys()) {
    if (url.startsWith(base.href) && !needed.has(url)) await cache.delete(url);
  }
}

function addressOf(base, file) {
  return new URL(`${file.path}?sha256=${file.sha256}`, base).href;
}

/** Return the cache, or null where there is none: without HTTPS, in private windows, where storage is forbidden. */
async function openCache() {
  try {
    return await caches.open(CACHE);
  } catch {
    return null;
  }
}

async function download(address, file, onBytes) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${file.path}: the server answered ${response.status} ${response.statusText}`);
  const content = new Uint8Array(file.bytes);
  let place = 0;
  for (const reader = response.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (place + value.length > file.bytes) throw new Error(`${file.path} is longer than it should be: build the page again`);
    content.set(value, place);
    place += value.length;
    onBytes(value.length);
  }
  if (place < file.bytes) throw new Error(`${file.path} broke off after ${place} of ${file.bytes} bytes: reload the page`);
  return content.buffer;
}

async function isIntact(content, file) {
  if (content.byteLength !== file.bytes) return false;
  if (!globalThis.crypto?.subtle) return true; // browsers have it over HTTPS and on localhost alone
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("") === file.sha256;
}
