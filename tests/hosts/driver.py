"""Real notebook hosts, driven through a real browser: JupyterLab 4, Notebook 7 and marimo.

    with chromium() as browser, jupyter(folder) as server:
        nb = server.open(browser, cells=["import mechviz as mv", "mv.tokens.example()"])
        nb.run_all()
        nb.figure(1).screenshot(path="picture.png")

Servers have configuration directories of their own and end with their `with` block, whatever happens in it. Every
request of every page is written down: `nb.outside()` lists those that did not go to the server.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Frame, Locator, Page, sync_playwright

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
REPOSITORY = Path(__file__).parents[2]
App = Literal["lab", "notebook"]

_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
# Without a kernelspec JupyterLab asks which kernel is wanted and waits.
_METADATA = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}

# Patterns for cells; the words are such that every one can be found on the screen.
SETUP = """
import time
import numpy as np
import mechviz as mv

def pattern(heads, tokens, seed=0):
    scores = np.random.default_rng(seed).normal(0, 1.5, (heads, tokens, tokens)).astype(np.float32)
    scores[:, np.triu(np.ones((tokens, tokens), bool), 1)] = -np.inf
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)

def words(n):
    return [f" t{i}" for i in range(n)]
"""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def new_page(browser: Browser, server: str = "", **options: Any) -> tuple[Page, Requests]:
    """A page in a context of its own, and the record of all that it asks for."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    context.set_default_timeout(60_000)
    context.add_init_script(_NOTE_DRAWN)
    requests = Requests(server)
    requests.watch(context)
    return context.new_page(), requests


# When each live figure was drawn, in seconds since 1970: the second frame after the mark begins once it is painted.
_NOTE_DRAWN = """
globalThis.mechvizDrawn = [];
const seen = new WeakSet();
const note = host => {
  if (seen.has(host) || host.dataset.mechvizDrawn !== 'true') return;
  seen.add(host);
  requestAnimationFrame(() => requestAnimationFrame(() => mechvizDrawn.push(Date.now() / 1000)));
};
const observer = new MutationObserver(changes => changes.forEach(({target}) => note(target)));
const watch = root => observer.observe(root, {subtree: true, attributeFilter: ['data-mechviz-drawn']});
watch(document);
const attachShadow = Element.prototype.attachShadow;  // marimo shows widgets inside shadow roots
Element.prototype.attachShadow = function (options) {
  const root = attachShadow.call(this, options);
  watch(root);
  return root;
};
"""


@dataclass
class Requests:
    """Addresses that a browser context has asked for."""

    server: str
    seen: list[str] = field(default_factory=list)

    def watch(self, context: BrowserContext) -> None:
        context.on("request", lambda request: self.seen.append(request.url))
        context.on("page", lambda page: page.on("websocket", lambda socket: self.seen.append(socket.url)))

    def outside(self) -> list[str]:
        """Requests to anything but the server, data in the page and files named by the test."""
        ours = urlsplit(self.server).netloc
        return [
            url
            for url in self.seen
            if urlsplit(url).netloc != ours and urlsplit(url).scheme not in ("data", "blob", "about", "file")
        ]


def write_notebook(path: Path, cells: Sequence[str], *, outputs: Sequence[list[Any]] = ()) -> Path:
    """A notebook of code cells, with outputs where given."""
    made = [
        {
            "cell_type": "code",
            "id": f"cell-{i}",
            "metadata": {},
            "execution_count": None,
            "source": source,
            "outputs": outputs[i] if i < len(outputs) else [],
        }
        for i, source in enumerate(cells)
    ]
    path.write_text(json.dumps({"cells": made, "metadata": _METADATA, "nbformat": 4, "nbformat_minor": 5}))
    return path


@contextlib.contextmanager
def jupyter(folder: Path, *, settings: dict[str, Any] | None = None) -> Iterator[Jupyter]:
    """A Jupyter server over a folder; it serves JupyterLab and Notebook 7 alike.

    Args:
        folder: Where its notebooks are.
        settings: JupyterLab's settings by plugin, as in its overrides.json.
    """
    folder = Path(folder)
    home = folder / ".jupyter-test"
    dirs = {key: home / key.lower() for key in ("CONFIG", "DATA", "RUNTIME")}
    environment = {f"JUPYTER_{key}_DIR": str(path) for key, path in dirs.items()}
    environment |= {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(home / "ws")}
    for plugin, values in {**_QUIET, **(settings or {})}.items():
        extension, name = plugin.split(":")
        path = home / "settings" / extension / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    token, port = secrets.token_hex(8), _free_port()
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"),
        *("--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}"),
        *("--LabApp.expose_app_in_browser=True", "--JupyterNotebookApp.expose_app_in_browser=True"),
    ]
    base = f"http://127.0.0.1:{port}"
    with _serving(command, f"{base}/api/status?token={token}", home / "server.log", environment):
        yield Jupyter(base, token, folder)


# No question about news, no check for updates on the network.
_QUIET = {
    "@jupyterlab/apputils-extension:notification": {
        "checkForUpdates": False,
        "doNotDisturbMode": True,
        "fetchNews": "false",
    }
}


