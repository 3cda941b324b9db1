// A card: a title, a text, and what it holds.

function card(title, text, ...children) {
  const last = children.at(-1);
  const pick = last instanceof Element && last.classList.contains("pick") ? children.pop() : null;
  return make(
    "section",
    { class: "card" },
    make("div", { class: "head" }, make("h3", {}, title), pick),
    text ? make("p", { class: "soft" }, text) : null,
    ...children,
  );
}
