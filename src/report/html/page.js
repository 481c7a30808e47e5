"use strict";
// The interactive parts of the page: colour scheme, zoom, details, filter, order. Nothing here turns text into markup.
(() => {
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const clamp = (value, least, most) => Math.min(Math.max(value, least), most);
  all(".control").forEach((control) => { control.hidden = false; });
  themes();
  const units = one("#table") && table();
  if (one("#canvas")) timeline(units);

  // The colour scheme: that of the browser, until the reader switches it.
  function themes() {
    const root = document.documentElement, button = one("#theme"), preferred = matchMedia("(prefers-color-scheme: dark)");
    const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : preferred.matches);
    const say = () => { button.textContent = isDark() ? "Light" : "Dark"; button.ariaLabel = `${button.textContent} colours`; };
    button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; say(); });
    preferred.addEventListener("change", say);
    say();
  }

  // Filters and sorts the table of units.
  function table() {
    const body = one("#table tbody"), filter = one("#filter"), boxes = all("[name=outcome]"), heads = all("#table thead th");
    const rows = [...body.rows].map((row) => ({ row, text: row.textContent.toLowerCase(), outcome: row.dataset.outcome }));
    let changed = () => {};

    function apply() {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      const outcomes = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
      let shown = 0;
      for (const { row, text, outcome } of rows) {
        row.hidden = !outcomes.has(outcome) || !words.every((word) => text.includes(word));
        shown += row.hidden ? 0 : 1;
      }
      one("#shown").textContent = shown === rows.length ? `${shown} units` : `${shown} of ${rows.length} units`;
      changed();
    }

    // The first click sorts texts ascending and numbers descending. Empty cells are always last.
    function sort(head, column) {
      const isNumber = head.classList.contains("number"), before = head.ariaSort;
      const direction = (isNumber ? before === "descending" : before !== "ascending") ? 1 : -1;
      heads.forEach((other) => { other.ariaSort = "none"; });
      head.ariaSort = direction > 0 ? "ascending" : "descending";
      const value = ({ row }) => (isNumber ? row.cells[column].dataset.value : row.cells[column].textContent.trim().toLowerCase());
      const keyed = rows.map((row, index) => ({ row: row.row, value: value(row), index }));
      const compare = isNumber ? (a, b) => a - b : (a, b) => (a < b ? -1 : a > b ? 1 : 0);
      keyed.sort((a, b) => (a.value === "") - (b.value === "") || direction * compare(a.value, b.value) || a.index - b.index);
      body.append(...keyed.map(({ row }) => row));
    }

    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      button.addEventListener("click", () => sort(head, column));
      head.ariaSort = "none";
      head.replaceChildren(button);
    });

    // Shows the row that a link leads to, even if it is filtered out.
    function reveal(id) {
      const row = document.getElementById(id);
      if (!row || row.parentElement !== body) return;
      if (row.hidden) {
        filter.value = "";
        boxes.forEach((box) => { box.checked = true; });
        apply();
      }
      row.scrollIntoView({ block: "center" });
      row.focus({ preventScroll: true });
    }

    filter.addEventListener("input", apply);
    boxes.forEach((box) => box.addEventListener("change", apply));
    addEventListener("hashchange", () => reveal(location.hash.slice(1)));
    apply();
    return { reveal, isShown: (unit) => !document.getElementById(`unit-${unit}`)?.hidden, onChange: (call) => { changed = call; } };
  }

  // The timeline: zoom, tooltips, and keyboard navigation.
  function timeline(units) {
    const scroll = one("#scroll"), canvas = one("#canvas"), axis = one("#axis"), slider = one("#zoom"), tip = one("#tip");
    const duration = Number(canvas.dataset.duration), least = 1, most = clamp(duration / 20, 8, 400);
    const lanes = all(".lane", canvas).map((lane) => all(".block", lane));
    const blocks = lanes.flat();
    const percent = (block) => ({ start: parseFloat(block.style.left), length: parseFloat(block.style.width) });
    let zoom = 1, current = blocks[0];

    function draw() {
      canvas.style.width = `${zoom * 100}%`;
      slider.value = (Math.log(zoom / least) / Math.log(most / least)) * 100;
      slider.ariaValueText = `${zoom.toFixed(1)} times`;
      const fits = Math.max(2, Math.floor(canvas.clientWidth / 110)), rough = duration / fits;
      const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
      const step = [1, 2, 5, 10].map((times) => times * power).find((step) => step >= rough) || power * 10;
      const ticks = [];
      for (let at = 0; at < duration && ticks.length < 1000; at += step) {
        const tick = document.createElement("span");
        tick.style.left = `${(at / duration) * 100}%`;
        // A label at the very end would be cut off.
        if ((1 - at / duration) * canvas.clientWidth > 60) tick.textContent = step < 1000 && duration < 10000 ? `${at} ms` : `${(at / 1000).toFixed(step < 100 ? 2 : step < 1000 ? 1 : 0)} s`;
        ticks.push(tick);
      }
      axis.replaceChildren(...ticks);
    }

    // Zooms around the position x.
    function zoomTo(wanted, x = scroll.clientWidth / 2) {
      const at = (scroll.scrollLeft + x) / canvas.clientWidth;
      zoom = clamp(wanted, least, most);
      draw();
      scroll.scrollLeft = at * canvas.clientWidth - x;
      hide();
    }

    function show(block, x, y) {
      const name = document.createElement("strong");
      name.textContent = block.textContent;
      tip.replaceChildren(name, block.dataset.details);
      tip.hidden = false;
      tip.style.left = `${clamp(x + 12, 8, Math.max(8, innerWidth - tip.offsetWidth - 8))}px`;
      tip.style.top = `${y + 16 + tip.offsetHeight > innerHeight ? Math.max(8, y - tip.offsetHeight - 12) : y + 16}px`;
      block.setAttribute("aria-describedby", "tip");
    }

    function hide() { tip.hidden = true; }

    // The block under the pointer, or a block close to it, which may be too narrow to hit.
    function near(event) {
      const direct = event.target.closest(".block");
      const lane = event.target.closest(".lane");
      if (direct || !lane) return direct;
      const width = canvas.clientWidth / 100, x = event.clientX - canvas.getBoundingClientRect().left;
      const away = (block) => { const { start, length } = percent(block); return Math.max(start * width - x, x - (start + length) * width); };
      return all(".block", lane).filter((block) => away(block) < 6).sort((a, b) => away(a) - away(b))[0];
    }

    function select(block) {
      current.tabIndex = -1;
      current = block;
      current.tabIndex = 0;
    }

    // The neighbour in this lane, or the block nearest in time in the next lane.
    function neighbour(key) {
      const lane = lanes.findIndex((lane) => lane.includes(current)), index = lanes[lane].indexOf(current);
      if (key === "ArrowRight") return lanes[lane][index + 1];
      if (key === "ArrowLeft") return lanes[lane][index - 1];
      if (key === "Home") return lanes[lane][0];
      if (key === "End") return lanes[lane].at(-1);
      const next = lanes[lane + (key === "ArrowDown" ? 1 : -1)];
      const middle = (block) => { const { start, length } = percent(block); return start + length / 2; };
      return next && next.reduce((best, block) => (Math.abs(middle(block) - middle(current)) < Math.abs(middle(best) - middle(current)) ? block : best));
    }

    canvas.addEventListener("pointermove", (event) => { const block = near(event); if (block) show(block, event.clientX, event.clientY); else hide(); });
    canvas.addEventListener("pointerleave", hide);
    canvas.addEventListener("focusin", (event) => {
      const block = event.target.closest(".block");
      if (!block) return;
      select(block);
      block.scrollIntoView({ block: "nearest", inline: "nearest" });
      const box = block.getBoundingClientRect();
      show(block, clamp(box.left, 0, innerWidth), box.bottom);
    });
    canvas.addEventListener("focusout", hide);
    canvas.addEventListener("click", (event) => {
      const block = near(event);
      // Touch screens have no hover, so a touch shows the details.
      if (block && event.pointerType === "touch") return show(block, event.clientX, event.clientY);
      if (block && block.dataset.unit && units) units.reveal(`unit-${block.dataset.unit}`);
    });
    canvas.addEventListener("keydown", (event) => {
      if (event.key === "Escape") return hide();
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "+" || event.key === "-") {
        zoomTo(zoom * (event.key === "+" ? 1.5 : 1 / 1.5));
        current.scrollIntoView({ block: "nearest", inline: "center" });
        return event.preventDefault();
      }
      if (!["ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown", "Home", "End"].includes(event.key)) return;
      event.preventDefault();
      neighbour(event.key)?.focus({ preventScroll: true });
    });
    scroll.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      zoomTo(zoom * Math.exp(-event.deltaY / 300), event.clientX - scroll.getBoundingClientRect().left);
    }, { passive: false });
    slider.addEventListener("input", () => zoomTo(least * (most / least) ** (slider.value / 100)));
    one("#zoom-in").addEventListener("click", () => zoomTo(zoom * 1.5));
    one("#zoom-out").addEventListener("click", () => zoomTo(zoom / 1.5));
    one("#zoom-fit").addEventListener("click", () => zoomTo(least));
    addEventListener("resize", draw);
    units?.onChange(() => blocks.forEach((block) => block.classList.toggle("faded", !!block.dataset.unit && !units.isShown(block.dataset.unit))));
    current.tabIndex = 0;
    draw();
  }
})();
