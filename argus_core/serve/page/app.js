// The page as a whole: which photographs are open, what is asked about them, and what is shown.

import { chooser, takeDropped } from "./chooser.js";
import { byId, el, swatch } from "./dom.js";
import { fetchComponents } from "./kinds/components.js";
import { heatOf } from "./kinds/similar.js";
import { KINDS, layersOf, readPhoto } from "./layers.js";
import { clearNotice, notify, setUpTheme, setUpToken } from "./notices.js";
import { buildPanel } from "./panel.js";
import { ask, Photo, preview } from "./photo.js";
import { rampOf } from "./scale.js";
import { savePicture, saveResults } from "./save.js";
import { getModel, getSimilar } from "./server.js";
import { Stage } from "./stage.js";
import * as hands from "./teach/hands.js";
import { Lesson, TAUGHT } from "./teach/lesson.js";

class View {
  constructor() {
    Object.assign(this, { model: null, ramp: null, layers: [], point: null });
    this.slots = [null, null]; // stages
    this.opening = [null, null]; // what stops the opening of a photograph
    this.lesson = new Lesson(this);
  }

  /** The photographs that the server has answered about. */
  get photos() {
    return this.slots.map((stage) => stage?.photo).filter((photo) => photo?.id);
  }

  nameOf(place) {
    return this.photos[place].name;
  }

  repaint() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      for (const stage of this.slots) {
        stage?.paint();
        stage?.mark();
      }
    });
  }

  rebuild() {
    buildPanel(byId("panel"), this);
    this.repaint();
  }

  /** Open an image in a slot: shown at once, then asked about. */
  async open(blob, name, slot) {
    const place = slot === 1 && this.slots[0]?.photo?.id ? 1 : 0;
    this.opening[place]?.abort();
    const stop = (this.opening[place] = new AbortController());
    clearNotice();
    this.clearPoint();
    const photo = new Photo(blob, name);
    const before = this.slots[place]?.photo;
    const stage = this.place(place);
    await preview(photo);
    if (stop.signal.aborted) return;
    stage.show(photo);
    try {
      await ask(photo, (text, share) => stop.signal.aborted || stage.tell(text, share), stop.signal);
      if (stop.signal.aborted) return;
      if (!this.layers.length || place === 0) this.useLayers(keepChoices(this.layers, layersOf(photo.answer)));
      stage.show(photo);
      stage.tell("");
      await this.refreshComponents();
      if (this.lesson.entriesMarked.length) void this.lesson.solve();
      this.rebuild();
      this.arrange();
    } catch (error) {
      if (error.name === "AbortError" || stop.signal.aborted) return;
      stage.tell("");
      if (before?.id) this.restore(stage, before);
      else this.close(place);
      notify(error.message, () => this.open(blob, name, place));
    }
  }

  /** Show the photograph that was there before another one failed. */
  restore(stage, photo) {
    stage.show(photo);
    this.rebuild();
    this.arrange();
  }

  /** The stage of a slot, which is made if there is none. */
  place(slot) {
    if (!this.slots[slot]) {
      this.slots[slot] = new Stage(this, slot);
      byId("stages").append(this.slots[slot].node);
      if (slot === 1) this.slots[1].caption.append(this.closer());
    }
    this.arrange();
    return this.slots[slot];
  }

  closer() {
    const close = () => {
      this.clearPoint();
      this.close(1);
    };
    return el("button", { type: "button", className: "small", id: "close-second", aria: { label: "Remove the second photograph" }, on: { click: close } }, "Remove");
  }

  close(slot) {
    this.slots[slot]?.remove();
    this.slots[slot] = null;
    if (slot === 0 && this.slots[1]) this.close(1);
    if (slot === 0) this.layers = [];
    this.arrange();
    if (this.photos.length) void this.refreshComponents().then(() => this.rebuild());
  }

  /** Show what there is something for. */
  arrange() {
    const [first, second] = this.slots;
    const ready = Boolean(first?.photo?.id);
    byId("start").hidden = Boolean(first);
    byId("work").hidden = !first;
    byId("second").hidden = !ready || Boolean(second);
    for (const id of ["new", "save-picture", "save-results"]) byId(id).hidden = !ready;
    byId("teach").hidden = !ready || !this.model?.teach.tasks.length;
    byId("panel").hidden = !ready && !this.layers.length;
    document.body.classList.toggle("open", Boolean(first));
    byId("stages").classList.toggle("two", Boolean(second));
    for (const stage of this.slots) stage?.fit();
    if (!first) this.read(null, false);
  }

  /** Show these layers of the model, and what is taught above the photograph. */
  useLayers(layers) {
    const own = layers.filter(({ key }) => key !== TAUGHT);
    const { layer } = this.lesson;
    this.layers = layer && own.length ? [own[0], layer, ...own.slice(1)] : own;
  }

  async showLayer(layer) {
    if (layer.kind === "components") await this.refreshComponents();
    this.repaint();
  }

  async refreshComponents() {
    const layer = this.layers.find(({ kind, shown }) => kind === "components" && shown);
    if (layer) await guarded(() => fetchComponents(this.photos, layer));
    this.repaint();
  }

  /** Say what is under the crosshair of a stage; `spoken` also to screen readers. */
  read(stage, spoken) {
    const entries = stage ? readPhoto(stage.photo, this, ...stage.spot) : [];
    if (!stage) for (const layer of this.layers) layer.bar?.mark(null);
    const [x, y] = stage?.spot ?? [];
    const where = { label: "Pixel", value: stage ? `${Math.floor(x)}, ${Math.floor(y)}` : "–" };
    const rest = stage ? entries : [{ label: "Here", value: HINT }];
    byId("reading").replaceChildren(...[where, ...rest].map(item));
    if (spoken) byId("spoken").textContent = entries.map(({ label, value }) => `${label}: ${value}`).join("; ");
  }

  /** Say it anew, as the layers say something else now. */
  readAgain() {
    for (const stage of this.slots) if (stage?.spot) this.read(stage, false);
  }

  /** A click on a stage, or Enter if `byKey`, at x, y: a mark, or what is similar. */
  async click(stage, x, y, byKey = false) {
    if (this.lesson.on) hands.click(this.lesson, stage, x, y, byKey);
    else await this.findSimilar(stage, x, y);
  }

  /** Ask what is similar to a point of a stage's photograph, in all of them. */
  async findSimilar(stage, x, y) {
    const others = this.photos.filter((photo) => photo !== stage.photo);
    const asked = (this.asked = [stage.photo, ...others]);
    const parts = await guarded(() => getSimilar(asked, [x, y]));
    if (!parts || this.asked !== asked) return;
    asked.forEach((photo, place) => (photo.heat = heatOf(parts[place])));
    if (!this.point) this.uncover();
    this.point = { place: stage.place, x, y };
    this.layers.find(({ kind }) => kind === "similar").shown = true;
    const best = parts[1]?.best;
    byId("spoken").textContent = best ? `Best match: cosine ${best.score.toFixed(2)}` : "Similar places are shown";
    this.rebuild();
    this.readAgain();
  }

  /** Take off what would cover the similarities, until the point is cleared. */
  uncover() {
    this.covered = this.layers.filter(({ kind, shown }) => shown && KINDS[kind].covers);
    for (const layer of this.covered) layer.shown = false;
  }

  clearPoint() {
    this.asked = null;
    if (!this.point) return;
    this.point = null;
    for (const photo of this.photos) photo.heat = null;
    for (const layer of this.layers) if (layer.kind === "similar") layer.shown = false;
    for (const layer of this.covered) layer.shown = true;
    this.rebuild();
  }
}

