// How long each link is busy in one step: maps over the plane of the two longest axes, and bars by kind of link.

// Cividis: readable with any kind of colour vision, and in grey.
const CIVIDIS = [[0, 34, 78], [60, 77, 110], [110, 110, 115], [145, 140, 119], [189, 173, 105], [254, 232, 56]];
const BINS = 24;

function colour(share) {
  const at = Math.min(0.9999, Math.max(0, share)) * (CIVIDIS.length - 1), low = Math.floor(at);
  const mixed = CIVIDIS[low].map((value, index) => Math.round(value + (at - low) * (CIVIDIS[low + 1][index] - value)));
  return `rgb(${mixed.join(",")})`;
}

if (report.network) {
  const network = report.network;
  const kinds = [...network.links, ...network.interfaces];
  const busiest = Math.max(...network.links.map((each) => each.max_s), 1e-30);
  const planes = network.links.filter((each) => each.seconds);
  chart({
    id: "network",
    title: "How busy the network is",
    note: `All communication of one step on ${nodes(network.nodes)}: bytes over bandwidth, without waiting.` + (planes.length
      ? ` Each map shows the links of one direction over ${network.plane.join(" and ")}${network.others ? ", the busiest over the other axes" : ""}.` : ""),
    wide: true,
    rows: () => [["kind", ...network.plane, "busy_s"],
      ...planes.flatMap((each) => each.seconds.flatMap((row, first) => row.map(
        (value, second) => [each.name, ...(network.plane.length > 1 ? [first, second] : [second]), value]))),
      ...kinds.flatMap((each) => [["mean_s", each.mean_s], ["max_s", each.max_s]].map(
        ([name, value]) => [`${each.name} ${name}`, ...network.plane.map(() => ""), value]))],
    draw: (plot, width) => {
      if (planes.length) {
        const grid = add(plot, "div", { class: "planes" });
        for (const each of planes) drawPlane(add(grid, "div"), each);
        drawScale(plot, Math.min(width, 420));
      }
      drawKinds(plot, width);
    },
  });

  function drawPlane(parent, each) {
    const rows = each.seconds.length, columns = each.seconds[0].length;
    const width = parent.clientWidth, side = Math.min(width, 220), top = 18;
    const tall = Math.min(side, Math.max(14, (side * rows) / columns));
    const svg = picture(parent, width, top + tall, `Links ${each.name}: ${quantity(each.max_s, "s")} at most`);
    add(svg, "text", { x: 0, y: 12 }, each.name);
    add(svg, "text", { x: width, y: 12, "text-anchor": "end", class: "soft" }, quantity(each.max_s, "s"));
    const wide = width / columns, high = tall / rows;
    const paths = new Map();
    each.seconds.forEach((row, first) => row.forEach((value, second) => {
      const bin = value === null ? -1 : Math.min(BINS - 1, Math.floor((value / busiest) * BINS));
      const path = `M${(second * wide).toFixed(2)} ${(top + tall - (first + 1) * high).toFixed(2)}h${wide.toFixed(2)}v${high.toFixed(2)}h${(-wide).toFixed(2)}z`;
      paths.set(bin, (paths.get(bin) || "") + path);
    }));
    for (const [bin, path] of paths) {
      const fill = bin < 0 ? "var(--nolink)" : colour((bin + 0.5) / BINS);
      add(svg, "path", { d: path, fill, stroke: fill, "stroke-width": 0.3 });
    }
    const words = `${each.name}: mean ${quantity(each.mean_s, "s")}, busiest ${quantity(each.max_s, "s")}`;
    tipped(add(svg, "rect", { x: 0, y: top, width, height: tall, fill: "transparent" }), words);
  }

  function drawScale(plot, width) {
    const svg = picture(plot, width, 34, "Colours of the maps");
    for (let bin = 0; bin < BINS; bin += 1) {
      add(svg, "rect", { x: (bin * width) / BINS, y: 0, width: width / BINS + 0.5, height: 12, fill: colour((bin + 0.5) / BINS) });
    }
    add(svg, "text", { x: 0, y: 28, class: "soft" }, "0");
    add(svg, "text", { x: width, y: 28, "text-anchor": "end", class: "soft" }, `a link is busy ${quantity(busiest, "s")}`);
  }

  function drawKinds(plot, width) {
    const words = (each) => `${quantity(each.max_s, "s")}, ${percent(each.max_s / network.step_s)} of the step`;
    const row = 22, left = 12 + Math.max(...kinds.map((each) => textWidth(each.name)));
    const right = 12 + Math.max(...kinds.map((each) => textWidth(words(each))));
    const svg = picture(plot, width, row * kinds.length + 4, "Mean and busiest by kind of link");
    const x = linear(0, Math.max(...kinds.map((each) => each.max_s)), left, width - right);
    kinds.forEach((each, index) => {
      const y = row * index + 4;
      add(svg, "text", { x: left - 8, y: y + 12, "text-anchor": "end" }, each.name);
      add(svg, "rect", { x: left, y, width: Math.max(0.5, x(each.max_s) - left), height: row - 6, fill: "var(--compute)" });
      add(svg, "rect", { x: left, y: y + 4, width: Math.max(0.5, x(each.mean_s) - left), height: row - 14, fill: "var(--mean)" });
      tipped(add(svg, "rect", { x: left, y, width: width - left, height: row - 4, fill: "transparent" }),
        `${each.name}: mean ${quantity(each.mean_s, "s")}, busiest ${quantity(each.max_s, "s")}`);
      add(svg, "text", { x: x(each.max_s) + 6, y: y + 12, class: "soft" }, words(each));
    });
    legend(plot, [["busiest", "var(--compute)"], ["mean", "var(--mean)"]]);
  }
}

drawAll();
new ResizeObserver(drawAll).observe(document.getElementById("charts"));
