"""Svelte's own features, one row each: a component of a user's, and what a page of it shows."""

from __future__ import annotations

import numpy as np
import pytest

# name -> (source, what it shows first, role and name to click, what it shows then)
FEATURES: dict[str, tuple[str, str, str | None, str | None]] = {
    "$state, $derived, events": (
        "<script>let n = $state(1); let twice = $derived(n * 2);</script><button onclick={() => n++}>{n} {twice}</button>",
        "1 2",
        "button",
        "2 4",
    ),
    "$state proxies, $state.snapshot": (
        "<script>let xs = $state([1]);</script>"
        "<button onclick={() => xs.push(xs.length + 1)}>{JSON.stringify($state.snapshot(xs))}</button>",
        "[1]",
        "button",
        "[1,2]",
    ),
    "$derived.by, $state.raw": (
        "<script>let x = $state.raw({a: 1}); let y = $derived.by(() => x.a + 1);</script>"
        "<button onclick={() => (x = {a: 5})}>{y}</button>",
        "2",
        "button",
        "6",
    ),
    "$effect and its clean-up": (
        "<script>let n = $state(0); let log = $state('');"
        "import {untrack} from 'svelte';"
        "$effect(() => { const was = n; untrack(() => log += `+${was}`); return () => untrack(() => log += `-${was}`); });"
        "</script><button onclick={() => n++}>{log}</button>",
        "+0",
        "button",
        "+0-0+1",
    ),
    "$effect.pre, $effect.tracking": (
        "<script>let seen = $state('no'); $effect.pre(() => { seen = $effect.tracking() ? 'yes' : 'no'; });</script>{seen}",
        "yes",
        None,
        None,
    ),
    "$props.id": ("<script>const id = $props.id();</script>{id.length > 0 ? 'id' : ''}", "id", None, None),
    "snippets with arguments, {@render}": (
        "{#snippet cell(a, b)}<b>{a}:{b}</b>{/snippet}{@render cell('x', 1)}{@render cell('y', 2)}",
        "x:1y:2",
        None,
        None,
    ),
    "{#if} {:else}": (
        "<script>let on = $state(false);</script><button onclick={() => (on = !on)}>{#if on}on{:else}off{/if}</button>",
        "off",
        "button",
        "on",
    ),
    "keyed {#each}, {:else}, destructuring": (
        "<script>let xs = $state([{id: 1, t: 'a'}, {id: 2, t: 'b'}]);</script>"
        "<button onclick={() => xs.reverse()}>{#each xs as {id, t}, i (id)}{i}{t}{:else}none{/each}</button>",
        "0a1b",
        "button",
        "0b1a",
    ),
    "{#key}": (
        "<script>let n = $state(0); let made = 0; const make = () => ++made;</script>"
        "<button onclick={() => n++}>{#key n}<i>{make()}</i>{/key}</button>",
        "1",
        "button",
        "2",
    ),
    "{#await}": (
        "<script>let p = Promise.resolve(7);</script>{#await p}wait{:then x}got {x}{/await}",
        "got 7",
        None,
        None,
    ),
    "{@const}": ("{#each [1, 2] as x}{@const y = x * x}{y};{/each}", "1;4;", None, None),
    "{@html}": ("{@html '<em>raw</em>'}", "raw", None, None),
    "bind:value": (
        "<script>let name = $state('a');</script><input aria-label='name' bind:value={name} />"
        "<button onclick={() => (name = 'b')}>{name}</button>",
        "a",
        "button",
        "b",
    ),
    "bind:checked, bind:group": (
        "<script>let on = $state(false); let pick = $state('x');</script>"
        "<label><input type='checkbox' bind:checked={on} />c</label>"
        "<label><input type='radio' bind:group={pick} value='x' />x</label>"
        "<label><input type='radio' bind:group={pick} value='y' />y</label> {on} {pick}",
        "cxy false x",
        "checkbox",
        "cxy true x",
    ),
    "bind:this, onMount, tick": (
        "<script>import {onMount, tick} from 'svelte'; let el; let tag = $state('');"
        "onMount(async () => { await tick(); tag = el.tagName; });</script><div bind:this={el}>{tag}</div>",
        "DIV",
        None,
        None,
    ),
    "bind:clientWidth": (
        "<script>let w = $state(0);</script><div style='width: 123px' bind:clientWidth={w}>{w}</div>",
        "123",
        None,
        None,
    ),
    "function bindings": (
        "<script>let v = $state('ab');</script>"
        "<input aria-label='v' bind:value={() => v, (x) => (v = x.toUpperCase())} /><button onclick={() => (v = 'z')}>{v}</button>",
        "ab",
        "button",
        "z",
    ),
    "class and style directives": (
        "<script>let on = true;</script><p class={['a', { b: on }]} class:c={on} style:width='50px' style:--x={3}>"
        "<span {@attach (el) => { el.textContent = el.parentElement.className.replace(/svelte\\S*/, '').trim() + el.parentElement.clientWidth; }}></span></p>",
        "a b c50",
        None,
        None,
    ),
    "{@attach} with clean-up": (
        "<script>let on = $state(true); let log = $state('');"
        "import {untrack} from 'svelte';"
        "const watch = (el) => { untrack(() => log += 'in '); return () => untrack(() => log += 'out'); };</script>"
        "<button onclick={() => (on = false)}>{log}</button>{#if on}<i {@attach watch}></i>{/if}",
        "in",
        "button",
        "in out",
    ),
    "use: actions": (
        "<script>const act = (el, text) => { el.textContent = text; };</script><i use:act={'acted'}></i>",
        "acted",
        None,
        None,
    ),
    "transition:, in:, animate:": (
        "<script>import {fade, fly} from 'svelte/transition'; import {flip} from 'svelte/animate'; let xs = $state([1, 2]);</script>"
        "<button onclick={() => xs.reverse()}>turn</button>"
        "{#each xs as x (x)}<i style='display: inline-block' in:fly={{y: 5, duration: 10}} out:fade animate:flip={{duration: 10}}>{x}</i>{/each}",
        "turn12",
        "button",
        "turn21",
    ),
    "transition leaves the page": (
        "<script>import {slide} from 'svelte/transition'; let on = $state(true);</script>"
        "<button onclick={() => (on = false)}>x</button>{#if on}<p transition:slide={{duration: 20}}>gone</p>{/if}",
        "x gone",
        "button",
        "x",
    ),
    "svelte/motion": (
        "<script>import {Tween} from 'svelte/motion'; const t = new Tween(0, {duration: 10});</script>"
        "<button onclick={() => t.set(4)}>{t.current}</button>",
        "0",
        "button",
        "4",
    ),
    "svelte/reactivity": (
        "<script>import {SvelteMap} from 'svelte/reactivity'; const m = new SvelteMap([['a', 1]]);</script>"
        "<button onclick={() => m.set('b', 2)}>{[...m.keys()].join()}</button>",
        "a",
        "button",
        "a,b",
    ),
    "svelte/store and $store": (
        "<script>import {writable} from 'svelte/store'; const n = writable(1);</script><button onclick={() => $n++}>{$n}</button>",
        "1",
        "button",
        "2",
    ),
    "svelte/easing, svelte/events": (
        "<script>import {cubicOut} from 'svelte/easing'; import {on} from 'svelte/events'; let n = $state(0);"
        "const listen = (el) => on(el, 'click', () => n++);</script><button {@attach listen}>{cubicOut(1)} {n}</button>",
        "1 0",
        "button",
        "1 1",
    ),
    "<svelte:boundary>": (
        "<script>const bad = () => { throw new Error('inner'); };</script>"
        "<svelte:boundary>{bad()}{#snippet failed(e)}caught {e.message}{/snippet}</svelte:boundary>",
        "caught inner",
        None,
        None,
    ),
    "<svelte:element>, dynamic component": (
        "<script>import {Tooltip} from 'mechviz'; const Thing = Tooltip;</script>"
        "<svelte:element this={'b'}>el</svelte:element><Thing x={0} y={0}>dyn</Thing>",
        "el dyn",
        None,
        None,
    ),
    "<svelte:window> and <svelte:document>": (
        "<script>let w = $state(0); let key = $state('-');</script><svelte:window bind:innerWidth={w} onmechviz={() => (key = 'yes')} />"
        "<svelte:document onclick={() => (key = 'doc')} /><button>{w} {key}</button>",
        "900 -",
        "button",
        "900 doc",
    ),
    "scoped CSS": (
        "<p>x</p><i {@attach (el) => { el.textContent = getComputedStyle(el.previousElementSibling).color; }}></i>"
        "<style>p { color: rgb(1, 2, 3) }</style>",
        "x rgb(1, 2, 3)",
        None,
        None,
    ),
    "<svelte:options runes>": (
        "<svelte:options runes={true} /><script>let n = $state(3);</script>{n}",
        "3",
        None,
        None,
    ),
    "context between components": (
        "<script>import {createContext} from 'svelte'; const [get, set] = createContext(); set('ctx');</script>{get()}",
        "ctx",
        None,
        None,
    ),
    "classes with $state fields": (
        "<script>class C { n = $state(1); d = $derived(this.n + 1); up = () => this.n++; } const c = new C();</script>"
        "<button onclick={c.up}>{c.n} {c.d}</button>",
        "1 2",
        "button",
        "2 3",
    ),
    "TypeScript": (
        '<script lang="ts">interface P { a?: number } let { a = 2 }: P = $props();'
        "type K = keyof P; const f = <T,>(x: T): T => x; let n = $state<number>(f(a)!) as number;"
        "function g(this: void, k: K) { return k satisfies string; }</script>{n} {g('a')}{(n as number) + 1}",
        "2 a3",
        None,
        None,
    ),
    "Svelte 4: export let, $:, on:click, slots": (
        "<script>export let a = 1; $: b = a * 10;</script><button on:click={() => (a += 1)}>{a} {b}</button>",
        "1 10",
        "button",
        "2 20",
    ),
    "Svelte 4: lifecycle, dispatcher": (
        "<script>import {onMount, createEventDispatcher} from 'svelte'; const say = createEventDispatcher(); let t = '';"
        "onMount(() => { t = 'up'; say('hi'); });</script>{t}",
        "up",
        None,
        None,
    ),
    "module script": (
        "<script module>let made = 0; export const unit = 'nats';</script><script>made += 1;</script>{made} {unit}",
        "1 nats",
        None,
        None,
    ),
    "SVG": (
        "<svg width='9' height='9'><circle r='2' fill='red' /><text>s</text></svg>",
        "s",
        None,
        None,
    ),
    "{#each} over a typed array": (
        "<script>let { x } = $props();</script>{#each x.row(1) as v, j}{v === x.at(1, j) ? v : '!'};{/each}",
        "3;4;5;",
        None,
        None,
    ),
}