/** New layers with the choices made for earlier ones. */
function keepChoices(old, fresh) {
  const had = new Map(old.map((layer) => [layer.key, layer]));
  return fresh.map((layer) => {
    const { shown, opacity, threshold, smooth } = had.get(layer.key) ?? layer;
    return { ...layer, shown, opacity, threshold, smooth };
  });
}

const item = ({ label, value, color }) => el("div", {}, el("dt", {}, label), el("dd", {}, color ? swatch(color) : null, value));

/** What a call gives; undefined, and a notice, with a way to try again if there is one, if it fails. */
async function guarded(call, again = null) {
  try {
    return await call();
  } catch (error) {
    notify(error.message, again);
    return undefined;
  }
}

const HINT = matchMedia("(pointer: coarse)").matches
  ? "Touch the photograph."
  : "Move over the photograph, or focus it and use the arrow keys.";
const NAMES = { classify: "classes", segment: "masks", depth: "depth", detect: "boxes", correspond: "matches" };

const inWords = ({ name, heads }) =>
  `${name}: ${heads.map(({ task, classes }) => (NAMES[task] ?? task) + (classes ? ` (${classes.toLocaleString("en")})` : "")).join(", ")}`;

function setUp(view) {
  const dialog = byId("chooser");
  let slot = 0;
  const use = (blob, name, place) => {
    const wanted = place ?? slot;
    dialog.close();
    return view.open(blob, name, wanted);
  };
  const choose = (place, words) => {
    slot = place;
    const cancel = el("button", { type: "button", className: "plain", on: { click: () => dialog.close() } }, "Cancel");
    dialog.replaceChildren(...chooser(use, words), cancel);
    dialog.showModal();
  };
  const note = "Drop it anywhere on this page, paste it, or choose a file. It goes to this server and nowhere else.";
  byId("start").append(el("div", { className: "drop" }, ...chooser((blob, name) => use(blob, name, 0), { title: "Drop a photograph here", note })));
  byId("new").onclick = () => choose(0, { title: "Another photograph", note });
  byId("second").onclick = () => choose(1, { title: "A second photograph", note });
  byId("teach").onclick = () => hands.toggle(view.lesson);
  hands.takeUndo(view.lesson);
  byId("save-picture").onclick = () => guarded(() => savePicture(view));
  byId("save-results").onclick = () => guarded(() => saveResults(view));
  takeDropped(use, notify);
  addEventListener("resize", () => view.arrange());
}

async function start() {
  setUpTheme();
  setUpToken();
  const view = new View();
  setUp(view);
  view.read(null, false);
  const model = await guarded(getModel, () => location.reload());
  if (!model) return;
  Object.assign(view, { model, ramp: rampOf(model.ramp) });
  byId("model").textContent = inWords(model);
  document.body.dataset.ready = "true";
}

void start();
