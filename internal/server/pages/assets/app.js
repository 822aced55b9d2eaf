// What pages can do beyond what works without script.
"use strict";

// Times in the reader's zone; the title keeps UTC.
function localTimes(root) {
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.textContent = format.format(new Date(time.dateTime));
  }
}
localTimes(document);

// Theme: the system's, light, dark.
const button = document.getElementById("theme");
if (button) {
  const root = document.documentElement;
  const show = () => {
    button.textContent = "Theme: " + (root.dataset.theme || "system");
    document.dispatchEvent(new Event("themechange"));
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    const next = { undefined: "light", light: "dark", dark: undefined }[root.dataset.theme];
    if (next) root.dataset.theme = next; else delete root.dataset.theme;
    try {
      if (next) localStorage.setItem("theme", next); else localStorage.removeItem("theme");
    } catch { /* forgotten with the page */ }
    show();
  });
  show();
}

// A link into a closed step opens it.
function reveal() {
  let target = null;
  try { target = document.getElementById(decodeURIComponent(location.hash.slice(1))); } catch { return; }
  if (!target) return;
  const details = target.closest("details") || target.querySelector("details");
  if (details && !details.open) { details.open = true; target.scrollIntoView(); }
}
addEventListener("hashchange", reveal);
reveal();

for (const b of document.querySelectorAll("[data-open]")) {
  b.addEventListener("click", () => {
    for (const d of document.querySelectorAll(".steps details")) d.open = b.dataset.open === "all";
  });
}

// The ticket goes to the clipboard; where that is not allowed, the link is followed.
const copy = document.getElementById("copy");
if (copy && navigator.clipboard) {
  copy.addEventListener("click", async (event) => {
    event.preventDefault();
    try {
      const answer = await fetch(copy.href);
      if (!answer.ok) throw new Error(answer.statusText);
      await navigator.clipboard.writeText(await answer.text());
      copy.textContent = "Copied";
    } catch {
      location.assign(copy.href);
    }
  });
}

// Unused fields of a filter stay out of the address.
for (const form of document.querySelectorAll("form.filters")) {
  form.addEventListener("formdata", (event) => {
    for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
  });
  form.addEventListener("change", (event) => { if (event.target instanceof HTMLSelectElement) form.requestSubmit(); });
}

// Runs under way, while somebody looks: a browser has few connections to one server, and tabs in the
// background would use them up.
const live = document.getElementById("live");
if (live && window.EventSource) {
  let source = null;
  const follow = () => {
    source?.close();
    source = null;
    if (document.visibilityState === "hidden") return;
    source = new EventSource("/live");
    source.addEventListener("live", (event) => {
      live.innerHTML = event.data; // rendered and escaped by the same templates as the page
      localTimes(live);
    });
  };
  follow();
  document.addEventListener("visibilitychange", follow);
  addEventListener("pagehide", () => source?.close());
}
