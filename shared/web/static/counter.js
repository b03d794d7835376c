// The assistant's form: what the office's rules say of each field while it is filled in, which
// fields this applicant needs, and Enter for the next field. The server is asked and says all of it;
// without this the form is checked as a whole, by its button.
(() => {
  const form = document.querySelector("form[data-counter]");
  if (!form) return;
  const said = form.querySelector("[data-said]");
  const notice = form.querySelector("[data-notice]");
  const control = (name) => form.elements.namedItem(name);
  const touched = new Set(); // fields in which somebody was: of others it is not said that they lack
  let asking = null;
  let waiting = 0;

  for (const note of form.querySelectorAll("[data-note].note-missing, [data-note].note-bad")) {
    touched.add(note.dataset.note);
  }

  const showNote = (name, told) => {
    const note = document.getElementById(`${name}-note`);
    const it = control(name);
    if (!note || !it) return;
    const words = told ? told.words : note.dataset.hint;
    if (note.textContent !== words) note.textContent = words;
    note.className = told ? `note note-${told.tone}` : "note";
    const bad = told?.tone === "bad";
    it.classList.toggle("is-invalid", bad);
    if (bad) it.setAttribute("aria-invalid", "true");
    else it.removeAttribute("aria-invalid");
  };

  const apply = (answer, asked) => {
    for (const note of form.querySelectorAll("[data-note]")) {
      const name = note.dataset.note;
      const told = answer.notes[name];
      // that a field lacks stays said once it was, until something stands there
      const kept = note.classList.contains("note-missing") && !control(name)?.value;
      if (!told && kept && answer.needed?.includes(name)) continue;
      showNote(name, told);
    }
    const told = answer.notes[asked];
    const label = form.querySelector(`label[for="${asked}"]`)?.textContent ?? "";
    said.textContent = told ? `${label}: ${told.words}` : "";
    if (!answer.needed) return;
    for (const place of form.querySelectorAll("[data-field]")) {
      const name = place.dataset.field;
      const needed = answer.needed.includes(name);
      const it = control(name);
      if (it && !it.required) {
        place.querySelector("label").classList.toggle("required", needed);
        if (needed) it.setAttribute("aria-required", "true");
        else it.removeAttribute("aria-required");
      }
      const here = place.contains(document.activeElement) || it?.value;
      place.classList.toggle("elsewhere", answer.elsewhere.includes(name) && !here);
    }
    for (const place of form.querySelectorAll("[data-person]")) {
      if (answer.persons.includes(place.dataset.person)) place.open = true;
    }
    for (const place of form.querySelectorAll("[data-says]")) {
      place.textContent = answer.says[place.dataset.says] ?? "";
    }
    let filled = false;
    for (const [name, value] of Object.entries(answer.suggested)) {
      const it = control(name);
      if (!it || it.value || touched.has(name)) continue;
      it.value = value;
      filled = true;
    }
    // what was filled in is judged with the rest; then nothing is empty that could be suggested
    if (filled) check(asked);
    form.querySelector("[data-checklist]").innerHTML = answer.checklist;
  };

  // A session may end while somebody types. Whoever signed in again in another window goes on here:
  // the form takes over the new session's token. Rejected where nobody answers.
  const signedIn = async () => {
    const response = await fetch(form.dataset.token, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const token = page.querySelector("meta[name=csrf-token]")?.content;
    if (!response.ok || response.redirected || !token) return false;
    control("csrf_token").value = token;
    return true;
  };
  const warn = (kind) => {
    for (const one of notice.querySelectorAll("[data-why]")) one.hidden = one.dataset.why !== kind;
    notice.hidden = !kind;
  };

  const check = async (asked, again = false) => {
    clearTimeout(waiting);
    asking?.abort();
    asking = new AbortController();
    const body = new URLSearchParams(new FormData(form));
    body.set("field", asked);
    try {
      const response = await fetch(form.dataset.counter, {
        method: "POST", body, signal: asking.signal, headers: { Accept: "application/json" },
      });
      if ((response.status === 401 || response.status === 403) && !again) {
        if (await signedIn()) await check(asked, true);
        else warn("signed-out");
        return;
      }
      if (!response.ok) throw new Error(String(response.status));
      apply(await response.json(), asked);
      warn("");
    } catch (error) {
      if (error.name !== "AbortError") warn("failed");
    }
  };

  form.addEventListener("input", (event) => {
    const it = event.target;
    if (!it.name || event.isComposing) return;
    clearTimeout(waiting);
    const note = document.getElementById(`${it.name}-note`);
    const whole = it.dataset.whole && it.value.trim().length >= Number(it.dataset.whole);
    const told = note && /note-(bad|missing)/.test(note.className);
    if (whole || told) waiting = setTimeout(check, 350, it.name);
  });
  form.addEventListener("change", (event) => {
    if (!event.target.name) return;
    touched.add(event.target.name);
    check(event.target.name);
  });
  form.addEventListener("focusout", (event) => {
    const it = event.target;
    // somebody passed over a field that is needed: it may follow, and is marked
    if (!it.name || touched.has(it.name) || it.value || !it.hasAttribute("aria-required")) return;
    touched.add(it.name);
    check(it.name);
  });

  // What was typed is not sent where it would be lost, to a sign-in page or to nobody: the office is
  // asked first whether the session goes on.
  let sure = false;
  let looking = false;
  let typed = "typed" in form.dataset; // and not sent
  form.addEventListener("input", () => {
    typed = true;
  });
  addEventListener("beforeunload", (event) => {
    if (typed) event.preventDefault(); // the browser asks whether to leave it
  });
  form.addEventListener("submit", async (event) => {
    if (sure) {
      typed = false;
      return;
    }
    event.preventDefault();
    event.stopPropagation(); // it is sent in a moment
    if (looking) return;
    looking = true;
    try {
      sure = await signedIn();
      warn(sure ? "" : "signed-out");
    } catch {
      warn("failed");
    }
    looking = false;
    if (sure) form.requestSubmit(event.submitter);
    else notice.scrollIntoView({ block: "nearest" });
  });
  addEventListener("pageshow", () => {
    sure = false;
  });

  const seen = (it) => it.offsetParent !== null && !it.disabled && it.type !== "hidden";
  const fields = () =>
    Array.from(form.elements).filter((it) => it.matches("input, select, textarea") && seen(it));

  form.addEventListener("keydown", (event) => {
    const it = event.target;
    const plain = !event.ctrlKey && !event.altKey && !event.metaKey && !event.shiftKey;
    if (event.key !== "Enter" || !plain || event.isComposing || !window.banka.keysAreOn()) return;
    if (!it.matches("input:not([type=checkbox])")) return;
    event.preventDefault();
    const all = fields();
    (all[all.indexOf(it) + 1] ?? form.querySelector("button[value=keep]:not([tabindex])")).focus();
  });

  form.querySelector("[data-next-note]").addEventListener("click", () => {
    const open = fields().filter((it) => {
      const note = document.getElementById(`${it.name}-note`);
      const lacks = it.hasAttribute("aria-required") && !it.value;
      return lacks || (note && /note-(bad|warn|missing)/.test(note.className));
    });
    const all = fields();
    const from = all.indexOf(form.contains(document.activeElement) ? last : null);
    (open.find((it) => all.indexOf(it) > from) ?? open[0])?.focus();
  });
  let last = null; // the field from which somebody goes on to the next open one
  form.addEventListener("focusin", (event) => {
    if (event.target.name && event.target.matches("input, select")) last = event.target;
  });
})();
