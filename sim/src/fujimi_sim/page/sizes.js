// Charts over the sizes of the machine: step time, efficiency, shares of the step, memory; and times of runs.

const points = [...report.points].sort((one, other) => one.nodes - other.nodes);
const many = points.length > 1;

function curve(plot, width, { of, words, label, top, logarithm }) {
  const height = 230, left = 58, right = 24, bottom = height - 40, above = 22;
  const values = points.map(of);
  const x = logarithmic(points[0].nodes, points.at(-1).nodes, left + 14, width - right);
  const high = top || Math.max(...values) * 1.15, low = logarithm ? Math.min(...values) / 1.3 : 0;
  const y = logarithm ? logarithmic(low, high, bottom, above) : linear(0, high, bottom, above);
  const svg = picture(plot, width, height, label);
  const marks = logarithm ? logarithmicTicks(low, high) : ticks(0, high, 5);
  for (const mark of marks) {
    add(svg, "line", { x1: left, x2: width - right + 10, y1: y(mark), y2: y(mark), class: "grid" });
    add(svg, "text", { x: left - 6, y: y(mark) + 4, "text-anchor": "end", class: "soft" }, words(mark));
  }
  add(svg, "line", { x1: left, x2: width - right + 10, y1: bottom, y2: bottom, class: "axis" });
  let free = -Infinity;
  points.forEach((point, index) => {
    const at = x(point.nodes), half = textWidth(count(point.nodes)) / 2;
    const last = points.length - 1, end = x(points[last].nodes) - textWidth(count(points[last].nodes)) / 2;
    if (at - half < free + 6 || (index < last && at + half > end - 6)) return;
    add(svg, "text", { x: Math.min(at, width - half), y: bottom + 16, "text-anchor": "middle", class: "soft" }, count(point.nodes));
    free = at + half;
  });
  add(svg, "text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle", class: "soft" }, "nodes");
  const line = points.map((point) => `${x(point.nodes)},${y(of(point))}`).join(" ");
  add(svg, "polyline", { points: line, fill: "none", stroke: "var(--accent)", "stroke-width": 2 });
  free = -Infinity;
  for (const point of points) {
    const at = x(point.nodes), text = words(of(point)), half = textWidth(text) / 2;
    tipped(add(svg, "circle", { cx: at, cy: y(of(point)), r: 5, fill: "var(--accent)" }), `${nodes(point.nodes)}: ${text}`);
    if (at - half < free + 4) continue;
    add(svg, "text", { x: Math.min(at, width - half), y: y(of(point)) - 10, "text-anchor": "middle" }, text);
    free = at + half;
  }
}

function logarithmicTicks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    for (const digit of [1, 2, 5]) found.push(digit * 10 ** power);
  }
  const inside = found.filter((each) => each >= low && each <= high);
  return inside.length > 6 ? inside.filter((each) => /^1(e|0*$)|^0\.0*1$/.test(String(each))) : inside;
}

const times = points.map((point) => point.step_s);
chart({
  id: "step-time",
  title: "Step time",
  note: many ? "One optimizer step, until the last rank is done." : "",
  rows: () => [["nodes", "ranks", "step_s", "samples_per_s"], ...points.map((p) => [p.nodes, p.ranks, p.step_s, p.samples_per_s])],
  draw: (plot, width) => curve(plot, width, {
    of: (point) => point.step_s,
    words: (value) => quantity(value, "s"),
    label: "Step time over the number of nodes",
    logarithm: Math.max(...times) > 4 * Math.min(...times),
  }),
});

chart({
  id: "efficiency",
  title: "Parallel efficiency",
  note: many ? "Samples a second and node, over those of the fewest nodes on which the plan can run." : "",
  rows: () => [["nodes", "parallel_efficiency", "fraction_of_peak"], ...points.map((p) => [p.nodes, p.parallel_efficiency, p.fraction_of_peak])],
  draw: (plot, width) => curve(plot, width, {
    of: (point) => point.parallel_efficiency,
    words: percent,
    label: "Parallel efficiency over the number of nodes",
    top: Math.max(1.12, ...points.map((point) => 1.1 * point.parallel_efficiency)),
  }),
});

// Horizontal bars, one a size: parts beside each other, a word at the end.
function bars(plot, width, { parts, of, whole, word, label, limit }) {
  const row = 26, left = 10 + Math.max(...points.map((p) => textWidth(count(p.nodes))), textWidth("nodes"));
  const right = 8 + Math.max(...points.map((p) => textWidth(word(p))));
  const top = limit ? 40 : 22, height = top + row * points.length + 4;
  const svg = picture(plot, width, height, label);
  const most = Math.max(...points.map(whole), limit ? limit.value : 0);
  const x = linear(0, most, left, width - right);
  add(svg, "text", { x: left - 8, y: top - 8, "text-anchor": "end", class: "soft" }, "nodes");
  points.forEach((point, index) => {
    const y = top + row * index;
    add(svg, "text", { x: left - 8, y: y + 15, "text-anchor": "end" }, count(point.nodes));
    let from = 0;
    for (const [name, colour, key] of parts) {
      const value = of(point, key);
      if (!(value > 0)) continue;
      const place = { x: x(from), y, width: Math.max(0.5, x(from + value) - x(from)), height: row - 6, fill: colour };
      const tip = `${nodes(point.nodes)}, ${name}: ${word(point, value)}`;
      tipped(add(svg, "rect", place), tip);
      const inside = percent(value / whole(point));
      if (textWidth(inside) + 8 < place.width) {
        const at = { x: place.x + place.width / 2, y: y + 15, "text-anchor": "middle", style: `fill:${textOn(colour)}` };
        tipped(add(svg, "text", at, inside), tip);
      }
      from += value;
    }
    add(svg, "text", { x: x(from) + 6, y: y + 15, class: "soft" }, word(point));
  });
  if (limit) {
    const at = x(limit.value);
    add(svg, "line", { x1: at, x2: at, y1: top - 6, y2: height, stroke: "var(--limit)", "stroke-width": 2, "stroke-dasharray": "4 3" });
    const end = at + textWidth(limit.name) > width;
    add(svg, "text", { x: at, y: 14, "text-anchor": end ? "end" : "middle", style: "fill:var(--limit)" }, limit.name);
  }
  legend(plot, parts.map(([name, colour]) => [name, colour]));
}

