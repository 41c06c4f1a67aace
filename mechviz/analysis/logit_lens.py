"""The logit lens: what a model would predict if it stopped after each layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, get_args

import torch

from mechviz._layered import Layered
from mechviz.models.trace import Trace

Point = Literal["pre", "mid", "post"]
Translator = Callable[[torch.Tensor], torch.Tensor]


class LensLogits:
    """One layer's logits, ``[position, vocab]``; index them: ``logits[-1]``, ``logits[2:5]``, ``logits[:, [17, 42]]``.

    They are computed from the residual stream when they are asked for, a piece at a time, and not kept.

    Attributes:
        stream: The residual stream that they are read from, ``[position, d_model]``.
    """

    ndim = 2

    def __init__(self, trace: Trace, stream: torch.Tensor) -> None:
        self._trace, self.stream = trace, stream

    @property
    def shape(self) -> tuple[int, int]:
        """``(position, vocab)``."""
        return len(self.stream), self._trace._unembedding.vocab

    def __len__(self) -> int:
        return len(self.stream)

    def __getitem__(self, index: Any) -> torch.Tensor:
        """Some positions, or ``[positions, vocab]``, in the model's dtype."""
        positions, ids = index if isinstance(index, tuple) else (index, slice(None))
        one = isinstance(positions, int)
        stream = self.stream[[positions] if one else positions]
        found = torch.cat([part[:, ids] for part in self._pieces(stream)])
        return found[0] if one else found

    def _pieces(self, stream: torch.Tensor) -> Iterator[torch.Tensor]:
        trace, way = self._trace, self._trace._unembedding
        with trace.model.lock, trace._tape.numerics.restored():
            for _, part in way.chunks(trace.model.module, way.prepare(trace.model.module, stream)):
                yield part

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self[:].float().cpu().numpy().astype(dtype or "float32", copy=bool(copy))

    def __repr__(self) -> str:
        return f"LensLogits{self.shape} of {self._trace.model.name}"


def logit_lens(
    trace: Trace, stream: Point = "post", *, translators: Mapping[int, Translator] | None = None
) -> Layered[LensLogits]:
    """The logit lens: each layer's residual stream through the model's own final norm, unembedding and soft cap.

        ``logits_l = W_U · norm(x_l) + b_U``, soft-capped where the model does that,

    with the norm's mean and scale taken from x_l itself. With ``stream="post"`` the last layer's are the model's own logits,
    which is checked. Early layers need not write in the basis that the unembedding reads: what the lens shows there is a lower
    bound on what the stream holds. A *tuned* lens learns a map for each layer: pass it as `translators`.

    Args:
        trace: Of one text; of an edited model too. Works wherever ``trace.logits`` does.
        stream: Which residual stream: "post", after each block; "pre", before it, so that layer 0 is the embedding; "mid",
            between attention and MLP, where there is one.
        translators: Layer -> a function of the stream ``[position, d_model]`` that is applied before the norm: the affine map
            of a tuned lens. Layers without one are read as they are.

    Returns:
        One `LensLogits` a layer, ``[position, vocab]``, computed when indexed: what `mechviz.lens` takes. Layers without such a
        stream are in ``.missing``, with the reason.

    Raises:
        ValueError: `stream` is none of the three, or `translators` name a layer that does not exist.
        Unavailable: The way from the residual stream to the logits was not found, or does not give the model's own.
        WeightsMoved: It gives others than at the forward pass.

    Papers: nostalgebraist 2020, "interpreting GPT: the logit lens"; Belrose et al. 2023, "Eliciting Latent Predictions from
    Transformers with the Tuned Lens".

    Example:
        >>> lens = logit_lens(trace)  # doctest: +SKIP
        >>> lens[2][-1].argmax()  # what layer 2 expects after the last token  # doctest: +SKIP
        >>> mv.lens(trace.tokens, lens)  # doctest: +SKIP
    """
    if stream not in get_args(Point):
        raise ValueError(f"stream must be one of {', '.join(get_args(Point))}; got {stream!r}")
    read: Layered[torch.Tensor] = getattr(trace, f"resid_{stream}")
    translators = translators or {}
    if unknown := [layer for layer in translators if layer not in read.layers]:
        raise ValueError(f"translators must be of layers {', '.join(map(str, read.layers))}; got {unknown[0]}")
    with trace.model.lock, trace._tape.numerics.restored():
        trace._prepared()  # or raises: the last layer's logits are the model's own

    def made(layer: int) -> Callable[[], LensLogits]:
        def make() -> LensLogits:
            x = read[layer]
            return LensLogits(trace, translators[layer](x) if layer in translators else x)

        return make

    return Layered({layer: made(layer) for layer in read.layers}, name="lens", missing=read.missing)
