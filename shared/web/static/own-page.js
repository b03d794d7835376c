// Photos on a customer's own page: shown, weighed and taken again before they are sent. Every page
// works without it.
(() => {
  const field = document.querySelector("[data-own-picture]");
  if (!field) return;
  const input = field.querySelector("input[type=file]");
  const preview = field.querySelector("img");
  const said = field.querySelector("[role=status]");
  const again = field.querySelector("[data-own-again]");
  const send = field.closest("form").querySelector("[data-own-send]");
  const megabytes = (bytes) => (bytes / 1048576).toFixed(1);
  const readable = Number(field.dataset.readable); // pixels of the shorter side

  const show = () => {
    URL.revokeObjectURL(preview.src);
    const file = input.files[0];
    preview.hidden = true;
    again.hidden = !file;
    said.textContent = file ? `${file.name} · ${megabytes(file.size)} MB` : "";
    said.classList.remove("is-wrong");
    input.setCustomValidity("");
    if (!file) return;
    const most = Number(field.dataset.most);
    if (file.size > most) {
      const words = field.dataset.tooLarge
        .replace("{size}", megabytes(file.size))
        .replace("{most}", megabytes(most));
      said.textContent = words;
      said.classList.add("is-wrong");
      input.setCustomValidity(words);
      return;
    }
    if (!file.type.startsWith("image/")) return;
    preview.onload = () => {
      preview.hidden = false;
      if (Math.min(preview.naturalWidth, preview.naturalHeight) < readable) {
        said.textContent += ` · ${field.dataset.tooSmall}`;
      }
    };
    preview.src = URL.createObjectURL(file);
  };
  input.addEventListener("change", show);
  again.addEventListener("click", () => {
    input.value = "";
    show();
    input.click();
  });
  field.closest("form").addEventListener("submit", () => {
    said.textContent = send.dataset.sending;
  });
  show(); // the browser may keep what was chosen when one comes back
})();
