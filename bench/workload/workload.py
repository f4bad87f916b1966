"""The measured app: a plain Flask app with two small views, and the complete sample app for all other paths.

The responses of the small views are short and constant, so the figures show the cost of the stack, not of the view.
"""

import os
import time

from flask import Flask, jsonify

from app.wsgi import application as sample

small_views = Flask(__name__, static_folder=os.environ.get("STATIC_ROOT"), static_url_path="/static")

WAIT = 0.05  # seconds


@small_views.get("/bench/json")
def json():
    return jsonify(hello="world")


@small_views.get("/bench/wait")
def wait():
    time.sleep(WAIT)
    return jsonify(waited=WAIT)


def application(environ, start_response):
    app = small_views if environ["PATH_INFO"].startswith(("/bench/", "/static/")) else sample
    return app(environ, start_response)
