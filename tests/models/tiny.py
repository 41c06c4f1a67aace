"""Every causal language model of transformers, made tiny by one generic set of sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import transformers as T
from transformers import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

VOCAB = 131
LIMIT = 25_000_000  # parameters; what stays larger under the sizes below is not built
TYPES = sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)

# Sizes by every name that a config of transformers uses for them.
SIZES: dict[str, Any] = {
    **dict.fromkeys(("vocab_size", "vocab_size_per_layer_input"), VOCAB),
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "hidden_dim", "word_embed_proj_dim", "dim"), 64),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "decoder_ffn_dim", "encoder_ffn_dim", "dim_ff"), 96),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "num_layers", "decoder_layers"), 3),
    **dict.fromkeys(("num_attention_heads", "n_head", "num_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("max_position_embeddings", "n_positions"), 128),
    **dict.fromkeys(("head_dim", "v_head_dim", "qk_nope_head_dim", "kv_lora_rank", "q_lora_rank"), 16),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 32),
    **dict.fromkeys(("n_group", "topk_group", "bos_token_id"), 1),
    **dict.fromkeys(("encoder_layers", "num_experts_per_tok", "num_key_value_heads", "eos_token_id"), 2),
    **dict.fromkeys(("rotary_dim", "qk_rope_head_dim", "state_size", "sliding_window"), 8),
    "encoder_attention_heads": 4,
    "hidden_size_per_layer_input": 8,
    "pad_token_id": 0,
    "mamba_chunk_size": 8,
    "chunk_size": 8,
    "n_shared_experts": 1,
}
# What some types need beside that, or instead.
SPECIAL: dict[str, dict[str, Any]] = {
    "gpt_neo": {"num_layers": 2, "attention_types": [[["global", "local"], 1]], "window_size": 8},
    "mamba2": {"head_dim": 32},
    "reformer": {"axial_pos_embds_dim": (16, 48), "axial_pos_shape": (8, 16)},
    "xmod": {"default_language": "en_XX"},
}


class NotTiny(Exception):
    """A class that the generic sizes do not make small, or that is more than a language model."""


def tiny_configs(kind: str) -> Iterator[T.PreTrainedConfig]:
    """Configs of a model type with the sizes above, by the names that it knows: all of them first, then without some."""
    cls = CONFIG_MAPPING[kind]
    default = cls()
    if isinstance(getattr(default, "text_config", None), T.PreTrainedConfig):
        raise NotTiny("its config holds others, one for the text among them")
    aliases = dict(getattr(cls, "attribute_map", None) or {})
    known = {*default.to_dict(), *aliases, "vocab_size"}
    sizes = {name: size for name, size in SIZES.items() if name in known and aliases.get(name) not in known & {*SIZES}}
    if "kv_lora_rank" in known and "num_key_value_heads" in sizes:
        sizes["num_key_value_heads"] = 4
    for dropped in ((), ("head_dim",), ("num_key_value_heads",), ("head_dim", "num_key_value_heads")):
        chosen = {name: size for name, size in sizes.items() if name not in dropped} | SPECIAL.get(kind, {})
        yield _fitted(cls(**chosen))


def _fitted(config: T.PreTrainedConfig) -> T.PreTrainedConfig:
    """Lists with an entry a layer, cut to the layers that are left; encoders among the causal classes made decoders."""
    for name in ("layer_types", "mlp_layer_types"):
        kinds, layers = getattr(config, name, None), getattr(config, "num_hidden_layers", None)
        if isinstance(kinds, list) and layers and len(kinds) > layers:
            setattr(config, name, kinds[:layers])
    if getattr(config, "is_decoder", None) is False:
        config.is_decoder = True
    return config


def build_tiny(kind: str) -> tuple[T.PreTrainedModel, list[int]]:
    """A random model of a type, in eval mode, with weights large enough for its attention to be peaked; and ids that it reads.

    Raises:
        NotTiny: It is not small, or no plain language model, or no set of sizes makes one that runs.
    """
    ids = torch.randint(5, VOCAB - 5, (20,), generator=torch.Generator().manual_seed(0)).tolist()
    failures: list[str] = []
    configs = tiny_configs(kind)
    while True:
        try:  # transformers raises whatever it likes where sizes do not fit together
            config = next(configs)
            model = _build(config)
            with torch.no_grad():
                model(input_ids=torch.tensor([ids]), use_cache=False)
            return model, ids
        except (NotTiny, StopIteration) as reason:
            raise NotTiny(failures[0] if failures else str(reason)) from None
        except Exception as reason:
            failures.append(f"{type(reason).__name__}: {str(reason).splitlines()[0][:100]}")
            if "config" not in locals():
                raise NotTiny(failures[0]) from None


def _build(config: T.PreTrainedConfig) -> T.PreTrainedModel:
    with torch.device("meta"):
        size = sum(p.numel() for p in T.AutoModelForCausalLM.from_config(config).parameters())
    if size > LIMIT:
        raise NotTiny(f"it has {size / 1e6:.0f} million parameters")
    torch.manual_seed(0)
    model = T.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() >= 2 and parameter.std() < 0.1:
                parameter.mul_(4)
    return model
