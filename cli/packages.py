"""The Debian packages in the images: rebuild the images with the newest ones, and report what changed."""

from cli import base_image, compose, console
from cli.console import say

TITLE = "building the images on Debian's newest packages"


def rebuild(config, env, fix):
    """Build all images without the build cache, and print which packages changed.

    Later builds use the layers of this one: BuildKit prefers the newest result.
    """
    images = {service["image"] for service in config["services"].values() if service.get("build")}
    before = {image: installed(image) for image in images}
    base_image.update(config)
    console.run(TITLE, compose.command("build", "--no-cache"), env=env, fix=fix)
    for image in sorted(images):
        report(image, before[image], installed(image))


def installed(image):
    """Return the versions of the packages in an image by name; {} if there is no such image, or it is not Debian's."""
    command = ["docker", "run", "--rm", "--no-healthcheck", "--network", "none", "--entrypoint", "dpkg-query", image]
    done = console.capture([*command, "--show", "--showformat", "${Package} ${Version}\n"])
    return dict(line.split(" ", 1) for line in done.stdout.splitlines()) if done.returncode == 0 else {}


def changes(before, after):
    """Return one line for each package that was updated, added or removed."""
    lines = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old != new:
            lines.append(f"{name} {old or '(not installed)'} → {new or '(removed)'}")
    return lines


def report(image, before, after):
    """Print which packages of an image changed."""
    if not before:
        say(f"  {image}: new, {len(after)} Debian packages")
        return
    lines = changes(before, after)
    say(f"  {image}: {len(lines) or 'none'} of {len(after)} Debian packages changed")
    for line in lines:
        say(f"    {line}")
