// A terminal: what the shell prints becomes a screen of text, what is typed goes back as bytes.
// It knows the sequences that shells, editors and pagers use of a terminal "xterm-256color"; what
// it does not know it passes over. Hangul and other wide letters take two columns.
const place = document.getElementById("terminal");
const screen = document.getElementById("screen");
const typing = document.getElementById("typing");
const bar = document.getElementById("bar");
const words = place.dataset;

const LINES_KEPT = 5000;
const RETRY_MS = 2000;
const encoder = new TextEncoder();
const WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const MARK = /\p{M}|\u200d|\ufe0f/u;
const PLAIN = Object.freeze({ fg: null, bg: null, bold: false, dim: false, italic: false, under: false, inverse: false });

let rows = 24, cols = 80;
let lines = [], above = [], other = null;      // the screen, what left it at the top, the main one
let x = 0, y = 0, style = PLAIN, kept = null;   // cursor, how letters look, a saved cursor
let top = 0, bottom = rows - 1, wraps = true, mustWrap = false;
let appKeys = false, brackets = false, hidden = false, isGraphic = false;
let state = "text", collected = "";
let answers = false;                             // what is shown again is not answered again
let line = null, isOver = false, dirty = false;

const blank = () => ({ letter: " ", style: style.bg === null ? PLAIN : { ...PLAIN, bg: style.bg }, wide: 1 });
const blankLine = () => Array.from({ length: cols }, blank);

function reset() {
  style = PLAIN;
  lines = Array.from({ length: rows }, blankLine);
  above = []; other = null; kept = null;
  x = y = top = 0; bottom = rows - 1;
  wraps = true; mustWrap = appKeys = brackets = hidden = isGraphic = false;
  state = "text"; collected = "";
}

function resize(newRows, newCols) {
  const fit = (line) => {
    const cut = line.slice(0, newCols);
    while (cut.length < newCols) cut.push({ letter: " ", style: PLAIN, wide: 1 });
    return cut;
  };
  for (const list of other ? [lines, other.lines] : [lines]) {
    while (list.length > newRows) {
      if (list === lines && y < list.length - 1) list.pop();
      else { const gone = list.shift(); if (list === lines) { if (!other) above.push(gone); y = Math.max(0, y - 1); } }
    }
    while (list.length < newRows) list.push([]);
    for (let at = 0; at < list.length; at++) list[at] = fit(list[at]);
  }
  rows = newRows; cols = newCols; top = 0; bottom = rows - 1; mustWrap = false;
  x = Math.min(x, cols - 1); y = Math.min(y, rows - 1);
  dirty = true;
}

function scrollUp(from, to, count) {
  for (; count > 0; count--) {
    const [gone] = lines.splice(from, 1);
    if (from === 0 && !other) {
      above.push(gone);
      if (above.length > LINES_KEPT) above.shift();
    }
    lines.splice(to, 0, blankLine());
  }
}
function scrollDown(from, to, count) {
  for (; count > 0; count--) {
    lines.splice(to, 1);
    lines.splice(from, 0, blankLine());
  }
}
function newLine() {
  if (y === bottom) scrollUp(top, bottom, 1);
  else if (y < rows - 1) y++;
}

const GRAPHIC = { j: "┘", k: "┐", l: "┌", m: "└", n: "┼", q: "─", t: "├", u: "┤", v: "┴", w: "┬", x: "│", a: "▒", "`": "◆", "~": "·" };
function print(letter) {
  if (MARK.test(letter)) {
    const before = lines[y][Math.max(0, mustWrap ? x : x - 1)];
    if (before) before.letter += letter;
    return;
  }
  if (isGraphic) letter = GRAPHIC[letter] ?? letter;
  const wide = WIDE.test(letter) ? 2 : 1;
  if (mustWrap || x + wide > cols) {
    if (wraps) { x = 0; newLine(); }
    mustWrap = false;
  }
  lines[y][x] = { letter, style, wide };
  if (wide === 2 && x + 1 < cols) lines[y][x + 1] = { letter: "", style, wide: 0 };
  if (x + wide >= cols) { x = cols - 1; mustWrap = true; } else x += wide;
}

