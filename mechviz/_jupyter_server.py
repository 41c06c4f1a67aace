"""Jupyter's server passes a kernel's answers on at once, instead of up to 40 ms later.

A kernel answers with several small messages: "busy", the answer, "idle". Jupyter's server leaves its sockets as the system
makes them, and those hold a small message back while the one before it is not acknowledged (Nagle's algorithm), which a
browser's machine does up to 40 ms later, or a way to and fro on a network. So each answer of a live view came that much later.

This is an extension of Jupyter's server, and the server's environment alone needs it: `mechviz` installs its switch as
``etc/jupyter/jupyter_server_config.d/mechviz.json``, and ``jupyter server extension disable mechviz._jupyter_server`` turns it
off. It changes one option of the sockets between the server and browsers' notebooks, and nothing that is sent.
"""

from __future__ import annotations

from typing import Any

_SETTING = "kernel_websocket_connection_class"


class _AtOnce:
    """Stands in front of whatever class the server is set to connect kernels with."""

    websocket_handler: Any

    def connect(self) -> Any:
        """Connect as before, on a socket that does not wait."""
        self.websocket_handler.set_nodelay(True)
        return super().connect()  # type: ignore[misc]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Called by Jupyter's server when it starts."""
    settings = server.web_app.settings
    before = settings.get(_SETTING)
    if before is None:  # a server older than this setting, or one with ways of its own
        server.log.info("mechviz: this server's sockets stay as they are")
    elif not issubclass(before, _AtOnce):
        settings[_SETTING] = type(before.__name__, (_AtOnce, before), {})
