// A double click submits a form once. Going back to the page makes its buttons usable again.
function setButtons(form, disabled) {
  for (const button of form.querySelectorAll("button")) {
    button.disabled = disabled;
  }
}

document.addEventListener("submit", (event) => setButtons(event.target, true));
window.addEventListener("pageshow", () => {
  for (const form of document.forms) {
    setButtons(form, false);
  }
});
