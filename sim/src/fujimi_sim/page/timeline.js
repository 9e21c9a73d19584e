// One step of the first rank of each role: a row a stream. Drag to look closer.

const COLOURS = { kernels: "var(--compute)", communication: "var(--communication)", wait: "var(--wait)" };

if (report.timeline) {
  const step = report.timeline;
  const seen = { from: 0, to: step.step_s };

  const draw = chart({
    id: "timeline",
    title: "One step",
    note: `${nodes(step.nodes)}; ${step.note} Drag across it to look closer.`,
    wide: true,
    rows: () => [["role", "rank", "stream", "what", "name", "start_s", "end_s"],
      ...step.tracks.flatMap((track) => track.rows.flatMap((row) => row.slices.map(
        ([start, end, what, name]) => [track.role, track.rank, row.stream, what, name, start, end])))],
    tools: [["Whole step", () => { look(0, step.step_s); }]],
    draw: drawTimeline,
  });

  function look(from, to) {
    seen.from = from;
    seen.to = to;
    draw();
  }

  function drawTimeline(plot, width) {
    const row = 18, gap = 10, top = 22, narrow = width < 560;
    const left = narrow ? 0 : 110;
    const title = (track) => `${track.role}: rank ${count(track.rank)}${track.ranks > 1 ? ` for ${count(track.ranks)}` : ""}`;
    const high = (track) => 18 + track.rows.length * (row + (narrow ? 17 : 3)) + gap;
    const height = top + step.tracks.reduce((sum, track) => sum + high(track), 0);
    const svg = picture(plot, width, height, "What each role does when in one step");
    svg.style.touchAction = "pan-y";
    const x = linear(seen.from, seen.to, left, width - 1);
    for (const mark of ticks(seen.from, seen.to, narrow ? 3 : 8)) {
      add(svg, "line", { x1: x(mark), x2: x(mark), y1: top - 4, y2: height, class: "grid" });
      const anchor = x(mark) < left + 20 ? "start" : x(mark) > width - 30 ? "end" : "middle";
      add(svg, "text", { x: x(mark), y: 12, "text-anchor": anchor, class: "soft" }, mark ? quantity(mark, "s") : "0");
    }
    let begin = top;
    for (const track of step.tracks) {
      let y = begin + 14;
      const most = Math.floor(width / 6.6);
      const words = title(track);
      add(svg, "text", { x: 0, y: y - 2 }, words.length > most ? `${words.slice(0, most - 1)}…` : words);
      y += 4;
      for (const each of track.rows) {
        if (narrow) y += 14;
        add(svg, "text", { x: 0, y: narrow ? y - 2 : y + 13, class: "soft" }, each.stream);
        drawRow(svg, each.slices, { x, y, height: row, left, right: width - 1 });
        y += row + 3;
      }
      begin += high(track);
    }
    closer(svg, x, { left, right: width - 1, height });
    legend(plot, [["kernels", COLOURS.kernels], ["communication under way", COLOURS.communication], ["waits", COLOURS.wait]]);
  }

  function drawRow(svg, slices, { x, y, height, left, right }) {
    for (const [start, end, what, name, details] of slices) {
      const from = Math.max(left, x(start)), to = Math.min(right, x(end));
      if (to <= left || from >= right) continue;
      const place = { x: from, y, width: Math.max(0.6, to - from - (to - from > 4 ? 0.6 : 0)), height, fill: COLOURS[what] };
      tipped(add(svg, "rect", place), `${name}\n${quantity(end - start, "s")}, from ${quantity(start, "s")}${details ? `\n${details}` : ""}`);
    }
  }

  // A drag chooses an interval; a click alone does nothing.
  function closer(svg, x, { left, right, height }) {
    let began = null, mark = null;
    const place = (event) => Math.min(right, Math.max(left, event.clientX - svg.getBoundingClientRect().left));
    const time = (at) => seen.from + ((at - left) / (right - left)) * (seen.to - seen.from);
    svg.onpointerdown = (event) => { began = place(event); };
    svg.onpointermove = (event) => {
      if (began === null || !event.buttons) return;
      mark = mark || add(svg, "rect", { y: 0, height, fill: "var(--accent)", opacity: 0.25, "pointer-events": "none" });
      mark.setAttribute("x", Math.min(began, place(event)));
      mark.setAttribute("width", Math.abs(place(event) - began));
    };
    svg.onpointerup = (event) => {
      const [from, to] = [began, place(event)].sort((one, other) => one - other);
      began = null;
      if (mark && to - from > 5) look(time(from), time(to));
    };
    svg.onpointerleave = () => { began = null; if (mark) mark.remove(); mark = null; };
  }
}
