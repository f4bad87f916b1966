"""A user's way through the app in a real browser, from the registration to the admin pages."""

import pytest

pytestmark = pytest.mark.in_order  # each test continues where the previous one ended
EMAIL = "robin@example.com"
OLD, NEW = "a password of robin", "another password of robin"


@pytest.fixture(scope="module", autouse=True)
def anonymous(window):
    window.emulate(1280, "light")
    window.delete_cookies()


def log_in(browser, email: str, password: str) -> None:
    browser.visit("/login")
    browser.fill(email=email, password=password)
    browser.press("Log in")


def test_register(browser):
    """A new user can register and log in."""
    browser.visit("/")
    browser.follow("Register")
    browser.fill(username="robin", email=EMAIL, password=OLD, password_confirm=OLD)
    browser.press("Register")
    assert "Thank you" in browser.text
    log_in(browser, EMAIL, OLD)
    assert "robin" in browser.find("details.menu summary").text


def test_error_is_shown_at_the_field(browser):
    """An empty post shows an error at the field, which has the focus."""
    browser.visit("/")
    browser.press("Publish")
    assert "Write something first." in browser.text
    assert browser.driver.switch_to.active_element.get_attribute("name") == "body"
    # The console reports the status 422.
    assert all("422" in error for error in browser.console_errors())


def test_post(browser):
    """A post appears on the home page. Its URL is a link, and its HTML is escaped."""
    browser.visit("/")
    browser.fill(body="<b>Look</b> at https://example.com/page")
    browser.press("Publish")
    assert "<b>Look</b> at https://example.com/page" in browser.find(".post").text
    assert browser.find(".post-body a").get_attribute("href") == "https://example.com/page"


def test_edit(browser):
    """A user can edit their own post, and it is marked as edited."""
    browser.visit("/")
    browser.follow("Edit")
    browser.fill(body="Second thoughts")
    browser.press("Save")
    assert "Second thoughts" in browser.text and "edited" in browser.text


def test_follow(browser):
    """The page Following contains the posts of a followed user."""
    browser.visit("/")
    other = next(author for author in authors(browser) if author != "robin")
    browser.visit("/following")
    assert set(authors(browser)) == {"robin"}
    browser.visit(f"/users/{other}")
    browser.press("Follow")
    assert "Unfollow" in browser.text
    browser.visit("/following")
    assert set(authors(browser)) == {"robin", other}


def authors(browser) -> list[str]:
    return browser.driver.execute_script(
        "return [...document.querySelectorAll('.author')].map(author => author.textContent)"
    )


def test_log_out(browser):
    """After the logout, the header shows Register, and account pages require a login."""
    browser.open_menu()
    browser.press("Log out")
    assert "Register" in browser.text
    browser.visit("/account")
    assert "/login" in browser.driver.current_url


def test_reset_password(browser, site):
    """The mailed link sets a new password. The old password is rejected."""
    browser.visit("/reset")
    browser.fill(email=EMAIL)
    browser.press("Send link")
    browser.visit(site.mailed_link(EMAIL, "/reset/"))
    browser.fill(password=NEW, password_confirm=NEW)
    browser.press("Change password")
    log_in(browser, EMAIL, OLD)
    assert "password is wrong" in browser.text
    log_in(browser, EMAIL, NEW)
    assert "robin" in browser.find("details.menu summary").text


def test_admin(browser, site):
    """Only admins can open the admin pages. A new admin hides a post, and the action is recorded."""
    browser.visit("/admin")
    assert "Admin" not in browser.find("h1").text
    browser.console_errors()  # discards the report of the status 403
    site.flask("admin", EMAIL)
    browser.visit("/admin/posts")
    browser.follow("Second thoughts")
    browser.press("Hide")
    browser.visit("/")
    assert "Second thoughts" not in browser.text
    browser.visit("/admin")
    assert "robin" in browser.text and "hide" in browser.text.lower()
