// Keeps what people have selected and unfolded when the list changes, and lets them select with a key.
// Without it the boxes and buttons work all the same.
"use strict";

const selected = new Set(); // IDs of incidents
const unfolded = new Set(); // IDs of what can be unfolded
const selection = document.getElementById("selected");

function boxes() {
  return [...document.querySelectorAll("#live .select input")];
}

function count() {
  if (selection) selection.querySelector(".how-many").textContent = `${selected.size} selected`;
}

function remember(box) {
  if (box.checked) selected.add(box.value);
  else selected.delete(box.value);
  count();
}

// After the list was shown anew: one that is gone or over is not selected any more.
function restore() {
  for (const fold of document.querySelectorAll("#live details")) fold.open = unfolded.has(fold.id);
  const there = boxes();
  for (const box of there) box.checked = selected.has(box.value);
  const ids = new Set(there.map((box) => box.value));
  for (const id of selected) if (!ids.has(id)) selected.delete(id);
  count();
}

document.addEventListener("shown", restore);

document.addEventListener("change", (event) => {
  if (event.target.matches(".select input")) remember(event.target);
});

document.addEventListener(
  "toggle",
  (event) => {
    if (!event.target.matches?.("#live details")) return;
    if (event.target.open) unfolded.add(event.target.id);
    else unfolded.delete(event.target.id);
  },
  true, // it does not bubble
);

selection?.addEventListener("reset", () => {
  selected.clear();
  count();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "x" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]") || event.target.matches("input:not([type=checkbox]), select, textarea")) return;
  const box = document.activeElement?.closest("[data-id]")?.querySelector(".select input");
  if (!box) return;
  box.checked = !box.checked;
  remember(box);
  event.preventDefault();
});

boxes().filter((box) => box.checked).forEach(remember); // as the browser kept them
count();
