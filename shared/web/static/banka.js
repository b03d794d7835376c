// Behaviour of the shared layout and components. Every page works without it, only less comfortably.
(() => {
  const root = document.documentElement;
  const closest = (event, selector) =>
    event.target instanceof Element ? event.target.closest(selector) : null;

  const setSidebar = (open) => {
    document.body.classList.toggle("sidebar-open", open);
    const toggle = document.querySelector("[data-sidebar-toggle]");
    if (toggle) toggle.setAttribute("aria-expanded", String(open));
    if (open) document.querySelector("#sidebar a")?.focus();
  };

  // Keys may hinder who speaks to the machine, or trembles: they are switched off in this browser.
  const keysAreOn = () => {
    try {
      return localStorage.getItem("banka_keys") !== "off";
    } catch {
      return true;
    }
  };
  for (const control of document.querySelectorAll("[data-shortcuts-switch]")) {
    control.checked = keysAreOn();
    control.addEventListener("change", () => {
      try {
        localStorage.setItem("banka_keys", control.checked ? "on" : "off");
      } catch {
        control.checked = true; // nothing is kept in this browser
      }
    });
  }
  window.banka = { keysAreOn };

  // A dialog of several buttons is about what was pressed last; of anything else nothing stays in it.
  const turn = (dialog, opener) => {
    const { dialogKind, dialogAction, dialogQuestion } = opener.dataset;
    const form = dialog.querySelector("form");
    dialog.querySelector("h2").textContent = dialogQuestion;
    form.querySelector("[type=submit]").textContent = opener.textContent.trim();
    for (const part of form.querySelectorAll("[data-kinds]")) {
      part.hidden = !part.dataset.kinds.split(" ").includes(dialogKind);
      part.disabled = part.hidden; // its fields are not sent
    }
    if (form.getAttribute("action") !== dialogAction) form.reset();
    form.setAttribute("action", dialogAction);
  };

  document.addEventListener("click", (event) => {
    if (closest(event, "[data-sidebar-toggle]")) {
      setSidebar(!document.body.classList.contains("sidebar-open"));
    } else if (closest(event, "[data-sidebar-close]")) {
      setSidebar(false);
    }

    if (closest(event, "[data-theme-toggle]")) {
      const theme = root.getAttribute("data-bs-theme") === "dark" ? "light" : "dark";
      root.setAttribute("data-bs-theme", theme);
      const secure = location.protocol === "https:" ? "; Secure" : "";
      document.cookie = `banka_theme=${theme}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
      document.dispatchEvent(new Event("banka:theme"));
    }

    const opener = closest(event, "[data-dialog-open]");
    if (opener) {
      const dialog = document.getElementById(opener.dataset.dialogOpen);
      if (dialog && opener.dataset.dialogKind) turn(dialog, opener);
      dialog?.showModal();
      dialog?.querySelector(":is(input:not([type=hidden]), select, textarea):enabled")?.focus();
    }
    closest(event, "[data-dialog-close]")?.closest("dialog")?.close();
    if (event.target instanceof HTMLDialogElement) event.target.close();

    // what is suggested for a field is taken over into it, and stands there to be looked at
    const suggestion = closest(event, "[data-fill]");
    if (suggestion) {
      const field = document.getElementById(suggestion.dataset.fill);
      field.value = suggestion.dataset.fillWith;
      field.focus();
      event.preventDefault();
    }

    closest(event, "[data-dismiss]")?.closest(".notice")?.remove();
    if (closest(event, "[data-history-back]")) history.back();
    if (closest(event, "[data-print]")) print();

    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.removeAttribute("open");
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      setSidebar(false);
      event.target.closest?.(".reveal-place")?.querySelector("[data-hide]")?.click();
      for (const menu of document.querySelectorAll("details.menu[open]")) {
        menu.removeAttribute("open");
        menu.querySelector("summary")?.focus();
      }
    }
    if (!keysAreOn()) return;
    // "/" goes to the search field, as in most office software
    const typing = event.target instanceof Element && event.target.matches("input, textarea, select");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const search = document.querySelector("input[type=search]");
      if (search) {
        event.preventDefault();
        search.focus();
      }
    }
  });

  // What has a key of its own is pressed by it: arrows turn pages.
  document.addEventListener("keydown", (event) => {
    const busy =
      event.ctrlKey || event.metaKey || event.altKey || event.shiftKey ||
      document.querySelector("dialog[open]") ||
      (event.target instanceof Element && event.target.matches("input, textarea, select"));
    if (busy || !keysAreOn()) return;
    for (const pressed of document.querySelectorAll("[data-key]")) {
      if (pressed.dataset.key === event.key) {
        event.preventDefault();
        pressed.click();
        return;
      }
    }
  });

  // Keys with Ctrl or Alt, by the name under which screen readers tell them.
  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.altKey) || event.metaKey || event.isComposing) return;
    const letter = /^Key([A-Z])$/.exec(event.code)?.[1];
    const names = [
      event.ctrlKey && "Control", event.altKey && "Alt", event.shiftKey && "Shift",
      letter ?? event.key,
    ];
    const combination = names.filter(Boolean).join("+");
    for (const pressed of document.querySelectorAll("[aria-keyshortcuts]")) {
      if (pressed.getAttribute("aria-keyshortcuts") !== combination) continue;
      if (!keysAreOn() || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      pressed.click();
      return;
    }
  });

  // A second click must not post a second time.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "1";
    for (const button of form.elements) {
      if (button.type === "submit") button.setAttribute("aria-disabled", "true");
    }
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) {
      delete form.dataset.sent;
      for (const button of form.elements) button.removeAttribute("aria-disabled");
    }
  });

  const showFiles = (zone) => {
    const input = zone.querySelector("input[type=file]");
    const list = zone.querySelector("[data-drop-files]");
    list.replaceChildren(
      ...Array.from(input.files, (file) => {
        const item = document.createElement("li");
        item.textContent = `${file.name} · ${(file.size / 1048576).toFixed(2)} MB`;
        return item;
      }),
    );
  };
  document.addEventListener("change", (event) => {
    const zone = closest(event, "[data-drop-zone]");
    if (zone) showFiles(zone);
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      const zone = closest(event, "[data-drop-zone]");
      if (!zone) return;
      event.preventDefault();
      zone.classList.toggle("dragging", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) {
        zone.querySelector("input[type=file]").files = event.dataTransfer.files;
        showFiles(zone);
      }
    });
  }

  // On a narrow screen a table row becomes a block; each cell then needs its column's name.
  const labelCells = (scope) => {
    for (const table of scope.querySelectorAll("table.stack-narrow")) {
      const names = Array.from(table.tHead?.rows[0]?.cells ?? [], (cell) => cell.textContent.trim());
      for (const row of table.tBodies[0]?.rows ?? []) {
        Array.from(row.cells, (cell, index) => cell.setAttribute("data-label", names[index] ?? ""));
      }
    }
  };
  labelCells(document);
  document.addEventListener("htmx:load", (event) => labelCells(event.target));

  // A personal field that is shown in clear goes back to its mask: when asked to, and by itself.
  const hide = (place) => {
    clearTimeout(place.hiding);
    const focused = place.contains(document.activeElement);
    place.innerHTML = place.masked;
    htmx.process(place);
    if (focused) place.querySelector("a")?.focus();
  };
  document.addEventListener("htmx:beforeSwap", (event) => {
    const place = event.target;
    if (place.matches(".reveal-place")) place.masked ??= place.innerHTML;
  });
  // settled: before that the form would be sent as a page of its own by whoever types quickly
  document.addEventListener("htmx:afterSettle", (event) => {
    const place = event.target;
    if (!place.matches(".reveal-place")) return;
    const clear = place.querySelector("[data-hide-after]");
    clearTimeout(place.hiding);
    if (clear) place.hiding = setTimeout(() => hide(place), clear.dataset.hideAfter * 1000);
    (clear ?? place.querySelector("select"))?.focus();
  });
  document.addEventListener("click", (event) => {
    const place = closest(event, "[data-hide]")?.closest(".reveal-place");
    if (!place?.masked) return;
    event.preventDefault();
    hide(place);
  });
  // what went wrong is said on a page of its own, the same for whoever runs no script
  document.addEventListener("htmx:responseError", (event) => {
    const { target, pathInfo } = event.detail;
    if (target?.matches(".reveal-place, .paper-place")) location.assign(pathInfo.requestPath);
  });

  document.addEventListener("htmx:configRequest", (event) => {
    const token = document.querySelector("meta[name=csrf-token]")?.content;
    if (token) event.detail.headers["X-CSRF-Token"] = token;
  });
})();
