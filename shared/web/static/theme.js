// Runs before the first paint: a reader who has not chosen gets what the system prefers.
(() => {
  const root = document.documentElement;
  if (!root.hasAttribute("data-theme-chosen")) {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    root.setAttribute("data-bs-theme", dark ? "dark" : "light");
  }
})();