const textOn = (colour) => (/wait|other/.test(colour) ? "var(--ink)" : "var(--on)");

const SHARES = [
  ["compute", "var(--compute)", "compute_s"],
  ["exposed communication", "var(--communication)", "exposed_communication_s"],
  ["idle: waits for other ranks", "var(--wait)", "idle_s"],
];
chart({
  id: "breakdown",
  title: "Where the step goes",
  note: "Means over ranks. Communication behind kernels costs nothing and is not here.",
  rows: () => [["nodes", "step_s", ...SHARES.map(([, , key]) => key), "communication_s"],
    ...points.map((p) => [p.nodes, p.step_s, ...SHARES.map(([, , key]) => p[key]), p.communication_s])],
  draw: (plot, width) => bars(plot, width, {
    parts: SHARES,
    of: (point, key) => point[key] / point.step_s,
    whole: () => 1,
    word: (point, share) => (share === undefined ? quantity(point.step_s, "s") : `${percent(share)}, ${quantity(share * point.step_s, "s")}`),
    label: "Shares of the step by number of nodes",
  }),
});

const KINDS = [
  ["parameters", "var(--parameters)", "parameter_bytes"],
  ["gradients", "var(--gradients)", "gradient_bytes"],
  ["optimizer", "var(--optimizer)", "optimizer_bytes"],
  ["activations", "var(--activations)", "activation_bytes"],
  ["workspace", "var(--workspace)", "workspace_bytes"],
  ["buffers", "var(--buffers)", "buffer_bytes"],
  ["other", "var(--other)", "other_bytes"],
];
if (points.some((point) => point.memory.peak_bytes)) {
  const used = KINDS.filter(([, , key]) => points.some((point) => point.memory[key] > 0));
  chart({
    id: "memory",
    title: "Memory of a rank",
    note: "When the rank that needs most holds most.",
    rows: () => [["nodes", "peak_bytes", ...KINDS.map(([, , key]) => key), "device_bytes"],
      ...points.map((p) => [p.nodes, p.memory.peak_bytes, ...KINDS.map(([, , key]) => p.memory[key]), report.device.memory_bytes])],
    draw: (plot, width) => bars(plot, width, {
      parts: used,
      of: (point, key) => point.memory[key],
      whole: (point) => point.memory.peak_bytes,
      word: (point, value = point.memory.peak_bytes) => memory(value),
      label: "Memory of a rank by kind and number of nodes",
      limit: { value: report.device.memory_bytes, name: `device: ${memory(report.device.memory_bytes)}` },
    }),
  });
}

if (report.runs.length) {
  const runs = [...report.runs].sort((one, other) => one - other);
  const at = (share) => runs[Math.min(runs.length - 1, Math.floor(share * runs.length))];
  chart({
    id: "runs",
    title: "Time of the run",
    note: `${count(runs.length)} simulated runs. Half take less than ${duration(at(0.5))}, nine of ten less than ${duration(at(0.9))}.`,
    rows: () => [["run_s"], ...runs.map((each) => [each])],
    draw: (plot, width) => histogram(plot, width, runs),
    wide: true,
  });
}

function duration(seconds) {
  const [unit, scale] = [["days", 86400], ["h", 3600], ["min", 60], ["s", 1]].find(([, each]) => seconds >= each) || ["s", 1];
  return `${significant(seconds / scale)} ${unit}`;
}

function histogram(plot, width, runs) {
  const height = 200, left = 40, right = 16, bottom = height - 36, top = 10;
  const bins = Math.max(1, Math.min(40, Math.ceil(2 * Math.cbrt(runs.length)), Math.floor(width / 12)));
  const low = runs[0], high = runs.at(-1) === low ? low * 1.01 + 1e-9 : runs.at(-1);
  const counts = new Array(bins).fill(0);
  for (const each of runs) counts[Math.min(bins - 1, Math.floor(((each - low) / (high - low)) * bins))] += 1;
  const svg = picture(plot, width, height, "How many runs take how long");
  const x = linear(0, bins, left, width - right), y = linear(0, Math.max(...counts), bottom, top);
  for (const mark of ticks(0, Math.max(...counts), 4).filter(Number.isInteger)) {
    add(svg, "line", { x1: left, x2: width - right, y1: y(mark), y2: y(mark), class: "grid" });
    add(svg, "text", { x: left - 6, y: y(mark) + 4, "text-anchor": "end", class: "soft" }, count(mark));
  }
  counts.forEach((number, bin) => {
    const edge = (index) => low + ((high - low) * index) / bins;
    const place = { x: x(bin) + 0.5, y: y(number), width: x(1) - x(0) - 1, height: bottom - y(number), fill: "var(--compute)" };
    tipped(add(svg, "rect", place), `${count(number)} runs take ${duration(edge(bin))} to ${duration(edge(bin + 1))}`);
  });
  const words = width < 500 ? [0, bins] : [0, Math.floor(bins / 2), bins];
  for (const bin of words) {
    const anchor = bin === 0 ? "start" : bin === bins ? "end" : "middle";
    add(svg, "text", { x: x(bin), y: bottom + 16, "text-anchor": anchor, class: "soft" }, duration(low + ((high - low) * bin) / bins));
  }
}