function control(code) {
  switch (code) {
    case 7: break;
    case 8: x = Math.max(0, x - 1); mustWrap = false; break;
    case 9: x = Math.min(cols - 1, (x >> 3 << 3) + 8); mustWrap = false; break;
    case 10: case 11: case 12: newLine(); mustWrap = false; break;
    case 13: x = 0; mustWrap = false; break;
    case 14: isGraphic = true; break;
    case 15: isGraphic = false; break;
  }
}

function write(text) {
  for (const letter of text) {
    const code = letter.codePointAt(0);
    if (code === 27) { state = "escape"; collected = ""; continue; }
    if (state === "text") { if (code < 32 || code === 127) control(code); else print(letter); continue; }
    if (state === "escape") { escape(letter); continue; }
    if (state === "set") { isGraphic = collected === "(" && letter === "0"; state = "text"; continue; }
    if (state === "skip") { state = "text"; continue; }
    if (state === "string") { if (code === 7) state = "text"; continue; }
    if (state === "sequence") {
      if (code >= 0x40 && code <= 0x7e) { state = "text"; sequence(letter, collected); }
      else if (code < 32) control(code);
      else if (collected.length < 64) collected += letter;
    }
  }
  dirty = true;
}

function escape(letter) {
  state = "text";
  switch (letter) {
    case "[": state = "sequence"; collected = ""; break;
    case "]": case "P": case "_": case "^": case "X": state = "string"; break;
    case "(": case ")": state = "set"; collected = letter; break;
    case "#": case " ": case "%": state = "skip"; break;
    case "7": kept = { x, y, style, isGraphic }; break;
    case "8": if (kept) ({ x, y, style, isGraphic } = kept); mustWrap = false; break;
    case "D": newLine(); break;
    case "E": x = 0; newLine(); break;
    case "M": if (y === top) scrollDown(top, bottom, 1); else if (y > 0) y--; break;
    case "c": reset(); break;
  }
}