@pytest.mark.parametrize("feature", FEATURES)
def test_feature(feature, write, page):
    source, first, role, then = FEATURES[feature]
    props = {"x": np.arange(6.0).reshape(2, 3)} if "{ x }" in source else {}
    page.show(write(Feature_svelte=source), **props)
    page.reads(first)
    if role is not None:
        page.component.get_by_role(role).first.click()
        page.reads(then)
    assert page.alert.count() == 0
    assert [line for line in page.console if "svelte" not in line] == []


CHART = """
<script>
  import { Chart, getFigure } from 'mechviz';
  let { x, y, picked = $bindable([]) } = $props();
  const figure = getFigure();
  function pick(points, add) {
    picked = add ? [...picked, ...points] : points;
    figure.pick({ positions: picked });
  }
</script>
<Chart {x} {y} names={['a', 'b', 'c']} xLabel="entropy" yLabel="score" {picked} onpick={pick} />
<p id="picked">{picked.join()}</p>
"""


def test_a_chart_in_a_component(write, page):
    shown = page.show(write(Scores_svelte=CHART), x=np.array([3.0, 1.0, 2.0]), y=np.array([1.0, 2.0, np.nan])).page
    chart = shown.get_by_role("application")
    chart.focus()
    shown.keyboard.press("ArrowRight")  # the smallest x that has a y
    assert shown.get_by_text("b · entropy 1 · score 2", exact=True).is_visible()
    shown.keyboard.press("Enter")
    shown.keyboard.press("End")
    shown.keyboard.press("Shift+Space")
    assert shown.locator("#picked").inner_text() == "1,0"
    assert page.console == []
