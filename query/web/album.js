/** Pictures that the visitor gave, kept in this browser by a hash of their content, so that going back finds them. */

const MOST = 100;
/** @type {Map<string, Blob>} */
const held = new Map();

/** @returns {Promise<IDBDatabase|null>} null where the browser keeps nothing */
function opened() {
  return new Promise((resolve) => {
    try {
      const request = indexedDB.open("oneword", 1);
      request.onupgradeneeded = () =>
        request.result.createObjectStore("pictures", { keyPath: "key" }).createIndex("added", "added");
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => resolve(null);
      request.onblocked = () => resolve(null);
    } catch {
      resolve(null);
    }
  });
}

/** @type {Promise<IDBDatabase|null>|undefined} */
let database;

/**
 * @template T
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<T>} work
 * @returns {Promise<T|undefined>} undefined where it cannot be done
 */
async function done(mode, work) {
  const open = await (database ??= opened());
  if (!open) return undefined;
  return new Promise((resolve) => {
    try {
      const request = work(open.transaction("pictures", mode).objectStore("pictures"));
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => resolve(undefined);
    } catch {
      resolve(undefined);
    }
  });
}

/**
 * Keeps a picture.
 * @param {Blob} blob
 * @returns {Promise<string>} its key: of the same bytes, the same
 */
export async function keep(blob) {
  const key = await hashed(blob);
  held.set(key, blob);
  await done("readwrite", (store) => store.put({ key, blob, added: Date.now() }));
  await prune();
  return key;
}

/**
 * @param {string} key
 * @returns {Promise<Blob|null>} null if this browser has not got it
 */
export async function kept(key) {
  const here = held.get(key);
  if (here) return here;
  const found = await done("readonly", (store) => store.get(key));
  if (found) held.set(key, found.blob);
  return found ? found.blob : null;
}

async function prune() {
  const keys = await done("readonly", (store) => store.index("added").getAllKeys());
  for (const old of (keys ?? []).slice(0, -MOST)) await done("readwrite", (store) => store.delete(old));
}

/** @param {Blob} blob */
async function hashed(blob) {
  if (!globalThis.crypto?.subtle) return Math.random().toString(36).slice(2, 14); // plain http to another machine
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()));
  return [...digest.slice(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
