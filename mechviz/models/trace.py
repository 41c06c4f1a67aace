"""What one forward pass left behind, read when asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from mechviz._layered import Unavailable
from mechviz._report import Report
from mechviz.arrays import Quantity
from mechviz.sites import Site

from .embedding import embeddings
from .fingerprint import fingerprint
from .gradients import gradients
from .head_results import HeadResults
from .lens import LensCache
from .report import report
from .save import DEFAULT, save
from .streams import StreamReadings
from .tape import WeightsMoved
from .unembed import Unembedding
from .wanted import Capture


class Trace(HeadResults, StreamReadings):
    """One text through one model. It holds the residual stream; the rest is recomputed, exactly, when first read.

    One text has no batch axis. Everything is a torch tensor on the model's device, or gives one.

    ======================  ====================================  =====================================================
    here                    shape                                 TransformerLens
    ======================  ====================================  =====================================================
    ``resid_pre[l]``        ``[position, d_model]``               ``blocks.l.hook_resid_pre``
    ``resid_mid[l]``        ``[position, d_model]``               ``blocks.l.hook_resid_mid``
    ``resid_post[l]``       ``[position, d_model]``               ``blocks.l.hook_resid_post``
    ``attn_out[l]``         ``[position, d_model]``               ``blocks.l.hook_attn_out``
    ``mlp_out[l]``          ``[position, d_model]``               ``blocks.l.hook_mlp_out``
    ``q[l]``                ``[position, head, d_head]``          ``blocks.l.attn.hook_q``; ``hook_rot_q`` of rotary models
    ``k[l]``                ``[position, key head, d_head]``      ``blocks.l.attn.hook_k``; ``hook_rot_k`` of rotary models
    ``v[l]``                ``[position, key head, d_head]``      ``blocks.l.attn.hook_v``
    ``z[l]``                ``[position, head, d_head]``          ``blocks.l.attn.hook_z``
    ``result(l)``           ``[position, head, d_model]``         ``blocks.l.attn.hook_result``
    ``w_o(l)``              ``[head, d_head, d_model]``           ``bridge.blocks[l].attn.W_O``
    ``pattern[l]``          ``(head, query, key)``, a `Pattern`   ``blocks.l.attn.hook_pattern``
    ``attention``           all patterns, a `PatternStack`        every ``hook_pattern``
    ``neurons[l]``          ``[position, neuron]``                ``blocks.l.mlp.hook_post``
    ``gate[l]``, ``up[l]``  ``[position, neuron]``                ``mlp.hook_pre``, ``mlp.hook_pre_linear`` (gated MLPs)
    ``embed``               ``[position, d_model]``               ``hook_embed``
    ``pos_embed``           ``[position, d_model]``               ``hook_pos_embed``
    ``logits``              ``[position, vocab]``                 ``unembed.hook_out``
    ``loss``                ``[position]``                        ``loss_per_token``, one place later (see `loss`)
    ======================  ====================================  =====================================================

    What is found per layer says in ``.missing`` which layers lack it, and why: ``trace.up.missing``.

    Attributes:
        model: The `Model`.
        tokens: The text's tokens, with the provenance of everything in the trace.
        stacks: Of a model with several stacks, name -> the trace of each: see `mechviz.models.stack_trace.StackTrace`.
    """

    stacks: Mapping[str, Any] = MappingProxyType({})

    @property
    def embed(self) -> torch.Tensor:
        """What the table of tokens adds to the stream that enters the first block, ``[position, d_model]``.

        With the factor that the model gives it, and before any norm that stands between; found and proved by running the
        model up to its first block again.

        Raises:
            Unavailable: What enters the first block is no sum of rows of tables.
            WeightsMoved: Something else enters it than at the forward pass.
        """
        return embeddings(self).token

    @property
    def pos_embed(self) -> torch.Tensor:
        """What a table of positions adds to the stream that enters the first block, ``[position, d_model]``.

        Raises:
            Unavailable: There is none: many models have positions in their attention only. Or as for `embed`.
            WeightsMoved: As for `embed`.
        """
        found = embeddings(self).position
        if found is None:
            raise Unavailable(f"{self.model.name} adds no table of positions to the residual stream")
        return found

    @property
    def logits(self) -> torch.Tensor:
        """The model's logits, ``[position, vocab]``, in its dtype; computed from the tape each time, and not kept.

        Raises:
            Unavailable: The way from the residual stream to the logits was not found, or does not give the model's own.
            WeightsMoved: It gives others than at the forward pass.
        """
        with self.model.lock, self._tape.numerics.restored():
            return torch.cat([part for _, part in self._unembedding.chunks(self.model.module, self._prepared())])

    @cached_property
    def loss(self) -> torch.Tensor:
        """How surprising each token was, ``[position]`` float32: ``loss[i] = -log p(token i | tokens before i)``, in nats.

        ``loss[0]`` is NaN: nothing predicts the first token.

        Raises:
            Unavailable: As for `logits`.
            WeightsMoved: As for `logits`.
        """
        if self.model.structure.causal is False:
            raise Unavailable(
                f"{self.model.name} reads from both sides, so it does not predict a token from those before it"
            )
        with self.model.lock, self._tape.numerics.restored():
            prepared = self._prepared()
            ids = torch.tensor(self.tokens.ids, device=prepared.device)  # [position]
            loss = torch.full((len(ids),), math.nan, device=prepared.device)
            for part, logits in self._unembedding.chunks(self.model.module, prepared[:-1]):
                following = slice(part.start + 1, part.stop + 1)
                surprise = -logits.float().log_softmax(-1).gather(1, ids[following, None].to(logits.device))
                loss[following] = surprise[:, 0].to(loss.device)
        guess = math.log(self._unembedding.vocab)
        loss.quantity = Quantity(  # type: ignore[attr-defined]
            "loss", "nats", scale="ember", limits=(0.0, guess), reference=guess, reference_name="uniform guess"
        )
        return loss

    def grad(
        self, metric: Callable[[torch.Tensor], torch.Tensor], sites: Sequence[Site | str]
    ) -> dict[Site, torch.Tensor]:
        """The gradient of a metric with respect to the values at sites, from one more pass over the text.

        Any trace can do this; nothing has to be kept for it when the trace is made.

        Args:
            metric: Takes the logits ``[position, vocab]`` and gives one number, such as
                ``lambda logits: logits[-1, right] - logits[-1, wrong]``.
            sites: Heads, neurons, MLPs, attention layers, residual streams, as objects or strings.

        Returns:
            Site (also found by its string) -> gradient, of the shape of ``trace.at(site)``.

        Raises:
            Unavailable: The model lacks a site.
            ValueError: ``metric`` gives something other than one number that depends on the logits.
            WeightsMoved: The logits are no longer those of the trace.
        """
        return gradients(self, metric, sites)

    def save(self, path: str | Path, sites: Capture = DEFAULT, *, layers: Iterable[int] | None = None) -> None:
        """Write the trace to a file that `mechviz.open` reads without torch and without the model; prints its size first.

        Args:
            path: Where to, such as "trace.mv".
            sites: What to save: the names in the table above, "everything" that a layer has, numbers of layers, single
                sites such as "L5H1" and features, or a mapping from names to layers, as ``capture`` of `Model.trace` takes
                them; by default the attention of every layer (as factors), the loss and the residual stream. What a layer
                lacks is saved as the reason for it.
            layers: Which layers; None for all.

        Raises:
            ValueError: An unknown name.
            Unavailable: ``logits``, ``loss`` or ``pos_embed`` of a model that has none, or a single site that it lacks.
        """
        save(self, path, sites, layers)

    def as_transformer_lens(self) -> LensCache:
        """The trace under the names and shapes of TransformerLens's ``run_with_cache``: a mapping that computes when asked.

        ``cache["blocks.0.attn.hook_pattern"]`` is ``[1, head, query, key]``, what has positions ``[1, position, …]``, always
        with TransformerLens's batch axis in front; ``cache["pattern", 0]`` works too. The keys are what this model has, by
        its raw weights, as `TransformerBridge` has them unless it folds and centres them. Queries and keys stand under
        ``hook_q`` and ``hook_k`` where they are what a linear layer wrote, and under ``hook_rot_q`` and ``hook_rot_k`` where
        they were rotated or normalised since. ``attn.hook_result`` is not among the keys, as it is not by default there, but
        can be asked for.

        Raises:
            KeyError: (on indexing) The model lacks it; the message says why.
            MemoryError: (on indexing) One layer's pattern takes more than 1 GiB.

        Example:
            >>> trace.as_transformer_lens()["blocks.1.attn.hook_z"].shape  # doctest: +SKIP
            torch.Size([1, 24, 4, 12])
        """
        return LensCache(self)

    def report(self) -> Report:
        """What the trace holds: dtype, bytes, edits, each layer's kind of attention, check errors, and what is missing and why.

        Opens the attention of every layer, which takes about as long as one forward pass.
        """
        return report(self, check=True)

    def _repr_html_(self) -> str:
        return report(self, check=False)._repr_html_()

    @property
    def _unembedding(self) -> Unembedding:
        found = self.model.structure.unembedding
        if self._tape.logits is None:
            raise Unavailable(f"{self.model.name} has no unembedding, so no logits and no loss")
        if found is None:
            raise Unavailable(
                f"no chain of modules leads from the last residual stream of {self.model.name} to its logits"
            )
        return found

    def _prepared(self) -> torch.Tensor:
        """What the unembedding is given, ``[position, d_model]``, once its logits of the last position are the model's."""
        module, unembedding = self.model.module, self._unembedding
        prepared = unembedding.prepare(module, self._tape.leaving(self.model.n_layers - 1))
        own = self._tape.logits
        assert own is not None  # or there would be no unembedding
        ours = unembedding.logits(module, prepared[len(prepared) - len(own) :])
        if torch.equal(ours, own):
            return prepared
        if fingerprint(module) != self.tokens.provenance["weights"]:
            raise WeightsMoved("the model's weights have changed since this trace was made: trace the text again")
        error, size = float((ours - own).abs().max()), float(own.abs().max())
        if not error <= 64 * torch.finfo(own.dtype).eps * size:
            raise Unavailable(f"logits computed from the residual stream differ from the model's own by {error:.2g}")
        return prepared

    def __repr__(self) -> str:
        notes = [f"{len(self)} tokens", f"residual tape {self._tape.n_bytes / 1e6:.1f} MB"]
        without = [layer for layer in range(self.model.n_layers) if self._no_attention(layer)]
        if without:
            notes.append(f"no attention in layers {without}")
        for name in ("resid_mid", "neurons"):
            missing = getattr(self, name).missing
            if missing:
                notes.append(f"no {name} in layers {list(missing)}")
        notes += [f"edited: {edit}" for edit in self.tokens.provenance.get("edits") or ()]
        return f"Trace through {self.model!r}: {'; '.join(notes)}"
