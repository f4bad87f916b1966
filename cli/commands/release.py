"""Release what this folder holds without a failed request: new image, migrations, new container, handover.

It goes as `switch` does, with a new image. Migrations run before the handover, so the old container works for a while
on the new schema: a migration that is marked as breaking is refused (docs/guides/release-and-roll-back.md).

Only the web container is replaced. What changes nginx/ or docker-compose.yml needs ./stack up.
"""

from cli import base_image, build_inputs, compose, project, rollout

GROUP = "Release"


def add_arguments(parser):
    """The options of `release`."""
    rollout.add_arguments(parser)
    parser.add_argument("--no-build", action="store_true", help="release the image that is there, pulled perhaps")


def run(args):
    """Build, then replace."""
    rollout.require()
    config = compose.config()
    project.check_settings(config)
    if not args.no_build:
        base_image.ensure_for(config)
    change = rollout.Change(
        f"the release of {build_inputs.release_name()}",
        config["services"]["web"]["image"],
        "",
        not args.no_build,
        args.allow_breaking,
        args.ready_within,
        args.paths,
    )
    with rollout.alone():
        rollout.replace(config["name"], rollout.mend(config["name"]), change)
    return 0
