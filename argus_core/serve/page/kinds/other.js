// The answer of a task that this page does not know: in words, and as it is.

import { el } from "../dom.js";

export default {
  title: "Answer",
  plain: true, // nothing to draw

  body(layer, view) {
    return view.photos.map((photo) => {
      const head = photo.head(layer);
      return el(
        "details",
        {},
        el("summary", {}, head?.summary || "no summary"),
        el("pre", { tabIndex: 0 }, JSON.stringify(head?.answer ?? null, null, 2)),
      );
    });
  },
};
