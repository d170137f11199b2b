/** Pictures of a query, wherever they come from: to be shown, and to be sent. */

import { keep, kept } from "./album.js";
import { api } from "./api.js";
import { Problem } from "./problem.js";

/** @typedef {import("./place.js").Source} Source */

/** @type {Map<string, Promise<string>>} addresses that this page may show, by collection and source */
const shown = new Map();
/** @type {Map<string, string>} thumbnails of hits as data URIs, by collection and id */
const thumbnails = new Map();
/** @type {Map<string, any>} items by collection and id */
const items = new Map();

/** Bytes that the service takes in one request; larger originals are sent as thumbnails. */
let most = 32 * 2 ** 20;

/** @param {number} bytes */
export function limit(bytes) {
  most = bytes;
}

/** Remembers what an answer told of an item. @param {string} collection @param {any} one */
export function remember(collection, one) {
  items.set(`${collection}/${one.id}`, one);
  if (one.thumbnail) thumbnails.set(`${collection}/${one.id}`, one.thumbnail);
}

/** An item, remembered or asked for. @param {string} collection @param {string} id @returns {Promise<any>} */
export async function itemOf(collection, id) {
  const found = items.get(`${collection}/${id}`);
  if (found) return found;
  const asked = await api.item(collection, id);
  remember(collection, asked);
  return asked;
}

/** Keeps a visitor's file. @param {Blob} file @returns {Promise<Source>} */
export async function adopted(file) {
  if (file.size > most) {
    throw new Problem({
      code: "body_too_large",
      detail: `The picture has ${megabytes(file.size)}; this service takes at most ${megabytes(most)}.`,
      remedy: "Choose a smaller one, or scale it down first.",
    });
  }
  return { from: "upload", key: await keep(file) };
}

/** @param {number} bytes */
export const megabytes = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

/**
 * An address at which the page can show the picture; rejects where there is none.
 * @param {string} collection
 * @param {Source} source
 * @returns {Promise<string>}
 */
export function preview(collection, source) {
  if (source.from === "hit") return thumbnailOf(collection, source.id);
  if (source.from === "url")
    return Promise.reject(new Error("pictures of other sites are not shown, only searched by"));
  const found = shown.get(source.key);
  if (found) return found;
  const made = blobOf(collection, source).then((blob) => URL.createObjectURL(blob));
  shown.set(source.key, made);
  made.catch(() => shown.delete(source.key));
  return made;
}

/** @param {string} collection @param {string} id */
async function thumbnailOf(collection, id) {
  const name = `${collection}/${id}`;
  if (!thumbnails.has(name)) await itemOf(collection, id);
  const found = thumbnails.get(name);
  if (!found) throw new Error("it has no thumbnail");
  return found;
}

/**
 * The picture in full, as far as the service has it.
 * @param {string} collection
 * @param {{id: string, uri?: string}} one
 * @returns {Promise<Blob>}
 */
async function originalOf(collection, one) {
  // The service sends whoever asks for one on the web there, which this page's policy forbids.
  if (!/^https?:|#(page|t)=/i.test(one.uri ?? "")) {
    try {
      const blob = await api.original(collection, one.id);
      if (blob.size < most - 64 * 2 ** 10) return blob; // the rest of a request needs some room
    } catch (error) {
      if (error instanceof Problem && (error.offline || error.wantsKey)) throw error;
    }
  }
  return api.thumbnail(collection, one.id);
}

/** As `originalOf`, to be shown. @param {string} collection @param {any} one @returns {Promise<string>} */
export function large(collection, one) {
  const name = `${collection}/${one.id}/large`;
  const made =
    shown.get(name) ??
    (/^file:[^#]*$/.test(one.uri ?? "") // of a page the original is the whole document
      ? originalOf(collection, one).then((blob) => URL.createObjectURL(blob))
      : thumbnailOf(collection, one.id));
  shown.set(name, made);
  made.catch(() => shown.delete(name));
  return made;
}

/**
 * The bytes to send.
 * @param {string} collection
 * @param {Source} source not one by URL, which the service fetches
 * @returns {Promise<Blob>}
 */
export async function blobOf(collection, source) {
  if (source.from === "hit") return originalOf(collection, await itemOf(collection, source.id));
  const found = source.from === "upload" ? await kept(source.key) : null;
  if (found) return found;
  throw new Problem({
    code: "picture_elsewhere",
    detail: "This link refers to a picture that is not in this browser: it was dropped or chosen in another one.",
    remedy: "Drop the picture here, or ask for a link to a picture of the collection or by URL, which can be shared.",
  });
}
