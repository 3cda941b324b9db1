// Marks on a photograph: how they look, and which one is meant.

import { label } from "../kinds/boxes.js";

const RADIUS = 9; // of a point, in pixels of the screen

/** The number of a class, as a key of the keyboard chooses it; the rest is 0. */
export const numberOf = (lesson, one) => (one === lesson.rest ? 0 : lesson.classes.indexOf(one) + 1);

/** The point at x, y, if there is one. */
export function near(marks, x, y, unit) {
  const reach = RADIUS * unit;
  return marks.filter(({ at }) => at.length === 2).find(({ at }) => Math.hypot(at[0] - x, at[1] - y) <= reach);
}

/** The point at x, y, or the smallest box around it. */
export function under(marks, x, y, unit) {
  const area = ({ at: [x1, y1, x2, y2] }) => (x2 - x1) * (y2 - y1);
  const around = marks.filter(({ at: [x1, y1, x2, y2] }) => x1 <= x && x <= x2 && y1 <= y && y <= y2);
  return near(marks, x, y, unit) ?? around.sort((one, two) => area(one) - area(two))[0];
}

/** Draw the marks on a photograph, and the box that is being drawn to `spot`. */
export function drawMarks(pen, lesson, photo, spot, unit) {
  if (!lesson.on) return;
  for (const mark of lesson.marksOf(photo)) {
    if (mark.at.length === 2) drawPoint(pen, mark, numberOf(lesson, mark.of), unit);
    else drawBox(pen, mark.at, mark.of, photo, unit);
  }
  const { corner, current } = lesson;
  if (corner?.photo !== photo) return;
  drawPoint(pen, { of: current, at: corner.at }, "", unit / 2);
  if (spot) drawBox(pen, [...corner.at, ...spot], current, photo, unit);
}

function drawPoint(pen, { of: { color }, at: [x, y] }, text, unit) {
  for (const [style, radius] of [["#000", RADIUS + 1], ["#fff", RADIUS], [color, RADIUS - 2]]) {
    pen.fillStyle = style;
    pen.beginPath();
    pen.arc(x, y, radius * unit, 0, 2 * Math.PI);
    pen.fill();
  }
  Object.assign(pen, { fillStyle: "#fff", strokeStyle: "#000", lineWidth: 2.5 * unit, textAlign: "center", textBaseline: "middle" });
  pen.font = `700 ${11 * unit}px system-ui, sans-serif`;
  pen.strokeText(text, x, y + unit / 2);
  pen.fillText(text, x, y + unit / 2);
  pen.textAlign = "start";
}

function drawBox(pen, [x1, y1, x2, y2], { name, color }, photo, unit) {
  for (const [style, dash] of [["#000", []], ["#fff", []], [color, [8, 6]]]) {
    Object.assign(pen, { strokeStyle: style, lineWidth: (style === "#000" ? 4 : 2.5) * unit });
    pen.setLineDash(dash.map((length) => length * unit));
    pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
  }
  pen.setLineDash([]);
  label(pen, name, { x: Math.min(x1, x2), y: Math.max(y1, y2) + 18 * unit, color, photo, unit });
}
