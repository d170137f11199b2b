/** A place's query as the REST API takes it. */

import { blobOf } from "./pictures.js";
import { joinable, lead } from "./place.js";

/** @typedef {import("./place.js").Place} Place */

/** Hits in a page of results. */
export const PAGE = 24;

/** Cosine similarity from which on a hit is a copy of a better one: as `oneword duplicates --by meaning`. */
const COPIES = 0.97;

/** The words that texts should have. @param {Place} place */
export const keywords = (place) =>
  place.parts
    .flatMap((part) => (part.kind === "text" && part.weight > 0 ? [part.text] : []))
    .join(" ")
    .trim();

/** How hits are ranked: without words there is only meaning. @param {Place} place */
export const rankedBy = (place) => (keywords(place) ? place.ranking : "meaning");

/** Whether words and pictures go as one composed query. @param {Place} place */
export const joined = (place) => place.joined && joinable(place) && rankedBy(place) !== "words";

/**
 * A request: its JSON, its files by the names that the JSON has for them, and which of the place's parts each part of
 * the JSON is made of.
 * @typedef {{query: any, files: Map<string, Blob>, sent: (number|number[])[]}} Request
 * @param {Place} place
 * @returns {Promise<Request>}
 */
export async function request(place) {
  /** @type {any} */
  const query = { limit: PAGE, with: ["payload", "thumbnail"] };
  /** @type {Map<string, Blob>} */
  const files = new Map();
  /** @type {(number|number[])[]} */
  const sent = [];
  const ranked = rankedBy(place);
  if (ranked !== "words") query.parts = await parts(place, files, sent);
  if (ranked === "words") query.keywords = keywords(place);
  if (ranked === "both") query.hybrid = { keywords: keywords(place) };
  if (place.rerank) query.rerank = "auto";
  if (place.folded) query.fold_copies = COPIES;
  if (place.modality) query.modality = place.modality;
  const filter = {
    ...(place.filters.length && { must: place.filters }),
    ...(references(place).length && { must_not: references(place) }),
  };
  if (Object.keys(filter).length) query.filter = filter;
  return { query, files, sent };
}

/**
 * Hits that are being edited are not an answer. The service sees that by the bytes, of which a thumbnail has others.
 * @param {Place} place
 */
const references = (place) =>
  place.parts.flatMap((part) =>
    part.kind === "picture" && part.source.from === "hit" && (part.edit || joined(place))
      ? [{ field: "id", match: part.source.id }]
      : [],
  );

/** @param {Place} place @param {Map<string, Blob>} files @param {(number|number[])[]} sent */
async function parts(place, files, sent) {
  const made = [];
  const together = joined(place);
  /** @type {any[]} */
  const pieces = [];
  /** @type {number[]} */
  const places = [];
  for (const [at, part] of place.parts.entries()) {
    const weight = part.weight;
    if (weight === 0) continue; // a slider in the middle: neither more nor less
    const shown =
      part.kind === "picture" && {
        image: await picture(place, part.source, files),
        ...(part.crop && { crop: part.crop }),
      };
    if (together && weight > 0 && part.kind !== "like") {
      const more = part.kind === "text" ? [part.text] : [shown, ...(part.edit ? [part.edit] : [])];
      pieces.push(...more);
      places.push(...more.map(() => at));
      continue;
    }
    sent.push(at);
    if (part.kind === "text") made.push({ text: part.text, weight });
    else if (part.kind === "like") made.push({ like: part.id, weight });
    else made.push(part.edit ? { composed: { ...shown, edit: part.edit }, weight } : { ...shown, weight });
  }
  if (together) {
    made.push({ composed: pieces });
    sent.push(places);
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
              : part.crop
                ? "a region of a picture"
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
