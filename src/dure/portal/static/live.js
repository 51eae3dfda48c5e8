// Keeps the figures of an open page fresh. Without it (no script, no connection) the page is complete as it came.
// One connection a page; it can be paused, since nothing that moves by itself may be unstoppable.

const KINDS_IN_USE = new Set(["own", "loan", "scavenge"]);
const BARS = ["own", "loan", "scavenge", "reserved", "draining", "idle", "down"];

/** Korean civil time has no summer time: nine hours, always. */
export function moment(lang, seconds) {
  const at = new Date((seconds + 9 * 3600) * 1000);
  const pad = (n) => String(n).padStart(2, "0");
  const clock = `${pad(at.getUTCHours())}:${pad(at.getUTCMinutes())}`;
  if (lang === "ko") {
    return `${at.getUTCFullYear()}년 ${at.getUTCMonth() + 1}월 ${at.getUTCDate()}일(${"일월화수목금토"[at.getUTCDay()]}) ${clock}`;
  }
  const month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][at.getUTCMonth()];
  return `${at.getUTCDate()} ${month} ${at.getUTCFullYear()}, ${clock}`;
}

/** Listen to a pool. Returns {stop}; `onState(isOpen)` tells about the connection. */
export function listen(pool, { withMap = false, onFigures, onMap, onState }) {
  const source = new EventSource(`/api/v1/events?pool=${encodeURIComponent(pool)}${withMap ? "&map=1" : ""}`);
  source.addEventListener("figures", (event) => onFigures(JSON.parse(event.data)));
  if (onMap) source.addEventListener("map", (event) => onMap(JSON.parse(event.data)));
  source.addEventListener("open", () => onState(true));
  source.addEventListener("error", () => onState(false));
  return { stop: () => source.close() };
}

export function showFigures(figures, lang) {
  const number = (value) => value.toLocaleString("en-US");
  const amounts = {};
  let used = 0;
  figures.kinds.forEach((name, index) => {
    amounts[name] = Math.floor(figures.kinds_milli[index] / 1000);
    if (KINDS_IN_USE.has(name)) used += figures.kinds_milli[index];
  });
  amounts.used = Math.floor(used / 1000);
  for (const key of ["waiting_jobs", "waiting_gpus", "running_jobs"]) amounts[key] = figures[key];
  for (const place of document.querySelectorAll("[data-live]")) {
    const key = place.dataset.live;
    if (place.dataset.format === "moment") place.textContent = moment(lang, figures.now_s);
    else if (key in amounts) place.textContent = number(amounts[key]);
  }
  for (const place of document.querySelectorAll("[data-live-share]")) {
    const milli = Math.floor((amounts[place.dataset.liveShare] * 1000) / figures.gpus);
    place.textContent = `${Math.floor(milli / 10)}.${milli % 10}%`;
  }
  drawBar(document.querySelector(".live-bar svg"), figures);
}

function drawBar(svg, figures) {
  if (!svg) return;
  const total = figures.kinds_milli.reduce((sum, value) => sum + value, 0) || 1;
  const shapes = [];
  let done = 0;
  for (const name of BARS) {
    const amount = figures.kinds_milli[figures.kinds.indexOf(name)];
    for (const paint of [["class", `k k-${name}`], ["fill", `url(#pat-${name})`]]) {
      const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      const geometry = { x: (1000 * done) / total, width: (1000 * amount) / total, y: 0, height: 24 };
      for (const [key, value] of Object.entries(geometry)) rect.setAttribute(key, value);
      rect.setAttribute(...paint);
      shapes.push(rect);
    }
    done += amount;
  }
  svg.replaceChildren(...shapes);
}

/** Wire a page's clock card: start listening, let the button pause and go on. */
export function start(handlers = {}) {
  const root = document.querySelector("[data-live-root]");
  if (!root || !window.EventSource) return;
  const button = root.querySelector(".live-toggle");
  const { pool, lang } = root.dataset;
  let connection = null;
  const go = () => {
    connection = listen(pool, {
      withMap: Boolean(handlers.onMap),
      onMap: handlers.onMap,
      onFigures: (figures) => showFigures(figures, lang),
      onState: (isOpen) => handlers.onState?.(isOpen),
    });
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    const isOn = button.getAttribute("aria-pressed") === "true";
    if (isOn) connection.stop();
    else go();
    button.setAttribute("aria-pressed", String(!isOn));
    button.textContent = isOn ? button.dataset.off : button.dataset.on;
  });
  window.addEventListener("pagehide", () => connection?.stop());
  go();
}

if (!document.getElementById("map")) start();
