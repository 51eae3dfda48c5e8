// The pool map: one cell a GPU on a plain canvas, drawn as pixels, so that 300,000 cells cost milliseconds.
// The canvas is as large as its window, whatever the map's size; scrolling draws the part that shows.

import { start } from "./live.js";

const LEAF_COLUMNS = 8;
const NODE_COLUMNS = 4;
const CELLS = [3, 4, 5, 6, 8, 10, 14, 20, 28];
const FIT_CELL_MAX = 10;
// A pool of a few machines may have large cells.
const FEW_GPUS = 512;

const card = document.getElementById("map-card");
const wrap = document.getElementById("map-wrap");
const canvas = document.getElementById("map");
const tip = document.getElementById("map-tip");
const detail = document.getElementById("map-detail");
const words = JSON.parse(card.dataset.words);
const lang = card.dataset.lang;
const pool = card.dataset.pool;
const space = document.createElement("div");
space.className = "map-space";
wrap.insertBefore(space, canvas);
space.append(canvas);
const context = canvas.getContext("2d");

let map = null; // what the server sent, with typed arrays
let places = null; // where each node stands
let cellIndex = 1;
let chosen = -1;
let isDrawing = false;

const name = (thing) => (lang === "ko" ? thing.ko : thing.en);
const number = (value) => value.toLocaleString("en-US");

function bytes(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

function read(sent) {
  const first = new Int32Array(sent.nodes.id.length + 1);
  sent.nodes.gpus.forEach((gpus, index) => (first[index + 1] = first[index] + gpus));
  return { ...sent, first, state: bytes(sent.state) };
}

// --- where everything stands -------------------------------------------------------------------

function layout(cell, width) {
  const count = map.nodes.id.length;
  const x = new Int32Array(count);
  const y = new Int32Array(count);
  const labels = [];
  const gutter = width > 760 ? 168 : 0;
  const nodeGap = Math.max(2, cell >> 1);
  const leafGap = Math.max(6, cell);
  let left = gutter;
  let top = 0;
  let rowBottom = 0;
  let provider = -1;
  let cluster = -1;
  let index = 0;
  while (index < count) {
    if (map.nodes.provider[index] !== provider) {
      provider = map.nodes.provider[index];
      top = rowBottom + (rowBottom ? 20 : 8);
      labels.push({ kind: "provider", text: name(map.providers[provider]), x: 4, y: top + 14 });
      top += 26;
      rowBottom = top;
      cluster = -1;
    }
    if (map.nodes.cluster[index] !== cluster) {
      cluster = map.nodes.cluster[index];
      top = cluster === -1 ? top : Math.max(top, rowBottom) + (rowBottom > top ? 10 : 0);
      const facts = map.clusters[cluster];
      labels.push({ kind: "cluster", cluster, text: name(facts), sub: `${facts.accelerator} · ${number(facts.gpus)}`, own: facts.use === "own", x: 4, y: top + 12 });
      if (!gutter) top += 36;
      left = gutter;
      rowBottom = gutter ? top + 36 : top;
    }
    // One leaf: its nodes in rows of eight.
    let end = index;
    while (end < count && map.nodes.leaf[end] === map.nodes.leaf[index] && map.nodes.cluster[end] === cluster) end += 1;
    const columns = Math.min(NODE_COLUMNS, Math.max(...map.nodes.gpus.slice(index, end)));
    const rows = Math.ceil(Math.max(...map.nodes.gpus.slice(index, end)) / NODE_COLUMNS);
    const stepX = columns * cell + nodeGap;
    const stepY = rows * cell + nodeGap;
    const across = Math.min(LEAF_COLUMNS, end - index);
    const leafWidth = across * stepX + leafGap;
    if (left > gutter && left + leafWidth - leafGap > width) {
      left = gutter;
      top = rowBottom;
    }
    for (let node = index; node < end; node += 1) {
      const place = node - index;
      x[node] = left + (place % LEAF_COLUMNS) * stepX;
      y[node] = top + Math.floor(place / LEAF_COLUMNS) * stepY;
    }
    rowBottom = Math.max(rowBottom, top + Math.ceil((end - index) / LEAF_COLUMNS) * stepY + leafGap);
    left += leafWidth;
    index = end;
  }
  let right = width;
  for (let node = 0; node < count; node += 1) right = Math.max(right, x[node] + NODE_COLUMNS * cell);
  return { x, y, labels, labelWidth: (gutter || width) - 12, cell, width: right, height: rowBottom + 8 };
}

// --- colours and patterns ------------------------------------------------------------------------

function colour(style, property) {
  const probe = context;
  probe.fillStyle = "#000";
  probe.fillStyle = style.getPropertyValue(property).trim();
  const text = probe.fillStyle;
  if (text.startsWith("#")) return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)).concat(1);
  return text.match(/[\d.]+/g).map(Number);
}

