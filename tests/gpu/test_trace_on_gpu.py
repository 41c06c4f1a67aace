"""The same trace on an accelerator: same patterns, exact replays, nothing copied off the device unasked."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent.parent / "models"))
import transformers  # noqa: E402
from zoo import OTHERS, ZOO, build, build_other, ids  # noqa: E402

import mechviz as mv  # noqa: E402
from mechviz.arrays import to_numpy  # noqa: E402
from mechviz.models import ablate, knock_out, load, steer  # noqa: E402
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
    module = build("llama", dtype=torch.bfloat16).to("cuda")
    model, text = load(module), torch.randint(5, 97, (16384,)).tolist()
    model.trace(text[:32])

    def peak(call):
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        result = call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before, result

    with torch.no_grad():
        bare, _ = peak(lambda: module(torch.tensor([text], device="cuda"), logits_to_keep=1, use_cache=False))
    traced, trace = peak(lambda: model.trace(text))
    opened, _ = peak(lambda: trace.attention[1].tile(0, slice(8000, 8256), slice(0, 256)))
    # one head of the pattern in float32 would be 16384² × 4 bytes = 1 GiB
    assert traced - bare < 256 << 20
    assert opened - bare < 512 << 20  # its replay may use a kernel that the pass used, and rows are checked


def syncs(layers):
    """How often the host waits for the device in one trace, as torch counts it."""
    config = ZOO["gpt2"]()
    config.n_layer = layers
    model = load(transformers.AutoModelForCausalLM.from_config(config).eval().to("cuda"))
    model.trace(ids())  # once before, for the structure
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            model.trace(ids())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchron" in str(one.message) for one in seen)


def test_no_layer_makes_the_host_wait():
    assert syncs(2) == syncs(6)


def test_what_is_kept_stays_there_and_is_saved(tmp_path, capsys):
    trace = load(build("llama").to("cuda")).trace(ids(), capture="everything")
    assert trace.neurons[1].is_cuda and trace.attention[1].dense().is_cuda and trace.z[2].is_cuda
    trace.save(tmp_path / "t.mv", ["attention", "neurons", "loss"])
    saved = mv.open(tmp_path / "t.mv")
    np.testing.assert_array_equal(saved.neurons[1], trace.neurons[1].cpu().numpy())
    np.testing.assert_allclose(np.asarray(saved.attention[2]), trace.attention[2].dense().cpu().numpy(), atol=1e-5)


def test_edits_and_gradients():
    plain, there = load(build("gpt2")), load(build("gpt2").to("cuda"))
    edits = [ablate("L1H2"), ablate("L0N7"), knock_out("L2H1", 5, [1, 2]), steer("L1.resid_pre", torch.ones(48))]
    expected, trace = plain.trace(ids(), edits=edits), there.trace(ids(), edits=edits)
    torch.testing.assert_close(trace.logits.cpu(), expected.logits, atol=1e-2, rtol=1e-2)
    for grad in (False, True):
        found = there.trace(ids(), grad=grad).grad(lambda logits: logits[-1, 3], ["L1.mlp", "L2H0"])
        own = plain.trace(ids()).grad(lambda logits: logits[-1, 3], ["L1.mlp", "L2H0"])
        for site, values in found.items():
            assert values.is_cuda
            torch.testing.assert_close(values.cpu(), own[site], atol=1e-2, rtol=1e-2)
