"""`mv.attention(…, image=)`: pixels of any kind, where their patches are, what is sent, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import mechviz as mv
from mechviz import wire
from mechviz._head_scores import PATCH_SCORES, SCORES
from mechviz.text import Tokens, as_tokens
from mechviz.views._images import Image, smaller

RGB = (np.arange(8 * 12 * 3) % 256).astype(np.uint8).reshape(8, 12, 3)


def tokens(n: int = 7, patches=((1, 2, 3),)) -> Tokens:
    return dataclasses.replace(as_tokens(["CLS", *map(str, range(n - 1))]), patches=patches)


def pattern(n: int = 7, keys: int | None = None) -> np.ndarray:
    weights = np.random.default_rng(0).random((2, n, keys or n))
    return weights / weights.sum(-1, keepdims=True)


def sent(view: mv.View) -> dict:
    return dict(view.flat()[1]["0"][1])


def images(*arguments, **given) -> list[dict]:
    return sent(mv.attention(*arguments, **given))["images"]


def pixels(one: dict) -> np.ndarray:
    return one["pixels"].numbers()


@pytest.mark.parametrize(
    "given",
    [
        RGB,
        RGB.transpose(2, 0, 1),
        RGB[None],
        RGB / 255,
        (RGB / 255).astype(np.float32).transpose(2, 0, 1)[None],
        RGB.astype(np.int64),
    ],
    ids=["uint8", "channels first", "batch of one", "floats", "tensor of a processor", "int64"],
)
def test_pixels_of_any_kind_are_sent_as_bytes(given):
    (one,) = images(tokens(), pattern(), image=given)
    assert (one["query"], one["key"], one["rows"], one["columns"], one["size"]) == (1, 1, 2, 3, [12, 8])
    assert isinstance(one["pixels"], wire.Array) and one["said"] == ""
    np.testing.assert_array_equal(pixels(one), RGB)
    assert pixels(one).dtype == np.uint8


def test_grey_and_translucent_pictures():
    np.testing.assert_array_equal(Image(RGB[:, :, 0]).levels, RGB[:, :, 0])
    np.testing.assert_array_equal(Image(RGB[:, :, :1]).levels, RGB[:, :, 0])
    clear = np.dstack([RGB, np.zeros((8, 12), np.uint8)])
    assert (Image(clear).levels == 255).all()  # over white
    assert (Image(RGB > 1000).levels == 0).all()


def test_a_pil_image():
    pil = pytest.importorskip("PIL.Image")
    np.testing.assert_array_equal(Image(pil.fromarray(RGB)).levels, RGB)
    assert Image(pil.fromarray(RGB).convert("P")).levels.shape == (8, 12, 3)


def test_normalised_pixels_are_put_back_or_stretched_and_that_is_said():
    mean, std = [0.48, 0.46, 0.41], [0.27, 0.26, 0.28]
    normalised = (RGB / 255 - mean) / std
    back = Image(normalised.transpose(2, 0, 1)[None], mean=mean, std=std)
    np.testing.assert_array_equal(back.levels, RGB)
    assert back.said == ""
    stretched = Image(np.array([[-2.0, 0.0], [1.0, 2.0]]))
    assert stretched.said == "stretched from -2 … 2"
    np.testing.assert_array_equal(stretched.levels, [[0, 128], [191, 255]])


def test_large_pictures_are_made_smaller_by_means():
    coarse = np.random.default_rng(0).integers(0, 256, (3, 5, 3)).astype(np.uint8)
    np.testing.assert_array_equal(smaller(coarse.repeat(4, 0).repeat(4, 1), 5), coarse)
    assert smaller(np.full((700, 1300), 9, np.uint8), 512).shape == (276, 512)
    (one,) = images(tokens(), pattern(), image=np.zeros((600, 1024, 3), np.uint8))
    assert pixels(one).shape == (300, 512, 3) and one["size"] == [1024, 600]


def test_patches_without_a_picture_are_drawn_all_the_same():
    (one,) = images(tokens(), pattern())
    assert one["pixels"] is None and (one["rows"], one["columns"]) == (2, 3)


def test_text_alone_is_sent_as_it_was():
    props = sent(mv.attention(["a", "b"], np.eye(2)))
    assert "images" not in props and "patches" not in props["tokens"]
    assert props["scores"]["names"] == list(SCORES)


def test_where_patches_are_may_be_said_with_the_image():
    words = ["<s>", *["img"] * 6, "what", "is", "this"]
    view = mv.attention(words, pattern(10), image=mv.Image(RGB, start=1, rows=2, columns=3))
    assert sent(view)["tokens"]["patches"] == [[1, 2, 3]]
    assert sent(view)["scores"]["names"] == [*SCORES, *PATCH_SCORES]


def test_several_images_in_one_text_go_with_their_patches_in_order():
    two = tokens(12, ((0, 2, 2), (6, 1, 3)))
    first, second = images(two, pattern(12), image=[RGB, RGB[::-1]])
    np.testing.assert_array_equal(pixels(second), RGB[::-1])
    assert (first["key"], second["key"]) == (0, 6)
    # Given out of order with their places, they are put in order.
    placed = [mv.Image(RGB[::-1], start=6, rows=1, columns=3), mv.Image(RGB, start=0, rows=2, columns=2)]
    first, second = images(tokens(12, ()), pattern(12), image=placed)
    np.testing.assert_array_equal(pixels(first), RGB)


def test_what_a_text_reads_of_an_image():
    (one,) = images(["what", "is"], pattern(2, 7), key_tokens=tokens(), image=RGB)
    assert (one["query"], one["key"]) == (None, 1)
    (one,) = images(tokens(), pattern(7, 2), key_tokens=["a", "b"])  # the image reads the text
    assert (one["query"], one["key"]) == (1, None)
    (one,) = images(
        ["a", "b"], pattern(2, 7), key_tokens=list("0123456"), image=mv.Image(RGB, start=1, rows=2, columns=3)
    )
    assert (one["query"], one["key"]) == (None, 1)


def test_texts_and_named_patterns_have_their_own():
    views = sent(mv.attention([tokens(), ["a", "b"]], [pattern(), pattern(2)], image=[RGB, None]))
    assert [len(sheet.get("images", [])) for sheet in views["sheets"]] == [1, 0]
    # Scores over both texts: those of patches are of one text, and have no spread.
    mean, spread = (views["over_texts"][0][name].numbers() for name in ("mean", "spread"))
    assert mean.shape == (2, 2, len(SCORES) + len(PATCH_SCORES))
    assert np.isfinite(mean[0, :, -1]).all() and np.isnan(spread[0, :, -1]).all()
    named = mv.attention(
        {"vision": tokens(), "text": ["a", "b"]}, {"vision": pattern(), "text": pattern(2)}, image={"vision": RGB}
    )
    assert [len(sheet.get("images", [])) for sheet in sent(named)["sheets"]] == [1, 0]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (np.zeros((5, 6, 2)), ValueError, r"image must have shape \(height, width\).*got \(5, 6, 2\)"),
        (np.zeros((2, 4, 4, 3)), ValueError, r"got \(2, 4, 4, 3\)"),
        (np.full((4, 4), np.nan), ValueError, "image must hold finite numbers"),
        (np.full((4, 4), 300), ValueError, "whole numbers of 0 … 255; got 300 … 300"),
        ("cat.png", TypeError, "image must hold numbers; got str"),
        ([RGB, RGB], ValueError, "one for each of 1 stretches of patches; got 2"),
        ({"vision": RGB}, TypeError, "pattern must be a dict, too"),
    ],
)
def test_wrong_images(given, error, message):
    with pytest.raises(error, match=message):
        mv.attention(tokens(), pattern(), image=given)


def test_wrong_places():
    with pytest.raises(ValueError, match="the tokens do not say"):
        mv.attention(["a", "b"], np.eye(2), image=RGB)
    with pytest.raises(ValueError, match="all of start=, rows= and columns="):
        mv.Image(RGB, rows=2)
    with pytest.raises(ValueError, match="both of mean= and std="):
        mv.Image(RGB, mean=0.5)
    with pytest.raises(ValueError, match="of every image, or of none"):
        mv.attention(tokens(), pattern(), image=[RGB, mv.Image(RGB, start=1, rows=2, columns=3)])
    with pytest.raises(ValueError, match="within 7 tokens"):
        mv.attention(tokens(), pattern(), image=mv.Image(RGB, start=4, rows=2, columns=3))
    with pytest.raises(TypeError, match="whole numbers start, rows and columns; got 0.5"):
        mv.attention(tokens(), pattern(), image=mv.Image(RGB, start=0.5, rows=2, columns=3))
    with pytest.raises(ValueError, match=r"for each of 2 texts"):
        mv.attention([tokens(), tokens()], [pattern(), pattern()], image=[RGB])
    with pytest.raises(TypeError, match="image must be a dict by the names of pattern, vision"):
        mv.attention({"vision": tokens()}, {"vision": pattern()}, image=RGB)
    with pytest.raises(ValueError, match="image must have the names of pattern, vision; got"):
        mv.attention({"vision": tokens()}, {"vision": pattern()}, image={"text": RGB})
