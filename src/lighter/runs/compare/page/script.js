"use strict";
(() => {
  const SHOWN = 8; // values in a tip
  const data = JSON.parse(document.getElementById("data").textContent);
  const charts = document.querySelector(".charts");
  const log = document.getElementById("log");
  const off = new Set();
  document.documentElement.classList.add("script");

  // one metric, or all
  const choice = document.getElementById("metric");
  choice.addEventListener("change", () => {
    const all = choice.value === "";
    charts.classList.toggle("one", !all);
    for (const chart of charts.children) chart.hidden = !all && chart.dataset.metric !== choice.value;
  });

  // show and hide runs
  const boxes = [...document.querySelectorAll(".legend input")];
  const show = () => {
    off.clear();
    for (const box of boxes) if (!box.checked) off.add(Number(box.dataset.run));
    for (const line of charts.querySelectorAll("path[data-run]")) line.classList.toggle("off", off.has(Number(line.dataset.run)));
  };
  for (const box of boxes) {
    box.addEventListener("change", show);
    const item = box.closest("li");
    const mark = (near) => {
      for (const line of charts.querySelectorAll(`path[data-run="${box.dataset.run}"]`)) line.classList.toggle("near", near);
    };
    item.addEventListener("pointerenter", () => mark(true));
    item.addEventListener("pointerleave", () => mark(false));
  }
  for (const button of document.querySelectorAll("button[data-check]")) {
    button.addEventListener("click", () => {
      for (const box of boxes) box.checked = button.dataset.check === "all";
      show();
    });
  }
  show(); // a browser may remember boxes from before

  // the values under the pointer
  const numbers = (text) => text.split(",").map(Number);
  const nearest = (list, wanted) => { // in a list that rises
    let low = 0;
    let high = list.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (list[middle] < wanted) low = middle; else high = middle;
    }
    return Math.abs(list[low] - wanted) <= Math.abs(list[high] - wanted) ? low : high;
  };
  const height = (chart, value) => {
    if (log.checked && chart.dataset.log) {
      const [low, high] = numbers(chart.dataset.log).map(Math.log10);
      return 1 - (Math.log10(value) - low) / (high - low);
    }
    const [low, high] = numbers(chart.dataset.linear);
    return 1 - (value - low) / (high - low);
  };
  const swatch = (run) => document.querySelector(`.legend input[data-run="${run}"] ~ svg`).cloneNode(true);
  const cell = (name, text) => Object.assign(document.createElement(name), { textContent: text });

  for (const [index, chart] of [...charts.children].entries()) {
    const plot = chart.querySelector(".plot");
    const tip = plot.querySelector(".tip");
    const rule = Object.assign(document.createElement("div"), { className: "rule", hidden: true });
    plot.append(rule);
    const [first, last] = numbers(chart.dataset.across);
    const mark = (run) => {
      for (const line of plot.querySelectorAll("path.near")) line.classList.remove("near");
      if (run !== null) for (const line of plot.querySelectorAll(`path[data-run="${run}"]`)) line.classList.add("near");
    };
    const leave = () => { tip.hidden = rule.hidden = true; mark(null); };
    const move = (event) => {
      const box = plot.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width;
      const y = (event.clientY - box.top) / box.height;
      const wanted = first + x * (last - first);
      let epoch = null;
      let found = [];
      for (const [run, axis, values] of data.charts[index]) {
        if (off.has(run)) continue;
        const at = nearest(data.axes[axis], wanted);
        const value = values[at];
        if (value === null) continue;
        const here = data.axes[axis][at];
        if (epoch === null || Math.abs(here - wanted) < Math.abs(epoch - wanted)) epoch = here;
        found.push({ run, value, here, away: Math.abs(height(chart, value) - y) });
      }
      found = found.filter((item) => item.here === epoch && Number.isFinite(item.away));
      if (!found.length) return leave();
      found.sort((a, b) => a.away - b.away);
      mark(found[0].run);
      const shown = found.slice(0, SHOWN).sort((a, b) => b.value - a.value);
      tip.replaceChildren(cell("div", `epoch ${epoch}`), ...shown.map(({ run, value }) => {
        const row = document.createElement("div");
        row.append(swatch(run), cell("span", data.runs[run]), cell("b", String(value)));
        return row;
      }));
      if (found.length > SHOWN) tip.append(cell("small", `and ${found.length - SHOWN} more`));
      tip.hidden = rule.hidden = false;
      const left = (epoch - first) / (last - first) * box.width;
      rule.style.left = `${left}px`;
      tip.style.left = left + tip.offsetWidth + 14 < box.width ? `${left + 12}px` : `${Math.max(left - tip.offsetWidth - 12, -48)}px`;
      tip.style.top = `${Math.min(Math.max(y * box.height - tip.offsetHeight / 2, 0), Math.max(box.height - tip.offsetHeight, 0))}px`;
    };
    plot.addEventListener("pointermove", move);
    plot.addEventListener("pointerdown", move);
    plot.addEventListener("pointerleave", leave);
  }
})();
