"""The extension of Jupyter's server that makes its sockets send small messages at once."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("jupyter_server")

from jupyter_server.gateway.connections import GatewayWebSocketConnection
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application
from tornado.websocket import WebSocketHandler, websocket_connect

from mechviz import _jupyter_server as extension

SETTING = "kernel_websocket_connection_class"


def loaded(connection: type | None) -> type | None:
    """The class that a server connects with after the extension was loaded twice, which it is when a server restarts it."""
    server = SimpleNamespace(web_app=SimpleNamespace(settings={SETTING: connection}), log=logging.getLogger("test"))
    extension._load_jupyter_server_extension(server)
    first = server.web_app.settings[SETTING]
    extension._load_jupyter_server_extension(server)
    assert server.web_app.settings[SETTING] is first
    return first


def test_the_switch_names_the_module():
    switch = json.loads(Path(extension.__file__).with_suffix(".json").read_text())
    ((name, on),) = switch["ServerApp"]["jpserver_extensions"].items()
    assert on and import_module(name) is extension
    assert extension._jupyter_server_extension_points() == [{"module": name}]


@pytest.mark.parametrize("before", [ZMQChannelsWebsocketConnection, GatewayWebSocketConnection])
def test_the_class_that_the_server_is_set_to_stays_and_so_does_its_configuration(before):
    after = loaded(before)
    assert issubclass(after, before) and after.__name__ == before.__name__
    assert after.section_names() == [*before.section_names(), before.__name__]


def test_a_server_without_the_setting_is_left_alone():
    assert loaded(None) is None


def test_a_socket_no_longer_waits():
    """Over a real socket of tornado's, which Jupyter's server is made of."""

    class Connection:
        def __init__(self, handler: WebSocketHandler) -> None:
            self.websocket_handler = handler

        async def connect(self) -> None:
            self.websocket_handler.write_message("connected")

    async def option(connection: type) -> int:
        found = []

        class Handler(WebSocketHandler):
            async def open(self) -> None:
                await connection(self).connect()
                stream = self.ws_connection.stream
                found.append(stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

        listening, port = bind_unused_port()
        server = HTTPServer(Application([("/", Handler)]))
        server.add_socket(listening)
        client = await websocket_connect(f"ws://127.0.0.1:{port}/")
        assert await client.read_message() == "connected"  # the class's own way to connect was gone
        client.close()
        server.stop()
        await server.close_all_connections()
        return found[0]

    with ThreadPoolExecutor() as elsewhere:  # Playwright, where it was begun in this run, has a loop in this thread
        assert elsewhere.submit(asyncio.run, option(Connection)).result() == 0  # it is not that anyway
        assert elsewhere.submit(asyncio.run, option(loaded(Connection))).result() != 0
