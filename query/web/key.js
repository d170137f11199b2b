/** The API key: kept until the tab is closed, and sent in a header, never in an address. */

const NAME = "oneword.key";
let inMemory = "";

/** @returns {string} the key, or "" */
export function key() {
  try {
    return sessionStorage.getItem(NAME) ?? inMemory;
  } catch {
    return inMemory;
  }
}

/**
 * Keeps a key; "" forgets it.
 * @param {string} value
 */
export function setKey(value) {
  inMemory = value;
  try {
    if (value) sessionStorage.setItem(NAME, value);
    else sessionStorage.removeItem(NAME);
  } catch {
    // storage may be forbidden: it holds until the page is left
  }
}
