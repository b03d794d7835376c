// One box for all boxes of its form with that name; without this there is none.
(() => {
  for (const all of document.querySelectorAll("[data-picks]")) {
    const boxes = () => [...all.form.elements].filter((one) => one.name === all.dataset.picks);
    all.closest("[hidden]").hidden = false;
    all.addEventListener("change", () => {
      for (const box of boxes()) box.checked = all.checked;
    });
    document.addEventListener("change", () => {
      all.checked = boxes().every((box) => box.checked);
    });
  }
})();
