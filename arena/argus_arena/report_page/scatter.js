// Cost against score, with the Pareto front.

function paretoFront(points, higher) {
  const order = [...points].sort((a, b) => a.x - b.x || (higher ? b.y - a.y : a.y - b.y));
  const front = [];
  for (const point of order) {
    if (!front.length || (higher ? point.y > front.at(-1).y : point.y < front.at(-1).y)) front.push(point);
  }
  return front;
}

// How far a whisker reaches: over the interval, else by one standard deviation over seeds.
function ends(entry, key) {
  const [mean, deviation] = entry.scores[key];
  return entry.interval || [mean - (deviation || 0), mean + (deviation || 0)];
}

function whiskers(ring) {
  const without = ring.entries.filter((entry) => !entry.interval);
  const deviation = "one standard deviation over seeds";
  if (without.length < ring.entries.length) {
    const others = without.some((entry) => entry.seeds.length > 1) ? `, where there are none ${deviation}` : "";
    return ` Whiskers are 95 % intervals${others}.`;
  }
  return ring.entries.some((entry) => entry.seeds.length > 1) ? ` Whiskers are ${deviation}.` : "";
}

function scatter(ring) {
  const costs = ["parameters", "macs", "milliseconds"].filter((key) => ring.entries.some((e) => e.costs[key] > 0));
  const names = {
    parameters: "parameters",
    macs: "multiply-accumulates per image",
    milliseconds: "milliseconds per image",
  };
  const select = make(
    "select",
    { onchange: () => draw() },
    ...costs.map((key) => make("option", { value: key }, names[key])),
  );
  const place = make("div", { class: "chart", "data-chart": "scatter" });
  function draw() {
    const key = select.value;
    const points = ring.entries
      .filter((entry) => matches(entry) && entry.costs[key] > 0 && entry.scores[ring.primary][0] !== null)
      .map((entry) => ({
        entry,
        x: entry.costs[key],
        y: entry.scores[ring.primary][0],
        ends: ends(entry, ring.primary),
      }));
    if (!points.length) return place.replaceChildren(make("p", { class: "soft" }, "No entry to draw."));
    const xs = points.map((point) => point.x);
    const x = logarithmic(Math.min(...xs), Math.max(...xs), BOX.left, BOX.width - BOX.right);
    const lows = points.map((point) => point.ends[0]);
    const highs = points.map((point) => point.ends[1]);
    const least = points.every((point) => point.y >= 0) ? 0 : -Infinity; // a deviation can reach where no score can
    const y = linear(Math.max(least, Math.min(...lows)), Math.max(...highs), BOX.height - BOX.bottom, BOX.top + 8);
    const svg = frame(`${ring.primary} against ${names[key]}`, x, y, `${names[key]} (log scale)`, ring.primary);
    const front = paretoFront(points, ring.higher);
    let path = "";
    front.forEach((point, n) => {
      path += n ? `H${x.at(point.x)}V${y.at(point.y)}` : `M${x.at(point.x)} ${y.at(point.y)}`;
    });
    svg.append(
      make("path", {
        class: "front",
        d: `${path}H${BOX.width - BOX.right}`,
        "data-front": front.map((p) => p.entry.label).join("\n"),
      }),
    );
    for (const point of points) {
      const [cx, cy, ink] = [x.at(point.x), y.at(point.y), color(point.entry.place)];
      if (point.ends[0] < point.ends[1])
        svg.append(
          make("line", {
            class: "whisker",
            x1: cx,
            x2: cx,
            y1: y.at(Math.max(least, point.ends[0])),
            y2: y.at(point.ends[1]),
            stroke: ink,
          }),
        );
      const text = [
        point.entry.label,
        `${ring.primary} ${score(point.entry.scores[ring.primary])}`,
        ...Object.keys(COSTS)
          .filter((one) => point.entry.costs[one] !== null)
          .map((one) => `${COSTS[one][0]} ${cost(one, point.entry.costs[one])}`),
        ...(front.includes(point) ? ["on the Pareto front"] : []),
      ].join("\n");
      svg.append(
        make("circle", {
          cx,
          cy,
          r: 6,
          fill: front.includes(point) ? ink : "var(--card)",
          stroke: front.includes(point) ? "var(--card)" : ink,
          "stroke-width": 2,
          tabindex: "0",
          role: "img",
          "aria-label": text.replaceAll("\n", ", "),
          onpointerenter: (event) => showTip(text, event.clientX, event.clientY),
          onpointerleave: hideTip,
          onblur: hideTip,
          onfocus: (event) => {
            const box = event.target.getBoundingClientRect();
            showTip(text, box.right, box.bottom);
          },
        }),
      );
    }
    place.replaceChildren(svg);
    const steps = front.flatMap((point, n) => {
      const next = front[n + 1];
      const [left, top] = [x.at(point.x), y.at(point.y)];
      if (!next) return [{ x: left, y: top - 1, width: BOX.width - left, height: 2 }];
      const [right, bottom] = [x.at(next.x), y.at(next.y)];
      return [
        { x: left, y: top - 1, width: right - left, height: 2 },
        { x: right - 1, y: Math.min(top, bottom), width: 2, height: Math.abs(top - bottom) },
      ];
    });
    label(
      svg,
      points.map((point) => ({
        text: point.entry.label,
        x: x.at(point.x),
        y: y.at(point.y),
        first: front.includes(point),
      })),
      steps,
    );
  }
  redraws.push(draw);
  return card(
    "Cost against score",
    "Filled points lie on the Pareto front: no entry is both cheaper and better." +
      whiskers(ring),
    place,
    make("label", { class: "pick" }, "cost", select),
  );
}

// Names beside points, where they cover no point, no line and no other name; those that find no place show on hover.
function label(svg, points, covered) {
  const taken = [...covered, ...points.map((point) => ({ x: point.x - 7, y: point.y - 7, width: 14, height: 14 }))];
  const free = (box) =>
    box.x >= BOX.left &&
    box.x + box.width <= BOX.width &&
    box.y >= 6 &&
    box.y + box.height <= BOX.height - BOX.bottom &&
    !taken.some(
      (other) =>
        box.x < other.x + other.width &&
        other.x < box.x + box.width &&
        box.y < other.y + other.height &&
        other.y < box.y + box.height,
    );
  for (const point of [...points].sort((a, b) => b.first - a.first)) {
    const node = make("text", { class: "name" }, point.text);
    svg.append(node);
    const { width } = node.getBBox();
    const places = [
      [10, -8],
      [-10 - width, -8],
      [-width / 2, -24],
      [-width / 2, 9],
      [10, -22],
      [10, 6],
      [-10 - width, -22],
      [-10 - width, 6],
    ];
    const found = places.map(([dx, dy]) => ({ x: point.x + dx, y: point.y + dy, width, height: 15 })).find(free);
    if (!found) {
      node.remove();
      continue;
    }
    taken.push(found);
    node.setAttribute("x", found.x);
    node.setAttribute("y", found.y + 12);
  }
}
