// What happens is on the page at once: a stream of events makes the page ask for itself again,
// and only what differs is exchanged. Without this script every page is readable all the same.
"use strict";
(() => {
  const state = document.getElementById("live");
  const main = () => document.getElementById("main");

  // The page, again. At most one request at a time, and one more when something came meanwhile.
  let busy = false, again = false, last = 0;
  function refresh() {
    if (busy) { again = true; return; }
    const wait = Math.max(0, last + 120 - Date.now());
    busy = true;
    setTimeout(() => { last = Date.now(); htmx.trigger(main(), "news"); }, wait);
  }
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (event.target.id !== "main") return;
    busy = false;
    if (again) { again = false; refresh(); }
  });
  document.body.addEventListener("htmx:afterSettle", tick);

  // What a person opened or a stream has filled stays as it is when the rest is exchanged.
  if (window.Idiomorph) {
    const keep = Idiomorph.defaults.callbacks;
    keep.beforeAttributeUpdated = (name, node) =>
      !(name === "open" && (node.tagName === "DETAILS" || node.tagName === "DIALOG"));
    keep.beforeNodeMorphed = (before) =>
      !(before.nodeType === 1 && before.hasAttribute("data-kept"));
  }

  function say(word, text) { if (state) { state.dataset.state = word; state.textContent = text; } }
  const stream = document.body.dataset.stream;
  if (stream) {
    const source = new EventSource(stream);
    let opened = false;
    source.onopen = () => { say("live", "live"); if (opened) refresh(); opened = true; };
    source.onerror = () => say("away", "reconnecting");
    for (const kind of ["event", "publish", "slots"]) source.addEventListener(kind, refresh);
    source.addEventListener("missed", () => { if (opened) refresh(); });
    addEventListener("pagehide", () => source.close());
  }

  // Times in words, kept true.
  const UNITS = [["d", 86400], ["h", 3600], ["min", 60]];
  function words(seconds) {
    for (const [name, size] of UNITS)
      if (seconds >= size) return `${Math.floor(seconds / size)} ${name}`;
    return `${Math.max(0, Math.floor(seconds))} s`;
  }
  function tick() {
    const now = Date.now() / 1000;
    for (const time of document.querySelectorAll("time[data-as]")) {
      const at = Date.parse(time.dateTime) / 1000;
      if (time.dataset.as === "ago") time.textContent = now - at < 5 ? "just now" : `${words(now - at)} ago`;
      else if (time.dataset.as === "left") time.textContent = at <= now ? "over" : `${words(at - now)} left`;
      else if (time.dataset.as === "since") time.textContent = words(now - at);
    }
  }
  setInterval(tick, 1000);

  // Actions open in a dialog; the same address is a page of its own without script.
  const dialog = document.getElementById("dialog");
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (dialog && event.target === dialog && !dialog.open) dialog.showModal();
  });
  document.body.addEventListener("click", (event) => {
    if (dialog && event.target.closest("[data-close]")) { event.preventDefault(); dialog.close(); }
  });

  // The log of a publish that runs: text only, never markup. Colours are left to the terminal.
  const COLOURS = /\x1b\[[0-9;:]{0,32}m/g;
  function follow(log) {
    log.scrollTop = log.scrollHeight;
    if (log.dataset.final === "yes") return;
    const source = new EventSource(`${log.dataset.log}?follow=true&offset=${log.dataset.offset}`);
    source.addEventListener("output", (event) => {
      const stay = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
      log.append(JSON.parse(event.data).text.replace(COLOURS, ""));
      if (stay) log.scrollTop = log.scrollHeight;
    });
    source.addEventListener("end", () => source.close());
    addEventListener("pagehide", () => source.close());
  }
  for (const log of document.querySelectorAll("pre[data-log]")) follow(log);
  tick();
})();