@dataclass
class Jupyter:
    """A running Jupyter server."""

    base: str
    token: str
    folder: Path

    def open(
        self,
        browser: Browser,
        cells: Sequence[str] | None = None,
        *,
        app: App = "lab",
        name: str = "test",
        outputs: Sequence[list[Any]] = (),
        kernel: bool = True,
        **options: Any,
    ) -> Notebook:
        """Open a notebook in a browser context of its own.

        Args:
            browser: From `chromium`.
            cells: Sources of code cells; None opens the notebook that is there.
            app: JupyterLab or Notebook 7.
            name: The notebook's name, without a suffix.
            outputs: Outputs of the cells as a notebook file holds them.
            kernel: Wait for a kernel. False opens the notebook in JupyterLab as a reader without one sees it.
            options: For the browser context, such as ``viewport``.
        """
        if cells is not None:
            write_notebook(self.folder / f"{name}.ipynb", cells, outputs=outputs)
        page, requests = new_page(browser, self.base, **options)
        nb = Notebook(page, requests, self, app, name)
        nb.load(kernel=kernel)
        return nb

    def end_kernels(self, path: str) -> None:
        """End the kernels of a notebook, as closing its session in the list of running ones does."""
        for session in json.loads(self._ask("GET", "api/sessions")):
            if session["path"] == path:
                self._ask("DELETE", f"api/sessions/{session['id']}")

    def _ask(self, method: str, address: str) -> bytes:
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.base}/{address}", method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.read()


@dataclass
class Notebook:
    """A notebook in a browser tab; cells are counted from 0."""

    page: Page
    requests: Requests
    server: Jupyter
    app: App
    name: str

    def load(self, *, kernel: bool = True) -> None:
        """Go to the notebook (again) and wait until its cells and its kernel are there."""
        place = "lab/tree" if self.app == "lab" else "notebooks"
        reset = "&reset" if self.app == "lab" else ""
        self.page.goto(f"{self.server.base}/{place}/{self.name}.ipynb?token={self.server.token}{reset}")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")
        self.page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.content?.widgets?.length")
        if kernel:
            self.page.evaluate(_KERNEL_READY)

    def run(self, cell: int, *, wait: bool = True) -> None:
        """Run a cell through the application's own command; returns when it has finished, raises if it failed."""
        self.page.evaluate(_RUN_CELL, [cell, wait])
        if wait:
            self.check(cell)

    def run_all(self) -> None:
        """Run every cell."""
        for cell in range(self.page.evaluate("jupyterapp.shell.currentWidget.content.widgets.length")):
            self.run(cell)

    def check(self, cell: int) -> None:
        """Raise if a cell ended in an error."""
        for output in self.outputs(cell):
            if output["output_type"] == "error":
                raise RuntimeError(f"cell {cell} failed: {output['ename']}: {output['evalue']}")

    def outputs(self, cell: int) -> list[dict[str, Any]]:
        """The outputs of a cell as the notebook format has them, on screen or not."""
        return self.page.evaluate(_OUTPUTS, cell)

    def printed(self, cell: int) -> str:
        """What a cell has printed."""
        return "".join(output["text"] for output in self.outputs(cell) if output["output_type"] == "stream")

    def python(self, code: str) -> str:
        """What code prints, run in the kernel beside the cells; the reply waits for a running cell."""
        out = self.page.evaluate(_EXECUTE, code)
        if out["error"]:
            raise RuntimeError(out["error"])
        return str(out["text"]).strip()

    def cell(self, i: int) -> Locator:
        """The element of a cell, while it is in the document."""
        return self.page.locator(f".jp-Notebook .jp-Cell[data-windowed-list-index='{i}']")

    def scroll(self, cell: int) -> None:
        """Bring a cell onto the screen; those far from it may leave the document."""
        self.page.evaluate("i => jupyterapp.shell.currentWidget.content.scrollToItem(i)", cell)
        self.cell(cell).wait_for()

    def figure(self, cell: int, n: int = 0) -> Locator:
        """The host element of the n-th live figure of a cell; waits until it is drawn."""
        figure = self.cell(cell).locator("[data-mechviz-live=true]").nth(n)
        figure.and_(self.page.locator("[data-mechviz-drawn=true]")).wait_for()
        return figure

    def twin(self, cell: int) -> Frame:
        """The document of a cell's frozen twin; waits until its figure is drawn."""
        element = self.cell(cell).locator(".mechviz-twin iframe").element_handle()
        frame = element.content_frame()
        assert frame is not None
        frame.wait_for_selector("[data-mechviz-drawn=true]")
        return frame

    def drawn(self) -> list[float]:
        """When each live figure of this page was drawn, in seconds since 1970."""
        return self.page.evaluate("mechvizDrawn")

    def visible(self, cell: int) -> list[str]:
        """Which of "live", "twin", "still" and "error" a reader sees below a cell, in order."""
        return self.cell(cell).evaluate(_VISIBLE)

    def save(self) -> dict[str, Any]:
        """Save the notebook; returns the file as it is now."""
        self.page.evaluate("async () => { await jupyterapp.shell.currentWidget.context.save() }")
        return json.loads((self.server.folder / f"{self.name}.ipynb").read_text())

    def trust(self) -> None:
        """Say that the notebook's outputs may run, as its reader does in a dialog; the application asks for nothing."""
        self.page.evaluate(_TRUST)
        self.load()

    def theme(self, name: str) -> None:
        """Switch the application's theme, such as "JupyterLab Dark"."""
        self.page.evaluate(
            "async name => { await jupyterapp.commands.execute('apputils:change-theme', {theme: name}) }", name
        )

    def shut_down(self) -> None:
        """Close the tab and end the kernel."""
        self.page.context.close()
        self.server.end_kernels(f"{self.name}.ipynb")

    def screenshot(self, path: Path | str) -> None:
        """A picture of the tab."""
        self.page.screenshot(path=path)


