"""Tiny random models of many architectures, with weights large enough for their attention to be peaked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers as T

VOCAB = 97
_SHARED: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_IDS: dict[str, Any] = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_GPT: dict[str, Any] = {"vocab_size": VOCAB, "n_embd": 48, "n_layer": 3, "n_head": 4, "n_positions": 64, **_IDS}
_BIG: dict[str, Any] = {key: value for key, value in _SHARED.items() if key != "num_key_value_heads"}


def _deepseek() -> T.PreTrainedConfig:
    return T.DeepseekV3Config(
        **_SHARED | {"num_key_value_heads": 4},
        moe_intermediate_size=32,
        n_routed_experts=8,
        n_group=2,
        topk_group=1,
        num_experts_per_tok=2,
        n_shared_experts=1,
        first_k_dense_replace=1,
        q_lora_rank=24,
        kv_lora_rank=16,
        qk_rope_head_dim=8,
        qk_nope_head_dim=16,
        v_head_dim=12,
    )


def _gpt_oss() -> T.PreTrainedConfig:
    rope = {"rope_type": "default", "rope_theta": 10000.0}
    experts = {"num_local_experts": 4, "num_experts_per_tok": 2}
    return T.GptOssConfig(**_SHARED, **experts, head_dim=16, sliding_window=8, rope_parameters=rope)


def _gpt_neo() -> T.PreTrainedConfig:
    kinds = [[["global", "local"], 1]]
    small = {"num_layers": 2, "num_heads": 4, "window_size": 8, "attention_types": kinds}
    return T.GPTNeoConfig(
        vocab_size=VOCAB, hidden_size=48, intermediate_size=96, max_position_embeddings=64, **small, **_IDS
    )


def _gemma(config: type[T.PreTrainedConfig], **more: Any) -> T.PreTrainedConfig:
    return config(**_SHARED, head_dim=16, sliding_window=8, query_pre_attn_scalar=16, **more)


_LAYERS = ["sliding_attention", "full_attention", "sliding_attention"]

# name -> its config; the class follows from the config, as it does for AutoModelForCausalLM
ZOO: dict[str, Callable[[], T.PreTrainedConfig]] = {
    "gpt2": lambda: T.GPT2Config(**_GPT),
    "gpt_neox": lambda: T.GPTNeoXConfig(**_BIG),
    "llama": lambda: T.LlamaConfig(**_SHARED),
    "qwen2": lambda: T.Qwen2Config(**_SHARED),
    "qwen3": lambda: T.Qwen3Config(**_SHARED, head_dim=16),
    "mistral": lambda: T.MistralConfig(**_SHARED, sliding_window=8),
    "gemma2": lambda: _gemma(T.Gemma2Config, attn_logit_softcapping=2.0, final_logit_softcapping=5.0),
    "gemma3": lambda: _gemma(T.Gemma3TextConfig, layer_types=_LAYERS),
    "phi3": lambda: T.Phi3Config(**_SHARED),
    "olmo2": lambda: T.Olmo2Config(**_SHARED),
    "granite": lambda: T.GraniteConfig(**_SHARED, residual_multiplier=0.25, logits_scaling=4.0),
    "cohere": lambda: T.CohereConfig(**_SHARED),
    "mixtral": lambda: T.MixtralConfig(**_SHARED, num_local_experts=4, num_experts_per_tok=2),
    "gpt_oss": _gpt_oss,
    "deepseek_v3": _deepseek,
    "opt": lambda: T.OPTConfig(
        ffn_dim=96, word_embed_proj_dim=48, **{k: v for k, v in _BIG.items() if k != "intermediate_size"}
    ),
    "gptj": lambda: T.GPTJConfig(**_GPT, rotary_dim=8),
    "gpt_neo": _gpt_neo,
    "bloom": lambda: T.BloomConfig(vocab_size=VOCAB, hidden_size=48, n_layer=3, n_head=4, **_IDS),
    "falcon": lambda: T.FalconConfig(ffn_hidden_size=96, **{k: v for k, v in _BIG.items() if k != "intermediate_size"}),
    "openai": lambda: T.OpenAIGPTConfig(**_GPT),
    "mamba": lambda: T.MambaConfig(vocab_size=VOCAB, hidden_size=48, num_hidden_layers=3, state_size=8, **_IDS),
}
LEGACY = ("gptj", "gpt_neo", "bloom", "falcon", "openai")  # no dispatch: seen through torch's functions


_PAIR: dict[str, Any] = {
    "vocab_size": VOCAB,
    "d_model": 48,
    **dict.fromkeys(("encoder_layers", "decoder_layers"), 2),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 96),
    **_IDS,
}
_SEEING: dict[str, Any] = {
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "image_size": 32,
    "patch_size": 8,
}


def _clip() -> T.PreTrainedConfig:
    text = {**_IDS, "vocab_size": VOCAB, "max_position_embeddings": 64, "num_hidden_layers": 2}
    text |= {name: _SEEING[name] for name in ("hidden_size", "num_attention_heads", "intermediate_size")}
    return T.CLIPConfig(text_config=text, vision_config=_SEEING | {"num_hidden_layers": 2}, projection_dim=32)


def _gemma3_seeing() -> T.PreTrainedConfig:
    more = {"head_dim": 16, "sliding_window": 8, "query_pre_attn_scalar": 16, "num_hidden_layers": 2}
    image = {"mm_tokens_per_image": 4, "image_token_index": 90, "boi_token_index": 91, "eoi_token_index": 92}
    # more layers that see than layers that read
    return T.Gemma3Config(text_config=_SHARED | more, vision_config=_SEEING | {"num_hidden_layers": 4}, **image)


def _captioned() -> dict[str, torch.Tensor]:
    tokens = torch.tensor([[5, 6, 91, 90, 90, 90, 90, 92, 7, 8]])
    return {"input_ids": tokens, "token_type_ids": (tokens == 90).long(), "pixel_values": _image()}


def _text(length: int = 24, seed: int = 0) -> torch.Tensor:
    return torch.tensor([ids(length, seed=seed)])


def _image() -> torch.Tensor:
    return torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def _two() -> dict[str, torch.Tensor]:
    return {"input_ids": _text(), "decoder_input_ids": _text(11, seed=1)}


# name -> class, its config, and what it is called with: models that are no plain causal language models
OTHERS: dict[str, tuple[Any, Callable[[], T.PreTrainedConfig], Callable[[], dict[str, torch.Tensor]]]] = {
    "bert": (T.BertForMaskedLM, lambda: T.BertConfig(**_BIG), lambda: {"input_ids": _text()}),
    "roberta": (T.RobertaForMaskedLM, lambda: T.RobertaConfig(**_BIG), lambda: {"input_ids": _text()}),
    "t5": (
        T.T5ForConditionalGeneration,
        lambda: T.T5Config(
            vocab_size=VOCAB,
            d_model=48,
            d_kv=12,
            d_ff=96,
            num_layers=2,
            num_heads=4,
            decoder_start_token_id=0,
            feed_forward_proj="gated-gelu",
        ),
        _two,
    ),
    "bart": (T.BartForConditionalGeneration, lambda: T.BartConfig(**_PAIR, max_position_embeddings=64), _two),
    "whisper": (
        T.WhisperForConditionalGeneration,
        lambda: T.WhisperConfig(**_PAIR, max_source_positions=30, max_target_positions=64, decoder_start_token_id=1),
        lambda: {
            "input_features": torch.randn(1, 80, 60, generator=torch.Generator().manual_seed(0)),
            "decoder_input_ids": _text(11),
        },
    ),
    "vit": (T.ViTModel, lambda: T.ViTConfig(**_SEEING), lambda: {"pixel_values": _image()}),
    "gemma3_seeing": (T.Gemma3ForConditionalGeneration, _gemma3_seeing, _captioned),
    "clip": (T.CLIPModel, _clip, lambda: {"input_ids": _text(12), "pixel_values": _image()}),
}


def build_other(name: str, **options: Any) -> tuple[T.PreTrainedModel, dict[str, torch.Tensor]]:
    """One of `OTHERS`, in eval mode, and its inputs; ``options`` as for `build`."""
    torch.manual_seed(0)
    cls, config, inputs = OTHERS[name]
    model = _peaked(cls._from_config(config(), **options))
    return model.eval(), inputs()


def build(name: str, *, seed: int = 0, dtype: torch.dtype = torch.float32, **options: Any) -> T.PreTrainedModel:
    """A tiny random model in eval mode; ``options`` go to ``from_config`` (``attn_implementation="eager"``)."""
    torch.manual_seed(seed)
    model = T.AutoModelForCausalLM.from_config(ZOO[name](), dtype=dtype, **options)
    return _peaked(model).eval()


@torch.no_grad()
def _peaked(model: T.PreTrainedModel) -> T.PreTrainedModel:
    """With weights large enough for its attention to be peaked."""
    for key, parameter in model.named_parameters():
        if parameter.dim() >= 2 and "norm" not in key and parameter.std() < 0.1:
            parameter.mul_(6)
        if "sinks" in key:
            parameter.normal_()
    return model


def ids(length: int = 24, *, seed: int = 0) -> list[int]:
    """Random token ids, none of them special."""
    return torch.randint(5, VOCAB, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


def state(model):
    """Everything about a model that a trace could leave a mark on."""
    return {
        name: (
            sorted(vars(module)),
            module.training,
            vars(type(module)).get("forward"),
            [
                list(hooks.values())
                for key, hooks in sorted(vars(module).items())
                if "hook" in key and hasattr(hooks, "values")
            ],
            [
                (key, value.data_ptr(), value.requires_grad, value.grad is None)
                for key, value in module.named_parameters()
            ],
        )
        for name, module in model.named_modules()
    }
