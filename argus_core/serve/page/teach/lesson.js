// What the user teaches: classes, marks on photographs, and what the head says that the server solves from them.

import { byId } from "../dom.js";
import { make } from "../layers.js";
import { clearNotice, notify } from "../notices.js";
import { planesOf } from "../photo.js";
import { getTaught } from "../server.js";
import { near } from "./marks.js";

const REST = "something else";
const COLORS = ["#2f7ed8", "#f28e2b", "#3fa34d", "#d6425b", "#9467c9", "#17b6c4", "#e377b8", "#b5a51c", "#8c5a3c", "#7fd6a0"];
/** The name of what is taught among heads; no head of a model can have it. */
export const TAUGHT = "(taught)";
const SIZES = { segment: 2, detect: 4 }; // numbers of a mark

export class Lesson {
  constructor(view) {
    Object.assign(this, { view, on: false, task: "segment", layer: null, saved: null, corner: null, history: [], made: 0 });
    this.rest = { key: 0, name: REST, color: "#909090" };
    this.classes = [];
    this.entries = new Map(); // photographs with marks, by id; marks of both tasks are kept
    this.current = this.addClass();
  }

  get limits() {
    return this.view.model.teach.limits;
  }

  get boxing() {
    return this.on && this.task === "detect";
  }

  /** The classes that can be marked, in the order of the server. */
  get choices() {
    return this.task === "segment" ? [...this.classes, this.rest] : this.classes;
  }

  get entriesMarked() {
    return [...this.entries.values()].filter((entry) => this.marksOf(entry).length);
  }

  /** The marks of the task on a photograph. */
  marksOf({ id }) {
    return (this.entries.get(id)?.marks ?? []).filter(({ at }) => at.length === SIZES[this.task]);
  }

  count(one) {
    return this.entriesMarked.flatMap((entry) => this.marksOf(entry)).filter(({ of }) => of === one).length;
  }

  /** What is still to do before a head can be solved; empty if nothing is. */
  get missing() {
    const names = this.classes.map(({ name }) => name.trim());
    const used = this.choices.filter((one) => this.count(one));
    if (names.some((name) => !name)) return "Give every class a name.";
    const twice = [...names, REST].find((name, place, all) => all.indexOf(name) !== place);
    if (twice) return `Two classes are called “${twice}”. Give one of them another name.`;
    if (this.task === "detect") return used.length ? "" : "Draw a box: drag, or click two opposite corners.";
    if (!used.length) return "Click on what you mean.";
    if (used.length > 1) return "";
    return used[0] === this.rest ? "Choose a class, and click on what you mean." : "Mark something else as well, so that it can be told apart.";
  }

  /** What the server is told of classes and marks; those of each photograph are in `entriesMarked`. */
  get question() {
    const { choices } = this;
    const photos = this.entriesMarked.map((entry) => this.marksOf(entry).map(({ of, at }) => ({ class_id: choices.indexOf(of), at })));
    return { task: this.task, classes: choices.map(({ name }) => name.trim()), photos };
  }

  addClass() {
    const key = ++this.made;
    const used = this.classes.map(({ color }) => color);
    const one = { key, name: `class ${key}`, color: COLORS.find((color) => !used.includes(color)) ?? COLORS[key % COLORS.length] };
    this.classes = [...this.classes, one];
    return (this.current = one);
  }

  removeClass(one) {
    this.remember();
    this.classes = this.classes.filter((other) => other !== one);
    for (const entry of this.entries.values()) entry.marks = entry.marks.filter(({ of }) => of !== one);
    if (this.current === one) this.current = this.choices[0] ?? this.addClass();
    void this.solve();
  }

  choose(one) {
    if (one) this.current = one;
    this.view.rebuild();
  }

  setTask(task) {
    Object.assign(this, { task, corner: null });
    if (!this.choices.includes(this.current)) this.current = this.choices[0] ?? this.addClass();
    this.view.arrange();
    void this.solve();
  }

  /** A click on a photograph, or Enter: a point is put there, or taken away if there is one. */
  click({ photo, unit }, x, y) {
    const found = near(this.marksOf(photo), x, y, unit);
    if (found) this.remove(photo, found);
    else this.add(photo, [x, y]);
  }

  /** A corner of a box. */
  press({ photo }, x, y) {
    if (this.corner?.photo !== photo) this.corner = { photo, at: [x, y] };
  }

