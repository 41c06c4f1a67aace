"""`mv.heatmap` of 16 million numbers in JupyterLab: nothing large crosses, and what is looked at is what Python has."""

from __future__ import annotations

from driver import SETUP, wait_until

LARGE = (
    SETUP
    + "values = np.random.default_rng(0).normal(0, 1, (4096, 4096)).astype(np.float32)\nvalues[1234, 2345] = 9.5\n"
)


def drawn(figure) -> str:
    """What is on the canvas, to be compared."""
    return figure.evaluate("host => host.shadowRoot.querySelector('[role=application] canvas').toDataURL()")


def test_sixteen_million_numbers_are_asked_for_as_they_are_looked_at(notebook):
    nb = notebook([LARGE, "view = mv.heatmap(values)\nview"])
    sizes: list[int] = []
    nb.page.on("websocket", lambda socket: socket.on("framereceived", lambda data: sizes.append(len(data))))
    nb.load()
    nb.run(0)
    nb.run(1)
    figure = nb.figure(1)
    assert nb.visible(1) == ["live"]
    # The number that stands out is found by the pooled cell that shows it: 683 × 683 of 6 × 6 numbers.
    cells = figure.locator("[role=application]")
    box = cells.locator("canvas").bounding_box()
    place = {
        "x": box["x"] + box["width"] * 2345.5 / 4098,
        "y": box["y"] + box["height"] * 1234.5 / 4098,
    }
    nb.page.mouse.move(**place)
    figure.get_by_text("9.500").first.wait_for()
    nb.page.mouse.down()
    nb.page.mouse.up()
    # A part of it, cell by cell; a drag goes on.
    nb.page.keyboard.press("ArrowRight")
    for _ in range(16):
        nb.page.keyboard.press("+")
    figure.get_by_text("columns 2,3").first.wait_for()
    nb.page.keyboard.press("ArrowLeft")
    nb.page.keyboard.press("ArrowDown")
    readout = figure.locator(".readout b")
    row, column = (int(readout.nth(i).text_content().replace(",", "")) for i in (0, 1))
    expected = nb.python(f"print(f'{{values[{row}, {column}]:#.4g}}'.replace('-', '\\u2212'))")
    wait_until(lambda: readout.nth(2).text_content() == expected)
    still = drawn(figure)
    nb.page.mouse.move(**place)
    nb.page.mouse.down()
    nb.page.mouse.move(place["x"] - 300, place["y"] - 200, steps=10)
    nb.page.mouse.up()
    wait_until(lambda: drawn(figure) != still)
    assert max(sizes) < 4e6
    assert nb.requests.outside() == []
