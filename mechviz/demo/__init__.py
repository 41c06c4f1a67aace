"""The embedded language model: a small GPT-2 trained on simple English, and the recipe that made it.

It is a transformers model directory like any other, small enough to live in the package, and it identifies indirect
objects, repeats what it has just read, and knows some facts. `model/README.md` has its figures.

`words`, `sentences` and `corpus` write the text; `train` is the recipe; `evaluate` and `heads` measure the result.
Importing this package loads none of them.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["MODEL"]

MODEL = Path(__file__).parent / "model"
"""The model directory, for `AutoModelForCausalLM.from_pretrained(MODEL, local_files_only=True)`."""
