"""Hand-written modules, traced through a map that is believed only where the equations hold."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from test_untouched import state
from torch import nn

import mechviz as mv
from mechviz.models import SiteMap, WeightsMoved, ablate, load
from mechviz.pattern import Unavailable

DATA = Path(os.environ.get("MECHVIZ_SHARED_DATA") or Path(__file__).parents[2].parent / "shared" / "data")


class Attention(nn.Module):
    """Attention as the published checkpoints have it: one einsum a line, no biases, no modules inside."""

    def __init__(self, d_model, heads, d_head):
        super().__init__()
        for name in ("W_Q", "W_K", "W_V"):
            self.register_parameter(name, nn.Parameter(torch.randn(heads, d_head, d_model) / d_model**0.5))
        self.W_O = nn.Parameter(torch.randn(d_model, heads * d_head) / d_model**0.5)

    def forward(self, x):  # [batch, position, d_model]
        q, k, v = (torch.einsum("hdm,bpm->bhpd", w, x) for w in (self.W_Q, self.W_K, self.W_V))
        scores = torch.einsum("bhqd,bhkd->bhqk", q, k) / q.shape[-1] ** 0.5
        later = torch.ones(x.shape[1], x.shape[1]).triu(1).bool()
        pattern = F.softmax(scores.masked_fill(later, -1e10), dim=-1)
        z = torch.einsum("bhqk,bhkd->bqhd", pattern, v)
        return torch.einsum("mf,bqf->bqm", self.W_O, z.flatten(2))


class MLP(nn.Module):
    def __init__(self, d_model, d_mlp):
        super().__init__()
        self.W_in, self.b_in = nn.Parameter(torch.randn(d_mlp, d_model) / 4), nn.Parameter(torch.randn(d_mlp))
        self.W_out, self.b_out = nn.Parameter(torch.randn(d_model, d_mlp) / 5), nn.Parameter(torch.randn(d_model))

    def forward(self, x):
        return F.relu(x @ self.W_in.T + self.b_in) @ self.W_out.T + self.b_out


class Block(nn.Module):
    def __init__(self, d_model, heads, d_head, d_mlp):
        super().__init__()
        self.attn = Attention(d_model, heads, d_head)
        self.mlp = MLP(d_model, d_mlp) if d_mlp else None

    def forward(self, x):
        x = x + self.attn(x)
        return x if self.mlp is None else x + self.mlp(x)


class Embed(nn.Module):
    def __init__(self, d_model, vocab, context):
        super().__init__()
        self.W_E, self.W_pos = nn.Parameter(torch.randn(d_model, vocab)), nn.Parameter(torch.randn(context, d_model))

    def forward(self, ids):
        return self.W_E[:, ids].movedim(0, -1) + self.W_pos[: ids.shape[1]]


class Unembed(nn.Module):
    def __init__(self, d_model, vocab):
        super().__init__()
        self.W_U = nn.Parameter(torch.randn(d_model, vocab))

    def forward(self, x):
        return x @ self.W_U


class Small(nn.Module):
    """A transformer without norms."""

    def __init__(self, *, layers=2, d_model=16, heads=2, d_head=8, d_mlp=24, vocab=11, context=20):
        super().__init__()
        self.embed = Embed(d_model, vocab, context)
        self.layers = nn.ModuleList(Block(d_model, heads, d_head, d_mlp) for _ in range(layers))
        self.unembed = Unembed(d_model, vocab)

    def forward(self, ids):
        x = self.embed(ids)
        for block in self.layers:
            x = block(x)
        return self.unembed(x)


def reads(name):
    return lambda block, at: torch.einsum("hdm,pm->phd", getattr(block.attn, name), at.resid_pre)


ATTENTION = {"attn": "attn", "q": reads("W_Q"), "k": reads("W_K"), "v": reads("W_V"), "w_o": "attn.W_O"}
NEURONS = {
    "mlp": "mlp",
    "neurons": lambda block, at: F.relu(at.resid_mid @ block.mlp.W_in.T + block.mlp.b_in),
    "w_out": lambda block: (block.mlp.W_out, block.mlp.b_out),
}
MAP = SiteMap(blocks="layers", unembed="unembed", **ATTENTION, **NEURONS)
IDS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5]


def small(**options):
    torch.manual_seed(0)
    return Small(**options).eval()


def published(name, **shape):
    """A checkpoint of "Progress measures for grokking" in the module above, and its metadata."""
    path = DATA / f"{name}.safetensors"
    if not path.exists():
        pytest.skip(f"{path.name} is not there: set MECHVIZ_SHARED_DATA")
    module = Small(**shape)
    with safe_open(path, "pt") as file:
        stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no mapping
        about = {key: json.loads(value) for key, value in file.metadata().items()}
    renamed = {
        key.replace("attn_blocks.", "layers.").replace("blocks.", "layers.").replace("pos_embed.", "embed."): value
        for key, value in stored.items()
    }
    module.load_state_dict(renamed)
    return module.eval(), about


def test_everything_of_a_small_module():
    module = small()
    before = state(module)
    with torch.no_grad():
        expected = module(torch.tensor([IDS]))[0]
    model = load(module, sites=MAP)
    trace = model.trace(IDS)
    assert torch.equal(trace.logits, expected) and model.name == "Small" and model.n_layers == 2
    for layer in range(2):
        torch.testing.assert_close(trace.resid_pre[layer] + trace.attn_out[layer], trace.resid_mid[layer])
        torch.testing.assert_close(trace.resid_mid[layer] + trace.mlp_out[layer], trace.resid_post[layer])
        scores = torch.einsum("qhd,khd->hqk", trace.q[layer], trace.k[layer]) / 8**0.5
        softmax = scores.masked_fill(torch.ones(11, 11).triu(1).bool(), -torch.inf).softmax(-1)
        torch.testing.assert_close(trace.pattern[layer].dense(), softmax)
        torch.testing.assert_close(torch.einsum("hqk,khd->qhd", softmax, trace.v[layer]), trace.z[layer])
        torch.testing.assert_close(trace.result(layer).sum(1), trace.attn_out[layer])
        assert trace.neurons[layer].shape == (11, 24) and trace.neurons[layer].min() == 0
    assert trace.at("L1H1").shape == (11, 8) and trace.at("blocks.0.mlp.hook_post[3]").shape == (11,)
    assert trace.attention.missing == {} and trace.pattern[0].causal
    assert "Small" in str(trace.report()) and mv.attention(trace.tokens, trace.attention).to_html()
    torch.testing.assert_close(trace.loss[1:], F.cross_entropy(expected[:-1], torch.tensor(IDS[1:]), reduction="none"))
    assert state(module) == before


def test_much_is_found_without_a_map():
    trace = load(small(), sites=SiteMap(blocks="layers")).trace(IDS)
    full = load(small(), sites=MAP).trace(IDS)
    for name in ("resid_mid", "attn_out", "mlp_out"):
        assert torch.equal(getattr(trace, name)[1], getattr(full, name)[1])
    torch.testing.assert_close(trace.pattern[1].dense(), full.pattern[1].dense())  # the softmax that was seen
    assert torch.equal(trace.logits, full.logits)
    with pytest.raises(Unavailable, match="layer 0 has no q: it computes its attention itself|does not say where"):
        trace.q[0]
    with pytest.raises(Unavailable, match="layer 1 has no neurons: no single linear layer writes"):
        trace.neurons[1]


@pytest.mark.parametrize(
    ("wrong", "read", "message"),
    [
        ({"q": reads("W_K")}, "q", "the softmax of the map's q·k differs from the softmax in it by"),
        ({"scale": 1.0}, "attention", "the softmax of the map's q·k differs"),
        ({"causal": False}, "attention", "the softmax of the map's q·k differs"),
        ({"v": reads("W_K")}, "z", "what the map's w_o makes of its values is not attn_out: it differs by"),
        ({"w_o": "attn.W_Q"}, "z", "w_o makes of its values is not attn_out"),
        ({"w_o": "mlp.W_in"}, "z", "w_o makes of its values is not attn_out: it has another shape"),
        ({"w_o": "attn.nothing"}, "z", "the map's w_o is no matrix: 'attn.nothing'"),
        (
            {"neurons": lambda block, at: at.resid_mid @ block.mlp.W_in.T},
            "neurons",
            "w_out makes of its values is not mlp_out",
        ),
        ({"w_out": None}, "neurons", "no neurons that could be proved: the map has no w_out"),
        ({"neurons": lambda block, at: at.nothing}, "neurons", "the map's function for neurons failed: AttributeError"),
        ({"z": lambda block, at: at.v + 1}, "z", "w_o makes of its values is not attn_out"),
        ({"pattern": lambda block, at: at.q @ at.k.transpose(1, 2)}, "attention", "the map's pattern"),
        ({"unembed": lambda module, x: x @ module.unembed.W_U * 1.01}, "logits", "differ from the model's own by"),
        (
            {"attn": "mlp", "mlp": ""},
            "attn_out",
            "what the map names as attn and mlp does not add up|no outputs of its",
        ),
    ],
)
def test_a_map_that_does_not_hold_is_refused(wrong, read, message):
    sites = SiteMap(**{**vars(MAP), **wrong})
    trace = load(small(), sites=sites).trace(IDS)
    with pytest.raises(Unavailable, match=message):
        trace.logits if read == "logits" else getattr(trace, read)[1]
    assert trace.resid_post[1].shape == (11, 16)  # the rest is there


def test_the_weights_may_not_move():
    module = small()
    trace = load(module, sites=MAP).trace(IDS)
    with torch.no_grad():
        module.layers[1].attn.W_Q.mul_(1.001)
    with pytest.raises(WeightsMoved):
        trace.attention[1]
    assert trace.attention[0].shape == (2, 11, 11)


def test_places_that_are_modules():
    class Point(nn.Module):
        def forward(self, x):
            return x

    class Hooked(nn.Module):
        """As code with hook points has it, with a norm and linear layers."""

        def __init__(self):
            super().__init__()
            self.ln, self.hook_q, self.hook_k, self.hook_v, self.hook_pattern = (
                nn.LayerNorm(16),
                *(Point() for _ in range(4)),
            )
            self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 16)

        def forward(self, x):
            q, k, v = (part.unflatten(-1, (2, 8)) for part in self.qkv(self.ln(x)).chunk(3, -1))
            q, k, v = self.hook_q(q).transpose(1, 2), self.hook_k(k).transpose(1, 2), self.hook_v(v).transpose(1, 2)
            scores = q @ k.transpose(-1, -2) * 0.5 + torch.full((x.shape[1],) * 2, -torch.inf).triu(1)
            weights = scores.exp() / scores.exp().sum(-1, keepdim=True)  # no softmax that could be seen
            return self.out((self.hook_pattern(weights) @ v).transpose(1, 2).flatten(2))

    module = small(d_mlp=0)
    for block in module.layers:
        block.attn = Hooked()
    places = {name: f"attn.hook_{name}" for name in ("q", "k", "v", "pattern")}
    sites = SiteMap(blocks="layers", attn="attn", z="attn.out.input", w_o="attn.out", scale=0.5, **places)
    trace = load(module, sites=sites).trace(IDS)
    assert trace.pattern[1].shape == (2, 11, 11) and trace.q[0].shape == trace.z[0].shape == (11, 2, 8)
    bias = module.layers[1].attn.out.bias
    torch.testing.assert_close(trace.result(1).sum(1) + bias, trace.attn_out[1])
    with pytest.raises(Unavailable, match="softmax of the map's q·k differs from its pattern by"):
        load(module, sites=SiteMap(**{**vars(sites), "scale": 0.25})).trace(IDS).pattern[1]
    with pytest.raises(Unavailable, match="this block has no MLP beside its mixer"):
        trace.mlp_out[0]


def test_edits_of_a_small_module():
    module = small()
    model = load(module, sites=MAP)
    trace = model.trace(IDS, edits=ablate("L1.mlp"))
    assert torch.equal(trace.resid_post[1], trace.resid_mid[1]) and trace.tokens.provenance["edits"] == [
        "L1.mlp → zero"
    ]
    with pytest.raises(Unavailable, match="cannot be edited there"):
        model.trace(IDS, edits=ablate("L1H0"))
    grads = model.trace(IDS).grad(lambda logits: logits[-1, 3], ["L0.resid_post"])
    assert grads["L0.resid_post"].shape == (11, 16)


def test_what_a_map_cannot_say():
    with pytest.raises(ValueError, match=r"sites: blocks is 'blocks', but Small holds embed, layers, layers.0, "):
        load(small(), sites=SiteMap(blocks="blocks"))
    with pytest.raises(ValueError, match=r"sites: attn \(in block 0\) is 'attention', but Block holds attn, mlp"):
        load(small(), sites=SiteMap(blocks="layers", attn="attention"))
    with pytest.raises(ValueError, match=r"sites: z \(in block 0\) is 'attn.hook_z'"):
        load(small(), sites=SiteMap(blocks="layers", z="attn.hook_z"))
    with pytest.raises(ValueError, match="q, k and v belong together; the map has q only"):
        SiteMap(blocks="layers", q="attn.q")
    with pytest.raises(TypeError, match=r"got Small. A module of your own needs sites=mv.SiteMap"):
        load(small())
    with pytest.raises(ValueError, match="sites= is for a torch.nn.Module of your own"):
        load("some/name", sites=MAP)
    with pytest.raises(NotImplementedError, match="a hand-written module without generate"):
        load(small(), sites=MAP).generate(IDS)


def test_a_module_in_training_mode_stays_in_it():
    module = small().train()
    trace = load(module, sites=MAP).trace(IDS)
    assert module.training and trace.attention[0].shape == (2, 11, 11)


def test_the_published_induction_model():
    shape = {"layers": 2, "d_model": 48, "heads": 4, "d_head": 12, "d_mlp": 0, "vocab": 128, "context": 85}
    module, about = published("induction_2l", **shape)
    assert about["model_config"]["num_heads"] == 4
    ids = torch.randint(0, 128, (16,), generator=torch.Generator().manual_seed(0)).tolist()
    trace = load(module, sites=SiteMap(blocks="layers", unembed="unembed", **ATTENTION)).trace(ids * 5)
    _check_streams(trace, module)
    # an induction head looks, from a token that came before, at those that followed it then: 15, 31, 47 … positions back.
    # Uniform attention would give these 5 % on average.
    scores = {}
    for site in (f"L{layer}H{head}" for layer in range(2) for head in range(4)):
        pattern = trace.pattern[int(site[1])].head(int(site[3]))
        scores[site] = float(sum(pattern[i, (i - 15) % 16 : i : 16].sum() for i in range(16, 80))) / 64
    print("induction scores:", {site: round(score, 3) for site, score in scores.items()})
    assert min(scores[site] for site in ("L1H1", "L1H2", "L1H3")) > 0.4
    assert max(scores[site] for site in ("L0H0", "L0H1", "L0H2", "L0H3", "L1H0")) < 0.15
    before = (
        trace.pattern[0].dense().diagonal(-1, 1, 2).mean(-1)
    )  # [head]: they need one that looks at the token before
    print("previous-token scores:", [round(float(score), 3) for score in before])
    assert int(before.argmax()) == 2 and before[2] > 3 * before[[0, 1, 3]].max()
    # what was seen twice is predicted: far below a uniform guess, log 128 = 4.85 nats; the first time it cannot be
    assert trace.loss[1:16].mean() > 4.85 and trace.loss[33:48].mean() < 1.5
    cache = trace.as_transformer_lens()
    assert cache["blocks.1.attn.hook_pattern"].shape == (1, 4, 80, 80)


def test_the_published_grokking_model():
    shape = {"layers": 1, "d_model": 128, "heads": 4, "d_head": 32, "d_mlp": 512, "vocab": 114, "context": 3}
    module, about = published("grokking_mod113", **shape)
    p = about["config"]["p"]
    pairs = [(a, b) for a in range(0, p, 7) for b in range(0, p, 11)]
    model = load(module, sites=SiteMap(blocks="layers", unembed="unembed", **ATTENTION, **NEURONS))
    right = 0
    for trace, (a, b) in zip(model.traces([[a, b, p] for a, b in pairs], progress=False), pairs, strict=True):
        right += int(trace.logits[-1, :p].argmax()) == (a + b) % p
    print(f"{right} of {len(pairs)} sums mod {p} are right")
    assert right == len(pairs)
    trace = model.trace([5, 110, p])
    _check_streams(trace, module)
    assert trace.neurons[0].shape == (3, 512) and trace.neurons[0].min() == 0
    neurons = trace.neurons[0] @ module.layers[0].mlp.W_out.T + module.layers[0].mlp.b_out
    torch.testing.assert_close(neurons, trace.mlp_out[0], atol=1e-4, rtol=1e-4)


def _check_streams(trace, module):
    """Patterns equal their own softmax, and contributions add up."""
    for layer, block in enumerate(module.layers):
        x = trace.resid_pre[layer]
        q, k = (torch.einsum("hdm,pm->hpd", w, x) for w in (block.attn.W_Q, block.attn.W_K))
        scores = (q @ k.transpose(1, 2)) / q.shape[-1] ** 0.5
        later = torch.ones(len(x), len(x)).triu(1).bool()
        torch.testing.assert_close(
            trace.pattern[layer].dense(), scores.masked_fill(later, -torch.inf).softmax(-1), atol=1e-5, rtol=1e-4
        )
        parts = trace.attn_out[layer] + (trace.mlp_out[layer] if block.mlp is not None else 0)
        torch.testing.assert_close(x + parts, trace.resid_post[layer], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(trace.result(layer).sum(1), trace.attn_out[layer], atol=1e-4, rtol=1e-4)
