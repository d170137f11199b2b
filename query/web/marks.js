/** Words that a picture shows, marked in it where the query's words match them. */

import { api } from "./api.js";
import { keywords } from "./request.js";

const SVG = "http://www.w3.org/2000/svg";

/**
 * Boxes to lie over a picture that fills its place as `object-fit: contain` does; null where no word matches.
 * @param {import("./app.js").App} app
 * @param {import("./api.js").Hit} hit
 * @param {HTMLImageElement} picture decoded
 * @returns {Promise<Element|null>}
 */
export async function marks(app, hit, picture) {
  if (!hit.matched) return null;
  const { words } = await api.words(app.place.collection, hit.id, keywords(app.place));
  if (!words?.length) return null;
  const { naturalWidth: width, naturalHeight: height } = picture;
  const told = `Marked: ${words.map((/** @type {any} */ word) => word.text).join(", ")}`;
  return drawn(
    "svg",
    { class: "marks", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": told },
    ...words.map((/** @type {any} */ word) =>
      drawn("rect", {
        x: word.x * width,
        y: word.y * height,
        width: word.width * width,
        height: word.height * height,
      }),
    ),
  );
}

/** @param {string} tag @param {Record<string, any>} properties @param {...Element} children */
function drawn(tag, properties, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(properties)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}
