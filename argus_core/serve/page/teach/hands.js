// What the pointer and the keys do to a photograph while something is taught.

import { byId } from "../dom.js";
import { numberOf, under } from "./marks.js";

/** Begin to teach, or end it: what was taught stays. */
export function toggle(lesson) {
  const { view } = lesson;
  view.clearPoint();
  lesson.on = !lesson.on;
  if (lesson.on) view.uncover();
  else if (!lesson.layer) for (const layer of view.covered) layer.shown = true;
  byId("teach").setAttribute("aria-pressed", String(lesson.on));
  lesson.cancel();
  view.arrange();
  view.rebuild();
}

/** What the keys do on a photograph, in words. */
export function keysOf(lesson) {
  if (!lesson.on) return "Enter shows what is similar, Escape ends that";
  const enter = lesson.boxing ? "Enter sets the corners of a box" : "Enter marks a point";
  return `${enter}, Delete takes a mark away, digits choose the class, Escape ends teaching`;
}

/** A pointer goes down on a stage; boxes begin there. */
export function press(lesson, stage, { button, pointerId }) {
  if (!lesson.boxing || button || !stage.spot) return;
  stage.frame.setPointerCapture(pointerId);
  lesson.press(stage, ...stage.spot);
}

/** A pointer goes up again. */
export function release(lesson, stage) {
  if (!lesson.boxing || !stage.spot) return;
  lesson.release(stage, ...stage.spot);
  stage.mark();
}

/** A click at x, y, or Enter if `byKey`. */
export function click(lesson, stage, x, y, byKey) {
  if (!lesson.boxing) lesson.click(stage, x, y);
  else if (byKey && lesson.corner?.photo === stage.photo) lesson.release(stage, x, y);
  else if (byKey) lesson.press(stage, x, y); // pointers have set their corners already
  stage.mark();
}

/** Another key, with the crosshair at x, y; whether it means anything. */
export function key(lesson, stage, name, x, y) {
  if (name === "Escape") {
    if (lesson.corner) lesson.cancel();
    else toggle(lesson);
  } else if (/^\d$/.test(name)) {
    lesson.choose(lesson.choices.find((one) => numberOf(lesson, one) === Number(name)));
  } else if (name === "Delete" || name === "Backspace") {
    const mark = under(lesson.marksOf(stage.photo), x, y, stage.unit);
    if (mark) lesson.remove(stage.photo, mark);
  } else {
    return false;
  }
  return true;
}

/** Undo by Ctrl+Z, or Command+Z, anywhere but in a text. */
export function takeUndo(lesson) {
  addEventListener("keydown", (event) => {
    if (!lesson.on || event.key !== "z" || !(event.ctrlKey || event.metaKey) || event.target.closest("input[type=text]")) return;
    event.preventDefault();
    void lesson.undo();
  });
}
