// The controls: for every layer a switch, its opacity, and what explains it.

import { el } from "./dom.js";
import { KINDS } from "./layers.js";
import { teachCard } from "./teach/controls.js";

/** Fill the panel with the layers of a view. */
export function buildPanel(panel, view) {
  const { dataset, selectionStart, selectionEnd } = document.activeElement ?? document.body;
  const where = dataset.key; // rebuilding must not lose the focus, nor what is selected in a text
  const teach = view.lesson.on && view.photos.length ? teachCard(view.lesson) : "";
  panel.replaceChildren(teach, el("h2", {}, "Layers"), ...view.layers.map((layer) => card(layer, view)));
  const node = where && panel.querySelector(`[data-key="${CSS.escape(where)}"]`);
  node?.focus();
  if (node?.type === "text") node.setSelectionRange(selectionStart, selectionEnd);
}

function card(layer, view) {
  const kind = KINDS[layer.kind];
  const body = el("div", { className: "body" }, ...kind.body(layer, view));
  return el(
    "section",
    { className: "layer", data: { kind: layer.kind, shown: String(layer.shown) }, aria: { label: layer.title } },
    kind.plain ? el("h3", {}, layer.title) : head(layer, view),
    body,
  );
}

function head(layer, view) {
  const toggle = el("input", {
    type: "checkbox",
    role: "switch",
    checked: layer.shown,
    disabled: layer.kind === "similar" && !view.point,
    data: { key: `${layer.key} shown` },
  });
  const opacity = el("input", {
    type: "range",
    min: "0",
    max: "1",
    step: "0.05",
    value: String(layer.opacity),
    disabled: !layer.shown,
    aria: { label: `Opacity of ${layer.title.toLowerCase()}` },
    data: { key: `${layer.key} opacity` },
  });
  toggle.onchange = () => {
    layer.shown = toggle.checked;
    opacity.disabled = !layer.shown;
    toggle.closest(".layer").dataset.shown = String(layer.shown);
    void view.showLayer(layer);
  };
  opacity.oninput = () => {
    layer.opacity = Number(opacity.value);
    view.repaint();
  };
  return el("div", { className: "head" }, el("label", {}, toggle, el("span", {}, layer.title)), opacity);
}
