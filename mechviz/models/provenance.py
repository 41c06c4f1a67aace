"""What goes into a model, and what its traces say of where they come from."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import transformers
from torch import nn

from mechviz.text import Tokens, as_tokens

from .encode import Encoded

if TYPE_CHECKING:
    from .model import Model


def check_whole(module: nn.Module, name: str) -> None:
    """Refuse a model whose weights are spread over processes: each sees some of the heads and neurons, under others' numbers.

    Raises:
        NotImplementedError: It is.
    """
    spread = any(
        hasattr(p, "to_local") and any(place.is_shard() for place in p.placements)  # type: ignore[attr-defined]
        for p in module.parameters()
    )
    if spread or (getattr(module, "_tp_size", None) or 1) > 1:
        raise NotImplementedError(
            f"the weights of {name} are spread over several processes (tensor parallel or FSDP): in each of them a trace would "
            "see some of the heads and neurons, and count them from 0. Load it in one process instead, over several devices "
            'with device_map="auto"'
        )


def check_ids(model: Model, ids: list[int]) -> None:
    """Refuse what would fail inside the model, on a GPU without any message."""
    embedding: Any = model.module.get_input_embeddings()  # type: ignore[operator]
    known = getattr(embedding, "num_embeddings", None)
    if known is not None and not 0 <= min(ids) <= max(ids) < known:
        bad = next(i for i in ids if not 0 <= i < known)
        raise ValueError(f"ids must be between 0 and {known - 1}, the vocabulary of {model.name}; got {bad}")
    limit = getattr(model.module.config, "max_position_embeddings", None) or 0
    if len(ids) > limit > 0 and any(
        isinstance(m, nn.Embedding) and m is not embedding and limit <= m.num_embeddings <= limit + 2
        for m in model.module.modules()
    ):
        raise ValueError(
            f"{model.name} has positions for {limit} tokens; the text has {len(ids)}. Windows of its ids can be traced: "
            f"model.traces([ids[i : i + {limit}] for i in range(0, len(ids), {limit})])"
        )


def tokens_of(model: Model, encoded: Encoded, weights: str, edits: list[str]) -> Tokens:
    """The tokens of a text with the provenance of everything in its trace."""
    ids, text = encoded.ids, encoded.text
    provenance = {
        "model": model.name,
        "weights": weights,
        "text": None if text is None else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12],
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": str(model.device),
        "bos": ids[0] == getattr(model.tokenizer, "bos_token_id", None),
        "attention": getattr(model.module.config, "_attn_implementation", None),
        "transformers": transformers.__version__,
        "edits": edits,
    }
    if model.revision is not None:
        provenance["revision"] = model.revision
    if encoded.prompt is not None:
        provenance["prompt_tokens"] = encoded.prompt
    if model.tokenizer is None:
        tokens = dataclasses.replace(as_tokens([str(i) for i in ids]), ids=tuple(ids), provenance=provenance)
    else:
        tokens = Tokens.from_ids(model.tokenizer, ids, text=text, provenance=provenance)
    return dataclasses.replace(tokens, prompt=encoded.prompt)


def name_of(module: nn.Module) -> str:
    """What the model was loaded as; of a folder only its own name, because pictures carry it to other people."""
    source = str(getattr(getattr(module, "config", None), "name_or_path", "") or "")
    local = source.startswith((".", "~")) or PurePath(source).is_absolute() or source.count("/") > 1
    return (PurePath(source).name if local else source) or type(module).__name__
