"""What `capture=` asks a trace to keep, as names per layer and single sites."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from mechviz.sites import MLP, Attention, Residual, Site, hook_of, parse

# What a trace recomputes unless it was kept; the residual stream before and after each block is always there.
READINGS = ("attention", "q", "k", "v", "z", "attn_out", "mlp_out", "resid_mid", "neurons", "gate", "up")
TAPED = ("resid_pre", "resid_post")
OF_ATTENTION = READINGS[:5]  # what an attention call alone says
Capture: TypeAlias = "str | int | Site | Sequence[str | int | Site] | Mapping[str, int | Iterable[int]] | None"


@dataclass
class Wanted:
    """What is to be kept.

    Attributes:
        names: Layer -> names among `READINGS`, in their order.
        sites: Single heads, neurons and features.
        taped: Whether the streams that are always there count, too.
    """

    names: dict[int, tuple[str, ...]] = field(default_factory=dict)
    sites: tuple[Site, ...] = ()
    taped: bool = False

    def __bool__(self) -> bool:
        return bool(self.names or self.sites)

    def add(self, name: str, layers: Iterable[int]) -> None:
        """Ask for a reading at some layers."""
        for layer in layers if self.taped or name not in TAPED else ():
            asked = {*self.names.get(layer, ()), name}
            self.names[layer] = tuple(known for known in (*READINGS, *TAPED) if known in asked)

    def at(self, layer: int) -> tuple[Site, ...]:
        """The single sites of a layer."""
        return tuple(site for site in self.sites if site.layer == layer)


def wanted(capture: Capture, n_layers: int, *, taped: bool = False) -> Wanted:
    """Read what `mechviz.models.Model.trace` takes as ``capture``; ``taped`` counts the streams that are always there.

    Raises:
        ValueError: A name that is none, or a layer that the model does not have.
        TypeError: Something else.
    """
    found = Wanted(taped=taped)
    if isinstance(capture, Mapping):
        for name, layers in capture.items():
            _ask(found, name, _layers([layers] if isinstance(layers, int) else layers, n_layers))
        return found
    items: Sequence[Any] = capture if isinstance(capture, (list, tuple)) else [] if capture is None else [capture]
    for item in items:
        if isinstance(item, int) and not isinstance(item, bool):
            for name in (*READINGS, *TAPED):
                found.add(name, _layers([item], n_layers))
        elif (hook := hook_of(item)) and hook[0] != "result":
            _ask(found, hook[0], _layers([hook[1]], n_layers))
        elif isinstance(item, str) and (item in (*READINGS, *TAPED, "pattern", "everything")):
            _ask(found, item, range(n_layers))
        else:
            _ask_site(found, item, n_layers)
    return found


def _ask(found: Wanted, name: str, layers: Iterable[int]) -> None:
    known = (*READINGS, *TAPED, "pattern", "everything")
    if name not in known:
        raise ValueError(f"capture must name some of {', '.join(known)}; got {name!r}")
    for one in (*READINGS, *TAPED) if name == "everything" else ["attention" if name == "pattern" else name]:
        found.add(one, layers)


def _ask_site(found: Wanted, item: Any, n_layers: int) -> None:
    try:
        site = parse(item)
    except ValueError as error:
        raise ValueError(f"capture: {error}, or one of {', '.join((*READINGS, *TAPED, 'everything'))}") from None
    _layers([site.layer], n_layers)
    if isinstance(site, (MLP, Attention)):
        found.add("mlp_out" if isinstance(site, MLP) else "attn_out", [site.layer])
    elif not isinstance(site, Residual):
        found.sites = (*found.sites, site)
    else:
        found.add(f"resid_{site.point}", [site.layer])


def _layers(layers: Iterable[int], n_layers: int) -> list[int]:
    chosen = list(layers)
    for layer in chosen:
        if not 0 <= layer < n_layers:
            raise ValueError(f"capture: this model has layers 0 to {n_layers - 1}; got {layer}")
    return chosen
