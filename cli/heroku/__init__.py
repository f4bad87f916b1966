"""A rehearsal of `git push heroku`: what the platform does with this repository, in the platform's order.

`check` judges files alone and runs anywhere. The rest needs root in a container that may mount, as in the test image:
`./stack heroku` calls `python3 -m cli.heroku` there. The platform's part is written after the source of its
Python buildpack, v351, and after its documentation of dynos.
"""
