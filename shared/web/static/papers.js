// A queue of papers to be filed: chosen, dropped or pasted, each with what it is and how far it is,
// sent one after the other to the form's address, which answers {"words", "state"} in JSON. One that
// was refused says why and is tried again by itself. Without this the form sends what was chosen.
//
// <form data-queue data-state="of the case" data-refresh="#what changes" …> with [data-drop], a file
// input, [data-queue-rows] and a <template> of a row; texts and limits stand in the form's data.
(() => {
  const form = document.querySelector("form[data-queue]");
  if (!form) return;
  const texts = form.dataset;
  const input = form.querySelector("input[type=file]");
  const zone = form.querySelector("[data-drop]");
  const list = form.querySelector("[data-queue-rows]");
  const said = form.querySelector("[data-queue-said]");
  const template = form.querySelector("template");
  const kinds = input.accept.split(",");
  const items = template.content.querySelector("[data-item]");
  // the same to choose as without a script, but for the first: the name's words are taken here
  items.append(...Array.from(form.elements.namedItem("item").options, (one) => one.cloneNode(true)).slice(1));
  const papers = [];
  let sending = false;
  let pasted = 0;
  input.required = false; // what was chosen moves into the queue

  const part = (paper, name) => paper.row.querySelector(`[data-${name}]`);

  const show = (paper, state, words) => {
    paper.state = state;
    const note = part(paper, "state");
    note.textContent = words;
    const tone = { refused: "bad", filed: "good", unknown: "warn" }[state];
    note.className = tone ? `note note-${tone}` : "note";
    paper.row.classList.toggle("filed", state === "filed");
    part(paper, "retry").hidden = state !== "refused" || !paper.sendable;
    part(paper, "remove").hidden = state === "sending";
    part(paper, "item").disabled = state === "sending";
    part(paper, "date").disabled = state === "sending";
    const done = papers.filter((one) => one.state === "filed").length;
    form.querySelector("[data-sum-shown]").textContent = papers.length
      ? texts.sum.replace("{done}", done).replace("{open}", papers.length - done)
      : "";
  };

  // The item of the longest word in the file's name; none where two items claim it equally.
  const guess = (paper) => {
    const name = paper.file.name.replace(/[\s_.-]+/g, " ").toLowerCase();
    let longest = 0;
    let found = "";
    for (const option of part(paper, "item").options) {
      for (const word of (option.dataset.words ?? "").split("|")) {
        if (!word || !name.includes(word) || word.length < longest) continue;
        found = word.length === longest && found !== option.value ? "" : option.value;
        longest = word.length;
      }
    }
    return found;
  };

  const settle = (paper) => {
    const select = part(paper, "item");
    const option = select.options[select.selectedIndex];
    part(paper, "date-field").hidden = !option?.hasAttribute("data-dated");
    if (!paper.sendable) return;
    show(paper, select.value ? "ready" : "unknown", select.value ? texts.ready : texts.choose);
  };

  const add = (files) => {
    for (const file of files) {
      const row = template.content.firstElementChild.cloneNode(true);
      const ending = `.${file.name.split(".").pop().toLowerCase()}`;
      const paper = { file, row, state: "ready", sendable: true };
      papers.push(paper);
      list.append(row);
      part(paper, "name").textContent = file.name;
      part(paper, "size").textContent = file.size < 1048576
        ? `${Math.ceil(file.size / 1024)} KB` : `${(file.size / 1048576).toFixed(1)} MB`;
      part(paper, "item").value = guess(paper);
      part(paper, "item").addEventListener("change", () => settle(paper));
      part(paper, "remove").addEventListener("click", () => remove(paper));
      part(paper, "retry").addEventListener("click", () => work([paper]));
      const why = file.size > Number(texts.largest) ? texts.tooLarge
        : kinds.includes(ending) ? "" : texts.unknownType;
      paper.sendable = !why;
      settle(paper);
      if (why) show(paper, "refused", why);
    }
    said.textContent = form.querySelector("[data-sum-shown]").textContent;
  };

  const remove = (paper) => {
    const next = paper.row.nextElementSibling ?? paper.row.previousElementSibling;
    papers.splice(papers.indexOf(paper), 1);
    paper.row.remove();
    (next?.querySelector("select:not([disabled])") ?? input).focus();
    if (papers.length) show(papers[0], papers[0].state, part(papers[0], "state").textContent);
    else form.querySelector("[data-sum-shown]").textContent = "";
  };

  const send = (paper) =>
    new Promise((resolve) => {
      const body = new FormData();
      for (const hidden of form.querySelectorAll("input[type=hidden]")) {
        body.set(hidden.name, hidden.value);
      }
      body.set("item", part(paper, "item").value);
      if (!part(paper, "date-field").hidden) body.set("issued_on", part(paper, "date").value);
      body.set(input.name, paper.file);
      const request = new XMLHttpRequest();
      request.open("POST", form.action);
      request.setRequestHeader("Accept", "application/json");
      request.responseType = "json";
      request.upload.onprogress = (event) => {
        if (!event.lengthComputable) return;
        part(paper, "progress").value = event.loaded / event.total;
        if (event.loaded === event.total) show(paper, "sending", texts.checking);
      };
      request.onerror = () => {
        show(paper, "refused", texts.broken);
        resolve(null);
      };
      request.onload = () => {
        const told = request.response ?? {};
        const signedOut = request.status === 401 || request.status === 403;
        const words = told.words ?? (signedOut ? texts.signedOut : texts.failed);
        show(paper, request.status === 201 ? "filed" : "refused", words);
        part(paper, "progress").value = request.status === 201 ? 1 : 0;
        said.textContent = `${paper.file.name}: ${words}`;
        resolve(request.status === 201 ? told : null);
      };
      show(paper, "sending", texts.sending);
      request.send(body);
    });

  const isTyped = (it) =>
    it.type === "checkbox" ? it.checked !== it.defaultChecked
      : it.defaultValue !== undefined && it.value !== it.defaultValue;
  // Where a part of the page that was not there before has its place: behind the one before it.
  const ahead = (part) => {
    let it = part.previousElementSibling;
    while (it && !document.getElementById(it.id)) it = it.previousElementSibling;
    return it && document.getElementById(it.id);
  };

  // What changes with a paper is read anew, the queue stays, and so does what somebody has typed.
  const refresh = async () => {
    const response = await fetch(location.href);
    if (!response.ok) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const place of texts.refresh.split(",").map((one) => one.trim())) {
      const [old, now] = [document.querySelector(place), page.querySelector(place)];
      if (!now) continue;
      const fresh = document.importNode(now, true);
      if (!old) ahead(now)?.after(fresh);
      else if (!Array.from(old.querySelectorAll("input, textarea")).some(isTyped)) {
        old.replaceWith(fresh);
      }
    }
    // what is done next is decided on what stands here now
    const revision = page.querySelector("input[name=revision]")?.value;
    for (const it of document.querySelectorAll("input[name=revision]")) it.value = revision ?? "";
  };

  const work = async (some) => {
    if (sending) return;
    sending = true;
    const started = form.querySelector("button[type=submit]");
    started.setAttribute("aria-disabled", "true");
    let moved = false;
    let filed = false;
    for (const paper of some) {
      const told = await send(paper);
      filed ||= told !== null;
      moved ||= told !== null && told.state !== texts.state;
    }
    sending = false;
    started.removeAttribute("aria-disabled");
    if (moved) location.reload(); // the case went on: little of this page is left
    else if (filed) await refresh();
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    event.stopPropagation(); // it may be sent again
    const unknown = papers.find((one) => one.state === "unknown");
    if (unknown) part(unknown, "item").focus();
    const ready = papers.filter((one) => one.state === "ready");
    if (ready.length) work(ready);
    else if (!unknown) input.focus();
  });
  input.addEventListener("change", () => {
    add(input.files);
    input.value = "";
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault(); // else the browser shows the file in place of the page
      zone.classList.toggle("queue-over", kind === "dragover");
      if (kind !== "drop") return;
      add(event.dataTransfer.files);
      zone.scrollIntoView({ block: "nearest" });
    });
  }
  document.addEventListener("paste", (event) => {
    const files = Array.from(event.clipboardData?.files ?? []);
    if (!files.length) return;
    event.preventDefault();
    // every picture of a clipboard has the same name
    add(files.map((file) => {
      pasted += 1;
      const ending = file.type.split("/").pop();
      return new File([file], `${pasted}.${ending === "jpeg" ? "jpg" : ending}`, { type: file.type });
    }));
    zone.scrollIntoView({ block: "nearest" });
  });
  addEventListener("beforeunload", (event) => {
    if (sending) event.preventDefault();
  });
})();
