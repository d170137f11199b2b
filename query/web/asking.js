/** A place's query as the REST API takes it. */

import { blobOf } from "./pictures.js";
import { lead } from "./place.js";

/** @typedef {import("./place.js").Place} Place */

/** Hits in a page of results. */
export const PAGE = 24;

/** The words that texts should have. @param {Place} place */
export const keywords = (place) =>
  place.parts
    .flatMap((part) => (part.kind === "text" && part.weight > 0 ? [part.text] : []))
    .join(" ")
    .trim();

/** How hits are ranked: without words there is only meaning. @param {Place} place */
export const rankedBy = (place) => (keywords(place) ? place.ranking : "meaning");

/**
 * @param {Place} place
 * @returns {Promise<{query: any, files: Map<string, Blob>}>}
 */
export async function request(place) {
  /** @type {any} */
  const query = { limit: PAGE, with: ["payload", "thumbnail"] };
  /** @type {Map<string, Blob>} */
  const files = new Map();
  const ranked = rankedBy(place);
  if (ranked !== "words") query.parts = await parts(place, files);
  if (ranked === "words") query.keywords = keywords(place);
  if (ranked === "both") query.hybrid = { keywords: keywords(place) };
  if (place.modality) query.modality = place.modality;
  const filter = {
    ...(place.filters.length && { must: place.filters }),
    ...(references(place).length && { must_not: references(place) }),
  };
  if (Object.keys(filter).length) query.filter = filter;
  return { query, files };
}

/**
 * Hits that are being edited are not an answer. The service sees that by the bytes, of which a thumbnail has others.
 * @param {Place} place
 */
const references = (place) =>
  place.parts.flatMap((part) =>
    part.kind === "picture" && part.edit && part.source.from === "hit" ? [{ field: "id", match: part.source.id }] : [],
  );

/** @param {Place} place @param {Map<string, Blob>} files */
async function parts(place, files) {
  const made = [];
  for (const part of place.parts) {
    if (part.weight === 0) continue; // a slider in the middle: neither more nor less
    const weight = part.weight;
    if (part.kind === "text") made.push({ text: part.text, weight });
    else if (part.kind === "like") made.push({ like: part.id, weight });
    else {
      const image = await picture(place, part.source, files);
      made.push(part.edit ? { composed: { image, edit: part.edit }, weight } : { image, weight });
    }
  }
  return made;
}

/** @param {Place} place @param {import("./place.js").Source} source @param {Map<string, Blob>} files */
async function picture(place, source, files) {
  if (source.from === "url") return source.url;
  const name = `picture${files.size}`;
  files.set(name, await blobOf(place.collection, source));
  return `upload:${name}`;
}

/** The query in words, for titles and for the ear. @param {Place} place */
export function inWords(place) {
  const said = place.parts
    .filter((part) => part.weight !== 0)
    .map((part) => {
      const what =
        part.kind === "text"
          ? `“${part.text}”`
          : part.kind === "like"
            ? "an item"
            : part.edit
              ? `a picture, but “${part.edit}”`
              : "a picture";
      return part.weight < 0 ? `not ${what}` : what;
    });
  return said.join(", ");
}

/** @param {Place} place the leading picture and its edit, if there is one */
export function composed(place) {
  const part = place.parts[lead(place)];
  return part?.kind === "picture" ? part : null;
}
