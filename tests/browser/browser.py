"""Headless Chromium as a person uses it: pages by address, links and buttons by their words, fields by their labels."""

from importlib.resources import files
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

PATIENCE = 15  # seconds; a page comes in milliseconds, on a busy machine later
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
SERIOUS = {"serious", "critical"}
HEIGHT = 900
MOBILE_BELOW = 600


class Browser:
    """One window. `url` is the site's address; `visit` and the like take paths."""

    def __init__(self, url: str):
        self.url = url
        options = ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        # Root may not use the sandbox; a container's /dev/shm is too small.
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        # Debian's driver by its path, so that Selenium looks for none on the internet.
        self.driver = Chrome(options, ChromeService("/usr/bin/chromedriver"))

    def visit(self, path: str) -> None:
        self.driver.get(f"{self.url}{path}")

    def find(self, css: str) -> WebElement:
        """The first element, as soon as it is there."""
        return WebDriverWait(self.driver, PATIENCE).until(lambda driver: driver.find_element(By.CSS_SELECTOR, css))

    def fill(self, **fields: str) -> None:
        """Type into fields by their names; what was in them is gone."""
        for name, text in fields.items():
            field = self.find(f'[name="{name}"]')
            field.clear()
            field.send_keys(text)

    def press(self, label: str) -> None:
        """Press the button of these words, and wait for the page that follows."""
        self._leave(f'//button[normalize-space()="{label}"]')

    def follow(self, label: str) -> None:
        """Follow the link that begins with these words."""
        self._leave(f'//a[starts-with(normalize-space(), "{label}")]')

    def _leave(self, xpath: str) -> None:
        self.driver.execute_script("window.left = false")
        self.driver.find_element(By.XPATH, xpath).click()
        arrived = "return window.left === undefined && document.readyState == 'complete'"
        WebDriverWait(self.driver, PATIENCE).until(lambda driver: driver.execute_script(arrived))

    def open_menu(self) -> None:
        """Show what one's own account can do."""
        self.find("details.menu summary").click()

    @property
    def text(self) -> str:
        """What can be read on the page."""
        return self.find("body").text

    def look(self, width: int, theme: str) -> None:
        """Be a window of so many CSS pixels on a `light` or `dark` desktop."""
        screen = {"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": width < MOBILE_BELOW}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        wishes = {"prefers-color-scheme": theme, "prefers-reduced-motion": "reduce"}  # else colours fade over
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def violations(self, rules: tuple[str, ...] = ()) -> list[str]:
        """What axe-core finds on this page that is serious or critical: the rule, and the elements.

        By all its rules, or only those given.
        """
        self.driver.execute_script(f"if (!window.axe) {{ {AXE} }}")
        options = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
        run = "axe.run(document, arguments[0]).then(arguments[1])"
        found = self.driver.execute_async_script(run, options)
        return [
            f"{one['id']}: {' '.join(node['html'] for node in one['nodes'])}"
            for one in found["violations"]
            if one["impact"] in SERIOUS
        ]

    def overflow(self) -> int:
        """How many pixels one would have to scroll sideways."""
        return self.driver.execute_script(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )

    def screenshot(self, file: Path) -> None:
        """Save the window as a PNG."""
        self.driver.save_screenshot(str(file))

    def complaints(self) -> list[str]:
        """What the console has said since the last call: errors and warnings, such as a refused script."""
        said = self.driver.get_log("browser")
        return [entry["message"] for entry in said if entry["level"] in {"SEVERE", "WARNING"}]

    def forget(self) -> None:
        """Be a new visitor."""
        self.driver.delete_all_cookies()

    def quit(self) -> None:
        self.driver.quit()
