// What all charts share: elements, numbers in words, axes, a tip under the pointer, and the data as CSV.
"use strict";

const report = JSON.parse(document.getElementById("report").textContent);
const drawings = [];

function add(parent, tag, attributes = {}, text = "") {
  const space = parent.namespaceURI === "http://www.w3.org/2000/svg" || tag === "svg";
  const made = space ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== "") made.textContent = text;
  parent.appendChild(made);
  return made;
}

function picture(parent, width, height, label) {
  return add(parent, "svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
}

// A card with a title, a CSV link and a place to draw, which is drawn again when its width changes.
function chart({ id, title, note, rows, draw, wide = false, tools = [] }) {
  const section = add(document.getElementById("charts"), "section", { id, class: wide ? "wide" : "" });
  const head = add(section, "div", { class: "head" });
  add(head, "h2", {}, title);
  const buttons = add(head, "div", { class: "tools" });
  for (const [name, action] of tools) add(buttons, "button", { type: "button" }, name).onclick = action;
  const link = add(buttons, "a", { href: "#", download: `${id}.csv`, class: "csv" }, "CSV");
  link.onclick = () => { link.href = URL.createObjectURL(new Blob([csv(rows())], { type: "text/csv" })); };
  if (note) add(section, "p", { class: "note" }, note);
  const plot = add(section, "div", { class: "plot" });
  const again = () => { plot.replaceChildren(); draw(plot, plot.clientWidth); };
  drawings.push({ plot, again, width: 0 });
  return again;
}

function csv(rows) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => row.map(cell).join(",")).join("\n") + "\n";
}

function drawAll() {
  for (const each of drawings) {
    // while a page is laid out, a place may have no width yet
    if (each.plot.clientWidth > 0 && each.plot.clientWidth !== each.width) {
      each.width = each.plot.clientWidth;
      each.again();
    }
  }
}

function legend(parent, entries) {
  const list = add(parent, "div", { class: "legend" });
  for (const [name, colour] of entries) {
    const entry = add(list, "span");
    add(entry, "i", { style: `background:${colour}` });
    entry.append(name);
  }
}

// Numbers in words, as the program writes them.

function quantity(value, unit) {
  const small = unit === "s" ? [["", 1], ["m", 1e-3], ["µ", 1e-6], ["n", 1e-9]] : [];
  const large = unit === "s" ? [] : [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3], ["", 1]];
  const scales = [...large, ...small];
  const [prefix, scale] = value ? scales.find(([, each]) => Math.abs(value) >= 0.99995 * each) || scales.at(-1) : ["", 1];
  return `${significant(value / scale)} ${prefix}${unit}`;
}

function memory(value) {
  const scales = [["Ti", 2 ** 40], ["Gi", 2 ** 30], ["Mi", 2 ** 20], ["Ki", 2 ** 10]];
  const [prefix, scale] = scales.find(([, each]) => value >= 0.99995 * each) || scales.at(-1);
  return `${significant(value / scale)} ${prefix}B`;
}

function significant(value) {
  return Number(value.toPrecision(Math.abs(value) >= 1000 ? 4 : 3)).toLocaleString("en");
}

const count = (value) => value.toLocaleString("en");
const percent = (share) => (share && share < 0.00995 ? `${Number((100 * share).toPrecision(1))} %` : `${Math.round(100 * share)} %`);
const nodes = (number) => `${count(number)} ${number === 1 ? "node" : "nodes"}`;

// Scales: from a value to a place.

function linear(low, high, from, to) {
  return (value) => from + ((value - low) / (high - low || 1)) * (to - from);
}

function logarithmic(low, high, from, to) {
  const place = linear(Math.log(low), Math.log(high), from, to);
  return (value) => (low === high ? (from + to) / 2 : place(Math.log(value)));
}

function ticks(low, high, most) {
  const raw = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5, 10].find((each) => each * power >= raw * 0.999));
  const found = [];
  for (let at = Math.ceil(low / step); at * step <= high * (1 + 1e-9); at += 1) found.push(at * step);
  return found;
}

// The width of a text in pixels, near enough to keep labels apart.
const textWidth = (text) => 7 * String(text).length;

// Tips: an element with data-tip shows it under the pointer, or when it is touched.

function tipped(element, text) {
  element.setAttribute("data-tip", text);
  return element;
}

function showTip(event) {
  const tip = document.getElementById("tip");
  const over = event.target.closest ? event.target.closest("[data-tip]") : null;
  tip.hidden = !over;
  if (!over) return;
  tip.textContent = over.getAttribute("data-tip");
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(event.clientX + 12, innerWidth - width - 6);
  const top = event.clientY + 16 + height > innerHeight ? event.clientY - height - 10 : event.clientY + 16;
  tip.style.left = `${Math.max(6, left)}px`;
  tip.style.top = `${Math.max(6, top)}px`;
}
document.addEventListener("pointermove", showTip);
document.addEventListener("pointerdown", showTip);
document.addEventListener("scroll", () => { document.getElementById("tip").hidden = true; }, { passive: true });
