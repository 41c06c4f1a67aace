"""Every view's example, live in JupyterLab in light and dark: drawn, without an error, without a request to the outside."""

from __future__ import annotations

from driver import wait_until

from mechviz.gallery import sections


def test_every_view_is_drawn_live_and_follows_the_theme(notebook):
    names = [example.name for example in sections()]
    cells = ["from mechviz.gallery import sections\nmade = {one.name: one.view() for one in sections()}"]
    nb = notebook([*cells, *(f"made[{name!r}]" for name in names)])
    nb.theme("JupyterLab Light")
    nb.run_all()
    for theme in ("light", "dark"):
        nb.theme(f"JupyterLab {theme.capitalize()}")
        for cell, name in enumerate(names, start=1):
            nb.scroll(cell)
            figure = nb.figure(cell)
            wait_until(lambda figure=figure, theme=theme: figure.get_attribute("data-theme") == theme)
            assert figure.bounding_box()["height"] > 150, name
            assert figure.get_by_role("alert").count() == 0, name
            assert figure.evaluate(
                "host => host.getBoundingClientRect().width <= host.parentElement.clientWidth + 1"
            ), name
    nb.theme("JupyterLab Light")
    # What is picked with the keyboard arrives in Python, whatever the view.
    for cell, name in enumerate(names, start=1):
        nb.scroll(cell)
        picture = nb.figure(cell).locator("[role=application], [role=option][tabindex='0']").first
        picture.press("ArrowRight")
        nb.page.keyboard.press("Enter")
        picked = f"print(any(made[{name!r}].selection.to_dict().values()))"
        wait_until(lambda picked=picked: nb.python(picked) == "True")
    assert nb.requests.outside() == []
