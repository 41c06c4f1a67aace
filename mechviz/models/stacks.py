"""Models with several stacks, and inputs that are not one text: encoders with decoders, vision, audio, text beside images."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch
from transformers.cache_utils import Cache

from mechviz._layered import Unavailable
from mechviz.arrays import to_numpy

from .budget import limit_of
from .edit import Edit
from .editing import Editing, no_edits
from .editing_stacks import Editings, edits_of_stack
from .encode import Encoded, encode
from .fingerprint import fingerprint
from .keeping_stacks import keepers, wanted_of_stacks
from .known import settled, structures_of
from .patches import tokens_of_inputs, with_patches
from .stack_trace import Side, StackTrace
from .structure import PROBE_LENGTH, Stack, Structure
from .tape import Tape
from .wanted import Capture

if TYPE_CHECKING:
    from .model import Model

DECODER_PROBE_LENGTH = 5  # another prime, so that reading the encoder can be told from reading oneself


def trace_inputs(
    model: Model,
    given: Mapping[str, Any],
    edits: Sequence[Edit] = (),
    capture: Capture = None,
    grad: bool = False,
    budget: int | None = None,
) -> StackTrace:
    """Run a model on named inputs and keep the residual stream of every stack.

    Args:
        model: The model.
        given: Name -> what its ``forward`` takes under that name, of one text or image: a tensor or array with or without
            its batch axis, or text where ids are wanted.
        edits: Changes to make; a site such as "encoder.L5H1" names its stack, or is of the one that the logits come from.
        capture: What to keep during the pass; sites name their stacks in the same way.
        grad: Keep what gradients need.
        budget: Bytes that the trace may keep; None for a quarter of the free memory.

    Raises:
        Unavailable: The model lacks the site of an edit.
        MemoryError: It keeps more than the budget.
        ValueError: More than one text or image, or nothing that the model takes.
        NotImplementedError: Blocks do not run once each, one stack after the other.
    """
    inputs, texts = _prepared(model, given)
    with model.lock, no_edits():
        weights = fingerprint(model.module)
        structures = _structures(model, inputs, weights)
        stacks = [next(s for s in model.stacks if s.name == name) for name in structures]
        main = _main(stacks, structures).name
        editings = _editings(model, stacks, structures, edits)
        sides = {stack.name: Side(model, stack, structures[stack.name]) for stack in stacks}
        wish = wanted_of_stacks(capture, {name: side.n_layers for name, side in sides.items()}, main)
        keeper = keepers(sides, editings, wish, limit_of(model, budget), grad)
        tape = model._record(inputs, Editings(list(editings.values())), keeper)
    return _split(model, stacks, sides, tape, inputs, texts, weights, editings, [str(edit) for edit in edits])


def open_edits(model: Model, edits: Sequence[Edit]) -> Editings:
    """Edits of a model with several stacks, to be opened round its own forward passes.

    Raises:
        Unavailable: The model lacks the site of an edit, or it has to be traced once before, as it does not read texts.
    """
    with model.lock, no_edits():
        known = next(reversed(model._structures.values()), None)
        if known is not None and known[1] == fingerprint(model.module):
            structures = known[0]
        elif getattr(model.module, "main_input_name", "input_ids") == "input_ids":
            structures = _structures(model, _prepared(model, {"input_ids": [0, 1, 2]})[0], fingerprint(model.module))
        else:
            raise Unavailable(
                f"{model.name} does not read texts alone: trace its inputs once before its own passes are edited, so that "
                "mechviz knows where its sites are"
            )
    stacks = [next(s for s in model.stacks if s.name == name) for name in structures]
    return Editings(list(_editings(model, stacks, structures, edits).values()))


def _editings(
    model: Model, stacks: Sequence[Stack], structures: Mapping[str, Structure], edits: Sequence[Edit]
) -> dict[str, Editing]:
    """Stack -> its part of the edits."""
    names, main = [stack.name for stack in stacks], _main(stacks, structures).name
    return {
        stack.name: Editing(
            model.module,
            stack.blocks,
            structures[stack.name],
            edits_of_stack(edits, stack.name, names, main),
            stack.name,
            cached=stack.name == main,
        )
        for stack in stacks
    }


def _prepared(model: Model, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """What to call the model with, and the texts behind its ids."""
    takes = inspect.signature(model.module.forward).parameters
    unknown = [name for name in given if name not in takes]
    if unknown or not given:
        raise ValueError(
            f"{type(model.module).__name__} takes {', '.join(takes)}; got {', '.join(unknown) or 'nothing'}"
        )
    inputs: dict[str, Any] = {}
    texts = {name: x for name, x in given.items() if isinstance(x, str)}
    for name, x in given.items():
        if isinstance(x, str):
            x = encode(model.tokenizer, x, None, default=model._bos).ids
        if x is None or isinstance(x, (bool, int, float)):
            inputs[name] = x
            continue
        if isinstance(x, Cache):
            raise TypeError(f"{name} must be a tensor or an array; a trace starts without a cache")
        x = x if isinstance(x, torch.Tensor) else torch.from_numpy(to_numpy(x, name=name).copy())
        inputs[name] = _one(x, name).to(model.device)
        if name.endswith("input_ids"):
            with suppress(NotImplementedError):  # of a model with several embeddings
                model._check(inputs[name][0].tolist())
    config: Any = model.module.config
    if getattr(config, "is_encoder_decoder", False) and not {"decoder_input_ids", "decoder_inputs_embeds"} & set(
        inputs
    ):
        text, said = config.get_text_config(decoder=True), getattr(model.module, "generation_config", None)
        known = [getattr(who, "decoder_start_token_id", None) for who in (text, config, said)]
        known += [getattr(text, "bos_token_id", None), 0]
        start = next(token for token in known if token is not None)
        inputs["decoder_input_ids"] = torch.tensor([[start]], device=model.device)
    anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values())
    defaults = {"use_cache": False, "return_dict": True}
    return inputs | {k: v for k, v in defaults.items() if k in takes or (anything and k == "use_cache")}, texts


def _one(x: torch.Tensor, name: str) -> torch.Tensor:
    """With a batch axis of length 1."""
    if name == "image_grid_thw" or (name == "pixel_values" and x.dim() == 2):
        return x  # patches of images of any size, one after the other
    rank = 4 if name == "pixel_values" else 3 if name in ("input_features", "inputs_embeds") else 2
    rank = 2 if name == "input_values" else rank
    x = x[None] if x.dim() == rank - 1 else x
    if x.dim() >= 1 and len(x) != 1:
        raise ValueError(f"{name} must be of one text or image, with a batch axis of length 1; got {tuple(x.shape)}")
    return x


def _structures(model: Model, inputs: dict[str, Any], weights: str) -> dict[str, Structure]:
    key = tuple(sorted(name for name, x in inputs.items() if x is not None))
    known = model._structures.get(key)
    if known is None or (known[1] != weights and not settled(model.module, known[0])):
        known = model._structures[key] = structures_of(model.module, model.stacks, _little(inputs), weights), weights
    return known[0]


def _little(inputs: dict[str, Any]) -> dict[str, Any]:
    """Texts cut to a few tokens; one that is shorter is repeated. Images and sounds stay, as their models ask for a size."""
    names = [
        name for name, x in inputs.items() if isinstance(x, torch.Tensor) and x.dim() == 2 and not x.is_floating_point()
    ]
    beside = len(names) > 0 and any(isinstance(x, torch.Tensor) and x.is_floating_point() for x in inputs.values())
    little = dict(inputs)
    for name in names:
        size = DECODER_PROBE_LENGTH if name.startswith("decoder_") else PROBE_LENGTH
        x = inputs[name]
        if beside and not name.startswith("decoder_"):
            continue  # its tokens may stand for parts of the image
        little[name] = x.repeat(1, -(-size // x.shape[1]))[:, :size]
    return little


def _split(
    model: Model,
    stacks: list[Stack],
    sides: Mapping[str, Side],
    tape: Tape,
    inputs: dict[str, Any],
    texts: dict[str, str],
    weights: str,
    editings: Mapping[str, Editing],
    edits: list[str],
) -> StackTrace:
    main, traces, first = _main(stacks, {name: side.structure for name, side in sides.items()}), {}, 0
    for stack in stacks:
        blocks = tape.blocks[first : first + len(stack.blocks)]
        witnesses = tape.witnesses[first : first + len(blocks)]
        first += len(blocks)
        stream = blocks[0].input
        length = 0 if stream is None else stream.shape[:-1].numel()
        editing = editings[stack.name]
        logits = tape.logits if stack is main else None
        side, kept = sides[stack.name], tape.kept[stack.name]
        about = (tape.numerics, editing, tape.cloned, kept.kept, kept.graph)
        own = Tape(length, blocks, witnesses, logits, *about)
        ids = _ids_of(stack, length, inputs)
        name = next((key for key, x in inputs.items() if x is ids), "")
        encoded = Encoded(ids[0].tolist() if ids is not None else [0] * length, texts.get(name))
        tokens = model._tokens(encoded, weights, edits)
        if ids is None:
            tokens = tokens_of_inputs(model.module, length, inputs, tokens.provenance)
        else:
            tokens = with_patches(tokens, model.module, inputs)
        tokens = dataclasses.replace(tokens, provenance={**tokens.provenance, "model": side.name})
        traces[stack.name] = StackTrace(side, tokens, own)  # type: ignore[arg-type]
        traces[stack.name]._across = kept.across
    for name, trace in traces.items():
        trace.stack, trace.stacks, trace._main, trace._inputs = name, traces, main.name, inputs
    return traces[main.name]


def _main(stacks: Sequence[Stack], structures: Mapping[str, Structure]) -> Stack:
    """The stack that the logits come from; else that of the text; else the last."""
    leads = [stack for stack in stacks if structures[stack.name].unembedding is not None]
    named = [stack for stack in stacks if stack.name in ("decoder", "language", "text")]
    return (leads or named or stacks[-1:])[0]


def _ids_of(stack: Stack, length: int, inputs: dict[str, Any]) -> torch.Tensor | None:
    """The ids that go into a stack, if they do as they are."""
    names = ("decoder_input_ids", "input_ids") if stack.name == "decoder" else ("input_ids",)
    found = (inputs.get(name) for name in names)
    return next((x for x in found if isinstance(x, torch.Tensor) and x.shape == (1, length)), None)
