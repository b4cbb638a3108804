// Keeps a page of the dashboard up to date, counts down, and lets people work with keys.
// Without it every page can be read and every button works.
"use strict";

const EVERY_MS = 2_000; // between an answer and the next question
const UNSEEN_MS = 5_000; // the same while nobody sees this tab
const STALE_MS = 9_000; // without an answer, after which people are told that what they see is old

const LATE_SECONDS = 5; // until a page that is due is called late

const live = document.getElementById("live");
const root = document.body.dataset.root; // before the paths of the service
const token = document.body.dataset.csrf;
let tag = document.body.dataset.tag;
let ahead = 0; // of the server's clock before ours, ms
let answered = Date.now();
let trouble = ""; // what the last answer complained of
let question = new AbortController();

// -- news ------------------------------------------------------------------------------------------------

async function watch() {
  for (;;) {
    await ask("poll");
    await new Promise((done) => {
      setTimeout(done, document.hidden ? UNSEEN_MS : EVERY_MS);
      document.addEventListener("visibilitychange", done, { once: true });
    });
  }
}

// `how`: "poll" as every page does, or "now" for what is stored at this very moment.
async function ask(how) {
  question.abort();
  const own = (question = new AbortController());
  const late = setTimeout(() => own.abort(), STALE_MS);
  try {
    const answer = await fetch(location.href, {
      headers: { "X-Live": how, "If-None-Match": tag },
      cache: "no-store",
      signal: own.signal,
    });
    if (answer.status === 401) return location.reload();
    if (answer.ok) {
      const html = await answer.text();
      tag = answer.headers.get("ETag");
      show(html);
    }
    if (answer.ok || answer.status === 304) {
      ahead = Number(answer.headers.get("X-Now")) - Date.now();
      answered = Date.now();
      trouble = "";
    } else {
      trouble = (await answer.json()).error;
    }
  } catch {
    // `tick` tells of it, and the next question may go better.
  } finally {
    clearTimeout(late);
  }
}

function show(html) {
  const known = new Set(rows().map((row) => row.id));
  const focused = document.activeElement?.closest("[data-id]");
  const next = focused && nextInGroup(focused);
  const group = focused?.closest(".group")?.id;
  const place = focused && [...focused.querySelectorAll("a, button")].indexOf(document.activeElement);
  const scrolled = [...live.querySelectorAll("pre")].map((pre) => pre.scrollTop);
  live.innerHTML = html;
  live.querySelectorAll("pre").forEach((pre, n) => (pre.scrollTop = scrolled[n] ?? 0));
  document.dispatchEvent(new Event("shown"));
  if (focused) {
    // What was acted on may have left its group: people go on with the one after it.
    const moved = document.getElementById(focused.id);
    const left = next.map((id) => document.getElementById(id)).find((row) => row?.closest(".group")?.id === group);
    const row = group && moved?.closest(".group")?.id !== group && left ? left : moved;
    const target = row?.querySelectorAll("a, button")[place] ?? row?.querySelector("a");
    (target ?? live).focus({ preventScroll: true });
  }
  for (const row of rows().filter((row) => !known.has(row.id))) row.classList.add("new");
  summarise();
  tick();
}

function rows() {
  return [...live.querySelectorAll(".row")];
}

// IDs of the other incidents of its group, in the order in which people would go on.
function nextInGroup(row) {
  const all = [...(row.closest(".group")?.querySelectorAll(".row") ?? [])].filter(seen).map((one) => one.id);
  const at = all.indexOf(row.id);
  return [...all.slice(at + 1), ...all.slice(0, Math.max(at, 0)).reverse()];
}

function seen(element) {
  return element.getClientRects().length > 0;
}

function summarise() {
  const { waiting, icon } = document.getElementById("summary").dataset;
  const heading = live.querySelector("h1")?.textContent;
  document.title = (waiting === "0" ? "" : `(${waiting}) `) + (heading ? `${heading} · ` : "") + "Versus Incident";
  if (document.getElementById("icon").getAttribute("href") !== icon) {
    document.getElementById("icon").setAttribute("href", icon);
  }
}

// -- time ------------------------------------------------------------------------------------------------

