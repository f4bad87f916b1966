"""The app that is measured: four small views of a plain Flask, and the sample app with all of its own behind the rest.

Bodies are small and fixed, so that what is compared is the way to the view and not the view.
"""

import os
import time

from flask import Flask, jsonify, render_template, request

from app.wsgi import application as sample

work = Flask(__name__, static_folder=os.environ.get("STATIC_ROOT"), static_url_path="/static")

ROWS = [{"name": f"row {number}", "note": "a <b>text</b> & more", "number": number} for number in range(20)]
WAIT = 0.05  # seconds


@work.get("/bench/json")
def answer():
    return jsonify(hello="world")


@work.get("/bench/page")
def page():
    return render_template("page.html", rows=ROWS)


@work.post("/bench/upload")
def upload():
    return jsonify(bytes=sum(map(len, iter(lambda: request.stream.read(65536), b""))))


@work.get("/bench/wait")
def wait():
    time.sleep(WAIT)
    return jsonify(waited=WAIT)


def application(environ, start_response):
    app = work if environ["PATH_INFO"].startswith(("/bench/", "/static/")) else sample
    return app(environ, start_response)
