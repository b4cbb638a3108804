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
let answered = Date.now();
let trouble = ""; // what the last answer complained of
let question = new AbortController();

// -- changes ---------------------------------------------------------------------------------------------

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
    // `tick` says so, and the next question may be answered.
  } finally {
    clearTimeout(late);
  }
}

function show(html) {
  const known = new Set(rows().map((row) => row.id));
  const focused = document.activeElement?.closest("[data-id]");
  const next = focused && nextInGroup(focused);
  const group = focused?.closest(".group")?.id;
  const place = focused && [...focused.querySelectorAll("a, button, summary")].indexOf(document.activeElement);
  const scrolled = [...live.querySelectorAll("pre")].map((pre) => pre.scrollTop);
  const entered = keepEntered();
  live.innerHTML = html;
  entered();
  live.querySelectorAll("pre").forEach((pre, n) => (pre.scrollTop = scrolled[n] ?? 0));
  document.dispatchEvent(new Event("shown"));
  if (focused && !live.contains(document.activeElement)) {
    // What was acted on may have left its group: people go on with the one after it.
    const moved = document.getElementById(focused.id);
    const left = next.map((id) => document.getElementById(id)).find((row) => row?.closest(".group")?.id === group);
    const row = group && moved?.closest(".group")?.id !== group && left ? left : moved;
    const target = row?.querySelectorAll("a, button, summary")[place] ?? row?.querySelector("a");
    (target ?? live).focus({ preventScroll: true });
  }
  for (const row of rows().filter((row) => !known.has(row.id))) row.classList.add("new");
  summarise();
  showTimes(live);
  tick();
}

// What people opened and typed in the part that changes; gives the function that puts it back.
function keepEntered() {
  const open = [...live.querySelectorAll("details[id]")].map((one) => [one.id, one.open]);
  const typed = [...live.querySelectorAll("input[id]:not([type=checkbox])")].map((one) => [one.id, one.value]);
  const focused = document.activeElement;
  const inside = live.contains(focused) && focused.matches("input[id]") && [focused.id, focused.selectionStart];
  return () => {
    const found = (id) => document.getElementById(id);
    open.forEach(([id, was]) => found(id)?.toggleAttribute("open", was));
    typed.forEach(([id, value]) => found(id) && (found(id).value = value));
    if (inside && found(inside[0])) {
      found(inside[0]).focus({ preventScroll: true });
      found(inside[0]).setSelectionRange(inside[1], inside[1]);
    }
  };
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
  const silent = Date.now() - answered;
  const old = silent > STALE_MS;
  const stale = document.getElementById("stale");
  if (old) stale.textContent = `No answer for ${span(silent / 1000)}: what you see may be old. ${trouble}`;
  if (stale.hidden === old) stale.hidden = !old;
}

function clock(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours > 0 ? `${hours}:${rest}` : rest.replace(/^0/, "");
}

// -- acting ----------------------------------------------------------------------------------------------

const CONFIRM = {
  resolve: "This cannot be undone.",
  escalate: "The people on call are paged immediately. This cannot be undone.",
};
const SHOWN_MS = 20_000; // a note of what was done; its "Undo" is a button of the incident, too

let fading = 0;

function press(button) {
  if (button.dataset.action in CONFIRM) confirmFirst(button);
  else act(button);
}

// A button's form goes to `/incidents/…`; the API has the same path and answers a script in JSON.
async function act(button) {
  const path = button.getAttribute("formaction");
  const title = button.closest("[data-id]").dataset.title ?? "It";
  button.disabled = true;
  let words;
  let done = false;
  try {
    const answer = await post(path, button.value ? { minutes: Number(button.value) } : {});
    const said = await answer.json();
    done = answer.ok;
    words = done ? `${said.status}: ${title}` : said.error;
  } catch {
    words = `No answer came, so it may not have been done: ${title}`;
  }
  button.disabled = false;
  say(words, done && button.dataset.action === "ack" ? path.replace(/ack$/, "unack") : "");
  ask("now");
}

function post(path, body) {
  return fetch(`${root}/api${path.slice(root.length)}`, {
    method: "POST",
    headers: { "X-CSRF-Token": token, "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(10_000),
  });
}

// `undo`: the path that takes it back, if there is one.
function say(words, undo = "") {
  const note = document.getElementById("note");
  const button = document.getElementById("undo");
  note.firstElementChild.textContent = words.charAt(0).toUpperCase() + words.slice(1);
  button.hidden = !undo;
  button.dataset.path = undo;
  note.hidden = false;
  clearTimeout(fading);
  fading = setTimeout(fade, SHOWN_MS);
}

function fade() {
  const note = document.getElementById("note");
  if (note.matches(":hover, :focus-within")) fading = setTimeout(fade, SHOWN_MS);
  else note.hidden = true;
}

async function undo() {
  const { path } = document.getElementById("undo").dataset;
  try {
    const answer = await post(path, {});
    const said = await answer.json();
    say(answer.ok ? "No longer acknowledged: it waits again" : said.error);
  } catch {
    say("No answer came, so it may still be acknowledged");
  }
  ask("now");
}

function confirmFirst(button) {
  const sure = document.getElementById("sure");
  const title = button.closest("[data-id]").dataset.title;
  document.getElementById("sure-title").textContent = `${button.textContent} \u201c${title}\u201d?`;
  document.getElementById("sure-warning").textContent = CONFIRM[button.dataset.action];
  document.getElementById("sure-yes").textContent = button.textContent;
  sure.returnValue = "no";
  sure.onclose = () => {
    if (sure.returnValue === "yes") act(button);
  };
  sure.showModal();
}

document.getElementById("undo").addEventListener("click", undo);
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  // A comment goes with the form.
  if (!button || (button.dataset.action === "ack" && document.getElementById("comment")?.value)) return;
  event.preventDefault();
  press(button);
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
    if (!button) return say(current ? "This is not possible for this incident." : "Choose an incident with j and k first.");
    press(button);
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
