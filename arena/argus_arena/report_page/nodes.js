"use strict";
// All text comes from files and is set as text: nothing here parses markup.
const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const COLORS = 8;
const COSTS = {
  parameters: ["parameters", 1],
  macs: ["GMACs", 1e9],
  milliseconds: ["ms", 1],
  epochs: ["epochs", 1],
  train_seconds: ["train s", 1],
  calibration_error: ["ECE", 1],
};
const state = { text: "", ring: "" };
const redraws = [];

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "line", "path", "circle", "text", "rect"].includes(tag);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key.startsWith("--")) node.style.setProperty(key, value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const color = (place) => (place < COLORS ? `var(--c${place})` : "var(--other)");
const dot = (place) => make("span", { class: "dot", "--dot": color(place), "aria-hidden": "true" });
const plural = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
const entriesOf = (number) => (number === 1 ? "1 entry" : `${number} entries`);
const matches = (entry) => `${entry.label} ${entry.head}`.toLowerCase().includes(state.text);

function score([mean, deviation]) {
  if (mean === null) return "–";
  return mean.toFixed(3) + (deviation === null ? "" : ` ±${deviation.toFixed(3)}`);
}

function cost(key, value) {
  if (value === null) return "–";
  if (key === "parameters") return Math.round(value).toLocaleString("en-US");
  const scaled = value / COSTS[key][1];
  return scaled < 100 ? String(Number(scaled.toPrecision(3))) : scaled.toFixed(0);
}

function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  for (const [unit, sign] of [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ]) {
    if (size >= unit) return `${Number((value / unit).toPrecision(3))}${sign}`;
  }
  return size < 1e-3 ? value.toExponential(0) : String(Number(value.toPrecision(3)));
}
