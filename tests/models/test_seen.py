"""Traces of models that see: their tokens know which of them are patches, and a view draws them over the image."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import transformers as T
from zoo import _SEEING, _SHARED, build_other

import mechviz as mv
from mechviz.models import load
from mechviz.models.patches import _merged

IMAGE = 90


def seeing(**more):
    return {**_SEEING, "num_hidden_layers": 2, **more}


def llava(ids: list[int], *, patch: int = 8):
    """A tiny LLaVA and its trace of a text with an image: CLIP's patches, each one a token of the text."""
    torch.manual_seed(0)
    vision = T.CLIPVisionConfig(**seeing(patch_size=patch))
    text = T.LlamaConfig(**_SHARED)
    config = T.LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=IMAGE, image_seq_length=(32 // patch) ** 2
    )
    model = T.LlavaForConditionalGeneration._from_config(config).eval()
    pixels = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return load(model).trace({"input_ids": torch.tensor([ids]), "pixel_values": pixels}), pixels


def test_vision_transformers():
    model, inputs = build_other("vit")
    trace = load(model).trace(inputs)
    assert trace.tokens.patches == ((1, 4, 4),)
    model, inputs = build_other("clip")
    trace = load(model).trace(inputs)
    assert trace.stacks["vision"].tokens.patches == ((1, 4, 4),) and trace.tokens.patches == ()


def test_a_view_of_a_vision_transformer_end_to_end(tmp_path):
    model, inputs = build_other("vit")
    trace = load(model).trace(inputs)
    view = mv.attention(trace.tokens, trace.attention, image=inputs["pixel_values"])
    sent = view.flat()[1]["0"][1]
    (image,) = sent["images"]
    assert (image["query"], image["key"], image["rows"], image["columns"], image["size"]) == (1, 1, 4, 4, [32, 32])
    assert image["said"].startswith("stretched from")  # pixels of a normal distribution
    # The scores of patches are the ones of the trace's own numbers.
    weights = trace.attention[1].dense().numpy().astype(np.float64)
    row = np.arange(16) // 4
    same = weights[:, 1:, 1:] * (row[:, None] == row)
    scores = mv.analysis.head_scores(trace.attention, trace.tokens)
    np.testing.assert_allclose(scores.patch_row[1], same.sum(-1).mean(-1), rtol=1e-5)
    k = sent["scores"]["names"].index("patch_row")
    np.testing.assert_allclose(sent["scores"]["values"].numbers()[0, 4:8, k], scores.patch_row[1])
    assert (tmp_path / "vit.html") == view.save(tmp_path / "vit.html")


def test_a_saved_trace_keeps_them(tmp_path):
    model, inputs = build_other("vit")
    trace = load(model).trace(inputs)
    trace.save(tmp_path / "vit.mv", "attention")
    assert mv.open(tmp_path / "vit.mv").tokens.patches == ((1, 4, 4),)


def test_image_tokens_of_a_text_are_the_patches_or_squares_of_them():
    model, inputs = build_other("gemma3_seeing")  # 4 × 4 patches are merged into 2 × 2 tokens
    trace = load(model).trace(inputs)
    assert trace.tokens.patches == ((3, 2, 2),) and trace.stacks["vision"].tokens.patches == ((0, 4, 4),)
    trace, pixels = llava([5, 6, *[IMAGE] * 16, 7, 8])
    assert trace.tokens.patches == ((2, 4, 4),)
    (image,) = mv.attention(trace.tokens, trace.attention, image=pixels).flat()[1]["0"][1]["images"]
    assert (image["query"], image["rows"]) == (2, 4)
    plain = dataclasses.replace(trace.tokens, patches=())
    assert plain == trace.tokens


def test_stretches_that_are_no_rectangle_of_the_image_stay_text():
    assert _merged(4, 4, 16) == (4, 4) and _merged(4, 6, 6) == (2, 3) and _merged(16, 16, 16) == (4, 4)
    assert _merged(4, 4, 5) is None and _merged(4, 6, 12) is None and _merged(5, 5, 4) is None


def qwen(sizes: list[list[int]]):
    """A tiny Qwen2-VL and what it is called with: a text with images of these sizes, squares of 2 × 2 patches merged."""
    vision = {"depth": 2, "embed_dim": 48, "hidden_size": 48, "num_heads": 4, "patch_size": 4, "mlp_ratio": 2}
    rope = {"rope_type": "default", "mrope_section": [2, 2, 2], "rope_theta": 10000.0}
    config = T.Qwen2VLConfig(
        text_config={**_SHARED, "num_hidden_layers": 2, "rope_parameters": rope},
        vision_config=vision,
        **{"image_token_id": IMAGE, "video_token_id": 91, "vision_start_token_id": 92, "vision_end_token_id": 93},
    )
    ids = [5, 6]
    for _, rows, columns in sizes:
        ids += [92, *[IMAGE] * (rows * columns // 4), 93]
    tokens, grid = torch.tensor([[*ids, 7, 8]]), torch.tensor(sizes)
    pixels = torch.randn(int(grid.prod(1).sum()), 96, generator=torch.Generator().manual_seed(0))
    inputs = {"input_ids": tokens, "pixel_values": pixels, "image_grid_thw": grid}
    return config, {**inputs, "mm_token_type_ids": (tokens == IMAGE).int()}


@pytest.mark.parametrize("sizes", [[[1, 4, 8]], [[1, 4, 8], [1, 4, 4]]])
def test_several_images_of_any_size(sizes):
    config, inputs = qwen(sizes)
    torch.manual_seed(0)
    model = T.Qwen2VLForConditionalGeneration._from_config(config).eval()
    eager = T.Qwen2VLForConditionalGeneration._from_config(config, attn_implementation="eager").eval()
    eager.load_state_dict(model.state_dict())
    trace = load(model).trace(inputs)
    assert trace.tokens.patches == ((3, 2, 4), (13, 2, 2))[: len(sizes)]
    with torch.no_grad():
        output = eager(**inputs, output_attentions=True)
    for layer, weights in enumerate(output.attentions):
        torch.testing.assert_close(trace.attention[layer].dense(), weights[0], atol=1e-5, rtol=0)
    # Its own patches stand in another order, which nobody has to know: they are not marked.
    assert trace.stacks["visual"].tokens.patches == ()


@pytest.mark.parametrize("merge", [1, 2])
def test_images_of_any_size(merge):
    """Qwen2-VL says of every image how many patches it has."""
    from mechviz.models.patches import with_patches
    from mechviz.text import as_tokens

    class Config:
        image_token_id = IMAGE

    class Model(torch.nn.Module):
        config = Config()

    first, second = 4 * 6 // merge**2, 2 * 2 // merge**2
    ids = (5, *[IMAGE] * first, 6, *[IMAGE] * second)
    tokens = dataclasses.replace(as_tokens([str(i) for i in range(len(ids))]), ids=ids)
    sizes = torch.tensor([[1, 4, 6], [1, 2, 2]])
    found = with_patches(tokens, Model(), {"image_grid_thw": sizes}).patches
    assert found == ((1, 4 // merge, 6 // merge), (2 + first, 2 // merge, 2 // merge))
    # Of a film, or with more stretches than images, nothing is said.
    film = torch.tensor([[2, 4, 6], [1, 2, 2]])
    for unknown in (film, sizes[:1]):
        assert with_patches(tokens, Model(), {"image_grid_thw": unknown}).patches == ()
