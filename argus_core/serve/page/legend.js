// A list of classes, each of which can be looked at alone.

import { el, swatch } from "./dom.js";

/** Buttons of `items` ({id, name, color, notes}); the pointer or the focus on one sets `layer.focus`, a click keeps it. */
export function legend(items, layer, view) {
  const look = (id) => {
    layer.focus = id ?? layer.pinned ?? null;
    view.repaint();
  };
  const button = ({ id, name, color, notes }) => {
    const node = el(
      "button",
      { type: "button", className: "entry", data: { id }, aria: { pressed: layer.pinned === id } },
      swatch(color),
      el("span", { className: "name" }, name),
      ...notes.map((note) => el("span", { className: "note" }, note)),
    );
    node.onpointerenter = node.onfocus = () => look(id);
    node.onpointerleave = node.onblur = () => look(null);
    node.onclick = () => {
      layer.pinned = layer.pinned === id ? null : id;
      for (const other of list.querySelectorAll("button")) {
        other.setAttribute("aria-pressed", String(other.dataset.id === String(layer.pinned)));
      }
      look(layer.pinned);
    };
    return el("li", {}, node);
  };
  const list = el("ul", { className: "legend" }, ...items.map(button));
  return list;
}

/** Entries of the heads of all photographs by class, each with the note that it has for every photograph. */
export function merged(lists, note) {
  const classes = new Map();
  for (const entry of lists.flat()) if (!classes.has(entry.class_id)) classes.set(entry.class_id, entry);
  return [...classes.values()].map(({ class_id: id, class_name: name, color }) => ({
    id,
    name,
    color,
    notes: lists.map((list) => note(list.filter((entry) => entry.class_id === id))),
  }));
}
