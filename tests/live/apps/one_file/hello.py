"""A Flask app in one file, with one style sheet."""

import logging

from flask import Flask, request, url_for

app = Flask(__name__)
logging.getLogger().addHandler(logging.StreamHandler())  # a common way to see the log of an app on its console


@app.get("/log")
def log():
    logging.warning("/log was requested")
    return {}


@app.get("/")
def page():
    return f'<link rel="stylesheet" href="{url_for("static", filename="hello.css")}"><h1>Hello from one file</h1>'


@app.post("/greet")
def greet():
    return {"greeting": f"Hello {request.form['name']}"}
