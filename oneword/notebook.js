// The search box of `oneword.widget`. All that comes from items is set as text or as the source of an image.

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function read(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

function figure(hit) {
  const picture = hit.image ? [element("img", { src: hit.image, alt: hit.text || hit.name })] : [];
  const words = hit.text ? [element("p", { textContent: hit.text })] : [];
  const caption = element("figcaption", { textContent: `${hit.score.toFixed(3)} ${hit.name}` });
  return element("figure", { title: hit.id }, ...picture, ...words, caption);
}

function render({ model, el }) {
  const box = element("input", { type: "search", placeholder: "Search", value: model.get("query") });
  box.setAttribute("aria-label", "Search");
  const picture = element("input", { type: "file", accept: "image/*" });
  picture.setAttribute("aria-label", "Search by an image");
  const without = element("button", { type: "button", textContent: "Without the image", hidden: !model.get("image") });
  const note = element("output", { textContent: model.get("note") });
  const grid = element("div", { className: "oneword-grid" });
  const form = element("form", {}, box, picture, without, note);

  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    set("query", box.value);
  });
  picture.addEventListener("change", async () => {
    if (picture.files.length) set("image", await read(picture.files[0]));
  });
  without.addEventListener("click", () => {
    picture.value = "";
    set("image", "");
  });

  const show = () => grid.replaceChildren(...model.get("hits").map(figure));
  const listeners = {
    "change:hits": show,
    "change:note": () => (note.textContent = model.get("note")),
    "change:query": () => (box.value = model.get("query")),
    "change:image": () => (without.hidden = !model.get("image")),
  };
  for (const [name, listener] of Object.entries(listeners)) model.on(name, listener);
  el.classList.add("oneword");
  el.append(form, grid);
  show();
  return () => {
    for (const [name, listener] of Object.entries(listeners)) model.off(name, listener);
  };
}

export default { render };