const blend = (under, over) => [0, 1, 2].map((part) => Math.round(under[part] * (1 - over[3]) + over[part] * over[3]));
const pack = ([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;

// Which pixels of a tile carry ink: the same patterns as in the legend.
const INK = {
  loan: (x, y, step) => (x + y) % (3 * step) < step,
  scavenge: (x, y, step) => x % (2 * step) >= step && y % (2 * step) >= step,
  reserved: (x, y, step) => y % (3 * step) < step,
  draining: (x, y, step) => x % (3 * step) < step,
  down: (x, y, step, size) => Math.abs(x - y) < step || Math.abs(x + y - size + 1) < step,
};

function tiles(size, style, step) {
  const ink = colour(style, "--kind-ink");
  return map.kinds.map((kind) => {
    const fill = colour(style, `--kind-${kind}`);
    const plain = pack(fill);
    const marked = pack(blend(fill, ink));
    const tile = new Uint32Array(size * size).fill(plain);
    const rule = INK[kind];
    for (let y = 0; rule && y < size; y += 1) {
      for (let x = 0; x < size; x += 1) if (rule(x, y, step, size)) tile[y * size + x] = marked;
    }
    return tile;
  });
}

// --- drawing -------------------------------------------------------------------------------------

function draw() {
  isDrawing = false;
  if (!map || !places) return;
  const scale = Math.max(1, Math.round(window.devicePixelRatio || 1));
  const width = wrap.clientWidth;
  const height = Math.min(wrap.clientHeight, places.height);
  if (canvas.width !== width * scale || canvas.height !== height * scale) {
    canvas.width = width * scale;
    canvas.height = height * scale;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const style = getComputedStyle(document.documentElement);
  const cell = places.cell * scale;
  const gap = cell >= 4 ? Math.max(1, Math.floor(cell / 6)) : 0;
  const size = cell - gap;
  const stamp = tiles(size, style, Math.max(1, Math.round(size / 8)));
  const image = context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(image.data.buffer);
  pixels.fill(pack(colour(style, "--krds-light-color-background-white")));
  const top = wrap.scrollTop * scale;
  const leftEdge = wrap.scrollLeft * scale;
  const bottom = top + canvas.height;
  for (let node = 0; node < places.x.length; node += 1) {
    const nodeTop = places.y[node] * scale;
    if (nodeTop > bottom || nodeTop + 64 * cell < top) continue;
    for (let gpu = map.first[node]; gpu < map.first[node + 1]; gpu += 1) {
      const place = gpu - map.first[node];
      const x = places.x[node] * scale + (place % NODE_COLUMNS) * cell - leftEdge;
      const y = nodeTop + Math.floor(place / NODE_COLUMNS) * cell - top;
      if (x < 0 || x + size > canvas.width || y + size <= 0 || y >= canvas.height) continue;
      const tile = stamp[map.state[gpu]];
      for (let row = Math.max(0, -y); row < size && y + row < canvas.height; row += 1) {
        pixels.set(tile.subarray(row * size, row * size + size), (y + row) * canvas.width + x);
      }
    }
  }
  context.putImageData(image, 0, 0);
  drawLabels(scale, top, leftEdge, style);
  drawChosen(scale, top, leftEdge, style);
  canvas.dataset.drawn = String(map.seq);
}

function drawLabels(scale, top, leftEdge, style) {
  const font = style.getPropertyValue("--krds-font-family");
  context.textBaseline = "alphabetic";
  for (const label of places.labels) {
    const y = label.y * scale - top;
    if (y < -60 * scale || y > canvas.height + 20 * scale) continue;
    const x = label.x * scale - leftEdge;
    context.fillStyle = style.getPropertyValue(label.kind === "provider" ? "--krds-light-color-text-bolder" : "--krds-light-color-text-basic");
    context.font = `${label.kind === "provider" ? 700 : 600} ${(label.kind === "provider" ? 15 : 13.5) * scale}px ${font}`;
    const room = (label.kind === "cluster" ? places.labelWidth : places.width) * scale;
    context.fillText(shortened(label.text, room), x, y);
    if (!label.sub) continue;
    context.fillStyle = style.getPropertyValue("--krds-light-color-text-subtle");
    context.font = `400 ${12 * scale}px ${font}`;
    context.fillText(shortened(label.own ? `${label.sub} · ${words.own_short}` : label.sub, room), x, y + 16 * scale);
  }
}

function shortened(text, room) {
  let shown = text;
  while (shown.length > 1 && context.measureText(shown).width > room) {
    shown = `${shown.replace(/…$/, "").slice(0, -1).trimEnd()}…`;
  }
  return shown;
}

function box(node) {
  const gpus = map.first[node + 1] - map.first[node];
  return {
    x: places.x[node],
    y: places.y[node],
    width: Math.min(NODE_COLUMNS, gpus) * places.cell,
    height: Math.ceil(gpus / NODE_COLUMNS) * places.cell,
  };
}

function drawChosen(scale, top, leftEdge, style) {
  if (chosen < 0) return;
  const { x, y, width, height } = box(chosen);
  context.strokeStyle = style.getPropertyValue("--krds-light-color-text-bolder");
  context.lineWidth = 2 * scale;
  context.strokeRect((x - 2) * scale - leftEdge, (y - 2) * scale - top, (width + 3) * scale, (height + 3) * scale);
}

function redraw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(draw);
}

function arrange() {
  if (!map) return;
  places = layout(CELLS[cellIndex], wrap.clientWidth - 2);
  space.style.width = `${places.width}px`;
  space.style.height = `${places.height}px`;
  redraw();
}

function fit() {
  const room = wrap.clientHeight || window.innerHeight * 0.82;
  cellIndex = 0;
  CELLS.forEach((cell, index) => {
    if (cell > FIT_CELL_MAX && map.state.length > FEW_GPUS) return;
    const tried = layout(cell, wrap.clientWidth - 2);
    if (tried.height <= Math.max(room, window.innerHeight * 0.82) && tried.width <= wrap.clientWidth) cellIndex = index;
  });
  // Cells too small to read help nobody: then the map scrolls.
  cellIndex = Math.max(cellIndex, 1);
  arrange();
}

// --- details -------------------------------------------------------------------------------------

function at(event) {
  const edge = canvas.getBoundingClientRect();
  const x = event.clientX - edge.left + wrap.scrollLeft;
  const y = event.clientY - edge.top + wrap.scrollTop;
  for (let node = 0; node < places.x.length; node += 1) {
    const area = box(node);
    if (x < area.x || y < area.y || x >= area.x + area.width || y >= area.y + area.height) continue;
    const gpu = Math.floor((y - area.y) / places.cell) * NODE_COLUMNS + Math.floor((x - area.x) / places.cell);
    return { node, gpu: Math.min(gpu, map.first[node + 1] - map.first[node] - 1) };
  }
  return null;
}

function describe(node) {
  const facts = map.clusters[map.nodes.cluster[node]];
  const counts = new Map();
  for (let gpu = map.first[node]; gpu < map.first[node + 1]; gpu += 1) {
    const kind = map.kinds[map.state[gpu]];
    counts.set(kind, (counts.get(kind) || 0) + 1);
  }
  const states = [...counts].map(([kind, count]) => `${words.kinds[kind]} ${count}`).join(", ");
  const use = map.nodes.is_public[node] ? words.public_use : words.own_use;
  return `${map.nodes.id[node]} · ${name(map.providers[map.nodes.provider[node]])} · ${name(facts)} · ${map.leaves[map.nodes.leaf[node]]} · ${map.accelerators[map.nodes.accelerator[node]]} · ${use}: ${states}`;
}

function showTip(event) {
  const found = at(event);
  tip.hidden = !found;
  canvas.style.cursor = found ? "pointer" : "default";
  if (!found) return;
  const kind = map.kinds[map.state[map.first[found.node] + found.gpu]];
  tip.textContent = `${map.nodes.id[found.node]} · ${words.gpu} ${found.gpu} · ${words.kinds[kind]}`;
  const edge = wrap.getBoundingClientRect();
  const x = event.clientX - edge.left + wrap.scrollLeft + 14;
  tip.style.left = `${Math.min(x, wrap.scrollLeft + wrap.clientWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${event.clientY - edge.top + wrap.scrollTop + 16}px`;
}

function choose(node) {
  chosen = node;
  detail.textContent = describe(node);
  const area = box(node);
  if (area.y < wrap.scrollTop) wrap.scrollTop = Math.max(0, area.y - 40);
  if (area.y + area.height > wrap.scrollTop + wrap.clientHeight) wrap.scrollTop = area.y + area.height + 40 - wrap.clientHeight;
  redraw();
}

async function showJobs(node) {
  const answer = await fetch(`/api/v1/pools/${encodeURIComponent(pool)}/nodes/${encodeURIComponent(map.nodes.id[node])}`);
  if (!answer.ok || chosen !== node) return;
  const found = await answer.json();
  const jobs = [...new Set(found.jobs.filter(Boolean))];
  detail.textContent = `${describe(node)}. `;
  detail.append(`${words.job}: `);
  if (!jobs.length) detail.append(words.no_job);
  jobs.forEach((job, index) => {
    const link = document.createElement("a");
    link.href = `/jobs/${encodeURIComponent(job)}?pool=${encodeURIComponent(pool)}`;
    link.textContent = job;
    detail.append(index ? ", " : "", link);
  });
}

function step(key) {
  const last = places.x.length - 1;
  if (chosen < 0) return 0;
  if (key === "ArrowRight") return Math.min(last, chosen + 1);
  if (key === "ArrowLeft") return Math.max(0, chosen - 1);
  if (key === "Home") return 0;
  if (key === "End") return last;
  const down = key === "ArrowDown";
  let best = chosen;
  let bestY = down ? Infinity : -Infinity;
  for (let node = 0; node <= last; node += 1) {
    const y = places.y[node];
    if (down ? y <= places.y[chosen] : y >= places.y[chosen]) continue;
    const isNearer = down ? y < bestY : y > bestY;
    const isCloser = y === bestY && Math.abs(places.x[node] - places.x[chosen]) < Math.abs(places.x[best] - places.x[chosen]);
    if (isNearer || isCloser) {
      best = node;
      bestY = y;
    }
  }
  return best;
}

// --- wiring ----------------------------------------------------------------------------------------

function zoom(by) {
  const next = Math.min(CELLS.length - 1, Math.max(0, cellIndex + by));
  if (next === cellIndex) return;
  const share = (wrap.scrollTop + wrap.clientHeight / 2) / places.height;
  cellIndex = next;
  arrange();
  wrap.scrollTop = share * places.height - wrap.clientHeight / 2;
}

const MOVES = new Set(["ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown", "Home", "End"]);
canvas.addEventListener("pointermove", showTip);
canvas.addEventListener("pointerleave", () => (tip.hidden = true));
canvas.addEventListener("click", (event) => {
  const found = at(event);
  if (!found) return;
  choose(found.node);
  showJobs(found.node);
});
canvas.addEventListener("keydown", (event) => {
  if (!map) return;
  if (MOVES.has(event.key)) {
    event.preventDefault();
    choose(step(event.key));
  } else if (event.key === "Enter" && chosen >= 0) showJobs(chosen);
  else if (event.key === "+" || event.key === "=") zoom(1);
  else if (event.key === "-") zoom(-1);
});
wrap.addEventListener("scroll", redraw, { passive: true });
document.getElementById("map-in").addEventListener("click", () => zoom(1));
document.getElementById("map-out").addEventListener("click", () => zoom(-1));
document.getElementById("map-fit").addEventListener("click", fit);
new ResizeObserver(() => arrange()).observe(wrap);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

function take(sent) {
  if (!map) return;
  if (sent.state) map.state = bytes(sent.state);
  for (const [device, count, kind] of sent.changed || []) map.state.fill(kind, device, device + count);
  map.seq = sent.seq;
  if (chosen >= 0 && document.activeElement !== canvas && !detail.querySelector("a")) detail.textContent = describe(chosen);
  redraw();
}

async function open() {
  const answer = await fetch(`/api/v1/pools/${encodeURIComponent(pool)}/map`);
  if (!answer.ok) return;
  map = read(await answer.json());
  wrap.hidden = false;
  document.getElementById("map-tools").hidden = false;
  fit();
  start({
    onMap: take,
    onState: (isOpen) => {
      card.dataset.state = isOpen ? "open" : "lost";
    },
  });
}

open();
