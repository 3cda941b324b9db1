// Ways to give a photograph: dropped, chosen, taken, pasted, or an example.

import { byId, el } from "./dom.js";

const EXAMPLES = [
  ["coffee", "A cup of coffee"],
  ["cat", "A cat"],
  ["scene", "A rendered scene"],
  ["scene-moved", "The scene, moved"],
];
const TOUCH = matchMedia("(pointer: coarse)");

/** The contents of a chooser; `use(blob, name)` gets what was chosen. */
export function chooser(use, { title, note }) {
  const file = input("Choose a photograph", (one) => use(one, one.name));
  const camera = input("Take a photograph", (one) => use(one, "photograph"));
  camera.setAttribute("capture", "environment");
  const press = (text, target, className = "") => el("button", { type: "button", className, on: { click: () => target.click() } }, text);
  return [
    el("h2", {}, title),
    el("p", { className: "hint" }, note),
    el(
      "div",
      { className: "row" },
      press("Choose a file", file, "main"),
      TOUCH.matches ? press("Take a photograph", camera) : null,
    ),
    file,
    camera,
    el("h3", {}, "Or take an example"),
    el("ul", { className: "examples" }, ...EXAMPLES.map(([name, title]) => el("li", {}, example(name, title, use)))),
  ];
}

function input(label, use) {
  const node = el("input", { type: "file", accept: "image/*", hidden: true, aria: { label } });
  node.onchange = () => {
    if (node.files[0]) use(node.files[0]);
    node.value = ""; // the same file may be chosen again
  };
  return node;
}

function example(name, title, use) {
  const path = `page/static/examples/${name}.jpg`;
  const take = async () => use(await (await fetch(path)).blob(), `${name}.jpg`);
  return el("button", { type: "button", on: { click: take } }, el("img", { src: path, alt: "", width: 128, height: 96 }), el("span", {}, title));
}

/** Take what is dropped anywhere, or pasted; `use(blob, name, slot)` gets it; the slot is that of the chooser if it is null. */
export function takeDropped(use, refuse) {
  let depth = 0;
  const mark = (on) => document.body.classList.toggle("dropping", on);
  addEventListener("dragenter", () => mark(++depth > 0));
  addEventListener("dragleave", () => mark(--depth > 0));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    mark(Boolean((depth = 0)));
    const slot = event.target.closest?.("[data-slot]")?.dataset.slot ?? "0";
    take(event.dataTransfer, byId("chooser").open ? null : Number(slot));
  });
  addEventListener("paste", (event) => {
    if (!event.target.closest("input, textarea")) take(event.clipboardData, byId("chooser").open ? null : 0);
  });
  const take = (from, slot) => {
    const [one] = from.files;
    if (one) use(one, one.name || "pasted", slot);
    else refuse("That holds no file. Drop or paste a photograph, or choose one.");
  };
}
