"""Broken components: each gives one readable error with its place, and everything beside it goes on working."""

from __future__ import annotations

import re

import pytest

import mechviz as mv

# What is wrong -> files, place of the error, words of it. Found before anything is drawn.
WRONG: dict[str, tuple[dict[str, str | bytes], str, str]] = {
    "a JavaScript slip": (
        {"Bad.svelte": "<script>\n  let a = 1;\n  let b = a +* 2;\n</script>"},
        "Bad.svelte:3:14",
        "Unexpected token",
    ),
    "an unclosed string": ({"Bad.svelte": "<script>\nlet a = 'x;\n</script>"}, "Bad.svelte:2:9", "Unterminated string"),
    "an element that was not open": (
        {"Bad.svelte": "<b>x</b>\n</div>"},
        "Bad.svelte:2:1",
        "attempted to close an element",
    ),
    "an unclosed block": ({"Bad.svelte": "{#if true}\n<p>x</p>"}, "Bad.svelte:1:1", "Block was left open"),
    "an unknown block": ({"Bad.svelte": "<p>x</p>\n{#loop x}{/loop}"}, "Bad.svelte:2:3", "Expected"),
    "CSS that is none": ({"Bad.svelte": "<p>x</p>\n<style>\np { color: red; } }\n</style>"}, "Bad.svelte:3", ""),
    "an unknown rune": ({"Bad.svelte": "<script>\nlet a = $stat(1);\n</script>"}, "Bad.svelte:2:9", "$stat"),
    "a rune out of place": (
        {"Bad.svelte": "<script>\nfunction f() { return $state(1); }\n</script>"},
        "Bad.svelte:2:23",
        "$state",
    ),
    "an assignment to a constant": (
        {"Bad.svelte": "<script>\nconst a = 1;\nfunction f() { a = 2; }\n</script>"},
        "Bad.svelte:3:16",
        "constant",
    ),
    "export let beside runes": (
        {"Bad.svelte": "<script>\nlet n = $state(1);\nexport let a;\n</script>"},
        "Bad.svelte:3:1",
        "export let",
    ),
    "$props() twice": (
        {"Bad.svelte": "<script>\nlet {a} = $props();\nlet {b} = $props();\n</script>"},
        "Bad.svelte:3",
        "$props",
    ),
    "an unknown binding": (
        {"Bad.svelte": "<script>let x = $state();</script>\n<p bind:colour={x}>x</p>"},
        "Bad.svelte:2:4",
        "colour",
    ),
    "duplicate attributes": ({"Bad.svelte": '<p id="a" id="b">x</p>'}, "Bad.svelte:1:11", "unique"),
    "TypeScript without its lang": (
        {"Bad.svelte": "<script>\nlet a: number = 1;\n</script>"},
        "Bad.svelte:2:6",
        "Unexpected token",
    ),
    "an enum": ({"Bad.svelte": '<script lang="ts">\nenum E { A }\n</script>'}, "Bad.svelte:2:1", "enum"),
    "an npm package": (
        {"Bad.svelte": "<script>\n  import * as d3 from 'd3';\n</script>"},
        "Bad.svelte:2:23",
        "npx esbuild d3 --bundle --format=esm --outfile=d3.js",
    ),
    "an address": (
        {"Bad.svelte": "<script>\nimport x from 'https://example.org/x.js';\n</script>"},
        "Bad.svelte:2:15",
        "nothing from a network",
    ),
    "a file that is not there": (
        {"Bad.svelte": "<script>\nimport C from './Chrat.svelte';\n</script>", "Chart.svelte": "<p>x</p>"},
        "Bad.svelte:2:15",
        "did you mean './Chart.svelte'?",
    ),
    "a file of another kind": (
        {"Bad.svelte": "<script>\nimport C from './data.csv';\n</script>", "data.csv": "1,2"},
        "Bad.svelte:2:15",
        "only .svelte",
    ),
    "a name that a file does not export": (
        {"Bad.svelte": "<script>\nimport {\n  smoth } from './m.js';\n</script>", "m.js": "export const smooth = 1;"},
        "Bad.svelte:3:3",
        "did you mean 'smooth'?",
    ),
    "a name that mechviz does not export": (
        {"Bad.svelte": "<script>\nimport { Heatmap } from 'mechviz';\n</script>"},
        "Bad.svelte:2:10",
        "did you mean 'HeatMap'?",
    ),
    "no default export": (
        {"Bad.svelte": "<script>\nimport m from './m.js';\n</script>", "m.js": "export const a = 1;"},
        "Bad.svelte:2:15",
        "no default export",
    ),
    "a circle of files": (
        {
            "Bad.svelte": "<script>import A from './A.svelte';</script>",
            "A.svelte": "<script>\nimport B from './B.js';\n</script>",
            "B.js": "import C from './A.svelte';\nexport default C;",
        },
        "B.js:1:15",
        "A.svelte → B.js → A.svelte",
    ),
    "a slip in a child": (
        {"Bad.svelte": "<script>import C from './C.svelte';</script>", "C.svelte": "<p>\n{#each}"},
        "C.svelte:2",
        "",
    ),
    "a slip in a script": (
        {"Bad.svelte": "<script>import './u.js';</script>", "u.js": "const a = ;"},
        "u.js:1:11",
        "Unexpected token",
    ),
    "a slip in TypeScript": (
        {"Bad.svelte": "<script>import { a } from './u.ts';</script>", "u.ts": "export const a: number =\n  ;"},
        "u.ts:2:3",
        "Unexpected token",
    ),
    "JSON that is none": (
        {"Bad.svelte": "<script>import d from './d.json';</script>", "d.json": '{"a": 1,\n b: 2}'},
        "d.json:2:2",
        "not JSON",
    ),
    "CSS beside it that is none": (
        {"Bad.svelte": "<script>import './s.css';</script>", "s.css": "p {\n  color"},
        "s.css:2",
        "",
    ),
    "Latin-1": ({"Bad.svelte": "<p>\ncafé</p>".encode("latin-1")}, "Bad.svelte:2:4", "UTF-8"),
    "UTF-16": ({"Bad.svelte": "<p>x</p>".encode("utf-16")}, "Bad.svelte:1:1", "UTF-16"),
    "import()": ({"Bad.svelte": "<script>\nconst f = () => import('./x.js');\n</script>"}, "Bad.svelte", "import(…)"),
    "await at the top of a module": (
        {"Bad.svelte": "<script>import { a } from './m.js';</script>", "m.js": "export const a =\n  await 1;"},
        "m.js:2:3",
        "await",
    ),
    "an export that is assigned to": (
        {
            "Bad.svelte": "<script>import { n } from './m.js';</script>",
            "m.js": "export let n = 0;\nexport const up = () => n++;",
        },
        "m.js:2:25",
        "`n` is exported and assigned to",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_found_when_it_is_compiled(wrong, tmp_path):
    files, place, words = WRONG[wrong]
    for name, text in files.items():
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(mv.SvelteError) as caught:
        mv.svelte(tmp_path / "Bad.svelte")
    error = caught.value
    head, *frame = error.frame.split("\n")
    assert head.startswith(place) and words in head, error.frame
    assert "\n" not in error.msg
    # IPython and editors read these.
    assert error.filename == str(tmp_path / place.split(":")[0])
    if place.count(":") == 2:
        assert f"{error.file}:{error.lineno}:{error.offset}" == place
        assert frame[1].index("^") - len("      | ") == error.offset - 1


# What is wrong -> source, what to click, place of the error in Bad.svelte, words of it. Found in the browser.
FAILS: dict[str, tuple[str, str | None, str, str]] = {
    "throwing in the script": (
        "<script>\n  let x = undefined;\n  const y = x.length;\n</script>{y}",
        None,
        "3:15",
        "TypeError",
    ),
    "throwing in the template": (
        "<script>let x = $state(null);</script>\n<p>a</p>\n<b>{x.y}</b>",
        None,
        "3:7",
        "TypeError",
    ),
    "throwing in a block": (
        "<script>let xs = 5;</script>\n\n{#each xs.map((x) => x) as x}{x}{/each}",
        None,
        "3:11",
        "map is not a function",
    ),
    "throwing in $derived": (
        "<script>\nlet n = $state(1);\nlet d = $derived(n.x.y);\n</script>{d}",
        None,
        "3:22",
        "TypeError",
    ),
    "throwing in $effect": (
        "<script>\n$effect(() => {\n  throw new RangeError('too far');\n});\n</script>x",
        None,
        "3:9",
        "RangeError: too far",
    ),
    "throwing in onMount": (
        "<script>\nimport { onMount } from 'svelte';\nonMount(() => { nowhere(); });\n</script>x",
        None,
        "3:17",
        "nowhere is not defined",
    ),
    "throwing in an attachment": ("<i\n{@attach () => { null.x; }}></i>", None, "2", "TypeError"),
    "throwing in a click": (
        "<script>\nfunction go() {\n  throw new Error('clicked');\n}\n</script><button onclick={go}>go</button>",
        "button",
        "3:9",
        "clicked",
    ),
    "a promise that nobody catches": (
        "<script>\nasync function go() {\n  await 0;\n  throw new Error('late');\n}\n</script><button onclick={go}>go</button>",
        "button",
        "4:9",
        "late",
    ),
    "two items of one key": ("{#each [1, 1] as x, i\n(x)}<i>{i}</i>{/each}", None, "", "same key"),
    "a snippet that is undefined": ("<script>let s;</script>\n{@render s()}", None, "2:10", "s is not a function"),
    "an index outside an array": (
        "<script>\nimport { NdArray } from 'mechviz';\nconst a = new NdArray(new Float32Array(6), [2, 3]);\n</script>\n{a.at(2, 0)}",
        None,
        "5:4",
        "index 2 is outside axis 0 of shape (2, 3)",
    ),
}
GOOD = "<script>let n = $state(0);</script><button onclick={() => n++}>good {n}</button>"


@pytest.mark.parametrize("fails", FAILS)
def test_found_when_it_runs(fails, write, page, tmp_path):
    source, click, place, words = FAILS[fails]
    good, bad = mv.svelte(write(Good_svelte=GOOD)), mv.svelte(write(Bad_svelte=source))
    page.open(mv.column(good(), bad(), mv.tokens(["a", " b"], [1, 2])))
    if click:
        page.component.nth(1).get_by_role(click).click()
    page.alert.first.wait_for()
    assert page.alert.count() == 1
    said = page.alert.inner_text()
    assert words in said and "svelte.dev" not in said
    if place:
        assert said.startswith(f"Bad.svelte:{place}"), said
        row = source.split("\n")[int(place.split(":")[0]) - 1]
        assert row in said and "^" in said
    # What stands beside it works on.
    page.page.get_by_role("button", name="good 0").click()
    page.page.get_by_role("button", name="good 1").wait_for()
    page.page.get_by_role("option").nth(1).click()
    assert page.page.get_by_role("option").nth(1).get_attribute("aria-selected") == "true"


def test_a_slip_in_typescript_of_a_module_is_traced(write, page):
    path = write(
        Bad_svelte="<script>import { f } from './u.ts';</script>{f(null)}",
        u_ts="interface A { b: { c: number } }\n\nexport function f(a: A): number {\n  return a.b.c;\n}\n",
    )
    page.show(path)
    page.alert.wait_for()
    assert re.match(r"u\.ts:4:1[0-4]  TypeError", page.alert.inner_text()), page.alert.inner_text()


def test_keywords_are_checked(write):
    Thing = mv.svelte(write(Thing_svelte="<script>let { loss, width = 640 } = $props();</script>{loss}{width}"))
    with pytest.raises(TypeError, match=r"unexpected keyword 'los'; did you mean 'loss'\? It takes loss, width=640"):
        Thing(los=1)
    with pytest.raises(TypeError, match=r"Thing\(\) needs loss"):
        Thing(width=1)
    with pytest.raises(TypeError, match=r"positional"):
        Thing(1)
    with pytest.raises(TypeError, match=r"loss\[0\] must be data .*; got a function \(<lambda>\)"):
        Thing(loss=[lambda: 1])
    with pytest.raises(ValueError, match=r"\.svelte; got 'x\.txt'"):
        mv.svelte(write(x_txt="x"))
    with pytest.raises(FileNotFoundError, match="there is no"):
        mv.svelte("nowhere/Thing.svelte")
