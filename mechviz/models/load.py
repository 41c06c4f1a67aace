"""A name, a folder or a model -> a `Model`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import try_to_load_from_cache
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.utils import logging

from .mapped import MappedModel
from .model import Model
from .site_map import SiteMap

EMBEDDED = Path(__file__).parent.parent / "demo" / "model"

# What says which files to read, and how to get at them: as true of the tokenizer as of the weights.
_WHERE = ("revision", "token", "cache_dir", "local_files_only", "force_download", "proxies", "trust_remote_code")


def load(
    x: str | Path | nn.Module | None = None,
    tokenizer: Any = None,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | str | None = None,
    sites: SiteMap | None = None,
    **kwargs: Any,
) -> Model:
    """Load a model for tracing, or take one that is loaded already: of any kind that transformers has, or your own.

    Args:
        x: Nothing for the embedded model; the name of a model on the Hugging Face hub or a local folder (read as the class
            that its config names, as safetensors only, without code of its own unless you pass ``trust_remote_code=True``);
            a transformers model, or a `TransformerBridge` of TransformerLens round one; or any ``torch.nn.Module`` that takes
            ids ``[1, position]``, with ``sites=``.
        tokenizer: A tokenizer, or the name or folder of one; by default the one that came with a name or folder.
        device: Where to put a model that is loaded here; by default it stays where transformers puts it.
        dtype: Of a model that is loaded here; by default float32 for the embedded model, else the checkpoint's own.
        sites: Of a hand-written module: where it keeps what a trace shows. See `mechviz.models.SiteMap`.
        **kwargs: Passed to ``from_pretrained``; ``revision``, ``token`` and the like to the tokenizer's
            too, when it comes from the same place.

    Returns:
        A `Model`. One that you give stays yours: nothing on it is changed, not even its mode.

    Raises:
        TypeError: ``x`` is none of these.
        FileNotFoundError: The folder, or the embedded model, is not there.
        ValueError: ``device``, ``dtype`` or other options with a model that is loaded already; a site map that names
            what is not there, or that comes with a model which needs none.

    Example:
        >>> model = load()  # doctest: +SKIP
    """
    if isinstance(x, nn.Module):
        if device is not None or dtype is not None or kwargs:
            raise ValueError(
                "device=, dtype= and other options are for models that load() reads; yours is left as it is"
            )
        if sites is not None:
            return MappedModel(x, _tokenizer(tokenizer), sites)
        if isinstance(inner := getattr(x, "original_model", None), nn.Module):  # a bridge runs the model that it holds
            x, tokenizer = inner, getattr(x, "tokenizer", None) if tokenizer is None else tokenizer
        if not hasattr(x, "config") or not hasattr(x, "get_input_embeddings"):
            raise TypeError(
                f"expected a transformers model with a config and input embeddings; got {type(x).__name__}. A module of your "
                "own needs sites=mv.SiteMap(blocks=...), which says where things are in it"
            )
        return Model(x, _tokenizer(tokenizer))
    if sites is not None:
        raise ValueError("sites= is for a torch.nn.Module of your own; models that load() reads need none")
    if x is not None and not isinstance(x, (str, Path)):
        raise TypeError(f"expected nothing, a name, a folder or a model; got {type(x).__name__}")
    if x is not None and _is_path(x) and not Path(x).exists():
        raise FileNotFoundError(f"there is no folder {str(x)!r}")
    if x is None and not EMBEDDED.is_dir():
        raise FileNotFoundError("this installation lacks the embedded model; `python -m mechviz.demo.train` makes it")
    if x is None:
        with _no_progress_bar():
            module = _read(EMBEDDED, dtype or torch.float32, kwargs)
        name, bos = "mechviz-demo", True
    else:
        module, name, bos = _read(x, dtype or "auto", kwargs), None, None
    revision = None if x is None else _revision(x, kwargs)
    if device is not None:
        module = nn.Module.to(module, device)
    if tokenizer is None and getattr(module, "main_input_name", "input_ids") == "input_ids":
        where = {key: value for key, value in kwargs.items() if key in _WHERE}
        tokenizer = AutoTokenizer.from_pretrained(EMBEDDED if x is None else x, **where)
    return Model(module, _tokenizer(tokenizer), name=name, bos=bos, revision=revision)


def _revision(source: str | Path, options: dict[str, Any]) -> str | None:
    """The commit of the hub that was read: the folder in the cache that the config lies in; None for a folder."""
    if Path(source).exists():
        return None
    found = try_to_load_from_cache(
        str(source), "config.json", cache_dir=options.get("cache_dir"), revision=options.get("revision")
    )
    return Path(found).parent.name if isinstance(found, str) else None


def _is_path(x: str | Path) -> bool:
    """Whether it can only be a folder: the name of a model on the hub has one slash at most and begins with a letter or digit."""
    return isinstance(x, Path) or x.startswith(("/", "\\", ".", "~")) or x.count("/") > 1


def _read(source: str | Path, dtype: Any, options: dict[str, Any]) -> nn.Module:
    where = {key: value for key, value in options.items() if key in _WHERE}
    config = options.get("config") or AutoConfig.from_pretrained(source, **where)
    named = getattr(transformers, (getattr(config, "architectures", None) or [""])[0], None)
    brought = getattr(config, "auto_map", None) and options.get("trust_remote_code")
    known = isinstance(named, type) and issubclass(named, PreTrainedModel) and not brought
    kind: Any = named if known else AutoModelForCausalLM  # most of those that do not say are causal language models
    return kind.from_pretrained(source, dtype=dtype, use_safetensors=True, **options)


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _tokenizer(given: Any) -> Any:
    """A tokenizer, read first where its name or folder was given."""
    return AutoTokenizer.from_pretrained(given) if isinstance(given, (str, Path)) else given
