"""What a display emits, by host and by mode, and what crosses the comm; no browser and no kernel."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from seen import EMITTED, markdown

import mechviz as mv
from mechviz import bundle, notebook, widget, worker
from mechviz.notebook import WIDGET_MIME, Twin

WORDS = [f" t{i}" for i in range(512)]


def pattern(heads: int, tokens: int) -> np.ndarray:
    scores = np.random.default_rng(0).normal(0, 1.5, (heads, tokens, tokens)).astype(np.float32)
    weights = np.exp(np.where(np.tri(tokens, dtype=bool), scores, -np.inf))
    return weights / weights.sum(-1, keepdims=True)


class Sent(list):
    """Every message of every widget: (method, state or content, bytes)."""

    @property
    def bytes(self) -> int:
        return sum(size for _, _, size in self)


@pytest.fixture
def sent(monkeypatch) -> Sent:
    """A comm that writes down."""
    messages = Sent()

    class Comm:
        kernel = "there"

        def __init__(self, target_name, data, buffers=(), **_):
            self.comm_id = f"comm-{len(messages)}"
            self.send({"method": "open", **data}, buffers=buffers)

        def send(self, data, buffers=(), **_):
            size = sum(memoryview(buffer).nbytes for buffer in buffers or ())
            messages.append((data["method"], data.get("state", data.get("content")), size))

        def on_msg(self, callback):
            self.receive = callback

        def close(self, **_):
            pass

    monkeypatch.setattr("comm.create_comm", lambda **given: Comm(**given))
    return messages


@pytest.fixture
def in_host(monkeypatch):
    """Pretends to be in a notebook host."""
    monkeypatch.setattr(notebook, "_mode", None)
    monkeypatch.delenv("MECHVIZ_OUTPUT", raising=False)

    def enter(name: str) -> None:
        shell = types.SimpleNamespace(kernel=object(), user_ns={})
        if name == "terminal":
            del shell.kernel
        if name == "vscode":
            shell.user_ns["__vsc_ipynb_file__"] = "x.ipynb"
        if name == "colab":
            monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
        monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))

    return enter


def bundles(view) -> list[dict]:
    """What displaying a view emits."""
    return list(notebook.bundles(lambda: view.widget, view._twin, repr(view)))


def kinds(view) -> list[set[str]]:
    return [set(emitted) for emitted in bundles(view)]


WIDGET, HTML, TEXT = WIDGET_MIME, "text/html", "text/plain"
MIMES = {"widget": WIDGET, "page": HTML}


def test_each_host_is_given_what_it_shows_once(in_host, sent):
    view = mv.tokens(["a", " b"], [1.0, 2.0])
    # Colab last: nothing takes the pretended module away before the test ends.
    for host in sorted(EMITTED, key="colab".__eq__):
        in_host(host)
        assert notebook.host() == host
        for mode, outputs in EMITTED[host].items():
            mv.output(mode)
            expected = [{TEXT, *(MIMES[kind] for kind in kind.split("|"))} for kind in outputs] or [{TEXT}]
            assert kinds(view) == expected, (host, mode)


def test_the_documentation_says_what_these_tests_expect():
    page = Path(__file__).parents[2] / "docs" / "hosts.md"
    assert page.read_text(encoding="utf-8") == markdown(), "run: python tests/hosts/seen.py > docs/hosts.md"


def test_a_static_picture_needs_no_widget_and_the_call_says_more_than_the_environment(in_host, sent, monkeypatch):
    view = mv.tokens(["a", " b"], [1.0, 2.0])
    in_host("jupyter")
    monkeypatch.setenv("MECHVIZ_OUTPUT", "static")
    assert kinds(view) == [{HTML, TEXT}]
    assert sent == []
    mv.output("live")
    assert mv.output() == "live"
    assert kinds(view) == [{WIDGET, TEXT}]


def test_a_wrong_mode_is_refused_by_name(in_host, monkeypatch):
    with pytest.raises(ValueError, match="mode must be one of auto, live, static; got 'dynamic'"):
        mv.output("dynamic")
    monkeypatch.setenv("MECHVIZ_OUTPUT", "no")
    with pytest.raises(ValueError, match="MECHVIZ_OUTPUT must be one of auto, live, static; got 'no'"):
        mv.output()


def test_the_live_picture_is_emitted_before_its_twin_is_made(in_host, sent):
    in_host("jupyter")
    view = mv.tokens(["a"], [1.0])
    made = []
    emitted = notebook.bundles(lambda: view.widget, lambda: made.append(1) or view._twin(), repr(view))
    assert WIDGET in next(emitted)
    assert made == []
    next(emitted)
    assert made == [1]


def test_a_missing_bundle_is_a_message_in_every_host(in_host, monkeypatch, tmp_path):
    monkeypatch.setattr(notebook, "BUNDLE", tmp_path / "none.js")
    in_host("jupyter")
    assert bundles(mv.tokens(["a"], [1.0])) == [{TEXT: bundle.MISSING}]
    assert "export default" in widget._NO_BUNDLE
    assert json.dumps(bundle.MISSING) in widget._NO_BUNDLE
    monkeypatch.setattr(bundle, "BUNDLE", tmp_path / "none.js")
    with pytest.raises(FileNotFoundError, match="make bundle"):
        mv.tokens(["a"], [1.0]).to_html()


def test_the_twin_of_a_large_pattern_is_small_and_says_what_it_kept():
    html = mv.attention(WORDS, pattern(12, 512))._twin().to_html()
    assert len(html) < 700_000  # one head of 12 as float16, the thumbnails and the lab bundle; the limit is 1.5 MB
    assert len(html) < notebook.TWIN_BYTES
    kept = json.loads(
        html.split('type="application/json">')[1].split("</script>")[0].replace("&#39;", "'").replace("&amp;", "&")
    )
    heads = [header for header in kept["arrays"].values() if header["shape"] == [512, 512]]
    assert len(heads) == 12
    assert sum(not header.get("absent", False) for header in heads) == 1


def test_the_twin_of_a_small_pattern_keeps_every_head():
    html = mv.attention(WORDS[:16], pattern(12, 16))._twin().to_html()
    assert '"absent"' not in html


def test_a_twin_that_is_too_large_is_its_still_and_says_so():
    html = Twin("x" * 2_000_000, "<b>still</b>", 300, "t").to_html()
    assert len(html) < 2_000
    assert "<b>still</b>" in html
    assert "larger than 1.5 MB" in html
    assert "iframe" not in html


def test_displaying_sends_an_array_once_and_options_send_none(sent):
    weights = pattern(12, 64)
    one = mv.attention(WORDS[:64], weights)
    row = mv.row(one, mv.attention(WORDS[:64], weights, title="the same"), mv.tokens(WORDS[:64], weights[0, -1]))
    assert sent == []
    row.widget  # noqa: B018
    alone = mv.attention(WORDS[:64], weights)
    first = sent.bytes
    alone.widget  # noqa: B018
    assert first < 1.1 * (sent.bytes - first)  # two views of one array cost what one costs

    del sent[:]
    one.update(title="Another", limits=(0, 0.5))
    assert [method for method, *_ in sent] == ["update"]
    assert list(sent[0][1]) == ["figure"]
    assert sent.bytes == 0


def test_arrays_opened_later_are_sent_when_asked_for_and_errors_name_theirs(sent):
    view = mv.attention(WORDS, pattern(12, 512))
    opened = view.widget
    lazy = [id for id, header in opened.figure["arrays"].items() if header.get("lazy")]
    assert len(lazy) == 11
    del sent[:]
    question = {"method": "custom", "content": {"type": "arrays", "ids": [lazy[3], "no"]}}
    opened.comm.receive({"content": {"data": question}, "buffers": []})
    (_, array, size), (_, error, _) = sent
    assert (array["type"], array["id"]) == ("array", lazy[3])
    assert size == 512 * 513 // 2 * 2  # the lower triangle as float16
    assert (error["type"], error["id"]) == ("error", "no")
    assert "not in this figure" in error["message"]


def test_handlers_only_enqueue(sent, monkeypatch):
    queued = []
    monkeypatch.setattr(worker, "submit", lambda job, **_: queued.append(job))
    view = mv.attention(WORDS[:8], pattern(2, 8))
    opened, heard = view.widget, []
    view.on_select(lambda selection: heard.append(selection.heads))
    del sent[:]
    opened._on_message(
        opened, {"type": "ask", "seq": 1, "view": "0", "name": "value", "args": {"head": 0, "query": 3}}, []
    )
    opened.set_state({"selection": {"heads": [1]}})
    view.update(title="x")
    view.update(title="y")
    assert [method for method, *_ in sent] == ["echo_update"]  # ipywidgets' own
    assert view.selection.heads == [1]  # known at once, to the next cell too
    assert len(queued) == 3  # the answer, the callback, and one refresh for two updates
    for job in queued:
        job()
    assert heard == [[1]]
    assert [content["type"] for method, content, _ in sent if method == "custom"] == ["reply"]


def test_a_refused_selection_changes_nothing(sent, caplog):
    view = mv.tokens(["a"], [1.0])
    view.widget.set_state({"selection": {"positions": [-3]}})
    assert view.selection.positions == []
    assert "refused" in caplog.text


def test_surrogates_and_nul_survive_the_trip(sent):
    view = mv.tokens(["\ud800", "\0", "</script>"], [1.0, 2.0, 3.0], title="\udfff </script>")
    view.widget  # noqa: B018
    text = json.dumps([state for _, state, _ in sent], default=lambda _: None, ensure_ascii=False)
    text.encode("utf-8")  # a lone surrogate would raise
    assert "⟨U+D800⟩" in text