_TRUST = """async () => {
  const {content, context} = jupyterapp.shell.currentWidget;
  for (const cell of content.model.cells) cell.trusted = true;
  await context.save();
}"""
# The coloured circle that says idle is a race: ask the kernel itself.
_KERNEL_READY = """async () => {
  for (let i = 0; i < 300; i++) {
    const context = jupyterapp.shell.currentWidget?.sessionContext;
    if (context) {
      await context.ready;
      const kernel = context.session?.kernel;
      if (kernel) { await kernel.info; return; }
    }
    await new Promise(done => setTimeout(done, 100));
  }
  throw new Error('no kernel came up');
}"""
_RUN_CELL = """async ([i, wait]) => {
  const notebook = jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = i;
  notebook.deselectAll();
  const running = jupyterapp.commands.execute('notebook:run-cell');
  if (wait) await running;
}"""
_OUTPUTS = "cell => jupyterapp.shell.currentWidget.content.widgets[cell].model.outputs.toJSON()"
_EXECUTE = """async code => {
  const out = {text: '', error: ''};
  const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const future = kernel.requestExecute({code, store_history: false});
  future.onIOPub = ({header, content}) => {
    if (header.msg_type === 'stream') out.text += content.text;
    if (header.msg_type === 'execute_result') out.text += content.data['text/plain'];
    if (header.msg_type === 'error') out.error = content.ename + ': ' + content.evalue;
  };
  await future.done;
  return out;
}"""
_VISIBLE = """cell => {
  const shown = element => element.checkVisibility({visibilityProperty: true}) && element.getBoundingClientRect().height > 1;
  const kinds = [['live', '[data-mechviz-live=true]'], ['twin', '.mechviz-twin iframe'], ['still', '.mechviz-still']];
  const found = [];
  for (const [kind, selector] of kinds)
    for (const element of cell.querySelectorAll(selector)) if (shown(element)) found.push(kind);
  // The picture lies under the page that covers it.
  const seen = found.includes('twin') ? found.filter(kind => kind !== 'still') : found;
  const words = [...cell.querySelectorAll('.jp-OutputArea-output')].filter(shown).map(output => output.innerText);
  if (words.some(text => /rror displaying|Loading widget/.test(text))) seen.push('error');
  return seen;
}"""


@contextlib.contextmanager
def marimo(path: Path, cells: Sequence[str], *, mode: Literal["run", "edit"] = "run") -> Iterator[str]:
    """A marimo server of a notebook with these cells; yields its address."""
    bodies = ["\n".join(f"    {line}" for line in cell.splitlines()) for cell in cells]
    made = "\n\n".join(f"@app.cell\ndef _():\n{body}\n    return" for body in bodies)
    path.write_text(f"import marimo\n\napp = marimo.App()\n\n\n{made}\n\n\nif __name__ == '__main__':\n    app.run()\n")
    port = _free_port()
    command = [sys.executable, "-m", "marimo", mode, str(path), "--headless", "--no-token", f"--port={port}"]
    command += ["--host=127.0.0.1", *(["--skip-update-check"] if mode == "edit" else [])]
    base = f"http://127.0.0.1:{port}"
    environment = {
        "XDG_CONFIG_HOME": str(path.parent),
        "XDG_STATE_HOME": str(path.parent),
        "XDG_CACHE_HOME": str(path.parent),
    }
    with _serving(command, f"{base}/health", path.with_suffix(".log"), environment):
        yield base


@contextlib.contextmanager
def _serving(command: list[str], address: str, log: Path, environment: dict[str, str]) -> Iterator[None]:
    """A server in a process group of its own, which ends with the block."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **environment}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)
    try:
        wait_until(lambda: _answers(address) or process.poll() is not None, seconds=60)
        if process.poll() is not None:
            raise RuntimeError(f"{command[2]} did not start:\n{log.read_text()[-3000:]}")
        yield
    finally:
        # The group holds the kernels too.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def wait_until(condition: Callable[[], Any], *, seconds: float = 15.0) -> Any:
    """The first true value of a condition."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"nothing after {seconds} s; the last value was {value!r}")
        time.sleep(0.05)
    return value


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as reply:
            return reply.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
