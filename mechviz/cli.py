"""The command line: ``mechviz demo``, ``mechviz view`` and ``mechviz new component``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mechviz._layered import Unavailable
from mechviz.version import __version__

DEMO_TEXT = "When Mary and John went to the store, John gave a drink to"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if "run" not in arguments:
        parser.print_help()
        return 0
    try:
        return arguments.run(arguments)
    except (ImportError, NotImplementedError, OSError, TypeError, Unavailable, ValueError) as error:
        print(f"mechviz: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mechviz", description="See what a transformer computed.")
    parser.add_argument("--version", action="version", version=f"mechviz {__version__}")
    commands = parser.add_subparsers(metavar="demo | view | new")

    demo = commands.add_parser("demo", help="trace the embedded model on a real prompt and write one HTML file")
    demo.add_argument("--out", type=Path, default=Path("demo.html"), help="the file to write (demo.html)")
    demo.set_defaults(run=_demo)

    view = commands.add_parser("view", help="trace a model on your text and write one HTML file")
    view.add_argument("text", help="what the model reads")
    view.add_argument("--model", help="a folder or a hub name; the embedded model if left out")
    view.add_argument("--out", type=Path, default=Path("view.html"), help="the file to write (view.html)")
    view.add_argument("--device", help='where the model runs, such as "cuda"')
    view.add_argument("--dtype", help='the weights\' type, such as "bfloat16"')
    view.set_defaults(run=_view)

    new = commands.add_parser("new", help="write a starter for something of your own")
    kinds = new.add_subparsers(required=True, metavar="component")
    component = kinds.add_parser("component", help="a .svelte component with companion, test and example cell")
    component.add_argument("name", help="such as LossCurve")
    component.add_argument("--in", dest="folder", type=Path, default=Path(), help="the folder (this one)")
    component.set_defaults(run=_new_component)
    return parser


def _demo(arguments: argparse.Namespace) -> int:
    import mechviz as mv
    from mechviz.view import linked

    model = mv.load()
    trace = model.trace(DEMO_TEXT)
    picked = mv.Selection()
    page = mv.page(
        "Two names, one of them twice",
        [
            "A small language model (it comes with mechviz) reads *When Mary and John went to the store, John gave a "
            "drink to* and has to say who gets the drink: the one who was named once. Head L2H0 decides it: with zero in its "
            "place the difference of the two names' logits falls from 14.8 to 1.6. Click another head, a layer, an MLP or a neuron to see what "
            "the model says without that one; click it again to restore it.",
            linked(mv.bench(model, DEMO_TEXT, token=" Mary", minus=" John", edit="L2H0"), picked),
            "How it does it: L2H0 looks from *to* back at the second *John*. Point at a token, a head or a cell; what you "
            "point at in one picture shows in the other, and a click keeps it.",
            mv.column(
                mv.tokens(trace.tokens, trace.loss),
                mv.attention(trace.tokens, trace.attention, head="L2H0"),
                selection=picked,
            ),
        ],
    )
    _saved(page.save(arguments.out))
    print('In a notebook: `import mechviz as mv; mv.bench(mv.load(), "a text of yours")`.')
    return 0


def _view(arguments: argparse.Namespace) -> int:
    import mechviz as mv

    given = {"device": arguments.device, "dtype": arguments.dtype}
    model = mv.load(arguments.model, **{key: value for key, value in given.items() if value})
    trace = model.trace(arguments.text)
    figure = mv.column(mv.tokens(trace.tokens, trace.loss), mv.attention(trace.tokens, trace.attention))
    _saved(figure.save(arguments.out))
    return 0


def _new_component(arguments: argparse.Namespace) -> int:
    from mechviz.new import new_component

    for path in new_component(arguments.name, arguments.folder):
        print(f"Wrote {path}")
    return 0


def _saved(path: Path) -> None:
    size = path.stat().st_size / 1e6
    print(
        f"Wrote {path} ({size:.2f} MB). It opens in any browser, with or without a network: {path.resolve().as_uri()}"
    )


if __name__ == "__main__":
    sys.exit(main())
