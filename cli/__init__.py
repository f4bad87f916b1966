"""The commands of ./stack, which run on the operator's machine.

Imports only the standard library and deploy/. Never copied into an image.
"""

VERSION = "0.2.0"  # the newest heading of CHANGELOG.md
