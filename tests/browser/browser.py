"""A wrapper of headless Chromium: visit pages by path, find links and buttons by their text, and fields by name."""

from importlib.resources import files
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

TIMEOUT = 15  # seconds; pages load in milliseconds, but more slowly on a busy machine
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
SERIOUS = {"serious", "critical"}
HEIGHT = 900
MOBILE_BELOW = 600


class Browser:
    """A browser window. `url` is the base URL of the site."""

    def __init__(self, url: str):
        self.url = url
        options = ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        # Root cannot use the sandbox, and a container's /dev/shm is too small.
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        # The path of Debian's driver; otherwise Selenium would download one.
        self.driver = Chrome(options, ChromeService("/usr/bin/chromedriver"))

    def visit(self, path: str) -> None:
        self.driver.get(f"{self.url}{path}")

    def find(self, css: str) -> WebElement:
        """Return the first element that matches. Wait until it exists."""
        return WebDriverWait(self.driver, TIMEOUT).until(lambda driver: driver.find_element(By.CSS_SELECTOR, css))

    def fill(self, **fields: str) -> None:
        """Replace the text of fields, given by their names."""
        for name, text in fields.items():
            field = self.find(f'[name="{name}"]')
            field.clear()
            field.send_keys(text)

    def press(self, label: str) -> None:
        """Click the button with this text, and wait for the next page."""
        self._click_and_wait(f'//button[normalize-space()="{label}"]')

    def follow(self, label: str) -> None:
        """Click the link that begins with this text, and wait for the next page."""
        self._click_and_wait(f'//a[starts-with(normalize-space(), "{label}")]')

    def _click_and_wait(self, xpath: str) -> None:
        self.driver.execute_script("window.isPreviousPage = true")
        self.driver.find_element(By.XPATH, xpath).click()
        has_loaded = "return !window.isPreviousPage && document.readyState == 'complete'"
        WebDriverWait(self.driver, TIMEOUT).until(lambda driver: driver.execute_script(has_loaded))

    def open_menu(self) -> None:
        """Open the account menu."""
        self.find("details.menu summary").click()

    @property
    def text(self) -> str:
        """The visible text of the page."""
        return self.find("body").text

    def emulate(self, width: int, theme: str) -> None:
        """Emulate a window width in CSS pixels and a preferred color scheme (`light` or `dark`)."""
        screen = {"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": width < MOBILE_BELOW}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        preferences = {"prefers-color-scheme": theme, "prefers-reduced-motion": "reduce"}  # no color transitions
        features = [{"name": name, "value": value} for name, value in preferences.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def violations(self, rules: tuple[str, ...] = ()) -> list[str]:
        """Return the serious and critical findings of axe-core on this page, each with its rule and elements.

        rules: the rules to check. Default: all.
        """
        self.driver.execute_script(f"if (!window.axe) {{ {AXE} }}")
        options = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
        run = "axe.run(document, arguments[0]).then(arguments[1])"
        result = self.driver.execute_async_script(run, options)
        return [
            f"{violation['id']}: {' '.join(node['html'] for node in violation['nodes'])}"
            for violation in result["violations"]
            if violation["impact"] in SERIOUS
        ]

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        return self.driver.execute_script(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )

    def screenshot(self, file: Path) -> None:
        """Save a screenshot as a PNG file."""
        self.driver.save_screenshot(str(file))

    def console_errors(self) -> list[str]:
        """Return the errors and warnings in the console since the last call, for example blocked scripts."""
        entries = self.driver.get_log("browser")
        return [entry["message"] for entry in entries if entry["level"] in {"SEVERE", "WARNING"}]

    def delete_cookies(self) -> None:
        """Delete all cookies: the next request is anonymous."""
        self.driver.delete_all_cookies()

    def quit(self) -> None:
        self.driver.quit()
