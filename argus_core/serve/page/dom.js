// Elements from plain values. Text is always text: nothing here parses HTML.

export const byId = (id) => document.getElementById(id);

/** An element with properties, `data`, `aria` and `on` (listeners by event), and children that are nodes or texts. */
export function el(tag, { data = {}, aria = {}, on = {}, style = {}, ...props } = {}, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  Object.assign(node.dataset, data);
  for (const [name, value] of Object.entries(aria)) node.setAttribute(`aria-${name}`, value);
  for (const [name, call] of Object.entries(on)) node.addEventListener(name, call);
  for (const [name, value] of Object.entries(style)) node.style.setProperty(name, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** A button with a text, that keeps the focus when what is around it is built anew. */
export const smallButton = (text, key, click, disabled = false) =>
  el("button", { type: "button", className: "small", disabled, data: { key }, on: { click } }, text);

export const swatch = (color) => el("i", { className: "swatch", style: { "background-color": color } });

export const percent = (share) => (share < 0.005 ? "< 1 %" : `${Math.round(100 * share)} %`);

/** A canvas of its own, to draw on and to be drawn. */
export function sheet(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}
