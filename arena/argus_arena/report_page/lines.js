// A chart of lines, with a note at the nearest point.

function lines(label, title, series, log, unit = "epoch") {
  const all = series.flatMap((one) => one.points);
  if (!all.length) return make("p", { class: "soft" }, `No ${title} to draw.`);
  const [xs, ys] = [all.map((point) => point[0]), all.map((point) => point[1])];
  const x = linear(Math.min(0, ...xs), Math.max(...xs), BOX.left, BOX.width - BOX.right);
  if (unit === "step") x.ticks = x.ticks.filter(Number.isInteger);
  const scale = log && Math.min(...ys) > 0 ? logarithmic : linear;
  const y = scale(Math.min(...ys), Math.max(...ys), BOX.height - BOX.bottom, BOX.top + 8);
  const svg = frame(label, x, y, unit, scale === logarithmic ? `${title} (log scale)` : title);
  for (const one of series) {
    const spots = one.points.map(([at, value]) => [x.at(at), y.at(value)]);
    svg.append(
      make("path", {
        d: spots.map(([a, b], n) => `${n ? "L" : "M"}${a.toFixed(1)} ${b.toFixed(1)}`).join(""),
        fill: "none",
        stroke: color(one.entry.place),
        "stroke-width": 2,
        "stroke-linejoin": "round",
        opacity: one.place ? 0.45 : 1,
        "data-label": one.entry.label,
      }),
    );
    if (spots.length < 15)
      spots.forEach(([cx, cy]) =>
        svg.append(make("circle", { cx, cy, r: 3, fill: color(one.entry.place), opacity: one.place ? 0.45 : 1 })),
      );
  }
  const mark = make("circle", { r: 5, fill: "none", stroke: "var(--ink)", "stroke-width": 2, visibility: "hidden" });
  svg.append(mark);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top].map((one) => (one * BOX.width) / box.width);
    let [best, near] = [null, 30];
    for (const one of series) {
      for (const [at, value] of one.points) {
        const distance = Math.hypot(x.at(at) - px, y.at(value) - py);
        if (distance < near) [best, near] = [{ one, at, value }, distance];
      }
    }
    mark.setAttribute("visibility", best ? "visible" : "hidden");
    if (!best) return hideTip();
    mark.setAttribute("cx", x.at(best.at));
    mark.setAttribute("cy", y.at(best.value));
    const seed = best.one.seed === null ? "" : `, seed ${best.one.seed}`;
    return showTip(
      `${best.one.entry.label}${seed}\n${unit} ${best.at}: ${title} ${best.value.toPrecision(4)}`,
      event.clientX,
      event.clientY,
    );
  });
  svg.addEventListener("pointerleave", () => {
    hideTip();
    mark.setAttribute("visibility", "hidden");
  });
  return svg;
}
