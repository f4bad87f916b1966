"""What a person does in the app, in a real browser, from joining to being an admin. Each test goes on where the one
before has stopped.
"""

import pytest

EMAIL = "robin@example.com"
OLD, NEW = "a password of robin", "another password of robin"


@pytest.fixture(scope="module", autouse=True)
def new_visitor(window):
    window.look(1280, "light")
    window.forget()


def log_in(browser, email: str, password: str) -> None:
    browser.visit("/login")
    browser.fill(email=email, password=password)
    browser.press("Log in")


def test_register(browser):
    """Somebody joins, and can log in."""
    browser.visit("/")
    browser.follow("Join")
    browser.fill(username="robin", email=EMAIL, password=OLD, password_confirm=OLD)
    browser.press("Join")
    assert "Thank you" in browser.text
    log_in(browser, EMAIL, OLD)
    assert "robin" in browser.find("details.menu summary").text


def test_wrong_input_keeps_what_was_typed(browser):
    """An empty note is answered with what is wrong, at the field, which has the focus."""
    browser.visit("/")
    browser.press("Publish")
    assert "Write something first." in browser.text
    assert browser.driver.switch_to.active_element.get_attribute("name") == "body"
    # The browser tells its console about the status 422.
    assert all("422" in complaint for complaint in browser.complaints())


def test_post(browser):
    """A note is on the first page, its address a link, its HTML only text."""
    browser.visit("/")
    browser.fill(body="<b>Look</b> at https://example.com/page")
    browser.press("Publish")
    assert "<b>Look</b> at https://example.com/page" in browser.find(".post").text
    assert browser.find(".post-body a").get_attribute("href") == "https://example.com/page"


def test_edit(browser):
    """One's own note can be changed, and says so."""
    browser.visit("/")
    browser.follow("Edit")
    browser.fill(body="Second thoughts")
    browser.press("Save")
    assert "Second thoughts" in browser.text and "edited" in browser.text


def test_follow(browser):
    """The notes of somebody who is followed are under Following."""
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
    return browser.driver.execute_script("return [...document.querySelectorAll('.author')].map(one => one.textContent)")


def test_log_out(browser):
    """After logging out the header offers a way in again, and one's own pages ask for it."""
    browser.open_menu()
    browser.press("Log out")
    assert "Join" in browser.text
    browser.visit("/account")
    assert "/login" in browser.driver.current_url


def test_reset_password(browser, site):
    """The link in the mail lets its reader choose a new password; the old one is refused from then on."""
    browser.visit("/reset")
    browser.fill(email=EMAIL)
    browser.press("Send the link")
    browser.visit(site.mailed_link(EMAIL, "/reset/"))
    browser.fill(password=NEW, password_confirm=NEW)
    browser.press("Change password")
    log_in(browser, EMAIL, OLD)
    assert "do not match" in browser.text
    log_in(browser, EMAIL, NEW)
    assert "robin" in browser.find("details.menu summary").text


def test_admin(browser, site):
    """Nobody else gets to the admin's pages; who is made an admin does, hides a note, and that is on record."""
    browser.visit("/admin")
    assert "Admin" not in browser.find("h1").text
    browser.complaints()  # about the status 403
    site.flask("admin", EMAIL)
    browser.visit("/admin/posts")
    browser.follow("Second thoughts")
    browser.press("Hide")
    browser.visit("/")
    assert "Second thoughts" not in browser.text
    browser.visit("/admin")
    assert "robin" in browser.text and "hide" in browser.text.lower()