  /** The other corner; a box that is too small is not meant: then a second press gives the corner. */
  release({ photo, unit }, x, y) {
    if (this.corner?.photo !== photo) return;
    const [left, top] = this.corner.at;
    const box = [Math.min(left, x), Math.min(top, y), Math.max(left, x), Math.max(top, y)];
    if (Math.min(box[2] - box[0], box[3] - box[1]) < Math.max(2, 4 * unit)) return;
    this.corner = null;
    this.add(photo, box);
  }

  add(photo, at) {
    const { id, blob, name, width, height } = photo;
    const all = [...this.entries.values()].reduce((count, { marks }) => count + marks.length, 0);
    if (all >= this.limits.marks) return notify(`There are ${all} marks, and no more are learned from.`);
    if (!this.entries.has(id) && this.entriesMarked.length >= this.limits.photos) {
      return notify(`Marks may be on ${this.limits.photos} photographs. Remove those of another one first.`);
    }
    this.remember();
    if (!this.entries.has(id)) this.entries.set(id, { id, blob, name, width, height, marks: [] });
    const entry = this.entries.get(id);
    entry.marks = [...entry.marks, { of: this.current, at }];
    return this.solve();
  }

  remove({ id }, mark) {
    this.remember();
    const entry = this.entries.get(id);
    entry.marks = entry.marks.filter((other) => other !== mark);
    void this.solve();
  }

  clear() {
    this.remember();
    for (const entry of this.entries.values()) entry.marks = this.without(entry);
    void this.solve();
  }

  /** The marks that the other task learns from. */
  without(entry) {
    const own = this.marksOf(entry);
    return entry.marks.filter((mark) => !own.includes(mark));
  }

  remember() {
    const { classes } = this;
    const marks = [...this.entries.values()].map((entry) => [entry, entry.marks]);
    this.history.push({ classes, marks: new Map(marks) });
  }

  undo() {
    if (this.corner) return this.cancel();
    const before = this.history.pop();
    if (!before) return undefined;
    this.classes = before.classes;
    for (const entry of this.entries.values()) entry.marks = before.marks.get(entry) ?? [];
    if (!this.choices.includes(this.current)) [this.current] = this.choices;
    return this.solve();
  }

  /** Forget the first corner of a box. */
  cancel() {
    this.corner = null;
    this.view.repaint();
  }

  /** Ask for the head of the marks that there are, one question at a time, and show what it says. */
  async solve() {
    Object.assign(this, { saved: null, renamed: false, again: true });
    const asking = this.running;
    this.running = true;
    this.view.rebuild(); // which says so
    if (asking) return;
    try {
      while (this.again) {
        this.again = false;
        await this.solveOnce();
      }
    } catch (error) {
      notify(error.message, () => this.solve());
    } finally {
      this.running = false;
      this.view.rebuild();
      this.view.readAgain();
      byId("spoken").textContent = this.missing || "What is taught is shown";
    }
  }

  async solveOnce() {
    const { photos } = this.view;
    if (this.missing || !photos.length) return this.drop();
    const { task } = this;
    const parts = await getTaught(this.entriesMarked, photos, this.question);
    await Promise.all(photos.map((photo, place) => this.receive(photo, parts[place])));
    if (this.missing || task !== this.task) return undefined;
    const kind = task === "segment" ? "masks" : "boxes";
    if (this.layer?.kind !== kind) this.layer = make(kind, { key: TAUGHT, head: TAUGHT, title: "Taught", shown: true });
    this.view.useLayers(this.view.layers);
    return clearNotice();
  }

  async receive(photo, { planes, ...head }) {
    const maps = planes ? await planesOf(planes, head) : null;
    photo.heads = [...photo.heads.filter(({ name }) => name !== TAUGHT), { ...head, name: TAUGHT }];
    if (maps) photo.maps.set(TAUGHT, maps);
    this.recolor();
  }

  /** Give what is shown the colours of the classes. */
  recolor() {
    const colors = new Map(this.choices.map(({ name, color }) => [name.trim(), color]));
    for (const photo of this.view.photos) {
      const head = photo.head({ head: TAUGHT });
      for (const entry of head?.classes ?? head?.boxes ?? []) {
        entry.color = colors.get(entry.class_name) ?? entry.color;
        entry.clear = entry.class_name === REST; // the photograph is seen there
      }
      photo.painted.delete(TAUGHT);
    }
    this.view.repaint();
  }

  /** Show nothing that was taught. */
  drop() {
    this.layer = null;
    for (const photo of this.view.photos) photo.heads = photo.heads.filter(({ name }) => name !== TAUGHT);
    this.view.useLayers(this.view.layers);
  }
}
