/** The public REST API, as this page uses it. Every call may be aborted, and fails with a Problem. */

import { key } from "./key.js";
import { Problem } from "./problem.js";

/**
 * @typedef {{key: string|null, scope: "read"|"write"|"admin", keys: boolean, jobs: boolean, fetch: boolean,
 *   rerank: boolean, max_body: number, version: string}} Me
 * @typedef {{name: string, items: number, model: string, view: string, dimension: number, version: number}} Short
 * @typedef {{id: string, score: number, confidence?: number, modality: "image"|"text", uri?: string, text?: string|null,
 *   matched?: string, metadata?: Record<string, any>, thumbnail?: string|null}} Hit
 * @typedef {{hits: Hit[], total?: number, timings: {encode_ms: number, search_ms: number, total_ms: number},
 *   model: string, version: number, shortened?: number,
 *   reranked?: {model: string, judged: number, reason?: string, ms: number}}} Result
 */

/** @returns {Record<string, string>} */
function authorization() {
  return key() ? { Authorization: `Bearer ${key()}` } : {};
}

/**
 * @param {string} method
 * @param {string} path under /v1
 * @param {{json?: any, form?: FormData, signal?: AbortSignal}} [options]
 * @returns {Promise<Response>}
 */
async function call(method, path, { json, form, signal } = {}) {
  const headers = authorization();
  if (json !== undefined) headers["Content-Type"] = "application/json";
  try {
    const response = await fetch(`/v1${path}`, {
      method,
      headers,
      body: form ?? (json === undefined ? undefined : JSON.stringify(json, asDigits)),
      signal,
    });
    if (response.ok) return response;
    const text = await response.text();
    throw Problem.of({ status: response.status, text, header: (name) => response.headers.get(name) });
  } catch (error) {
    if (error instanceof Problem || signal?.aborted) throw error;
    throw Problem.offline();
  }
}

/**
 * A whole number that JavaScript cannot hold stays as its digits: to be shown right, it need not be a number.
 * @type {(this: any, key: string, value: any, context?: {source?: string}) => any}
 */
function exact(_, value, context) {
  const lost = Number.isInteger(value) && !Number.isSafeInteger(value);
  const source = context?.source ?? "";
  return lost && /^-?\d+$/.test(source) ? source : value;
}

/**
 * A bound of a range that is such a whole number is sent as the number that its digits are. Browsers that cannot write
 * one (before Chrome 114, Firefox 135, Safari 18.4) round it.
 * @type {(key: string, value: any) => any}
 */
function asDigits(name, value) {
  if (!["gte", "lte"].includes(name) || !/^-?\d{16,}$/.test(value)) return value;
  const raw = /** @type {any} */ (JSON).rawJSON;
  return raw ? raw(value) : Number(value);
}

/** @type {(method: string, path: string, options?: any) => Promise<any>} */
async function parsed(method, path, options) {
  const response = await call(method, path, options);
  try {
    return JSON.parse(await response.text(), exact);
  } catch (error) {
    if (options?.signal?.aborted) throw error;
    throw Problem.offline(); // it broke off
  }
}

const of = (/** @type {string} */ collection) => `/collections/${encodeURIComponent(collection)}`;
const item = (/** @type {string} */ collection, /** @type {string} */ id) =>
  `${of(collection)}/items/${encodeURIComponent(id)}`;

export const api = {
  /** @returns {Promise<Me>} */
  me: () => parsed("GET", "/me"),
  /** @returns {Promise<Short[]>} */
  collections: async () => (await parsed("GET", "/collections")).collections,
  collection: (/** @type {string} */ name, /** @type {AbortSignal} */ signal) => parsed("GET", of(name), { signal }),
  facets: (/** @type {string} */ name, /** @type {AbortSignal} */ signal) =>
    parsed("GET", `${of(name)}/facets`, { signal }),
  map: (/** @type {string} */ name, /** @type {AbortSignal} */ signal) =>
    parsed("GET", `${of(name)}/map?sample=1000`, { signal }),
  quarantine: (/** @type {string} */ name, /** @type {AbortSignal} */ signal) =>
    parsed("GET", `${of(name)}/quarantine?limit=50`, { signal }),
  verify: (/** @type {string} */ name) => parsed("POST", `${of(name)}/verify`),
  build: (/** @type {string} */ name) => parsed("POST", `${of(name)}/build`),
  scroll: (/** @type {string} */ name, /** @type {any} */ json, /** @type {AbortSignal} */ signal) =>
    parsed("POST", `${of(name)}/items:scroll`, { json, signal }),
  item: (/** @type {string} */ name, /** @type {string} */ id) =>
    parsed("GET", `${item(name, id)}?with=payload&with=thumbnail`),
  words: (/** @type {string} */ name, /** @type {string} */ id, /** @type {string} */ keywords) =>
    parsed("GET", `${item(name, id)}/words?keywords=${encodeURIComponent(keywords)}`),
  originalAt: (/** @type {string} */ name, /** @type {string} */ id) => `/v1${item(name, id)}/original`,
  original: async (/** @type {string} */ name, /** @type {string} */ id) =>
    (await call("GET", `${item(name, id)}/original`)).blob(),
  part: async (/** @type {string} */ name, /** @type {string} */ id) =>
    (await call("GET", `${item(name, id)}/part`)).blob(),
  thumbnail: async (/** @type {string} */ name, /** @type {string} */ id) =>
    (await call("GET", `${item(name, id)}/thumbnail`)).blob(),

  /**
   * @param {string} name
   * @param {any} query
   * @param {Map<string, Blob>} files by the name that the query has for them
   * @param {AbortSignal} signal
   * @returns {Promise<Result>}
   */
  search(name, query, files, signal) {
    if (files.size === 0) return parsed("POST", `${of(name)}/search`, { json: query, signal });
    const form = new FormData();
    form.append("query", JSON.stringify(query));
    for (const [field, blob] of files) form.append(field, blob, field);
    return parsed("POST", `${of(name)}/search`, { form, signal });
  },

  /**
   * Stores one item, telling how much of it was sent; only XMLHttpRequest can tell.
   * @param {string} name
   * @param {any} one
   * @param {File|null} file
   * @param {(bytes: number) => void} progress
   * @returns {Promise<any>}
   */
  store(name, one, file, progress) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("POST", `/v1${of(name)}/items`);
      for (const [header, value] of Object.entries(authorization())) request.setRequestHeader(header, value);
      request.upload.onprogress = (event) => progress(event.loaded);
      request.onerror = () => reject(Problem.offline());
      request.onload = () => {
        const answer = {
          status: request.status,
          text: request.responseText,
          header: (/** @type {string} */ at) => request.getResponseHeader(at),
        };
        if (request.status >= 200 && request.status < 300) resolve(JSON.parse(request.responseText));
        else reject(Problem.of(answer));
      };
      const form = new FormData();
      form.append("items", JSON.stringify({ items: [one] }));
      if (file) form.append("file", file, "file");
      request.send(form);
    });
  },
};
