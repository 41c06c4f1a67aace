"""``mechviz new component Name``: a commented starter to write one's own component from."""

from __future__ import annotations

import re
from pathlib import Path

_SVELTE = """\
<!-- @component
NAME: a matrix as a heat map; a threshold counts how many values lie above it.

This comment is the help text in Python. Replace it, the props and the markup by your own.
-->
<script lang="ts">
  // Everything that mechviz gives a component; docs/components.md tells more.
  import { ColorBar, Frame, HeatMap, fixed, getFigure, limitsOf, readout, type NdArray } from 'mechviz';

  // The props are the function's arguments in Python: NAME(values=…, threshold=0.5).
  interface Props {
    /** What is shown, [row, column]. Arrays come as they are: `values.shape`, `values.at(i, j)`. */
    values: NdArray;
    /** What the numbers are, for the colour bar. */
    quantity?: string;
    /** `$bindable`: the slider below writes it, and Python sees it in `view.props["threshold"]`. */
    threshold?: number;
  }
  let { values, quantity = 'value', threshold = $bindable(0.5) }: Props = $props();

  // The figure that this picture is part of: the selection and the hover that all its views share.
  const figure = getFigure();

  // $derived is worked out again whenever something that it reads changes.
  const signed = $derived(values.extent()[0] < 0);
  const scale = $derived({ ramp: signed ? 'signed' : 'ink', limits: limitsOf(values, signed ? 'signed' : 'ink') } as const);
  const above = $derived(Array.from(values.data).filter((value) => value > threshold).length);

  // $state belongs to this picture alone; it starts anew when the file is saved. What should stay is a $bindable prop.
  let hovered = $state<[number, number]>();
</script>

<Frame
  title="NAME"
  provenance={values.shape.join(' × ')}
  hint="hover a cell for its value · click picks its row"
  note={`${above} values above ${fixed(threshold, 2)}`}
>
  {#snippet legend()}
    <ColorBar {scale} label={quantity} value={hovered && values.at(...hovered)} />
  {/snippet}

  <label>
    threshold
    <input type="range" min={scale.limits[0]} max={scale.limits[1]} step="0.01" bind:value={threshold} />
  </label>
  <HeatMap {values} {scale} bind:hovered label={quantity} onpick={(row) => figure.pick({ positions: [row] })} />
  <!-- The line is always there, so that nothing jumps. -->
  <p>{hovered ? `row ${hovered[0]}, column ${hovered[1]}: ${readout(values.at(...hovered), values.precision)}` : ' '}</p>
</Frame>

<!-- Styles are for this component only. Colours, type and space come from the design: light, dark and paper follow. -->
<style>
  label {
    display: flex;
    align-items: center;
    gap: var(--mv-2);
    margin-bottom: var(--mv-3);
    color: var(--mv-fg2);
  }
  input {
    accent-color: var(--mv-fg);
  }
  p {
    min-height: 16px;
    margin: var(--mv-2) 0 0;
    color: var(--mv-fg2);
  }
</style>
"""

_COMPANION = '''\
"""Checks and prepares what NAME.svelte draws. Without this file the component's props are the arguments."""

from __future__ import annotations

from typing import Any

import numpy as np


def init(values: Any, quantity: str = "value", threshold: float = 0.5) -> dict:
    """A matrix as a heat map; a threshold counts how many values lie above it.

    Args:
        values: [row, column], any real dtype.
        quantity: What the numbers are.
        threshold: Values above it are counted.

    Raises:
        ValueError: `values` is no matrix.
    """
    array = np.asarray(values)
    if array.ndim != 2:
        raise ValueError(f"values must have shape (row, column); got {array.shape}")
    return {"values": array, "quantity": quantity, "threshold": threshold}
'''

_TEST = '''\
"""Draws NAME in a headless browser: pytest test_STEM.py (needs Playwright and Chromium)."""

from pathlib import Path

import numpy as np
import pytest

import mechviz as mv
from mechviz.testing import render_component

NAME = mv.svelte(Path(__file__).with_name("NAME.svelte"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_draws(theme):
    values = np.linspace(0, 1, 12).reshape(3, 4)  # 0, 1/11 … 1: six of them lie above a half

    def look(page):
        page.get_by_text("6 values above 0.50").wait_for()

    png = render_component(NAME, {"values": values}, theme=theme, act=look)
    assert png.startswith(b"\\x89PNG")


def test_it_says_what_it_needs():
    with pytest.raises(ValueError, match="shape"):
        NAME(values=[1, 2, 3])
'''

_CELL = """\
# A notebook cell. With watch=True every saved edit of NAME.svelte shows at once, here.
import numpy as np
import mechviz as mv

NAME = mv.svelte("NAME.svelte", watch=True)
view = NAME(values=np.random.default_rng(0).random((12, 20)))
view
"""


def new_component(name: str, folder: Path) -> list[Path]:
    """Write a starter: component, companion, test, example cell; returns the files.

    Raises:
        ValueError: `name` is no name of a component.
        FileExistsError: one of the files is there already; nothing is written.
    """
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name):
        raise ValueError(f"name must be letters and digits and begin with a capital, such as LossCurve; got {name!r}")
    stem = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
    texts = {
        folder / f"{name}.svelte": _SVELTE,
        folder / f"{name}.py": _COMPANION,
        folder / f"test_{stem}.py": _TEST,
        folder / f"{stem}_cell.py": _CELL,
    }
    for path in texts:
        if path.exists():
            raise FileExistsError(f"{path} is there already; nothing was written")
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        path.write_text(text.replace("NAME", name).replace("STEM", stem), encoding="utf-8")
    return list(texts)
