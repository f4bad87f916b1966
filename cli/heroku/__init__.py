"""A rehearsal of `git push heroku`: what the platform does with this repository, in the platform's order.

check.py reads files only and runs anywhere. The other modules require root in a container that may mount, as in the
test image: `./stack heroku` calls `python3 -m cli.heroku` there. They follow Heroku's Python buildpack, v351
(https://github.com/heroku/heroku-buildpack-python), and its documentation of dynos
(https://devcenter.heroku.com/articles/dynos).
"""
