"""`mv.neurons` of a stack that is too large to be sent, in JupyterLab: what is looked at is asked from the kernel."""

from __future__ import annotations

from driver import SETUP, wait_until

STACK = (
    SETUP
    + """
rng = np.random.default_rng(0)
stack = rng.normal(0, 0.1, (3, 40, 4096)).astype(np.float32)  # 2 MB: more than is kept whole
stack[1, 7, 1234] = 9.5
stack[2, 30, 17] = -8.25
"""
)


def test_slices_are_asked_and_what_is_picked_reaches_python(notebook):
    nb = notebook([STACK, "view = mv.neurons(words(40), stack, neurons=16)\nview"])
    nb.run_all()
    figure = nb.figure(1)
    assert nb.visible(1) == ["live"]
    figure.get_by_text("1–16 of 4,096").wait_for()
    figure.get_by_role("button", name="L1", exact=True).click()
    # Its strongest stands first, and the text is in its colours.
    figure.get_by_text("N1234", exact=True).first.wait_for()
    figure.get_by_text("9.500 at ·t7").first.wait_for()
    # A neuron far down the order, of another layer.
    figure.get_by_label("go to a neuron").fill("L2N4000")
    figure.get_by_label("go to a neuron").press("Enter")
    wait_until(lambda: nb.python("print(view.selection.layers, view.selection.neurons)") == "[2] [4000]")
    largest = float(nb.python("print(abs(stack[2, :, 4000]).max())"))
    figure.get_by_text(f"{largest:#.4g} at ").first.wait_for()
    figure.get_by_text("N4000", exact=True).first.wait_for()
    # Picked from Python: the layer opens, and its numbers come.
    nb.python("view.selection = {'layers': [2], 'neurons': [17], 'positions': [30]}")
    figure.get_by_text("−8.250 at ·t30").first.wait_for()
    # Other numbers under the same picture.
    nb.python("stack2 = stack.copy(); stack2[2, 30, 17] = -7.5; view.update(activations=stack2)")
    figure.get_by_text("−7.500 at ·t30").first.wait_for()
    assert nb.requests.outside() == []
