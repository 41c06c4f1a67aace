"""The same trace on an accelerator: same patterns, exact replays, nothing copied off the device unasked."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent.parent / "models"))
from zoo import OTHERS, ZOO, build, build_other, ids  # noqa: E402

from mechviz.arrays import to_numpy  # noqa: E402
from mechviz.models import load  # noqa: E402
from mechviz.models.tape import WeightsMoved  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("name", ZOO)
def test_equal_to_the_cpu(name):
    module = build(name)
    reference = load(module).trace(ids())
    expected = [reference.attention[layer].dense() for layer in reference.attention.layers] if name != "mamba" else []
    loss, mids = reference.loss, list(reference.resid_mid)
    trace = load(build(name).to("cuda")).trace(ids())
    assert trace.tokens.provenance["device"] == "cuda:0"
    for layer, one in enumerate(expected):
        dense = trace.attention[layer].dense()
        assert dense.is_cuda
        torch.testing.assert_close(dense.cpu(), one, atol=1e-3, rtol=0)
    assert trace.loss.is_cuda
    torch.testing.assert_close(trace.loss.cpu(), loss, atol=1e-2, rtol=1e-3, equal_nan=True)
    for layer, mid in zip(trace.resid_mid.layers, mids, strict=True):
        torch.testing.assert_close(trace.resid_mid[layer].cpu(), mid, atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("name", OTHERS)
def test_every_stack_is_equal_to_the_cpu(name):
    model, inputs = build_other(name)
    reference = load(model).trace(inputs)
    trace = load(build_other(name)[0].to("cuda")).trace(inputs)  # inputs may come from elsewhere
    assert list(trace.stacks) == list(reference.stacks)
    for stack, one in trace.stacks.items():
        for layer, pattern in one.attention.items():
            expected = reference.stacks[stack].attention[layer].dense()
            torch.testing.assert_close(pattern.dense().cpu(), expected, atol=1e-3, rtol=0)
            assert one.neurons[layer].is_cuda


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["llama", "gemma2", "mixtral", "gpt_neox"])
def test_half_precision_replays_are_exact(name, dtype):
    module = build(name, dtype=dtype).to("cuda")
    with torch.no_grad():
        expected = module(torch.tensor([ids()], device="cuda")).logits
    trace = load(module).trace(ids())
    for layer in range(3):
        assert trace.attention[layer].dense().dtype == torch.float32
        trace._tape.replay(layer)  # raises unless bit for bit
    with torch.no_grad():
        assert torch.equal(module(torch.tensor([ids()], device="cuda")).logits, expected)
    assert to_numpy(trace.loss, name="loss").dtype == np.float32


def test_weights_that_moved_are_noticed():
    module = build("llama").to("cuda")
    trace = load(module).trace(ids())
    module.model.layers[1].self_attn.k_proj.weight.data[0, 0] += 1e-2
    assert trace.attention[0].shape == (4, 24, 24)
    with pytest.raises(WeightsMoved):
        trace.attention[1]


def test_a_long_text_takes_no_quadratic_memory():
    model = load(build("llama").to("cuda"))
    text = torch.randint(5, 97, (16384,)).tolist()
    model.trace(text[:32])
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    trace = model.trace(text)
    pattern = trace.attention[1]
    pattern.tile(0, slice(8000, 8256), slice(0, 256))
    # one head of the pattern in float32 would be 16384² × 4 bytes = 1 GiB
    assert torch.cuda.max_memory_allocated() - before < 512 << 20
