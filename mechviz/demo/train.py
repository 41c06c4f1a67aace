"""Train the embedded model: `python -m mechviz.demo.train`.

The recipe is a fixed number of steps from a fixed seed, so that the same machine makes the same weights; with two free
cores it takes less than ten minutes. The text is written during training and never repeats.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy
from tqdm import tqdm
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from . import MODEL, card, evaluate
from .curriculum import CONTEXT, Batch, Curriculum
from .tokenizer import build
from .tokenizer import save as save_tokenizer

LAYERS, HEADS, WIDTH, HIDDEN = 3, 4, 128, 256
STEPS = 2400
RATE, WARM_UP_STEPS, FALLS_FROM = 2e-3, 50, 0.4
LONG_FROM = 0.5
REPORT_EVERY = 100


def blank(tokenizer: PreTrainedTokenizerFast) -> GPT2LMHeadModel:
    """Return the untrained model.

    Positions begin as sines and cosines in a quarter of the dimensions, as the first transformer had them (they are
    trained like everything else), and tokens five times as long as usual: attending to the token before, which every
    repeat needs, is then found within a hundred steps instead of a thousand.
    """
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=CONTEXT, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, n_inner=HIDDEN,
        # the same function as GPT-2's own "gelu_new", in one kernel instead of eight
        activation_function="gelu_pytorch_tanh",
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model = GPT2LMHeadModel._from_config(config, attn_implementation="sdpa")
    waves = WIDTH // 8
    with torch.no_grad():
        model.transformer.wte.weight.normal_(0, 0.1)
        position = torch.arange(CONTEXT)[:, None].float()
        frequency = torch.exp(-math.log(2 * CONTEXT / math.pi) * torch.linspace(0, 1, waves)) * math.pi / 2
        angles = position * frequency  # [position, wave]
        model.transformer.wpe.weight[:, : 2 * waves] = 0.1 * torch.cat([torch.sin(angles), torch.cos(angles)], 1)
    return model


def optimizers(model: GPT2LMHeadModel) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices of the blocks and AdamW for everything else.

    Paper: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks".
    """
    matrices = [p for name, p in model.named_parameters() if ".h." in name and p.ndim == 2]
    others = [p for name, p in model.named_parameters() if not (".h." in name and p.ndim == 2)]
    return [
        torch.optim.Muon(matrices, lr=RATE, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=RATE, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def rate(step: int, steps: int) -> float:
    """Return the learning rate: up in a line, level, then down along a cosine to a fiftieth."""
    progress = step / steps
    falling = 1.0
    if progress >= FALLS_FROM:
        falling = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (progress - FALLS_FROM) / (1 - FALLS_FROM)))
    return RATE * min(1.0, (step + 1) / WARM_UP_STEPS) * falling


class Learned(NamedTuple):
    """What one batch says."""

    gradients: tuple[torch.Tensor, ...]
    loss: float
    right: float


def learn(model: GPT2LMHeadModel, batch: Batch) -> Learned:
    """Return gradients of the mean loss over what counts in a batch, and the share whose most likely token is right."""
    hidden = model.transformer(batch.ids[:, :-1], use_cache=False).last_hidden_state[batch.counts]  # [counted, width]
    logits = model.lm_head(hidden)  # [counted, vocab]
    target = batch.ids[:, 1:][batch.counts]
    loss = cross_entropy(logits, target)
    right = (logits.argmax(-1) == target).float().mean().item()
    return Learned(torch.autograd.grad(loss, list(model.parameters())), loss.item(), right)


def save(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, directory: Path) -> None:
    """Write a transformers model directory: float16 weights, the configuration, the tokenizer.

    The configuration says `dtype: float32`, so the weights are stored in half precision and computed in full.
    """
    directory.mkdir(parents=True, exist_ok=True)
    weights = {k: v.half().contiguous() for k, v in model.state_dict().items() if k != "lm_head.weight"}  # tied
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    config: dict[str, Any] = {"architectures": ["GPT2LMHeadModel"]}
    config |= {k: v for k, v in model.config.to_diff_dict().items() if k != "transformers_version" and v is not None}
    config |= {"activation_function": "gelu_new", "tie_word_embeddings": True, "dtype": "float32"}
    (directory / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    save_tokenizer(tokenizer, directory)


def train(steps: int = STEPS, seed: int = 0, threads: int = 2) -> tuple[GPT2LMHeadModel, PreTrainedTokenizerFast]:
    """Train the model, with a progress bar that shows the loss and what the model can do.

    Args:
        steps: number of optimizer steps.
        seed: seed of tokenizer, weights and text.
        threads: batches of a step computed side by side, up to three. Each is computed by one thread and they are
            added up in one order, so the weights do not depend on it.

    Returns:
        The model, in eval mode, and its tokenizer.

    Raises:
        ValueError: `steps` not positive.
    """
    if steps < 1:
        raise ValueError(f"steps must be positive; got {steps}")
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    tokenizer = build(seed, CONTEXT)
    model = blank(tokenizer).train()
    parameters = list(model.parameters())
    both = optimizers(model)
    curriculum = Curriculum(tokenizer, seed)
    scores: dict[str, float] = {}
    bar = tqdm(range(steps), unit="step")
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for step in bar:
            if step % REPORT_EVERY == 0:
                scores = evaluate.summary(evaluate.report(model, tokenizer, count=50))
            for group in [group for optimizer in both for group in optimizer.param_groups]:
                group["lr"] = rate(step, steps)
            batches = list(curriculum.step(long=step / steps >= LONG_FROM))
            # The largest first: no thread is left alone with it at the end.
            by_size = sorted(batches, key=lambda batch: -batch.ids.numel())
            answers = {batch.task: pool.submit(learn, model, batch) for batch in by_size}
            learned = [answers[batch.task].result() for batch in batches]
            for batch, one in zip(batches, learned, strict=True):
                curriculum.learned(batch.task, one.right)
            for parameter, parts in zip(parameters, zip(*(one.gradients for one in learned), strict=True), strict=True):
                parameter.grad = functools.reduce(torch.add, parts)
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            for optimizer in both:
                optimizer.step()
            shown = {f"loss {batch.task}": f"{one.loss:.2f}" for batch, one in zip(batches, learned, strict=True)}
            bar.set_postfix(shown | {key: f"{score:.2f}" for key, score in scores.items()}, refresh=False)
    return model.eval(), tokenizer


def main() -> None:
    """Train, write the directory and print what the written model can do."""
    parser = argparse.ArgumentParser(prog="python -m mechviz.demo.train", description="Train the embedded model.")
    parser.add_argument("--out", type=Path, default=MODEL, help="directory to write (default: the one that is shipped)")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"optimizer steps (default {STEPS})")
    parser.add_argument("--seed", type=int, default=0, help="seed of tokenizer, weights and text (default 0)")
    parser.add_argument(
        "--threads", type=int, default=2, help="batches side by side (default 2); the weights are the same"
    )
    args = parser.parse_args()
    model, tokenizer = train(args.steps, args.seed, args.threads)
    save(model, tokenizer, args.out)
    card.write(args.out)
    print((args.out / "README.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
