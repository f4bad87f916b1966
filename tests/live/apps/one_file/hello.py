"""A Flask app in one file, with one style sheet."""

from flask import Flask, request, url_for

app = Flask(__name__)


@app.get("/")
def page():
    return f'<link rel="stylesheet" href="{url_for("static", filename="hello.css")}"><h1>Hello from one file</h1>'


@app.post("/greet")
def greet():
    return {"greeting": f"Hello {request.form['name']}"}
