// Bootstrap reads its theme from an attribute; keep that attribute in step with the browser's wish.
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function followBrowser() {
  document.documentElement.dataset.bsTheme = dark.matches ? "dark" : "light";
}

followBrowser();
dark.addEventListener("change", followBrowser);
