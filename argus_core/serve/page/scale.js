// Colours for numbers, and a bar that explains them.

import { el } from "./dom.js";
import { abgr } from "./photo.js";

/** 256 colours, dark to light, from the hexadecimal text of their bytes. */
export function rampOf(hex) {
  const byte = (place) => parseInt(hex.slice(2 * place, 2 * place + 2), 16);
  return Uint32Array.from({ length: 256 }, (_, step) => abgr(byte(3 * step), byte(3 * step + 1), byte(3 * step + 2)));
}

/** Round numbers from `low` to `high`, at most `most`: steps of 1, 2 or 5 times a power of ten; and their decimals. */
export function ticks(low, high, most) {
  const span = high - low;
  if (!(span > 1e-6 * Math.max(Math.abs(low), Math.abs(high)))) return { numbers: [low], decimals: 2 };
  for (let exponent = Math.floor(Math.log10(span)) - 2; ; exponent++) {
    for (const digit of [1, 2, 5]) {
      const step = digit * 10 ** exponent;
      const first = Math.ceil(low / step - 1e-6);
      const count = Math.floor(high / step + 1e-6) - first + 1;
      if (count > most) continue;
      return { numbers: Array.from({ length: count }, (_, n) => (first + n) * step), decimals: Math.max(0, -exponent) };
    }
  }
}

const css = (color) => `rgb(${color & 255} ${(color >> 8) & 255} ${(color >> 16) & 255})`;

/** A lying bar with numbers below it; `mark(value)` points at one, `mark(null)` at none. */
export function scaleBar(ramp, { low, high, unit = "", falling = false, label }) {
  const stops = Array.from({ length: 17 }, (_, n) => css(ramp[Math.round((255 * (falling ? 16 - n : n)) / 16)]));
  const share = (value) => `${(100 * Math.min(1, Math.max(0, (value - low) / (high - low || 1)))).toFixed(2)}%`;
  const { numbers, decimals } = ticks(low, high, 6);
  const marker = el("span", { className: "marker", hidden: true });
  const bar = el(
    "div",
    { className: "scale", role: "img", aria: { label: `${label}: ${low.toFixed(2)} to ${high.toFixed(2)} ${unit}`.trim() } },
    el("div", { className: "strip", style: { background: `linear-gradient(90deg, ${stops.join(", ")})` } }),
    ...numbers.map((value) => el("span", { className: "tick", style: { left: share(value) } }, `${value.toFixed(decimals)} ${unit}`)),
    marker,
  );
  bar.mark = (value) => {
    marker.hidden = value === null;
    if (value !== null) marker.style.left = share(value);
  };
  return bar;
}
