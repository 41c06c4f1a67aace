"""Saved pages with users' components: small, closed, and the same views as everywhere."""

from __future__ import annotations

import base64
import gzip
import http.server
import json
import re
import threading

import numpy as np
import pytest

import mechviz as mv
from mechviz import notebook
from mechviz.bundle import script_with

SMALL = "<script>let { n = 1 } = $props();</script><p>{n}</p>"


@pytest.mark.parametrize("ours", ["tokens", "heatmap"])  # of the plain bundle, and of the larger one
def test_a_component_adds_at_most_60_kb_once(ours, write):
    Small = mv.svelte(write(Small_svelte=SMALL))
    view = mv.tokens(["a"], [1]) if ours == "tokens" else mv.heatmap(np.zeros((2, 3)))
    plain = len(mv.page("t", [view]).to_html())
    one = len(mv.page("t", [view, Small()]).to_html())
    three = len(mv.page("t", [view, Small(), Small(n=2), Small(n=3)]).to_html())
    print(f"{one - plain} bytes for the first, {(three - one) // 2} for each more")
    assert one - plain < 60_000
    assert three - one < 2_000


def test_a_component_beside_a_matrix(write, page):
    page.open(mv.column(mv.svelte(write(Small_svelte=SMALL))(n=5), mv.heatmap(np.eye(3))))
    page.reads("5")
    page.page.locator("canvas").first.wait_for()
    assert page.alert.count() == 0 and page.console == []


def test_two_figures_of_ours_and_theirs_share_one_script(write, page):
    Small = mv.svelte(write(Small_svelte=SMALL))
    document = mv.page("t", [mv.tokens(["a"], [1]), Small(n=7), mv.row(Small(n=8), mv.tokens(["b"], [1]))])
    document.save(page.folder / "page.html")
    page.page.goto((page.folder / "page.html").as_uri())
    page.component.nth(1).wait_for()
    assert page.component.all_inner_texts() == ["7", "8"]
    assert page.page.get_by_role("option").count() == 2
    assert page.page.locator("script[type=module]").count() == 1


def test_the_policy_allows_the_one_script_by_its_hash_and_nothing_else(write, page):
    view = mv.svelte(write(Small_svelte=SMALL))()
    html = view.to_html()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy and "unsafe-inline" not in policy.split("style-src")[0] and "http" not in policy
    packed = re.search(r'id="mechviz-bundle">([^<]*)<', html)[1]
    script = gzip.decompress(base64.b64decode(packed)).decode()
    assert script == script_with(view.code())
    assert "Small.svelte" in script
    page.open(view)
    assert page.text == "1"
    # The twin that proves it: the same page with another script does not draw.
    other = base64.b64encode(gzip.compress((script + " ").encode())).decode()
    (page.folder / "page.html").write_text(html.replace(packed, other))
    page.page.goto((page.folder / "page.html").as_uri())
    page.page.wait_for_timeout(400)
    assert page.component.count() == 0


REACHES = """
<script>
  let { to } = $props();
  const tries = {
    fetch: () => fetch(to),
    beacon: () => navigator.sendBeacon(to, 'x'),
    image: () => { new Image().src = to; },
    socket: () => { new WebSocket(to.replace('http', 'ws')); },
    stream: () => { new EventSource(to); },
    script: () => document.head.append(Object.assign(document.createElement('script'), { src: to })),
    style: () => document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: to })),
    frame: () => document.body.append(Object.assign(document.createElement('iframe'), { src: to })),
    module: () => (0, eval)(`import('${to}')`),
    worker: () => { new Worker(URL.createObjectURL(new Blob([`fetch('${to}')`]))); },
    leave: () => { location.href = to; },
    form: () => { const f = document.createElement('form'); f.action = to; document.body.append(f); f.submit(); },
  };
  let done = $state(0);
  async function go() {
    for (const attempt of Object.values(tries)) {
      try { await attempt(); } catch { /* refused: as it should be */ }
      done += 1;
    }
  }
</script>
<button onclick={go}>{done} of {Object.keys(tries).length}</button>
"""


