// Bootstrap's theme is set by an attribute. Keep it in sync with the browser's preferred color scheme.
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function followBrowser() {
  document.documentElement.dataset.bsTheme = dark.matches ? "dark" : "light";
}

followBrowser();
dark.addEventListener("change", followBrowser);
