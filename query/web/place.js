/**
 * Where the visitor is: a collection, a query, and the edits that led to it. Places are never changed, only made anew.
 */

/**
 * @typedef {{from: "upload", key: string} | {from: "url", url: string} | {from: "hit", id: string}} Source
 * @typedef {{kind: "text", text: string, weight: number}
 *   | {kind: "picture", source: Source, edit: string, crop?: Crop|null, weight: number}
 *   | {kind: "like", id: string, weight: number}} Part
 * @typedef {number[]} Crop left, top, width and height of a region, in shares of the picture
 * @typedef {{source: Source, edit: string, crop?: Crop|null}} Step
 * @typedef {{field: string, any?: (string|boolean)[], range?: {gte?: number|string, lte?: number|string},
 *   contains?: string}} Condition
 * @typedef {{page: "search"|"collection", collection: string, parts: Part[], chain: Step[], at: number,
 *   modality: ""|"image"|"text", ranking: "meaning"|"both"|"words", joined: boolean, rerank: boolean, folded: boolean,
 *   filters: Condition[]}} Place
 */

/** Rocchio's weights of feedback, which the items of a kind share: as in `query/query.py`. */
export const LIKED = 0.75;
export const UNLIKED = -0.15;

/**
 * @param {string} collection
 * @returns {Place}
 */
export function start(collection) {
  return {
    page: "search",
    collection,
    parts: [],
    chain: [],
    at: 0,
    modality: "",
    ranking: "meaning",
    joined: false,
    rerank: false,
    folded: false,
    filters: [],
  };
}

/** The part whose edits make the chain: the first picture of positive weight. @param {Place} place */
export const lead = (place) => place.parts.findIndex((part) => part.kind === "picture" && part.weight > 0);

/** @param {Place} place @param {Part} part @returns {Place} */
export function add(place, part) {
  const parts = [...place.parts, part];
  const made = { ...place, parts, page: /** @type {const} */ ("search") };
  return part.kind === "picture" && part.weight > 0 && place.chain.length === 0 ? chained(made) : made;
}

/**
 * Relevance feedback: the item is liked, or unliked, and shares the weight of its kind with the others.
 * @param {Place} place
 * @param {string} id
 * @param {boolean} liked
 * @returns {Place}
 */
export function judged(place, id, liked) {
  const others = place.parts.filter((part) => part.kind !== "like" || part.id !== id);
  const made = add({ ...place, parts: others }, { kind: "like", id, weight: liked ? LIKED : UNLIKED });
  const of = (/** @type {number} */ sign) => (/** @type {Part} */ part) =>
    part.kind === "like" && Math.sign(part.weight) === sign;
  const beside = made.parts.some((part) => part.kind !== "like" && part.weight > 0);
  const weights = new Map([
    [1, beside ? LIKED / made.parts.filter(of(1)).length : 1], // by themselves, liked items are the query
    [-1, UNLIKED / made.parts.filter(of(-1)).length],
  ]);
  const share = (/** @type {Part} */ part) =>
    part.kind === "like" ? { ...part, weight: weights.get(Math.sign(part.weight)) ?? 0 } : part;
  return { ...made, parts: made.parts.map(share) };
}

/** The parts that can be read as one: words and pictures of positive weight. @param {Place} place */
export const readable = (place) => place.parts.filter((part) => part.kind !== "like" && part.weight > 0);

/** Whether they are: several of them, one a picture. @param {Place} place */
export const joinable = (place) => readable(place).length > 1 && lead(place) >= 0;

/** A query of that one part. @param {Place} place @param {Part} part @returns {Place} */
export const only = (place, part) => add({ ...place, parts: [], chain: [], at: 0 }, part);

/**
 * The words in the bar: they take the place of the first words of positive weight.
 * @param {Place} place
 * @param {string} text
 * @returns {Place}
 */
export function withWords(place, text) {
  const at = words(place);
  if (at < 0) return text ? add(place, { kind: "text", text, weight: 1 }) : place;
  if (!text) return remove(place, at);
  return change(place, at, { text });
}

/** Index of the words that the bar shows. @param {Place} place */
export const words = (place) => place.parts.findIndex((part) => part.kind === "text" && part.weight > 0);

/** @param {Place} place @param {number} at @param {Partial<Part>} what @returns {Place} */
export function change(place, at, what) {
  const leading = lead(place);
  const parts = place.parts.map((part, index) => (index === at ? /** @type {Part} */ ({ ...part, ...what }) : part));
  const made = { ...place, parts };
  return at === leading && ("edit" in what || "crop" in what) ? chained(made) : made;
}

/** @param {Place} place @param {number} at @returns {Place} */
export function remove(place, at) {
  const parts = place.parts.filter((_, index) => index !== at);
  return at === lead(place) ? chained({ ...place, parts, chain: [], at: 0 }) : { ...place, parts };
}

/** @param {Place} place @param {number} from @param {number} to @returns {Place} */
export function move(place, from, to) {
  const parts = [...place.parts];
  parts.splice(Math.max(0, Math.min(to, parts.length - 1)), 0, ...parts.splice(from, 1));
  const made = { ...place, parts };
  const one = place.parts[lead(place)];
  return one && made.parts[lead(made)] !== one ? chained({ ...made, chain: [], at: 0 }) : made;
}

/**
 * Begins the next edit, at a picture that was found: what came before stays in the chain.
 * @param {Place} place
 * @param {Source} source
 * @returns {Place}
 */
export function editing(place, source) {
  const before = lead(place) < 0 ? [] : place.chain.slice(0, place.at + 1);
  const chain = [...before, { source, edit: "" }];
  return {
    ...place,
    page: "search",
    parts: [{ kind: "picture", source, edit: "", weight: 1 }],
    chain,
    at: chain.length - 1,
  };
}

/** Goes back (or forth) to a step of the chain. @param {Place} place @param {number} at @returns {Place} */
export function returnTo(place, at) {
  const { source, edit, crop } = place.chain[at];
  const leading = lead(place);
  const part = {
    kind: /** @type {const} */ ("picture"),
    source,
    edit,
    crop,
    weight: leading < 0 ? 1 : place.parts[leading].weight,
  };
  const parts =
    leading < 0 ? [part, ...place.parts] : place.parts.map((one, index) => (index === leading ? part : one));
  return { ...place, parts, at };
}

/** Writes the leading picture and its edit into the chain. @param {Place} place @returns {Place} */
function chained(place) {
  const part = place.parts[lead(place)];
  if (!part || part.kind !== "picture") return { ...place, chain: [], at: 0 };
  const step = { source: part.source, edit: part.edit, crop: part.crop };
  if (place.chain.length === 0) return { ...place, chain: [step], at: 0 };
  return { ...place, chain: place.chain.map((one, index) => (index === place.at ? step : one)) };
}

/** Whether there is anything to search by. @param {Place} place */
export const asks = (place) => place.parts.some((part) => part.weight !== 0);

/** A source in one word: what addresses hold. @param {Source} source */
export function named(source) {
  if (source.from === "upload") return `upload:${source.key}`;
  return source.from === "url" ? `url:${source.url}` : `hit:${source.id}`;
}

/** A part's name among others of its query. @param {Part} part */
export function keyOf(part) {
  if (part.kind === "text") return `text:${part.text}`;
  return part.kind === "like" ? `like:${part.id}` : named(part.source);
}