@pytest.fixture
def server():
    """A server that writes down what is asked of it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(204)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}/x", asked
    running.shutdown()
    thread.join()
    running.server_close()


def test_a_component_in_a_page_reaches_no_network(write, page, server):
    address, asked = server
    view = mv.svelte(write(Reaches_svelte=REACHES))(to=address)
    page.open(view)
    # Not click(): it waits for the navigation that is refused.
    page.page.get_by_role("button").evaluate("button => button.click()")
    page.reads("12 of 12")
    page.page.wait_for_timeout(400)
    assert asked == []
    assert page.page.url.startswith("file:")
    # The twin that proves it: without the policy the same component is heard.
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", view.to_html())
    (page.folder / "open.html").write_text(html)
    page.page.goto((page.folder / "open.html").as_uri())
    page.page.get_by_role("button").evaluate("button => button.click()")
    page.page.wait_for_timeout(600)
    assert len(asked) >= 4


def test_the_frozen_twin_draws_it_and_its_still_names_it(write, page):
    Small = mv.svelte(write(Small_svelte=SMALL), height=123)
    view = Small(n=np.arange(3))
    twin = view._twin()
    assert twin.height == 123
    assert "Small" in view.still() and "array of shape (3)" in view.still()
    assert "<script" not in view.still()
    (page.folder / "twin.html").write_text(f"<!doctype html><body>{notebook.Twin.to_html(twin)}", encoding="utf-8")
    page.page.goto((page.folder / "twin.html").as_uri())
    page.page.frame_locator("iframe").locator("[data-mechviz-component]").wait_for(state="attached")


def test_selection_links_components_with_our_views(write, page):
    Picks = mv.svelte(
        write(
            Picks_svelte="""
            <script>
              import { getFigure } from 'mechviz';
              const figure = getFigure();
            </script>
            <button onclick={() => figure.pick({ positions: [1] })}>{figure.selection.positions} {figure.hover.position}</button>"""
        )
    )
    page.open(mv.column(Picks(), mv.tokens(["a", " b", " c"], [1, 2, 3])))
    option = page.page.get_by_role("option")
    page.page.get_by_role("button").first.click()
    assert option.nth(1).get_attribute("aria-selected") == "true"
    option.nth(2).click()
    page.reads("2 2")


def test_notes_stand_below_a_component(write, page):
    view = mv.svelte(write(Small_svelte=SMALL))()
    page.open(mv.column(view.note("one is <b>small</b>"), mv.tokens(["a"], [1])))
    page.page.get_by_text("one is <b>small</b>", exact=True).wait_for()


def test_keys_that_a_frame_has_no_use_for_reach_the_component_and_text_can_be_written(write, page):
    path = write(
        Keys_svelte="""
        <script>
          import { Frame } from 'mechviz';
          let pressed = $state('');
          let text = $state('');
        </script>
        <Frame title="Keys">
          <div role="slider" tabindex="0" aria-valuenow="0" onkeydown={(event) => (pressed += event.key)}>here</div>
          <textarea bind:value={text}></textarea>
          <output>{pressed} {text}</output>
        </Frame>"""
    )
    shown = page.show(path).page
    shown.get_by_role("slider").focus()
    for key in ("Escape", "a"):
        shown.keyboard.press(key)
    shown.get_by_role("textbox").press_sequentially("f?x")
    shown.get_by_text("Escapea f?x", exact=True).wait_for()
    assert shown.evaluate("document.fullscreenElement") is None
    # The frame has its own keys all the same: ? opens the list of them, and Escape then closes it.
    shown.get_by_role("slider").focus()
    shown.keyboard.press("?")
    shown.get_by_text("this list").wait_for()
    shown.keyboard.press("Escape")
    shown.get_by_text("this list").wait_for(state="hidden")
    shown.get_by_text("Escapea f?x", exact=True).wait_for()


def test_components_follow_the_theme_and_css_beside_them_stays_inside(write, page):
    path = write(
        Themed_svelte="""
        <script>
          import './themed.css';
          import { colorScale, getFigure } from 'mechviz';
          const color = colorScale({ ramp: 'ink', limits: [0, 1] });
          const figure = getFigure();
        </script>
        <p class="themed">{figure.theme} {color.fill(0)} {color.fill(1)}</p>""",
        themed_css="p { letter-spacing: 3px }\n@media (min-width: 1px) { .themed { word-spacing: 5px } }",
    )
    page.open(mv.column(mv.svelte(path)(), mv.tokens(["a"], [1])))
    assert page.text == "light rgb(242 244 246) rgb(17 40 84)"  # the ends of ink in tokens.css
    spacing = "element => getComputedStyle(element).letterSpacing + ' ' + getComputedStyle(element).wordSpacing"
    assert page.component.locator("p").evaluate(spacing) == "3px 5px"
    assert page.page.locator("p.provenance").first.evaluate(spacing) == "normal 0px"
    page.page.evaluate("document.documentElement.style.background = '#111'")
    page.reads("dark rgb(28 32 37) rgb(217 234 252)")


def test_the_bundle_carries_just_the_names_that_are_checked_when_a_component_is_linked(write, page):
    from mechviz._svelte.compiler import exports

    names = exports()
    imports = "\n".join(f"import * as m{i} from {json.dumps(module)};" for i, module in enumerate(names))
    shown = ", ".join(f"Object.keys(m{i}).filter((name) => m{i}[name] !== undefined)" for i in range(len(names)))
    page.show(write(All_svelte=f"<script>{imports}</script><pre>{{JSON.stringify([{shown}])}}</pre>"))
    there = dict(zip(names, json.loads(page.text), strict=True))
    for module, listed in names.items():
        assert set(listed) <= set(there[module]), module
    # What we leave out on purpose: Svelte's own are for servers and experiments.
    extra = {module: sorted(set(there[module]) - set(listed)) for module, listed in names.items()}
    assert {m: e for m, e in extra.items() if e} == {
        "svelte": ["fork", "hydratable", "hydrate", "settled" if "settled" not in names["svelte"] else "hydrate"][:3]
    }
