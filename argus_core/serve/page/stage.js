// A photograph on the screen, with a crosshair that the pointer, a finger or the arrow keys move.

import { el } from "./dom.js";
import { label } from "./kinds/boxes.js";
import { paintPhoto } from "./layers.js";
import * as hands from "./teach/hands.js";
import { drawMarks } from "./teach/marks.js";

const STEP = 1 / 50;
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const MARK = "#50dcff";

export class Stage {
  constructor(view, place) {
    Object.assign(this, { view, place, photo: null, spot: null });
    this.base = el("canvas", { className: "base" });
    this.over = el("canvas", { className: "over" });
    this.told = el("p", { className: "told", hidden: true });
    this.frame = el(
      "div",
      { className: "frame", tabIndex: 0, role: "application", data: { slot: String(place) } },
      this.base,
      this.over,
      this.told,
    );
    this.name = el("span", {});
    this.caption = el("figcaption", {}, this.name);
    this.notes = el("p", { className: "notes" });
    this.node = el("figure", { className: "stage" }, this.frame, this.notes, this.caption);
    this.listen();
    this.watch = new ResizeObserver(() => this.fit());
    this.watch.observe(this.node);
  }

  listen() {
    const frame = this.frame;
    frame.onpointermove = (event) => this.aim(...this.at(event), false);
    frame.onpointerdown = (event) => {
      this.aim(...this.at(event), false);
      hands.press(this.view.lesson, this, event);
    };
    frame.onpointerup = (event) => {
      this.aim(...this.at(event), false);
      hands.release(this.view.lesson, this);
    };
    frame.onpointerleave = (event) => event.pointerType === "mouse" && this.leave();
    frame.onclick = (event) => this.photo?.id && this.view.click(this, ...this.at(event));
    frame.onfocus = () => this.photo?.id && !this.spot && frame.matches(":focus-visible") && this.aim(this.photo.width / 2, this.photo.height / 2, true);
    frame.onblur = () => this.leave();
    frame.onkeydown = (event) => this.key(event);
  }

  /** x, y pixels of the photograph under an event. */
  at({ clientX, clientY }) {
    const { left, top, width, height } = this.base.getBoundingClientRect();
    const { photo } = this;
    return photo ? [((clientX - left) / width) * photo.width, ((clientY - top) / height) * photo.height] : [0, 0];
  }

  aim(x, y, spoken) {
    if (!this.photo?.id) return;
    const { width, height } = this.photo;
    this.spot = [Math.min(width - 0.5, Math.max(0.5, x)), Math.min(height - 0.5, Math.max(0.5, y))];
    this.view.read(this, spoken);
    this.mark();
  }

  leave() {
    this.spot = null;
    this.view.read(null, false);
    this.mark();
  }

  key(event) {
    if (!this.photo?.id) return;
    const { width, height } = this.photo;
    const [x, y] = this.spot ?? [width / 2, height / 2];
    const step = event.shiftKey ? 1 : Math.max(1, STEP * Math.max(width, height));
    if (event.key in KEYS) this.aim(x + KEYS[event.key][0] * step, y + KEYS[event.key][1] * step, true);
    else if (event.key === "Home") this.aim(width / 2, height / 2, true);
    else if (event.key === "Enter" || event.key === " ") this.view.click(this, x, y, true);
    else if (this.view.lesson.on && hands.key(this.view.lesson, this, event.key, x, y)) event.preventDefault();
    else if (event.key === "Escape") this.view.clearPoint();
    else return;
    event.preventDefault();
  }

  /** Show a photograph; `told` says in words what is still going on, `share` how far it is, null if unknown. */
  show(photo) {
    if (photo !== this.photo && this.spot) this.leave(); // what was read there is of another photograph
    this.photo = photo;
    this.name.textContent = photo.name;
    this.notes.textContent = (photo.answer?.notes ?? []).join(" ");
    this.fit();
  }

  tell(text, share = null) {
    this.told.hidden = !text;
    this.told.textContent = text;
    this.told.classList.toggle("endless", share === null);
    this.told.style.setProperty("--share", `${100 * (share ?? 1)}%`);
    this.frame.setAttribute("aria-busy", String(Boolean(text)));
  }

