"""`mv.bench` in JupyterLab: a click is a pass of the model in the kernel, and what is shown are its numbers."""

from __future__ import annotations

from driver import wait_until

BENCH = """
import mechviz as mv
model = mv.load()
text = "When Mary and John went to the store, John gave a drink to"
view = mv.bench(model, text, token=" Mary", minus=" John", neurons=2)
view
"""
# What the model itself says, without the bench.
DIRECT = """
ids = [model.tokenizer(name, add_special_tokens=False)["input_ids"][0] for name in (" Mary", " John")]
def numbers(*edits, position=-1):
    trace = model.trace(text, edits=[mv.ablate(site) for site in edits])
    logits = trace.logits[-1].double()
    most = trace.logits[position].double().softmax(-1).max()
    return f"{float(logits[ids[0]] - logits[ids[1]]):.2f} {float(most):.3f}".replace("-", "\\u2212")
"""


def big(figure) -> str:
    return " ".join(figure.locator(".big").text_content().split())


def strongest(figure) -> str:
    """The largest probability after, in the panel of next tokens."""
    said = figure.locator("table").first.locator("td.strong").all_text_contents()
    return max(said, key=lambda p: float(p.replace("\u2212", "-")))


def test_a_click_is_the_run_of_the_edited_model(notebook):
    nb = notebook([BENCH, DIRECT])
    nb.run_all()
    figure = nb.figure(0)
    clean, most = nb.python("print(numbers())").split()
    assert (big(figure), strongest(figure)) == (clean, most)

    figure.get_by_role("button", name="L2H0", exact=True).first.click()
    figure.get_by_text("edited: L2H0 → zero").wait_for()
    edited, most = nb.python("print(numbers('L2H0'))").split()
    assert big(figure).startswith(f"{clean} → {edited} ")
    assert strongest(figure) == most
    assert nb.python("print(view.selection.layers, view.selection.heads)") == "[2] [0]"

    # Another one beside it, and the next tokens of a word in the middle of the text.
    figure.get_by_role("button", name="L1H1", exact=True).first.click(modifiers=["Shift"])
    figure.get_by_text("edited: L2H0 + L1H1 → zero").wait_for()
    edited, _ = nb.python("print(numbers('L2H0', 'L1H1'))").split()
    assert big(figure).startswith(f"{clean} → {edited} ")
    figure.locator("[data-i='5']").click()
    expected = nb.python("print(numbers('L2H0', 'L1H1', position=5))").split()[1]
    wait_until(lambda: strongest(figure) == expected)
    assert nb.python("print(view.selection.positions)") == "[5]"

    # A neuron that is typed; then all is as it was, the model too.
    figure.get_by_label("L0N17 …").fill("L0N23")
    figure.get_by_label("L0N17 …").press("Enter")
    figure.get_by_text("edited: L0N23 → zero").wait_for()
    assert big(figure).startswith(f"{clean} → " + nb.python("print(numbers('L0N23'))").split()[0])
    figure.get_by_role("button", name="undo").click()
    wait_until(lambda: big(figure) == clean)
    assert nb.python("print(numbers())").split()[0] == clean
    assert nb.python("print(view.selection.layers, view.selection.neurons)") == "[] []"

    # What Python picks is changed.
    nb.python("view.selection.layers, view.selection.heads = [1], [2]")
    figure.get_by_text("edited: L1H2 → zero").wait_for()
    edited = nb.python("print(numbers('L1H2'))").split()[0]
    wait_until(lambda: big(figure).startswith(f"{clean} → {edited} "))
    assert nb.requests.outside() == []


def test_a_failing_run_is_said_and_the_table_is_made_while_nobody_asks(notebook):
    # On a busy machine it would be left to the reader to begin.
    at_once = "import importlib\nimportlib.import_module('mechviz.bench')._SLOW_SECONDS = 600"
    nb = notebook([BENCH.replace("import mechviz as mv", f"import mechviz as mv\n{at_once}")])
    nb.run_all()
    figure = nb.figure(0)
    figure.get_by_text("Largest of 23 edits").wait_for()  # 3 layers of 4 heads, attention, MLP and itself; 2 neurons
    figure.get_by_label("L0N17 …").fill("L9H0")
    figure.get_by_label("L0N17 …").press("Enter")
    figure.get_by_role("alert").wait_for()
    assert "L9H0" in figure.get_by_role("alert").text_content()
    assert figure.get_by_text("edited:").count() == 0


def test_without_a_kernel_what_could_be_run_in_a_moment_answers(notebook):
    nb = notebook([BENCH, DIRECT])
    nb.run_all()
    figure = nb.figure(0)
    clean, _ = nb.python("print(numbers())").split()
    edited, _ = nb.python("print(numbers('L0H0'))").split()
    figure.wait_for()
    nb.save()
    nb.shut_down()
    again = notebook(None, kernel=False)
    twin = again.twin(0)
    twin.get_by_role("button", name="L0H0", exact=True).first.click()
    twin.get_by_text("edited: L0H0 → zero").wait_for()
    assert " ".join(twin.locator(".big").text_content().split()).startswith(f"{clean} → {edited} ")


def test_another_text_has_its_own_runs_and_keeps_what_is_changed(notebook):
    typed = 'lb = mv.live(lambda t: mv.bench(model, t, token=" Mary", minus=" John"), text)\nlb'
    count = """
import importlib
desk, asked = importlib.import_module("mechviz.bench")._Desk, []
answer = desk.answer
desk.answer = lambda self, one: (asked.append((self.runs.text, *one["sites"])), answer(self, one))[1]
"""
    nb = notebook([BENCH, DIRECT, typed])
    nb.run_all()
    figure = nb.figure(0)
    figure.get_by_role("button", name="L2H0", exact=True).first.click()
    figure.get_by_text("edited: L2H0 → zero").wait_for()
    nb.python("text = text.replace('store, John', 'store, Mary')\nview.update(text=text)")
    clean, edited = (nb.python(f"print(numbers({site}))").split()[0] for site in ("", "'L2H0'"))
    wait_until(lambda: big(figure).startswith(f"{clean} → {edited} "))

    nb.scroll(2)
    live = nb.figure(2)
    live.get_by_role("button", name="L1H1", exact=True).first.click()
    live.get_by_text("edited: L1H1 → zero").wait_for()
    live.locator("[data-i='4']").click()
    wait_until(
        lambda: nb.python("print(lb.selection.layers, lb.selection.heads, lb.selection.positions)") == "[1] [1] [4]"
    )
    nb.python(count)
    live.locator("textarea").click()
    live.locator("textarea").press("End")
    nb.page.keyboard.type(" the")
    nb.python("text = text.replace('store, Mary', 'store, John') + ' the'")
    clean, edited = (nb.python(f"print(numbers({site}))").split()[0] for site in ("", "'L1H1'"))
    wait_until(lambda: big(live).startswith(f"{clean} → {edited} "))
    assert nb.python("print(lb.selection.layers, lb.selection.heads, lb.selection.positions)") == "[1] [1] [4]"
    assert nb.python("print(asked.count((text, 'L1H1')))") == "1"