function tick() {
  const now = Date.now() + ahead;
  for (const left of live.querySelectorAll(".left")) {
    const seconds = Math.ceil(Number(left.dataset.due) - now / 1000);
    left.textContent = seconds > 0 ? (left.dataset.before ?? "") + clock(seconds) : seconds > -LATE_SECONDS ? "now" : `late ${clock(-seconds)}`;
    left.classList.toggle("soon", seconds <= 60);
  }
  for (const time of live.querySelectorAll("time[data-ago]")) {
    if (time.title === "") time.title = new Date(time.dateTime).toLocaleString();
    let ago = time.nextElementSibling;
    if (!ago?.classList.contains("ago")) {
      ago = document.createElement("span");
      ago.className = "ago";
      time.after(ago);
    }
    ago.textContent = ` (${since((now - Date.parse(time.dateTime)) / 1000)})`;
  }
  const silent = Date.now() - answered;
  const old = silent > STALE_MS;
  const stale = document.getElementById("stale");
  if (old) stale.textContent = `No event for ${since(silent / 1000, "")}: what you see may be old. ${trouble}`;
  if (stale.hidden === old) stale.hidden = !old;
}

function clock(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours > 0 ? `${hours}:${rest}` : rest.replace(/^0/, "");
}

function since(seconds, ago = " ago") {
  const units = [["day", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const [unit, size] = units.find(([, size]) => seconds >= size) ?? ["s", 1];
  const count = Math.max(0, Math.floor(seconds / size));
  return `${count} ${unit}${unit === "day" && count > 1 ? "s" : ""}${ago}`;
}

// -- acting ----------------------------------------------------------------------------------------------

// A button's form goes to `/incidents/…`; the API has the same path and answers a script in JSON.
async function act(button) {
  const path = button.getAttribute("formaction");
  const title = button.closest("[data-id]").dataset.title ?? "It";
  button.disabled = true;
  let words;
  try {
    const answer = await fetch(`${root}/api${path.slice(root.length)}`, {
      method: "POST",
      headers: { "X-CSRF-Token": token, "Content-Type": "application/json", Accept: "application/json" },
      body: button.value ? JSON.stringify({ minutes: Number(button.value) }) : "{}",
      signal: AbortSignal.timeout(10_000),
    });
    const said = await answer.json();
    words = answer.ok ? `${said.status}: ${title}` : said.error;
  } catch {
    words = `No answer came, so it may not have been done: ${title}`;
  }
  button.disabled = false;
  say(words);
  ask("now");
}

function say(words) {
  const note = document.getElementById("note");
  note.textContent = words.charAt(0).toUpperCase() + words.slice(1);
  note.hidden = false;
}

// A key is pressed by accident more easily than a button, so what can't be taken back asks first.
function confirmFirst(button) {
  const sure = document.getElementById("sure");
  const title = button.closest("[data-id]").dataset.title;
  document.getElementById("sure-title").textContent = `${button.textContent}: ${title}?`;
  sure.returnValue = "no";
  sure.onclose = () => sure.returnValue === "yes" && act(button);
  sure.showModal();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  if (button) {
    event.preventDefault();
    act(button);
  }
});

// -- keys ------------------------------------------------------------------------------------------------

const BUTTONS = { a: "ack", p: "escalate", r: "resolve" };

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target.matches("input")) return event.target.blur();
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches("input:not([type=checkbox]), select, textarea")) return;
  const current = document.activeElement?.closest("[data-id]") ?? live.querySelector(".one");
  if (event.key === "j" || event.key === "k") move(current, event.key === "j" ? 1 : -1);
  else if (event.key === "/") document.getElementById("q")?.focus();
  else if (event.key === "h") location.assign(`${root}/`);
  else if (event.key === "?") document.getElementById("keys").showModal();
  else if (event.key in BUTTONS) {
    const button = current?.querySelector(`[data-action=${BUTTONS[event.key]}]`);
    if (!button) return say(current ? "That can't be done to this incident." : "Choose an incident with j and k first.");
    if (event.key === "a") act(button);
    else confirmFirst(button);
  } else return;
  event.preventDefault();
});

function move(current, step) {
  const all = [...live.querySelectorAll(".row, .fold > summary")].filter(seen);
  const from = current ?? document.activeElement?.closest(".fold > summary");
  const next = all[from ? all.indexOf(from) + step : step > 0 ? 0 : all.length - 1];
  const target = next?.matches("summary") ? next : next?.querySelector("a, button");
  target?.focus();
  target?.scrollIntoView({ block: "nearest" });
}

// --------------------------------------------------------------------------------------------------------

summarise();
tick();
setInterval(tick, 250);
watch();
