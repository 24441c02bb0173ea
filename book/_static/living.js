/* Living pictures: draws the data that book/_ext/pictures.py has computed, with Observable Plot. */
"use strict";
(() => {
  const BLUE = "var(--living-blue)", ORANGE = "var(--living-orange)", GREEN = "var(--living-green)", GREY = "#888888";
  const short = v => v === 0 ? "0" : Math.abs(v) >= 0.01 && Math.abs(v) < 1000 ? v.toPrecision(3) : v.toExponential(1);
  const pairs = (xs, ys) => xs.map((x, i) => [x, ys[i]]);
  const line = (points, stroke, options = {}) => Plot.line(points, {stroke, strokeWidth: 1.8, ...options});
  const dashed = {strokeDasharray: "5,3", strokeWidth: 1.4};

  /* A labelled control; `choices` are [label, value]. Sliders work with the arrow keys, as they are native. */
  function control(stage, kind, label, choices, start) {
    const id = `living-control-${document.querySelectorAll(".living input, .living select").length}`;
    const box = stage.form.appendChild(document.createElement("div"));
    const name = box.appendChild(document.createElement("label"));
    name.htmlFor = id;
    name.textContent = label;
    const input = box.appendChild(document.createElement(kind === "choice" ? "select" : "input"));
    input.id = id;
    const current = () => choices[Number(input.value)];
    if (kind === "choice") {
      choices.forEach(([text], i) => input.add(new Option(text, i, i === start, i === start)));
    } else {
      Object.assign(input, {type: "range", min: 0, max: choices.length - 1, step: 1, value: start});
      const shown = box.appendChild(document.createElement("output"));
      shown.htmlFor = id;
      const tell = () => { shown.textContent = current()[0]; input.setAttribute("aria-valuetext", current()[0]); };
      input.addEventListener("input", tell);
      tell();
    }
    input.addEventListener("input", () => stage.draw());
    const result = () => current()[1];
    result.reset = (others, at) => {   // other choices for a slider
      choices = others;
      Object.assign(input, {max: others.length - 1, value: Math.min(at, others.length - 1)});
      input.dispatchEvent(new Event("input"));
    };
    return result;
  }
  const numbers = values => values.map(v => [String(v), v]);

  /* The spline sum_j c_j N_m(N x - j) and its derivative, by the recursion of B-splines. */
  function bspline(m, u) {
    if (u < 0 || u > m) return 0;
    if (m === 1) return u < 1 ? 1 : 0;
    return (u * bspline(m - 1, u) + (m - u) * bspline(m - 1, u - 1)) / (m - 1);
  }
  function spline(c, m, N, x) {
    const first = Math.floor(N * x) - m + 1;
    let value = 0, slope = 0;
    for (let j = first; j < first + m; j++) {
      const weight = c[j + m - 1], u = N * x - j;
      value += weight * bspline(m, u);
      slope += weight * N * (bspline(m - 1, u) - bspline(m - 1, u - 1));
    }
    return [value, slope];
  }

  const pictures = {
    quasi(data, stage) {
      const curve = control(stage, "choice", "function", data.curves.map(c => [c.name, c]), 0);
      const order = control(stage, "slider", "order m", numbers(data.orders), 1);
      const cells = control(stage, "slider", "cells N", numbers(data.cells), 1);
      stage.draw = () => {
        const c = curve(), m = order(), N = cells(), of = n => c.splines[`${m},${n}`], now = of(N);
        const both = c.x.map(x => spline(now.c, m, N, x));
        const knots = Plot.tickX(d3.range(N + 1).map(i => i / N), {stroke: "currentColor", strokeOpacity: 0.12});
        const look = (title, truth, at) => stage.plot({title, x: {label: "x"}, marks: [knots,
          line(pairs(c.x, truth), GREY, {strokeWidth: 4, strokeOpacity: 0.5}),
          line(c.x.map((x, i) => [x, both[i][at]]), BLUE)]});
        const rates = (title, name) => {
          const seen = data.cells.filter(n => of(n)[name][0] > 0);
          return stage.plot({title, x: {type: "log", label: "N", ticks: data.cells, tickFormat: String},
            y: {type: "log", tickFormat: short, ticks: 4, label: null}, marks: [
              line(data.cells.map(n => [n, of(n)[name][1]]), ORANGE, dashed),
              line(seen.map(n => [n, of(n)[name][0]]), ORANGE),
              Plot.dot([[N, now[name][0]], [N, now[name][1]]], {fill: ORANGE, r: 4})]});
        };
        stage.show([look("f (grey) and Qf", c.f, 0), look("f′ (grey) and (Qf)′", c.df, 1),
                    rates("largest error in value; bound dashed", "value"), rates("largest error in slope; bound dashed", "slope")],
          `m = ${m}, N = ${N}, α = ${now.alpha}: largest error ${short(now.value[0])} in value (bound ${short(now.value[1])}), ` +
          `${short(now.slope[0])} in slope (bound ${short(now.slope[1])}).`);
      };
    },

    square(data, stage) {
      const level = control(stage, "slider", "levels n", data.levels.map(l => [String(l.n), l]), 2);
      stage.draw = () => {
        const {n, z, sq, epsilon, delta} = level(), value = [], slope = [];
        let most = 0, steepest = 0;
        for (let i = 0; i + 1 < z.length; i++) {
          const rise = (sq[i + 1] - sq[i]) / (z[i + 1] - z[i]);
          for (const t of d3.range(0, 1.001, 1 / 8)) {
            const x = z[i] + t * (z[i + 1] - z[i]), error = sq[i] + rise * (x - z[i]) - x * x;
            value.push([x, error]);
            slope.push([x, rise - 2 * x, i]);
            most = Math.max(most, error);
            steepest = Math.max(steepest, Math.abs(rise - 2 * x));
          }
        }
        stage.show([
          stage.plot({title: "z² (grey) and the network", x: {label: "z"}, marks: [
            line(d3.range(0, 1.001, 0.01).map(x => [x, x * x]), GREY, {strokeWidth: 4, strokeOpacity: 0.5}), line(pairs(z, sq), BLUE),
            n < 5 ? Plot.dot(pairs(z, sq), {fill: BLUE, r: 2.5}) : null]}),
          stage.plot({title: "error in value; ε dashed", x: {label: "z"}, y: {tickFormat: short, ticks: 4, label: null}, marks: [
            line(value, BLUE), Plot.ruleY([0], {strokeOpacity: 0.3}), Plot.ruleY([epsilon], {stroke: ORANGE, ...dashed})]}),
          stage.plot({title: "error in slope; ±δ dashed", x: {label: "z"}, y: {tickFormat: short, ticks: 4, label: null}, marks: [
            line(slope, BLUE, {z: d => d[2]}), Plot.ruleY([0], {strokeOpacity: 0.3}),
            Plot.ruleY([delta, -delta], {stroke: ORANGE, ...dashed})]})],
          `n = ${n}: ${2 ** n} pieces, largest error ${short(most)} in value (ε = ${short(epsilon)}), ` +
          `${short(steepest)} in slope (δ = ${short(delta)}). One level more divides the first by 4, the second by 2.`);
      };
    },

    blocks(data, stage) {
      const network = control(stage, "choice", "term blocks", data.networks.map(n => [String(n.blocks), n]), 4);
      const runs = n => d3.range(n.blocks + 1).map(k => [`${k} of ${n.blocks}`, k]);
      let last = network();
      const done = control(stage, "slider", "blocks that have run", runs(last), 3);
      stage.draw = () => {
        const n = network();
        if (n !== last) { last = n; return done.reset(runs(n), Math.ceil(n.blocks / 2)); }
        const k = done(), zero = data.x.map(() => 0), none = {value: zero, slope: zero};
        const state = i => i === 0 ? none : n.states[n.first + i - 1], now = state(k), before = k ? state(k - 1) : none;
        const look = (title, truth, name) => stage.plot({title, x: {label: "x"}, marks: [
          Plot.areaY(data.x.map((x, i) => [x, now[name][i] - before[name][i]]), {x: "0", y: "1", fill: ORANGE, fillOpacity: 0.45}),
          line(pairs(data.x, truth), GREY, {strokeWidth: 4, strokeOpacity: 0.5}), line(pairs(data.x, now[name]), BLUE)]});
        const worst = name => d3.max(data.x, (_, i) => Math.abs(now[name][i] - (name === "value" ? data.f : data.df)[i]));
        stage.show([look("f (grey), the sum so far (blue), what the last block added (orange)", data.f, "value"),
                    look("the same for the slopes", data.df, "slope")],
          `${k} of ${n.blocks} blocks have run: largest distance from f ${short(worst("value"))} in value, ${short(worst("slope"))} ` +
          "in slope, at the points drawn. The last state is the same for every number of blocks.");
      };
    },

    charts(data, stage) {
      const atlas = control(stage, "slider", "radius r₁/τ of the bumps", data.atlases.map(a => [String(a.ratio), a]), 7);
      const turn = control(stage, "slider", "turn", d3.range(0, 360, 10).map(v => [`${v}°`, v]), 3);
      const pick = control(stage, "slider", "chart on the circle", d3.range(8).map(v => [String(v + 1), v]), 0);
      const place = ([x, y, z]) => [Math.atan2(y, x) * 180 / Math.PI, Math.asin(Math.max(-1, Math.min(1, z))) * 180 / Math.PI];
      const cap = (c, chord) => d3.geoCircle().center(place(c)).radius(2 * Math.asin(chord / (2 * data.radius)) * 180 / Math.PI)();
      const circle = {type: "LineString", coordinates: [...data.circle, data.circle[0]].map(place)};
      stage.draw = () => {
        const a = atlas(), alive = Object.keys(a.partition).map(Number), peak = i => d3.max(a.partition[i][1]);
        alive.sort((i, j) => peak(j) - peak(i));
        const chosen = alive[pick() % alive.length];
        const globe = stage.plot({title: "bumps on the sphere; one of them and a great circle", tall: true, axis: null,
          projection: {type: "orthographic", rotate: [-turn(), -25]}, marks: [
            Plot.sphere({stroke: "currentColor", strokeOpacity: 0.5}),
            Plot.geo(a.centres.map(c => cap(c, a.bump)), {stroke: BLUE, strokeOpacity: 0.6}),
            Plot.geo(cap(a.centres[chosen], a.bump), {stroke: ORANGE, strokeWidth: 2.5, fill: ORANGE, fillOpacity: 0.25}),
            Plot.geo(circle, {stroke: GREEN, strokeWidth: 2}),
            Plot.dot(a.centres.map(place), {x: d => d[0], y: d => d[1], r: 2, fill: "currentColor"})]});
        const bumps = alive.flatMap(i => {
          const values = new Map(a.partition[i][0].map((k, at) => [k, a.partition[i][1][at]]));
          return data.angle.map((t, k) => ({t, i, rho: values.get(k) || 0}));
        });
        const sum = d3.rollups(bumps, v => d3.sum(v, d => d.rho), d => d.t);
        const partition = stage.plot({title: "partition of unity along the circle; its sum dashed", x: {label: "angle in degrees"},
          y: {domain: [0, 1.05]}, marks: [
            Plot.lineY(bumps, {x: "t", y: "rho", z: "i", stroke: BLUE, strokeOpacity: 0.45}),
            Plot.areaY(bumps.filter(d => d.i === chosen), {x: "t", y: "rho", fill: ORANGE, fillOpacity: 0.35}),
            line(bumps.filter(d => d.i === chosen), ORANGE, {x: "t", y: "rho"}), line(sum, GREEN, dashed)]});
        stage.show([globe, partition],
          `${a.centres.length} charts, bumps of radius ${a.ratio} τ, at most ${a.overlap} alive at a point, ${alive.length} alive on ` +
          `the circle. The gates need at least N₀ = ${a.mesh} cells a chart (m = 4).`);
      };
    },

    widthdepth(data, stage) {
      const measures = [["robust accuracy", "robust"], ["clean accuracy", "clean"], ["slope over margin (median)", "relative_slope"],
                        ["mean slope of the margin", "slope"], ["local Lipschitz quotient", "lipschitz"]];
      const measure = control(stage, "choice", "measure", measures, 0);
      const axis = control(stage, "choice", "along", [["width J (two blocks)", "width"], ["depth M (eight channels)", "depth"]], 0);
      const epochs = control(stage, "slider", "epochs", numbers([...new Set(data.rows.map(r => r.epochs))]), 0);
      const names = {pgd: "adversarial", natural: "plain", trades: "TRADES"};
      const colours = {domain: Object.values(names), range: [BLUE, ORANGE, GREEN]};
      stage.draw = () => {
        const along = axis(), key = measure();
        const rows = data.rows.filter(r => r.epochs === epochs() && (along === "width" ? r.depth === 2 : r.width === 8))
          .map(r => ({size: r[along], training: names[r.method], mean: r[key][0], error: r[key][1]}));
        rows.sort((p, q) => p.size - q.size);
        const sizes = [...new Set(rows.map(r => r.size))];
        const picture = stage.plot({title: measures.find(m => m[1] === key)[0] + ", mean ± standard error", tall: true, wide: true,
          x: {type: "log", base: 2, ticks: sizes, tickFormat: String, label: along === "width" ? "channels J" : "blocks M"},
          y: {label: null, nice: true}, color: {...colours, legend: true}, symbol: {domain: colours.domain}, marks: [
            Plot.ruleX(rows, {x: "size", y1: d => d.mean - d.error, y2: d => d.mean + d.error, stroke: "training", strokeWidth: 2}),
            Plot.line(rows, {x: "size", y: "mean", stroke: "training"}),
            Plot.dot(rows, {x: "size", y: "mean", stroke: "training", symbol: "training", r: 4, fill: "var(--pst-color-background)"})]});
        stage.show([picture], d3.groups(rows, d => d.training).map(([training, found]) => {
          const [p, q] = [found[0], found.at(-1)];
          return `${training}: ${short(p.mean)} ± ${short(p.error)} at ${p.size}, ${short(q.mean)} ± ${short(q.error)} at ${q.size}`;
        }).join("; ") + `. ${data.seeds} seeds, ℓ∞ radius ${data.radius}.`);
      };
    },
  };

  function start(figure) {
    const data = JSON.parse(figure.querySelector("script").textContent);
    const root = figure.querySelector(".living-stage");
    const form = root.appendChild(document.createElement("form"));
    form.addEventListener("submit", event => event.preventDefault());
    const board = root.appendChild(document.createElement("div"));
    board.className = "living-board";
    const reading = root.appendChild(document.createElement("p"));
    reading.className = "living-reading";
    reading.setAttribute("role", "status");
    const stage = {
      form,
      draw() {},   // until the picture has its controls
      plot({title, tall, wide, x, y, marks, ...rest}) {
        const room = Math.max(240, root.clientWidth), columns = room >= 560 && !wide ? 2 : 1;
        const width = Math.floor(room / columns) - (columns > 1 ? 8 : 0);
        const svg = Plot.plot({width, height: tall ? Math.min(width, 320) : 190, marginLeft: 48, marginBottom: 34, x, y: {label: null, ...y}, ...rest,
          marks: marks.filter(Boolean), style: {fontSize: "11px", background: "none"}});
        svg.querySelectorAll("g[aria-label]").forEach(part => part.removeAttribute("aria-label"));
        const picture = svg.matches("svg") ? svg : svg.querySelector(":scope > svg");   // a legend makes it a figure
        picture.setAttribute("role", "img");
        picture.setAttribute("aria-label", title);
        const box = document.createElement("div");
        box.className = "living-plot";
        box.style.width = `${width}px`;
        box.append(Object.assign(document.createElement("div"), {className: "living-title", textContent: title}), svg);
        return box;
      },
      show(plots, text) {
        board.replaceChildren(...plots);
        reading.textContent = text;
      },
    };
    pictures[figure.dataset.picture](data, stage);
    stage.draw();
    let width = root.clientWidth;
    new ResizeObserver(() => { if (root.clientWidth !== width) { width = root.clientWidth; stage.draw(); } }).observe(root);
  }
  document.querySelectorAll("figure.living").forEach(start);
  window.living = {bspline, spline};   // for the tests
})();
