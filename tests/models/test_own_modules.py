"""Modules as people write them: a small GPT with linear layers, and torch's own encoder layers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from test_untouched import state
from torch import nn

from mechviz.models import SiteMap, ablate, load
from mechviz.pattern import Unavailable

IDS = [7, 3, 19, 3, 40, 22, 3, 8, 15, 1, 30, 3]


class Attention(nn.Module):
    def __init__(self, fused):
        super().__init__()
        self.c_attn, self.c_proj, self.fused = nn.Linear(32, 96), nn.Linear(32, 32), fused

    def forward(self, x):
        q, k, v = (part.unflatten(-1, (4, 8)).transpose(1, 2) for part in self.c_attn(x).split(32, 2))
        if self.fused:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            later = torch.ones(x.shape[1], x.shape[1]).triu(1).bool()
            y = F.softmax((q @ k.transpose(-2, -1) / 8**0.5).masked_fill(later, -torch.inf), dim=-1) @ v
        return self.c_proj(y.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, fused):
        super().__init__()
        self.ln_1, self.attn, self.ln_2 = nn.LayerNorm(32), Attention(fused), nn.LayerNorm(32)
        self.mlp = nn.Sequential(nn.Linear(32, 128), nn.GELU(), nn.Linear(128, 32))

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    """As small implementations have it: logits of the last position only, beside a loss that is None."""

    def __init__(self, fused):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(50, 32), nn.Embedding(64, 32)
        self.h, self.ln_f = nn.ModuleList(Block(fused) for _ in range(3)), nn.LayerNorm(32)
        self.lm_head = nn.Linear(32, 50, bias=False)

    def forward(self, idx, targets=None):
        x = self.wte(idx) + self.wpe(torch.arange(idx.shape[1]))
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x)[:, [-1]]), None


class Encoder(nn.Module):
    def __init__(self, norm_first):
        super().__init__()
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=norm_first)
        self.embed, self.out = nn.Embedding(50, 32), nn.Linear(32, 50)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, ids):
        return self.out(self.encoder(self.embed(ids)))


def packed(number):
    """Queries (0), keys (1) or values (2) of torch's MultiheadAttention."""

    def read(block, at):
        x = block.norm1(at.resid_pre) if block.norm_first else at.resid_pre
        weight, bias = block.self_attn.in_proj_weight.chunk(3)[number], block.self_attn.in_proj_bias.chunk(3)[number]
        return F.linear(x, weight, bias).unflatten(-1, (4, 8))

    return read


@pytest.mark.parametrize("fused", [True, False])
def test_a_small_gpt_needs_no_more_than_its_blocks(fused):
    torch.manual_seed(0)
    module = GPT(fused).eval()
    before = state(module)
    with torch.no_grad():
        last = module(torch.tensor([IDS]))[0][0, 0]
    model = load(module, sites=SiteMap(blocks="h"))
    trace = model.trace(IDS)
    torch.testing.assert_close(trace.logits[-1], last)
    assert trace.logits.shape == (12, 50) and trace.loss.shape == (12,)
    for layer in range(3):
        assert trace.pattern[layer].shape == (4, 12, 12) and trace.pattern[layer].causal
        torch.testing.assert_close(trace.resid_pre[layer] + trace.attn_out[layer], trace.resid_mid[layer])
        torch.testing.assert_close(trace.resid_mid[layer] + trace.mlp_out[layer], trace.resid_post[layer])
        bias = module.h[layer].attn.c_proj.bias
        torch.testing.assert_close(trace.result(layer).sum(1) + bias, trace.attn_out[layer])
        assert trace.neurons[layer].shape == (12, 128)
    assert trace.q.layers == ((0, 1, 2) if fused else ())
    edited = model.trace(IDS, edits=ablate("L1H2"))
    assert not edited.z[1][:, 2].any() and not torch.equal(edited.logits, trace.logits)
    assert state(module) == before


def test_a_text_of_two_tokens():
    torch.manual_seed(0)
    trace = load(GPT(False).eval(), sites=SiteMap(blocks="h")).trace([5, 6])  # shorter than the usual probe
    assert (
        trace.attention[2].shape == (4, 2, 2) and trace.neurons[0].shape == (2, 128) and trace.logits.shape == (2, 50)
    )


@pytest.mark.parametrize("norm_first", [True, False])
def test_encoder_layers_of_torch(norm_first):
    torch.manual_seed(0)
    module = Encoder(norm_first).eval()
    bare = load(module, sites=SiteMap(blocks="encoder.layers")).trace(IDS)
    torch.testing.assert_close(bare.logits, module(torch.tensor([IDS]))[0].detach(), atol=1e-5, rtol=1e-5)
    with pytest.raises(Unavailable, match="no softmax over the tokens was seen in it .it holds MultiheadAttention"):
        bare.attention  # noqa: B018 - it happens inside one function of torch
    places = {name: packed(number) for number, name in enumerate("qkv")}
    sites = SiteMap(blocks="encoder.layers", attn="self_attn", w_o="self_attn.out_proj", causal=False, **places)
    trace = load(module, sites=sites).trace(IDS)
    for layer, block in enumerate(module.encoder.layers):
        x = trace.resid_pre[layer]
        x = block.norm1(x)[None] if norm_first else x[None]
        _, weights = block.self_attn(x, x, x, need_weights=True, average_attn_weights=False)
        torch.testing.assert_close(trace.attention[layer].dense(), weights[0].detach(), atol=1e-6, rtol=1e-5)
        assert trace.neurons[layer].shape == (12, 64) and trace.result(layer).shape == (12, 4, 32)
    with pytest.raises(Unavailable, match="reads from both sides"):
        trace.loss  # noqa: B018