function sequence(last, text) {
  const own = /^[?>!=]/.test(text) ? text[0] : "";
  if (/[ "$'*]$/.test(text)) return;
  const numbers = text.slice(own.length).split(/[;:]/).map((one) => parseInt(one, 10));
  const at = (index, otherwise = 1) => (numbers[index] > 0 ? numbers[index] : otherwise);
  const within = (value, most) => Math.max(0, Math.min(most, value));
  if (own === "?") { if (last === "h" || last === "l") for (const one of numbers) mode(one, last === "h"); return; }
  if (own) { if (own === ">" && last === "c") reply("\x1b[>0;0;0c"); return; }
  if (!"msu".includes(last)) mustWrap = false;
  switch (last) {
    case "A": y = within(y - at(0), y >= top && y <= bottom ? bottom : rows - 1); if (y < top && y + at(0) >= top) y = top; break;
    case "B": case "e": y = Math.min(y <= bottom ? bottom : rows - 1, y + at(0)); break;
    case "C": case "a": x = within(x + at(0), cols - 1); break;
    case "D": x = within(x - at(0), cols - 1); break;
    case "E": x = 0; y = within(y + at(0), rows - 1); break;
    case "F": x = 0; y = within(y - at(0), rows - 1); break;
    case "G": case "`": x = within(at(0) - 1, cols - 1); break;
    case "d": y = within(at(0) - 1, rows - 1); break;
    case "H": case "f": y = within(at(0) - 1, rows - 1); x = within(at(1) - 1, cols - 1); break;
    case "J": erase(at(0, 0)); break;
    case "K": eraseLine(at(0, 0)); break;
    case "L": if (y >= top && y <= bottom) scrollDown(y, bottom, Math.min(at(0), rows)); break;
    case "M": if (y >= top && y <= bottom) { const main = other; other = other ?? {}; scrollUp(y, bottom, Math.min(at(0), rows)); other = main; } break;
    case "P": lines[y].splice(x, Math.min(at(0), cols - x)); while (lines[y].length < cols) lines[y].push(blank()); break;
    case "@": for (let n = Math.min(at(0), cols - x); n > 0; n--) lines[y].splice(x, 0, blank()); lines[y].length = cols; break;
    case "X": for (let n = x; n < Math.min(cols, x + at(0)); n++) lines[y][n] = blank(); break;
    case "S": scrollUp(top, bottom, Math.min(at(0), rows)); break;
    case "T": scrollDown(top, bottom, Math.min(at(0), rows)); break;
    case "b": { const before = lines[y][Math.max(0, x - 1)]?.letter; if (before) for (let n = Math.min(at(0), cols); n > 0; n--) print(before); break; }
    case "r": top = within(at(0) - 1, rows - 1); bottom = within(at(1, rows) - 1, rows - 1); if (bottom <= top) { top = 0; bottom = rows - 1; } x = y = 0; break;
    case "s": kept = { x, y, style, isGraphic }; break;
    case "u": if (kept) ({ x, y, style, isGraphic } = kept); break;
    case "m": looks(numbers); break;
    case "n": if (at(0, 0) === 6) reply(`\x1b[${y + 1};${x + 1}R`); else if (at(0, 0) === 5) reply("\x1b[0n"); break;
    case "c": reply("\x1b[?1;2c"); break;
  }
}

function erase(what) {
  if (what === 3) { above = []; return; }
  if (what === 2) { for (let at = 0; at < rows; at++) lines[at] = blankLine(); return; }
  eraseLine(what);
  const [from, to] = what === 1 ? [0, y] : [y + 1, rows];
  for (let at = from; at < to; at++) lines[at] = blankLine();
}
function eraseLine(what) {
  const [from, to] = what === 2 ? [0, cols] : what === 1 ? [0, x + 1] : [x, cols];
  for (let at = from; at < to; at++) lines[y][at] = blank();
}

function mode(number, on) {
  switch (number) {
    case 1: appKeys = on; break;
    case 7: wraps = on; break;
    case 25: hidden = !on; break;
    case 2004: brackets = on; break;
    case 47: case 1047: case 1049:
      if (on && !other) { other = { lines, x, y, style }; lines = Array.from({ length: rows }, blankLine); if (number === 1049) x = y = 0; }
      else if (!on && other) { const main = other; other = null; lines = main.lines; if (number === 1049) ({ x, y, style } = main); }
      top = 0; bottom = rows - 1;
      break;
  }
}

function looks(numbers) {
  for (let at = 0; at < numbers.length; at++) {
    const one = numbers[at] || 0;
    if (one === 0) style = PLAIN;
    else if (one === 38 || one === 48) {
      const part = one === 38 ? "fg" : "bg";
      if (numbers[at + 1] === 5) { style = { ...style, [part]: numbers[at + 2] & 255 }; at += 2; }
      else if (numbers[at + 1] === 2) { style = { ...style, [part]: `rgb(${numbers.slice(at + 2, at + 5).map((n) => n & 255).join(",")})` }; at += 4; }
    }
    else if (one >= 30 && one <= 37) style = { ...style, fg: one - 30 };
    else if (one >= 40 && one <= 47) style = { ...style, bg: one - 40 };
    else if (one >= 90 && one <= 97) style = { ...style, fg: one - 82 };
    else if (one >= 100 && one <= 107) style = { ...style, bg: one - 92 };
    else if (one === 39) style = { ...style, fg: null };
    else if (one === 49) style = { ...style, bg: null };
    else {
      const change = { 1: ["bold", true], 2: ["dim", true], 3: ["italic", true], 4: ["under", true], 7: ["inverse", true], 23: ["italic", false], 24: ["under", false], 27: ["inverse", false] }[one];
      if (change) style = { ...style, [change[0]]: change[1] };
      else if (one === 22) style = { ...style, bold: false, dim: false };
    }
  }
}

function colour(value) {
  if (typeof value !== "number") return value;
  if (value < 16) return `var(--ansi-${value})`;
  if (value >= 232) { const grey = 8 + 10 * (value - 232); return `rgb(${grey},${grey},${grey})`; }
  const step = (n) => (n ? 55 + 40 * n : 0);
  const index = value - 16;
  return `rgb(${step(Math.floor(index / 36))},${step(Math.floor(index / 6) % 6)},${step(index % 6)})`;
}

// --- the page ---------------------------------------------------------------------------------

function span(text, look, isCursor, isWide) {
  const found = document.createElement("span");
  found.textContent = text;
  const fg = look.inverse ? look.bg ?? "var(--paper)" : look.fg;
  const bg = look.inverse ? look.fg ?? "var(--ink)" : look.bg;
  if (fg !== null) found.style.color = colour(fg);
  if (bg !== null) found.style.background = colour(bg);
  found.className = [look.bold && "bold", look.dim && "dim", look.italic && "italic", look.under && "under", isCursor && "cursor", isWide && "wide"].filter(Boolean).join(" ");
  return found;
}

function drawn(cells, cursor) {
  const row = document.createElement("div");
  row.className = "row";
  let text = "", look = null;
  const flush = () => { if (text) row.append(span(text, look, false, false)); text = ""; };
  const end = cursor < 0 ? cells.findLastIndex((one) => one.letter !== " " && one.letter !== "" || one.style !== PLAIN) + 1 : cells.length;
  for (let at = 0; at < end; at++) {
    const one = cells[at];
    if (one.wide === 0) continue;
    if (at === cursor || one.wide === 2) { flush(); row.append(span(one.letter, one.style, at === cursor, one.wide === 2)); continue; }
    if (one.style !== look) { flush(); look = one.style; }
    text += one.letter;
  }
  flush();
  if (!row.childNodes.length) row.append(" ");
  return row;
}

function draw() {
  if (dirty) {
    dirty = false;
    const isAtEnd = screen.scrollHeight - screen.scrollTop - screen.clientHeight < 40;
    // What has left the screen does not change any more, so its rows are made once.
    const rowsAbove = above.map((cells) => cells.row ??= drawn(cells, -1));
    screen.replaceChildren(...rowsAbove, ...lines.map((cells, at) => drawn(cells, at === y && !hidden && !isOver ? x : -1)));
    if (isAtEnd) screen.scrollTop = screen.scrollHeight;
    const cursor = screen.querySelector(".cursor");
    if (cursor) { typing.style.left = `${cursor.offsetLeft}px`; typing.style.top = `${cursor.offsetTop - screen.scrollTop}px`; }
  }
  requestAnimationFrame(draw);
}

function measure() {
  const probe = document.createElement("span");
  probe.textContent = "0".repeat(100);
  screen.append(probe);
  const box = probe.getBoundingClientRect();
  probe.remove();
  const style = getComputedStyle(screen);
  const inner = (size, one, two) => size - parseFloat(style[one]) - parseFloat(style[two]);
  const newCols = Math.max(20, Math.floor(inner(screen.clientWidth, "paddingLeft", "paddingRight") / (box.width / 100)));
  const newRows = Math.max(4, Math.floor(inner(screen.clientHeight, "paddingTop", "paddingBottom") / parseFloat(style.lineHeight)));
  if (newRows !== rows || newCols !== cols) resize(newRows, newCols);
  if (line?.readyState === WebSocket.OPEN) line.send(JSON.stringify({ rows, cols }));
}

function say(text, isUrgent) {
  bar.textContent = text;
  bar.classList.toggle("urgent", Boolean(isUrgent));
}
function times({ ends_at_s: ends, stop_by_s: stop }) {
  const time = (at) => new Intl.DateTimeFormat(document.documentElement.lang, { month: "numeric", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(at * 1000);
  if (stop) say(words.stop.replace("{time}", time(stop)), true);
  else say(words.ends.replace("{time}", time(ends)), false);
}

function connect() {
  const decoder = new TextDecoder();
  let isAgain = true;
  line = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/tty`);
  line.binaryType = "arraybuffer";
  line.onopen = () => { reset(); measure(); place.dataset.state = "open"; };
  line.onmessage = (message) => {
    if (typeof message.data === "string") {
      const told = JSON.parse(message.data);
      if (told.is_over) { isOver = dirty = true; place.dataset.state = "over"; say(words.over, true); }
      else times(told);
      return;
    }
    answers = !isAgain; isAgain = false;
    write(decoder.decode(message.data, { stream: true }));
  };
  line.onclose = () => {
    if (isOver) return;
    place.dataset.state = "lost";
    say(words.lost, true);
    setTimeout(connect, RETRY_MS);
  };
}

function send(text) { if (line?.readyState === WebSocket.OPEN) line.send(encoder.encode(text)); }
function reply(text) { if (answers) send(text); }
function type(text) { screen.scrollTop = screen.scrollHeight; send(text); }

const ARROWS = { ArrowUp: "A", ArrowDown: "B", ArrowRight: "C", ArrowLeft: "D", Home: "H", End: "F" };
const KEYS = { Enter: "\r", Backspace: "\x7f", Tab: "\t", Escape: "\x1b", Delete: "\x1b[3~", Insert: "\x1b[2~", PageUp: "\x1b[5~", PageDown: "\x1b[6~",
  F1: "\x1bOP", F2: "\x1bOQ", F3: "\x1bOR", F4: "\x1bOS", F5: "\x1b[15~", F6: "\x1b[17~", F7: "\x1b[18~", F8: "\x1b[19~", F9: "\x1b[20~", F10: "\x1b[21~", F12: "\x1b[24~" };

function sequenceOf(event) {
  const shift = 1 + event.shiftKey + 2 * event.altKey + 4 * event.ctrlKey;
  const arrow = ARROWS[event.key];
  if (arrow) return shift > 1 ? `\x1b[1;${shift}${arrow}` : `\x1b${appKeys ? "O" : "["}${arrow}`;
  if (event.key === "Tab" && event.shiftKey) return "\x1b[Z";
  if (KEYS[event.key]) return (event.altKey ? "\x1b" : "") + KEYS[event.key];
  if (event.ctrlKey && !event.altKey && !event.shiftKey && event.key.length === 1) {
    const code = event.key.toUpperCase().charCodeAt(0);
    if (code >= 64 && code < 96) return String.fromCharCode(code - 64);
    if (event.key === " ") return "\0";
  }
  if (event.altKey && !event.ctrlKey && event.key.length === 1) return `\x1b${event.key}`;
  return null;
}

typing.addEventListener("keydown", (event) => {
  // A letter is being put together (Hangul): its keys are the input method's.
  if (event.isComposing || event.keyCode === 229 || event.metaKey) return;
  // A way out for whoever has no mouse: Ctrl+Shift+Tab is left to the browser.
  if (event.key === "Tab" && event.ctrlKey) return;
  if (event.ctrlKey && !event.altKey && event.key.toLowerCase() === "c" && String(getSelection())) return;
  if (event.ctrlKey && !event.altKey && event.key.toLowerCase() === "v") return;
  if (event.shiftKey && (event.key === "PageUp" || event.key === "PageDown")) {
    screen.scrollTop += (event.key === "PageUp" ? -1 : 1) * screen.clientHeight; event.preventDefault(); return;
  }
  const bytes = sequenceOf(event);
  if (bytes !== null) { event.preventDefault(); type(bytes); }
});
typing.addEventListener("input", (event) => { if (!event.isComposing) { type(typing.value); typing.value = ""; } });
typing.addEventListener("compositionend", () => { type(typing.value); typing.value = ""; });
typing.addEventListener("paste", (event) => {
  event.preventDefault();
  // What is pasted must not end its own brackets.
  const text = event.clipboardData.getData("text").replaceAll("\x1b", "").replace(/\r?\n/g, "\r");
  type(brackets ? `\x1b[200~${text}\x1b[201~` : text);
});
screen.addEventListener("mouseup", () => { if (!String(getSelection())) typing.focus({ preventScroll: true }); });
typing.addEventListener("focus", () => place.classList.add("focus"));
typing.addEventListener("blur", () => place.classList.remove("focus"));

new ResizeObserver(measure).observe(screen);
reset();
connect();
draw();
typing.focus({ preventScroll: true });