  /** Fit the photograph into the width of the page and most of the window's height. */
  fit() {
    const { photo } = this;
    if (!photo) return;
    this.frame.setAttribute("aria-label", `${photo.name}. Arrow keys move the crosshair, with Shift by one pixel; ${hands.keysOf(this.view.lesson)}.`);
    this.frame.classList.toggle("boxing", this.view.lesson.boxing);
    const ratio = photo.width ? photo.width / photo.height : 1.5;
    const wide = this.node.clientWidth;
    const width = Math.round(Math.min(wide, ratio * Math.max(220, window.innerHeight - 250)));
    if (!width) return;
    const dense = window.devicePixelRatio || 1;
    const height = Math.max(1, Math.round(width / ratio));
    this.frame.style.width = `${width}px`;
    this.frame.style.height = `${height}px`;
    for (const canvas of [this.base, this.over]) {
      canvas.width = Math.round(width * dense);
      canvas.height = Math.round(height * dense);
    }
    this.paint();
    this.mark();
  }

  get scale() {
    return this.base.width / this.photo.width;
  }

  get unit() {
    return (window.devicePixelRatio || 1) / this.scale;
  }

  paint() {
    if (this.photo?.picture) paintPhoto(this.base.getContext("2d"), this.photo, this.view, this.scale, this.unit);
  }

  /** Draw what moves: the crosshair, the boxes under it, the clicked point and its match. */
  mark() {
    const pen = this.over.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.over.width, this.over.height);
    if (!this.photo?.picture) return;
    const { photo, unit, view } = this;
    pen.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    for (const { under } of view.layers) {
      if (this.spot && under?.photo === photo) for (const { box } of under.boxes) outline(pen, box, unit);
    }
    if (this.spot) cross(pen, this.spot, photo, unit);
    drawPoint(pen, photo, view, this.place, unit);
    drawMarks(pen, view.lesson, photo, this.spot, unit);
  }

  remove() {
    this.watch.disconnect();
    this.node.remove();
  }
}

function outline(pen, [x1, y1, x2, y2], unit) {
  for (const [style, width] of [["#000", 5], ["#fff", 2.5]]) {
    Object.assign(pen, { strokeStyle: style, lineWidth: width * unit });
    pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
  }
}

function cross(pen, [x, y], { width, height }, unit) {
  const gap = 7 * unit;
  const lines = [[0, y, x - gap, y], [x + gap, y, width, y], [x, 0, x, y - gap], [x, y + gap, x, height]];
  for (const [style, thick] of [["rgb(0 0 0 / 0.5)", 3], ["rgb(255 255 255 / 0.9)", 1]]) {
    Object.assign(pen, { strokeStyle: style, lineWidth: thick * unit });
    pen.beginPath();
    for (const [x1, y1, x2, y2] of lines) {
      pen.moveTo(x1, y1);
      pen.lineTo(x2, y2);
    }
    pen.stroke();
  }
}

/** The clicked point as a ring, its best match as a ring with a cross and the cosine. */
export function drawPoint(pen, photo, view, place, unit) {
  if (!view.point || !photo.heat) return;
  const own = view.point.place === place;
  const spot = own ? [view.point.x, view.point.y] : photo.heat.best?.point;
  if (!spot) return;
  const [x, y] = spot;
  for (const [style, thick] of [["#000", 5], [MARK, 2.5]]) {
    Object.assign(pen, { strokeStyle: style, lineWidth: thick * unit });
    pen.beginPath();
    pen.arc(x, y, 9 * unit, 0, 2 * Math.PI);
    for (const [right, down] of own ? [] : [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      pen.moveTo(x + 9 * right * unit, y + 9 * down * unit);
      pen.lineTo(x + 16 * right * unit, y + 16 * down * unit);
    }
    pen.stroke();
  }
  const text = own ? "this point" : `best match ${photo.heat.best.score.toFixed(2)}`;
  const ends = x > photo.width / 2;
  label(pen, text, { x: x + (ends ? -14 : 14) * unit, y: y - 8 * unit, color: MARK, photo, unit, ends });
}
