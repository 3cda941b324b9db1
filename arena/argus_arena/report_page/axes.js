// Scales, axes and the note at the pointer.

const tip = document.getElementById("tip");
function showTip(text, x, y) {
  tip.textContent = text;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - width - 8))}px`;
  tip.style.top = `${y + 16 + height > innerHeight ? y - height - 10 : y + 16}px`;
}
const hideTip = () => {
  tip.hidden = true;
};

function linear(low, high, from, to) {
  if (low === high) return linear(low - (Math.abs(low) || 1) / 10, high + (Math.abs(high) || 1) / 10, from, to);
  const span = high - low;
  const step = 10 ** Math.floor(Math.log10(span / 4));
  const size = [1, 2, 5, 10].map((n) => n * step).find((n) => span / n <= 5.5);
  const start = Math.floor(low / size) * size;
  const end = Math.max(Math.ceil(high / size - 1e-9) * size, start + size);
  const ticks = [];
  for (let n = 0; start + n * size <= end + size / 2; n += 1) ticks.push(Number((start + n * size).toPrecision(10)));
  return { at: (value) => from + ((value - start) / (end - start)) * (to - from), ticks };
}

function logarithmic(low, high, from, to) {
  const pad = Math.max(0.06, Math.log10(high / low) * 0.08);
  const start = Math.log10(low) - pad;
  const end = Math.log10(high) + pad;
  const ticks = [];
  for (let power = Math.floor(start); power <= end; power += 1) {
    for (const n of [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8]) ticks.push(n * 10 ** power);
  }
  let inside = ticks.filter((tick) => Math.log10(tick) >= start && Math.log10(tick) <= end);
  for (const few of [["1", "1.5", "2", "3", "5", "7"], ["1", "2", "5"], ["1", "3"], ["1"]]) {
    if (inside.length > 7)
      inside = inside.filter((tick) =>
        few.includes(String(Number((tick / 10 ** Math.floor(Math.log10(tick) + 1e-9)).toPrecision(2)))),
      );
  }
  return { at: (value) => from + ((Math.log10(value) - start) / (end - start)) * (to - from), ticks: inside };
}

const BOX = { left: 54, right: 18, top: 30, bottom: 42, width: 600, height: 340 };

function frame(label, x, y, xTitle, yTitle) {
  const { left, right, top, bottom, width, height } = BOX;
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label });
  for (const tick of y.ticks) {
    svg.append(
      make("line", { class: "grid", x1: left, x2: width - right, y1: y.at(tick), y2: y.at(tick) }),
      make("text", { x: left - 8, y: y.at(tick) + 4, "text-anchor": "end" }, short(tick)),
    );
  }
  svg.append(make("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }));
  for (const tick of x.ticks) {
    svg.append(
      make("line", { class: "axis", x1: x.at(tick), x2: x.at(tick), y1: height - bottom, y2: height - bottom + 4 }),
      make("text", { x: x.at(tick), y: height - bottom + 18, "text-anchor": "middle" }, short(tick)),
    );
  }
  svg.append(
    make("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, xTitle),
    make("text", { x: 0, y: 12 }, yTitle),
  );
  return svg;
}
