"""Build and roll out a new release without a failed request.

Build the image from this folder, run the release command (migrations), start a second web container beside the active
one, check it, promote it, and stop the old one. A failed release is rolled back automatically and the reason is
printed.

Migrations run before the handover, and the old container works with the new schema until it stops. A migration that
drops, renames or requires something is therefore refused, unless it is marked as safe
(docs/guides/release-and-roll-back.md).

--upgrade builds all images again on Debian's newest packages, which contain the security fixes, and prints which
packages changed. ./stack doctor reports when that is due.

Only the web container is replaced. After changes in nginx/ or docker-compose.yml, run ./stack up.

Examples:
  ./stack release                      build and release this folder
  ./stack release --upgrade            release on Debian's newest packages
  ./stack release --no-build           release the existing image, for example one that was pulled
  ./stack release --try /search        also require that /search does not answer with a 5xx
"""

from cli import base_image, build_inputs, compose, packages, project, rollout
from cli.console import say

GROUP = "Release"


def add_arguments(parser):
    """Add the options of `release`."""
    rollout.add_arguments(parser)
    build = parser.add_mutually_exclusive_group()
    build.add_argument("--no-build", action="store_true", help="skip the build and release the existing image")
    build.add_argument("--upgrade", action="store_true", help="build without a cache, on Debian's newest packages")


def run(args):
    """Build the image and roll it out."""
    rollout.require_engine()
    config = compose.config()
    project.check_settings(config)
    if not args.no_build:
        base_image.ensure_for(config)
    plan = rollout.RolloutPlan(
        title=f"the release of {build_inputs.release_name()}",
        image=config["services"]["web"]["image"],
        build=not (args.no_build or args.upgrade),
        allow_breaking=args.allow_breaking,
        ready_within=args.ready_within,
        smoke_paths=args.smoke_paths,
    )
    with rollout.exclusive():
        old = rollout.repair(config["name"])
        if args.upgrade:
            packages.rebuild(config, plan.env, fix="./stack release --upgrade")
        rollout.roll_out(config["name"], old, plan)
    if args.upgrade:
        say("  The images of the other services are new too. To replace their containers: ./stack up")
    return 0
