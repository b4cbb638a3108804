// Shows times in the reader's own time zone, with UTC in a second line. Without it they are UTC.
"use strict";

let ahead = Number(document.documentElement.dataset.now || Date.now()) - Date.now(); // of the server's clock before ours, ms

const HOURS = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const UTC_HOURS = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: "UTC" });
const UTC_DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

function showTimes(scope) {
  const now = new Date(Date.now() + ahead);
  for (const time of scope.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    const local = said(at, now, HOURS, DAY);
    const utc = `${said(at, now, UTC_HOURS, UTC_DAY)} UTC`;
    const same = at.getTimezoneOffset() === 0;
    const away = "ago" in time.dataset ? `, ${distance((at - now) / 1000)}` : "";
    const shown = (same ? utc : local) + away;
    if (time.firstElementChild?.textContent === shown) continue;
    const first = document.createElement("span");
    first.textContent = shown;
    time.replaceChildren(first);
    if (!same) {
      const second = document.createElement("span");
      second.className = "utc";
      second.textContent = ` ${utc}`;
      time.append(second);
    }
    time.title = `${at.toLocaleString("en-GB")} (${at.toISOString().slice(0, 19)}Z)`;
  }
}

function said(at, now, hours, day) {
  return day.format(at) === day.format(now) ? hours.format(at) : `${day.format(at)} ${hours.format(at)}`;
}

function distance(seconds) {
  return seconds > 0 ? `in ${span(seconds)}` : `${span(-seconds)} ago`;
}

function span(seconds) {
  const units = [["day", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const [unit, size] = units.find(([, size]) => seconds >= size) ?? ["s", 1];
  const count = Math.floor(seconds / size);
  return `${count} ${unit}${unit === "day" && count > 1 ? "s" : ""}`;
}

showTimes(document);
setInterval(() => showTimes(document), 1_000);
