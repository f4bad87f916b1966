"""Write the generated pages of the documentation, and build its site.

The reference of settings and commands, .env.example and the list of promises are generated from the code. Run this
after an edit of deploy/settings.py, of a command's help, or of a test's docstring; a test fails if a page is not up to
date.

--build builds the site in .stack/site, in the test image. The site loads nothing from other hosts. Its search needs a
web server: python3 -m http.server --directory .stack/site

Examples:
  ./stack docs              write the settings, commands and promises of docs/reference, and .env.example
  ./stack docs --build      also build the site: open .stack/site/index.html
"""

import os

from cli import console, reference
from cli.commands import test
from cli.console import ROOT, say

GROUP = "Develop"
SITE = ".stack/site"


def add_arguments(parser):
    """Add the options of `docs`."""
    parser.add_argument("--build", action="store_true", help="also build the site, in the test image")


def run(args):
    """Write the pages that changed, then build the site if asked to."""
    for name, write in reference.FILES.items():
        file, text = ROOT / name, write()
        if file.exists() and file.read_text(encoding="utf-8") == text:
            say(f"{name} is up to date.")
        else:
            file.write_text(text, encoding="utf-8")
            say(f"{name} is written.")
    if not args.build:
        return 0
    console.state_folder()
    user = ["--user", f"{os.getuid()}:{os.getgid()}"]  # otherwise the site would belong to root
    options = [*user, "--env", "NO_MKDOCS_2_WARNING=1"]
    return test.run_in_image(["mkdocs", "build", "--strict", "--site-dir", SITE], options)
