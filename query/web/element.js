/** Elements made by script: no markup is ever parsed, so nothing that is shown can become code. */

/**
 * An element with its properties and children.
 *
 * `class`, `text`, `on` (listeners) and `data` are special; true sets an attribute, false and null leave it out;
 * anything else is an attribute.
 * @param {string} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node|string|null|undefined|false)} children
 * @returns {any}
 */
export function el(tag, properties = {}, ...children) {
  const made = /** @type {any} */ (document.createElement(tag));
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") made.className = value;
    else if (name === "text") made.textContent = value;
    else if (name === "on") for (const [type, listener] of Object.entries(value)) made.addEventListener(type, listener);
    else if (name === "data") Object.assign(made.dataset, value);
    else if (name === "value") made.value = value;
    else if (name === "checked") made.checked = value;
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((one) => one !== null && one !== undefined && one !== false));
  return made;
}

/**
 * Replaces what an element holds; whatever had the focus by its `data-focus` has it again.
 * @param {Element} parent
 * @param {...(Node|string|null|undefined|false)} children
 */
export function refill(parent, ...children) {
  const active = document.activeElement;
  const focus = active instanceof HTMLElement && parent.contains(active) ? active.dataset.focus : undefined;
  parent.replaceChildren(...children.filter((one) => one !== null && one !== undefined && one !== false));
  if (focus) focusOn(parent, focus);
}

/**
 * Moves the focus to the element of that `data-focus`.
 * @param {Element} parent
 * @param {string} name
 */
export function focusOn(parent, name) {
  const found = [...parent.querySelectorAll("[data-focus]")].find(
    (one) => one instanceof HTMLElement && one.dataset.focus === name,
  );
  if (found instanceof HTMLElement) found.focus();
}

/**
 * The element of the page with that id.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/**
 * Tells a screen reader something that has changed.
 * @param {string} text
 */
export function say(text) {
  byId("spoken").textContent = text;
}
