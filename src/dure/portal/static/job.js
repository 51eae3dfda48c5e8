// Keeps the page of a job that has not ended fresh: its output grows, a change of state opens the page anew.

const EVERY_MS = 2000;
const ENDED = /^(COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL|REFUSED)$/;
const page = document.getElementById("job");
const output = document.getElementById("output");
const address = `/api/v1/jobs/${encodeURIComponent(page.dataset.job)}`;
const query = `pool=${encodeURIComponent(page.dataset.pool)}`;

async function readOutput() {
  if (!output) return;
  const answer = await fetch(`${address}/output?${query}&offset=${output.dataset.next}`);
  if (!answer.ok) return;
  const part = await answer.json();
  if (!part.text) return;
  const isAtEnd = output.scrollTop + output.clientHeight >= output.scrollHeight - 8;
  if (output.dataset.empty) output.textContent = "";
  delete output.dataset.empty;
  output.append(part.text);
  output.dataset.next = part.next_offset;
  if (isAtEnd) output.scrollTop = output.scrollHeight;
}

async function look() {
  if (document.hidden) return;
  const answer = await fetch(`${address}?${query}`);
  if (!answer.ok) return;
  const { row, attempts } = await answer.json();
  await readOutput();
  const isNew = row.state !== page.dataset.state || String(attempts.length) !== page.dataset.attempts;
  if (!isNew) return;
  // A notice of what was done a moment ago has been read by now.
  location.replace(`${location.pathname}?${query}`);
  if (ENDED.test(row.state)) clearInterval(timer);
}

if (output) output.scrollTop = output.scrollHeight;
const timer = setInterval(() => look().catch(() => {}), EVERY_MS);
