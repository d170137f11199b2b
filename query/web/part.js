/** Parts of files: pages of documents. What they are called, and a link that opens the file there. */

import { api } from "./api.js";
import { el } from "./element.js";
import { icon } from "./icons.js";
import { key } from "./key.js";

/**
 * Which part of its file a hit is, for people; "" for a file of its own.
 * @param {{metadata?: Record<string, any>}} hit
 */
export function part(hit) {
  const { page, pages, page_label: label } = hit.metadata ?? {};
  if (!page || !pages) return "";
  return `page ${label ? `${label} (${page} of ${pages})` : `${page} of ${pages}`}`;
}

/**
 * A link that opens the file of a hit at its part; null for a file of its own, and for one that the service cannot send.
 * @param {import("./app.js").App} app
 * @param {{id: string, uri?: string, metadata?: Record<string, any>}} hit
 */
export function opener(app, hit) {
  const [, fragment] = /^file:[^#]*(#(?:page|t)=[\d.,]+)$/.exec(hit.uri ?? "") ?? [];
  if (!fragment) return null;
  const collection = app.place.collection;
  return el(
    "a",
    {
      class: "opener",
      href: `${api.originalAt(collection, hit.id)}${fragment}`,
      target: "_blank",
      rel: "noopener",
      on: {
        click: async (/** @type {Event} */ event) => {
          if (!key()) return;
          event.preventDefault(); // a link cannot send the key
          const tab = window.open(); // now, while the click allows it
          const blob = await api.original(collection, hit.id).catch(() => null);
          if (!blob) tab?.close();
          else if (tab) tab.location.href = URL.createObjectURL(blob) + fragment;
        },
      },
    },
    icon("link"),
    el("span", { text: `Open ${part(hit).replace(/ of \d+|\(.*\)/, "")}` }),
  );
}
