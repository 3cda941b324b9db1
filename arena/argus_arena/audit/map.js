// The map of all images: a point each, coloured by split, class or what was found, with a picture at the pointer.

const WIDE = 900;
const HIGH = 620;
const EDGE = 14;
const card_of = document.getElementById("tip");

function mapCard(map) {
  const splits = DATA.splits.map((one) => one.name);
  const modes = { split: "split", found: "what was found" };
  if (map.classes.length) modes.class = "class";
  const select = make(
    "select",
    { onchange: () => draw() },
    ...Object.entries(modes).map(([key, text]) => make("option", { value: key }, text)),
  );
  const hidden = new Set();
  const legend = make("div", { class: "legend" });
  const svg = make("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, class: "map", role: "group", "aria-label": "map of images" });
  const across = Math.max(...map.points.map((one) => one[0]), 1e-9);
  const down = Math.max(...map.points.map((one) => one[1]), 1e-9);
  const scale = Math.min((WIDE - 2 * EDGE) / across, (HIGH - 2 * EDGE) / down);
  const left = (WIDE - across * scale) / 2;
  function groupOf([, , split, label, found]) {
    if (select.value === "split") return [split, splits[split]];
    if (select.value === "class") return label < 0 ? [-1, "no class"] : [label, map.classes[label]];
    return found ? [1, "something found"] : [-1, "nothing found"];
  }
  const ink = (group) => (group < 0 ? "var(--other)" : color(group % COLORS));
  function draw() {
    const groups = new Map();
    const order = [...map.points].sort((a, b) => Boolean(a[4]) - Boolean(b[4]));
    svg.replaceChildren(
      ...order.flatMap((point) => {
        const [group, name] = groupOf(point);
        groups.set(name, [group, (groups.get(name)?.[1] || 0) + 1]);
        if (hidden.has(name)) return [];
        return [dotOf(point, ink(group), name)];
      }),
    );
    legend.replaceChildren(
      ...[...groups].sort(([, a], [, b]) => a[0] - b[0]).map(([name, [group, count]]) =>
        make(
          "button",
          {
            type: "button",
            "aria-pressed": String(!hidden.has(name)),
            onclick: () => {
              if (!hidden.delete(name)) hidden.add(name);
              draw();
            },
          },
          make("span", { class: "dot", "--dot": ink(group), "aria-hidden": "true" }),
          `${name} (${count})`,
        ),
      ),
    );
  }
  function dotOf(point, fill, name) {
    const [x, y, split, , found, key, src] = point;
    const text = [`${splits[split]}: ${key}`, select.value === "class" || !found ? name : "", found].filter(Boolean);
    const label = [...new Set(text)].join("\n");
    const show = (event) => showSeen(label, src, event.clientX, event.clientY);
    return make("circle", {
      cx: left + x * scale,
      cy: HIGH - EDGE - y * scale,
      r: found ? 4.5 : 3,
      fill,
      class: found ? "marked" : null,
      onpointerenter: show,
      onpointerleave: hideTip,
      onclick: () => {
        zoom.replaceChildren(...(src ? [make("img", { src, alt: label })] : []), make("p", {}, label));
        zoom.showModal();
      },
    });
  }
  draw();
  const some = map.points.length < map.images ? ` ${map.points.length} of ${map.images} images are drawn.` : "";
  return card(
    "Map",
    "Similar images lie together; distances between groups say little. Larger points have findings. Point at one to see it, select one to keep it open." +
      some,
    svg,
    legend,
    make("label", { class: "pick" }, "colour", select),
  );
}

function showSeen(text, src, x, y) {
  showTip(text, x, y);
  if (!src) return;
  card_of.prepend(make("img", { src, alt: "" }));
  const { height } = card_of.getBoundingClientRect();
  card_of.style.top = `${y + 16 + height > innerHeight ? Math.max(4, y - height - 10) : y + 16}px`;
}
