// Findings with their pictures: a few at first, and more when asked for.

const STEP = 24;

// The text that the filter looks in.
const spoken = (row) =>
  [row.key, row.split, row.given, row.suggested, ...(row.images || []).flatMap((one) => [one.key, one.label])]
    .filter(Boolean)
    .join(" ")
    .toLowerCase();

function picture(src, text) {
  if (!src) return make("p", { class: "blank" }, DATA.pictures ? "no picture" : "");
  const open = () => {
    zoom.replaceChildren(make("img", { src, alt: text }), make("p", { class: "soft" }, text));
    zoom.showModal();
  };
  return make(
    "button",
    { type: "button", "aria-label": `Enlarge ${text}`, onclick: open },
    make("img", { src, alt: text, loading: "lazy" }),
  );
}

function find(src, place, ...lines) {
  return make(
    "figure",
    { class: "find" },
    picture(src, place),
    make("figcaption", {}, ...lines.filter(Boolean), make("span", { class: "soft key" }, place)),
  );
}

// A grid of rows that the filter keeps, each drawn by ``show``; what the page leaves out is counted.
function finds(rows, count, show, wide = false) {
  const grid = make("div", { class: wide ? "groups" : "finds" });
  const note = make("p", { class: "soft" });
  const more = make("button", { type: "button", class: "more", onclick: () => fillUp(limit + STEP) });
  let limit = STEP;
  function fillUp(next) {
    limit = next;
    const kept = rows.filter((row) => spoken(row).includes(state.text));
    grid.replaceChildren(...kept.slice(0, limit).map(show));
    more.hidden = kept.length <= limit;
    more.textContent = `Show ${Math.min(STEP, kept.length - limit)} more of ${kept.length - limit}`;
    const left = count - rows.length;
    note.textContent = left > 0 ? `${left} more are in audit.json; --top shows more here.` : "";
    note.hidden = left <= 0;
    if (!kept.length && rows.length) grid.replaceChildren(make("p", { class: "soft" }, "None has this text."));
  }
  redraws.push(() => fillUp(STEP));
  return [grid, more, note];
}

const strong = (text) => make("strong", {}, text);
const badge = (text, kind = "") => make("span", { class: `badge ${kind}` }, text);
