// The theme that was chosen, before anything is drawn. Without a choice it is the system's.
"use strict";
try {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch { /* no storage, no choice */ }
document.documentElement.classList.add("js");
