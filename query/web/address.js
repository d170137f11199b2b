/** A place as the part of an address after `#`, which no server is told; and back. */

import { keyOf, named, start } from "./place.js";

/**
 * @typedef {import("./place.js").Place} Place
 * @typedef {import("./place.js").Source} Source
 * @typedef {import("./place.js").Part} Part
 */

const MODALITIES = ["image", "text"];
const RANKINGS = ["both", "words"];

/**
 * `c` is the collection; each `s` a step of the chain and each `p` a part, with `w`, `e` and `x`, its weight, edit and
 * region, after it; `j`: words and pictures are read as one; `k`: hits are reranked; `d`: copies
 * are left out; `f` are conditions.
 * @param {Place} place
 * @returns {string}
 */
export function written(place) {
  const said = new URLSearchParams();
  if (place.collection) said.append("c", place.collection);
  if (place.page === "collection") said.append("page", "collection");
  for (const part of place.parts) {
    said.append("p", keyOf(part));
    if (part.weight !== 1) said.append("w", String(part.weight));
    if (part.kind === "picture") detailed(said, part);
  }
  if (place.chain.length > 1) {
    for (const step of place.chain) {
      said.append("s", named(step.source));
      detailed(said, step);
    }
    said.append("at", String(place.at));
  }
  if (place.modality) said.append("m", place.modality);
  if (place.ranking !== "meaning") said.append("r", place.ranking);
  if (place.joined) said.append("j", "1");
  if (place.rerank) said.append("k", "1");
  if (place.folded) said.append("d", "1");
  for (const condition of place.filters) said.append("f", JSON.stringify(condition));
  return `#${said}`;
}

/** @param {URLSearchParams} said @param {{edit: string, crop?: number[]|null}} one */
function detailed(said, one) {
  if (one.edit) said.append("e", one.edit);
  if (one.crop) said.append("x", one.crop.join(","));
}

/**
 * What an address says; what it says wrongly is left out.
 * @param {string} hash
 * @returns {Place}
 */
export function read(hash) {
  const place = start("");
  /** @type {any} */
  let last = null;
  for (const [name, value] of new URLSearchParams(hash.replace(/^#/, ""))) {
    if (name === "c") place.collection = value;
    else if (name === "page" && value === "collection") place.page = "collection";
    else if (name === "p" && (last = partOf(value))) place.parts.push(last);
    else if (name === "s" && (last = stepOf(value))) place.chain.push(last);
    else if (name === "w" && last && Number.isFinite(Number(value)))
      last.weight = Math.max(-1, Math.min(Number(value), 1));
    else if (name === "e" && last && "edit" in last) last.edit = value;
    else if (name === "x" && last && "edit" in last) last.crop = cropOf(value);
    else if (name === "j") place.joined = value === "1";
    else if (name === "k") place.rerank = value === "1";
    else if (name === "d") place.folded = value === "1";
    else if (name === "at") place.at = Number(value) || 0;
    else if (name === "m" && MODALITIES.includes(value)) place.modality = /** @type {any} */ (value);
    else if (name === "r" && RANKINGS.includes(value)) place.ranking = /** @type {any} */ (value);
    else if (name === "f") place.filters.push(...conditionOf(value));
  }
  const picture = /** @type {any} */ (place.parts.find((part) => part.kind === "picture" && part.weight > 0));
  if (!picture) return { ...place, chain: [], at: 0 };
  if (!place.chain[place.at]) {
    const { source, edit, crop } = picture;
    return { ...place, chain: [{ source, edit, crop }], at: 0 };
  }
  return place;
}

/** @param {string} said @returns {Part|null} */
function partOf(said) {
  const [kind, value] = halves(said);
  if (!value) return null;
  if (kind === "text") return { kind, text: value, weight: 1 };
  if (kind === "like") return { kind, id: value, weight: 1 };
  const source = sourceOf(said);
  return source && { kind: "picture", source, edit: "", weight: 1 };
}

/** A region, or none where it is not within the picture. @param {string} said @returns {number[]|null} */
function cropOf(said) {
  const crop = said.split(",").map(Number);
  const [left, top, width, height] = crop;
  const fits = left >= 0 && top >= 0 && width > 0 && height > 0 && left + width <= 1.000001 && top + height <= 1.000001;
  return crop.length === 4 && fits ? crop : null;
}

/** @param {string} said */
function stepOf(said) {
  const source = sourceOf(said);
  return source && { source, edit: "" };
}

/** @param {string} said @returns {Source|null} */
function sourceOf(said) {
  const [from, value] = halves(said);
  if (!value) return null;
  if (from === "upload") return { from, key: value };
  if (from === "url") return { from, url: value };
  return from === "hit" ? { from, id: value } : null;
}

/** @param {string} said @returns {[string, string]} */
function halves(said) {
  const at = said.indexOf(":");
  return [said.slice(0, at), said.slice(at + 1)];
}

/** @param {string} said @returns {any[]} */
function conditionOf(said) {
  try {
    const condition = JSON.parse(said);
    return typeof condition?.field === "string" ? [condition] : [];
  } catch {
    return [];
  }
}
