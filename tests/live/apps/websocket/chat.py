"""A custom app with WebSockets: Flask-Sock's quick start at /ws, and Flask-SocketIO in threading mode."""

from flask import Flask, request
from flask_sock import Sock
from flask_socketio import SocketIO, send

app = Flask(__name__)
sock = Sock(app)
socketio = SocketIO(app, async_mode="threading")


@app.get("/")
def page():
    return "WebSockets\n"


@app.get("/upgrade")
def upgrade():
    return {"upgrade": request.headers.get("Upgrade"), "connection": request.headers.get("Connection")}


@sock.route("/ws")
def echo(ws):
    while True:
        message = ws.receive()
        if message == "fail":
            raise RuntimeError("an error in the middle of a WebSocket")
        ws.send(f"echo {message}")


@socketio.on("message")
def answer(message):
    send(f"echo {message}")
