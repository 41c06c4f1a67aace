"""The export menu beside a kernel: pictures are made in the browser, pages and data come from Python."""

from __future__ import annotations

import json
import re

from driver import SETUP

import mechviz as mv


def test_every_kind_is_saved_from_a_live_picture(notebook, tmp_path):
    nb = notebook([SETUP + "view = mv.attention(words(5), pattern(70, 5))\nview"])
    nb.run_all()
    figure = nb.figure(0)
    assert nb.visible(0) == ["live"]
    nb.python("view.selection.queries = [3]")

    def saved(item: str):
        figure.get_by_role("button", name="Export").click()
        with nb.page.expect_download() as download:
            figure.get_by_role("menuitem", name=item, exact=True).click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        return path

    assert saved("PNG").read_bytes().startswith(b"\x89PNG")
    assert len(re.findall("<text", saved("SVG").read_text(encoding="utf-8"))) > 20
    # All 70 heads, of which the browser has seen one.
    again = mv.open(saved("JSON, the data"))
    assert again.selection.queries == [3]
    assert repr(again) == "<mechviz attention 'Attention'>"
    assert again._page_figure().to_json()["views"]["0"]["props"]["heads"][69]["name"] == "H69"
    page = saved("HTML page").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert json.dumps({"queries": [3]})[1:-1].replace(" ", "") in page
    assert nb.requests.outside() == []
