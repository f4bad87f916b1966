"""The measured app: a plain Flask app with four small views, and the complete sample app for all other paths.

The responses of the small views are short and constant, so the figures show the cost of the stack, not of the view.
"""

import os
import time

from flask import Flask, jsonify, render_template, request

from app.wsgi import application as sample

small_views = Flask(__name__, static_folder=os.environ.get("STATIC_ROOT"), static_url_path="/static")

ROWS = [{"name": f"row {number}", "note": "a <b>text</b> & more", "number": number} for number in range(20)]
WAIT = 0.05  # seconds


@small_views.get("/bench/json")
def json():
    return jsonify(hello="world")


@small_views.get("/bench/page")
def page():
    return render_template("page.html", rows=ROWS)


@small_views.post("/bench/upload")
def upload():
    return jsonify(bytes=sum(map(len, iter(lambda: request.stream.read(65536), b""))))


@small_views.get("/bench/wait")
def wait():
    time.sleep(WAIT)
    return jsonify(waited=WAIT)


def application(environ, start_response):
    app = small_views if environ["PATH_INFO"].startswith(("/bench/", "/static/")) else sample
    return app(environ, start_response)
