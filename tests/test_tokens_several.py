"""`mv.tokens` with several channels, texts, predictions, spans and comparisons: what is sent, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_tokens import WORDS, props, tagged

import mechviz as mv
from mechviz.arrays import Quantity

LOSS = Quantity("loss", "nats", "ember", (0.0, 6.0))


def numbers(array):
    return array.numbers()


def channels(view):
    """Label, values, ramp and limits of each channel, and the rule that merges it."""
    found = props(view)
    every = [found, *found["more"]]
    return [
        (
            one["label"],
            numbers(one["values"]).tolist(),
            one["scale"] and (one["scale"]["ramp"], one["scale"]["limits"]),
            one["merge"],
        )
        for one in every
    ]


# ---- channels -------------------------------------------------------------------------------------------------------


def test_columns_are_channels_on_one_scale():
    view = mv.tokens(WORDS, [[1, -4], [2, 0], [3, 2]], names=["L0N1", "L0N2"])
    signed = ("signed", [-4, 4])
    assert channels(view) == [("L0N1", [1, 2, 3], signed, "mean"), ("L0N2", [-4, 0, 2], signed, "mean")]
    assert [label for label, *_ in channels(mv.tokens(WORDS, np.zeros((3, 2))))] == ["0", "1"]


def test_a_dict_is_channels_each_with_its_own_quantity():
    view = mv.tokens(WORDS, {"loss": tagged([np.nan, 1, 2], LOSS), "norm": [3, 4, 8]}, multiples=True)
    (first, _, ember, added), (second, values, ink, averaged) = channels(view)
    assert (first, ember, added) == ("loss", ("ember", [0, 6]), "sum")  # nats add up
    assert (second, values, ink, averaged) == ("norm", [3, 4, 8], ("ink", [0, 8]), "mean")
    assert props(view)["more"][0]["quantity"] == {"name": "norm", "unit": ""}
    assert props(view)["multiples"]
    assert not props(mv.tokens(WORDS, [1, 2, 3], multiples=True))["multiples"]  # there is one


@pytest.mark.parametrize(
    ("values", "options", "error", "message"),
    [
        ({}, {}, ValueError, "values must hold at least one channel; got an empty dict"),
        ({"a": [1, 2]}, {}, ValueError, r"values\['a'\] must have shape \(position,\) == \(3,\)"),
        ({"a": np.zeros((3, 2))}, {}, ValueError, r"values\['a'\] must have shape \(position,\); got \(3, 2\)"),
        (np.zeros((3, 2)), {"names": ["a"]}, ValueError, "names must be 2 different strings.*got \\['a'\\]"),
        (np.zeros((3, 2)), {"names": ["a", "a"]}, ValueError, "2 different strings"),
        (np.zeros((3, 2)), {"names": "ab"}, TypeError, "names must be strings, one a channel; got 'ab'"),
        ([1, 2, 3], {"names": ["a"]}, ValueError, "names= names the channels of values"),
        ([1, 2, 3], {"merge": "median"}, ValueError, "merge must be one of sum, mean, max; got 'median'"),
        ([1, 2, 3], {"texts": ["a"]}, ValueError, "texts= names the texts of a list of token lists"),
    ],
)
def test_channels_that_are_refused(values, options, error, message):
    with pytest.raises(error, match=message):
        mv.tokens(WORDS, values, **options)


# ---- texts ----------------------------------------------------------------------------------------------------------


def test_several_texts_are_one_run_on_one_scale():
    view = mv.tokens([["a", "b"], ["c"]], [[1, 5], [9]], texts=["clean", "corrupted"])
    found = props(view)
    assert found["texts"] == {"starts": [0, 2], "labels": ["clean", "corrupted"]}
    assert found["tokens"]["text"] == ["a", "b", "c"]
    assert channels(view) == [("", [1, 5, 9], ("ink", [0, 9]), "mean")]
    assert found["frame"]["provenance"] == ["2 texts, 3 tokens"]
    assert props(mv.tokens([["a"], ["c"]]))["texts"]["labels"] == ["1", "2"]


def test_a_batch_in_one_array_is_a_list_of_its_texts():
    torch = pytest.importorskip("torch")
    texts, batch = [["a", "b"], ["c", "d"]], torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert numbers(props(mv.tokens(texts, batch))["values"]).tolist() == [1, 2, 3, 4]
    with pytest.raises(ValueError, match=r"values must be a list of one array for each of 2 texts; got 3"):
        mv.tokens(texts, torch.zeros(3, 2))
    with pytest.raises(ValueError, match=r"values must be a list of one array for each of 2 texts; got float"):
        mv.tokens(texts, 1.0)


def test_channels_by_number_or_site_are_called_so():
    found = props(mv.tokens(["a", "b"], {17: [1.0, 2.0], mv.Neuron(2, 228): [3.0, 4.0]}))
    assert [found["label"], found["more"][0]["label"]] == ["17", "L2N228"]


def test_texts_keep_what_their_tokens_know():
    def text(label, piece):
        n = len(label)
        known = (False,) * n, (None,) * n, tuple(range(n)), (1,) * n
        return mv.Tokens(label, ("é", ""), (0, 0), *known, piece, provenance={"model": "m", "text": label[0]})

    found = props(mv.tokens([text(("⟨C3⟩", "⟨A9⟩"), ("C3", "A9"))] * 2))
    assert found["tokens"]["group"] == [0, 0, 2, 2]  # positions of the whole
    assert found["tokens"]["ids"] == [0, 1, 0, 1]
    assert found["frame"]["provenance"] == ["m", "text ⟨C3⟩", "2 texts, 4 tokens"]
    other = props(mv.tokens([text(("⟨C3⟩", "⟨A9⟩"), ("C3", "A9")), ["x"]]))
    assert other["tokens"]["ids"] is None and other["n_bytes"] is None  # not known of all
    assert other["frame"]["provenance"] == ["2 texts, 3 tokens"]


def test_texts_have_channels_too():
    both = [("u", [1, 2, 3], ("ink", [0, 6]), "mean"), ("v", [4, 5, 6], ("ink", [0, 6]), "mean")]
    view = mv.tokens([["a", "b"], ["c"]], [[[1, 4], [2, 5]], [[3, 6]]], names=["u", "v"])
    assert channels(view) == both
    dicts = mv.tokens([["a", "b"], ["c"]], [{"u": [1, 2], "v": [4, 5]}, {"u": [3], "v": [6]}])
    assert [(label, values) for label, values, *_ in channels(dicts)] == [both[0][:2], both[1][:2]]
    turned = mv.tokens([["a", "b"], ["c"]], {"u": [[1, 2], [3]], "v": [[4, 5], [6]]})
    assert channels(turned) == channels(dicts)


@pytest.mark.parametrize(
    ("values", "options", "error", "message"),
    [
        ([[1, 2]], {}, ValueError, "values must be a list of one array for each of 2 texts; got 1"),
        ([[1, 2], [3, 4]], {}, ValueError, r"values\[1\] must have shape \(position,\) == \(1,\)"),
        ([[1, 2], [[3, 4]]], {}, ValueError, "values must have the same channels for every text"),
        ([{"a": [1, 2]}, {"b": [3]}], {}, ValueError, r"the channels \['a'\] for every text; values\[1\] has \['b'\]"),
        ({"a": [[1, 2]]}, {}, ValueError, r"values\['a'\] must be a list of one array for each of 2 texts; got 1"),
        (None, {"texts": ["x"]}, ValueError, "texts must name each of 2 texts; got 1 names"),
        (None, {"texts": "xy"}, TypeError, "texts must be a list of strings, one name a text; got 'xy'"),
        (None, {"spans": [[(0, 1)]]}, ValueError, "spans must be one list for each of 2 texts; got 1"),
        (None, {"top": [1]}, ValueError, "top must be a list of one item for each of 2 texts; got 1"),
    ],
)
def test_texts_that_are_refused(values, options, error, message):
    with pytest.raises(error, match=message):
        mv.tokens([["a", "b"], ["c"]], values, **options)


# ---- comparisons ----------------------------------------------------------------------------------------------------


def test_a_comparison_colours_the_difference_and_keeps_both():
    view = mv.tokens(WORDS, [1, 2, np.inf], compare=[3, 2, np.inf], names=["before", "after"], name="activation")
    (name, values, scale, _), first, second = channels(view)
    assert (name, scale) == ("Δ activation", ("signed", [-2, 2]))
    np.testing.assert_array_equal(values, [2, 0, np.nan])  # infinity less infinity is no number
    assert first[:3] == ("before", [1, 2, np.inf], ("ink", [0, 3]))
    assert second[:3] == ("after", [3, 2, np.inf], ("ink", [0, 3]))


def test_a_comparison_says_that_it_is_one():
    assert props(mv.tokens(WORDS, [1, 2, 3], compare=[2, 2, 1]))["compared"]
    assert not props(mv.tokens(WORDS, np.ones((3, 3)), names=["a", "b", "c"]))["compared"]


def test_of_a_loss_the_difference_is_in_log_p_so_that_orange_is_less_probable():
    view = mv.tokens(WORDS, tagged([np.nan, 1, 5], LOSS), compare=[np.nan, 3, 4])
    (name, values, scale, _), *_ = channels(view)
    assert (name, props(view)["quantity"]["unit"], scale) == ("Δ log p", "nats", ("signed", [-2, 2]))
    np.testing.assert_array_equal(values, [np.nan, -2, 1])  # from 1 to 3 nats is less probable


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compare": [1, 2]}, r"compare must have shape \(position,\) == \(3,\)"),
        ({"compare": np.zeros((3, 2))}, r"compare must have shape \(position,\) where two are compared; got \(3, 2\)"),
        (
            {"compare": [1, 2, 3], "align": "diff"},
            "align= of two texts; got 1|of the same tokens and align=|compares two",
        ),
        ({"align": "diff"}, "align= compares two texts; got 1"),
        ({"align": "words"}, 'align must be "position", "diff" or "characters"; got \'words\''),
        ({"align": "characters"}, "align= compares two texts; got 1"),
    ],
)
def test_comparisons_that_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        mv.tokens(WORDS, [1, 2, 3], **options)


def test_one_comparison_at_a_time():
    with pytest.raises(ValueError, match="got no values"):
        mv.tokens(WORDS, compare=[1, 2, 3])
    with pytest.raises(ValueError, match="of the same tokens and align= of two texts; got both"):
        mv.tokens([WORDS, WORDS], [[1, 2, 3]] * 2, compare=[[1, 2, 3]] * 2, align="diff")


# The cat sat / The big cat sat: "big" has no partner, and by position "sat" is beside "cat".
CAT = ["The", " cat", " sat"]
BIG = ["The", " big", " cat", " sat"]


@pytest.mark.parametrize(
    ("align", "partners", "difference"),
    [
        ("diff", [3, 5, 6, 0, -1, 1, 2], [10, 28, 37, 10, np.nan, 28, 37]),
        ("position", [3, 4, 5, 0, 1, 2, -1], [10, 18, 27, 10, 18, 27, np.nan]),
    ],
)
def test_two_texts_are_compared_token_by_token(align, partners, difference):
    view = mv.tokens([CAT, BIG], [[0, 2, 3], [10, 20, 30, 40]], align=align)
    assert numbers(props(view)["partners"]).tolist() == partners
    np.testing.assert_array_equal(channels(view)[0][1], difference)
    assert channels(view)[1][1] == [0, 2, 3, 10, 20, 30, 40]


def test_texts_too_long_to_find_their_partners_say_what_to_do():
    long = ["x"] * 6000
    with pytest.raises(ValueError, match='36,000,000|use align="position"'):
        mv.tokens([long, long], align="diff")
    assert numbers(props(mv.tokens([long, long], align="position"))["partners"])[0] == 6000
    with pytest.raises(ValueError, match="compares values of one channel; got 2"):
        mv.tokens([CAT, CAT], [np.zeros((3, 2))] * 2, align="position")


# One text in other pieces: "abc" lies over "a" and "bc", "de" over "d" and "ef", which it shares with "f".
PIECES = [["abc", "de", "f"], ["a", "bc", "d", "ef"]]


@pytest.mark.parametrize(
    ("merge", "other"),
    [
        # losses: 6 of "abc" is 2 a character; "ef" of 4 is 2 for "e" and 2 for "f"
        ("sum", [1 + 3, 5 + 2, 2, 2, 4, 1, 1 + 8]),
        # an activation: each character has its token's; the mean of 1, 3, 3 under "abc"
        ("mean", [7 / 3, (5 + 4) / 2, 4, 6, 6, 2, (2 + 8) / 2]),
        ("max", [3, 5, 4, 6, 6, 2, 8]),
    ],
)
def test_other_tokens_of_the_same_characters_are_compared_over_these(merge, other):
    values = [[6, 2, 8], [1, 3, 5, 4]]
    found = props(mv.tokens(PIECES, values, align="characters", merge=merge, name="loss"))
    np.testing.assert_allclose(numbers(found["partner_values"]), other)
    # of a loss it is Δ log p: the first text's value minus the second one's
    own = np.concatenate(values)
    first = np.arange(7) < 3
    np.testing.assert_allclose(numbers(found["values"]), np.where(first, own - other, other - own))
    assert numbers(found["partners"]).tolist() == [3, 5, 6, 0, 0, 1, 1]
    assert numbers(found["partner_ends"]).tolist() == [4, 6, 6, 0, 0, 1, 2]


def test_a_token_of_no_characters_has_no_partner_and_no_number_hides_no_number():
    texts = [mv.Tokens(("<s>", "ab"), ("<s>", "ab"), (0, 1), (True, False), ("BOS", None)), ["a", "b"]]
    found = props(mv.tokens(texts, [[np.nan, 4], [np.nan, 1]], align="characters", merge="sum"))
    assert numbers(found["partners"]).tolist() == [-1, 2, 1, 1]
    np.testing.assert_array_equal(numbers(found["partner_values"]), [np.nan, np.nan, 2, 2])
    np.testing.assert_array_equal(numbers(found["values"]), [np.nan, np.nan, np.nan, -1])
    # without values there is nothing to share out, and who lies under whom is known all the same
    assert numbers(props(mv.tokens(texts, align="characters"))["partner_ends"]).tolist() == [-1, 3, 1, 1]


def test_a_character_that_is_split_belongs_to_its_tokens_by_bytes():
    # "né" as n and the two bytes of é, beside "né" as one: 6 is 3 a character, 1.5 for each byte of é.
    known = (False,) * 3, (None,) * 3, (0, 1, 2), (1, 1, 1)
    split = mv.Tokens(("n", "⟨C3⟩", "⟨A9⟩"), ("n", "é", ""), (0, 1, 1), *known, ("", "C3", "A9"))
    found = props(mv.tokens([split, ["né"]], [[1, 2, 4], [6]], align="characters", merge="sum"))
    np.testing.assert_allclose(numbers(found["partner_values"]), [3, 1.5, 1.5, 7])


def test_texts_of_other_characters_say_where_they_part():
    with pytest.raises(ValueError, match=r"white space aside, these part after 'Thecat': 'sat' and 'ran'"):
        mv.tokens([["The", " cat", " sat"], ["The", " cat", " ran"]], align="characters")
    with pytest.raises(ValueError, match="after 'a': 'x' and its end"):
        mv.tokens([["a", "x"], ["a"]], align="characters")


def test_white_space_alone_makes_no_other_text():
    # A tokenizer that drops the spaces: " b" of the first is one character that counts.
    found = props(mv.tokens([["a", " b"], ["ab"]], [[1, 3], [6]], align="characters", merge="sum"))
    np.testing.assert_allclose(numbers(found["partner_values"]), [3, 3, 4])


def test_losses_of_two_real_tokenizers_lose_nothing():
    """What is gained over the whole text is the difference of the two sums, whatever was cut where."""
    from test_text_tokenizers import build, encode

    text = "hello café, the cat sat on the mat\n日本語 def f(x):"
    sides = [mv.Tokens.from_ids(t, encode(t, text), text) for t in (build("byte_level"), build("byte_fallback"))]
    assert sides[0].text != sides[1].text
    draw = np.random.default_rng(0)
    losses = [draw.exponential(2, len(side)) for side in sides]
    view = mv.tokens(sides, losses, align="characters", name="loss", unit="nats")
    change = numbers(props(view)["values"])
    split = len(sides[0])
    # Llama puts a space before the text that decodes to nothing: it stands for no characters.
    assert np.flatnonzero(np.isnan(change)).tolist() == [split] and sides[1].n_bytes[0] == 0
    expected = losses[0].sum() - losses[1][1:].sum()
    assert change[:split].sum() == pytest.approx(expected) == pytest.approx(np.nansum(change[split:]))
    # word pieces spell no white space, and lower-case; the source text says what stood there
    pieces = build("word_piece")
    cased = "The cat sat on the mat"
    both = [mv.Tokens.from_ids(t, encode(t, cased), cased) for t in (build("byte_level"), pieces)]
    found = props(mv.tokens(both, [[1.0] * len(side) for side in both], align="characters", merge="sum"))
    assert np.nansum(numbers(found["partner_values"])[: len(both[0])]) == pytest.approx(len(both[1]))


# ---- predictions ----------------------------------------------------------------------------------------------------


def with_ids(ids):
    n = len(ids)
    label = tuple("abcd"[i] for i in ids)
    return mv.Tokens(label, label, tuple(range(n)), (False,) * n, (None,) * n, tuple(ids))


LOGITS = np.log(np.array([[0.1, 0.2, 0.3, 0.4], [0.7, 0.05, 0.15, 0.1], [0.25, 0.25, 0.25, 0.25]]))


def test_logits_are_told_where_the_token_stands_that_they_predict():
    top = props(mv.tokens(with_ids([0, 1, 2]), top=LOGITS, k=2, vocabulary=["a", "b", "c", "d"]))["top"]
    names, chosen = np.array(top["names"]), numbers(top["top"])
    # Token 1 ("b") was predicted by row 0: d 0.4, c 0.3; b is third of four with 0.2. Token 2 ("c") by row 1.
    assert names[chosen[1]].tolist() == ["d", "c"]
    assert names[chosen[2]].tolist() == ["a", "c"]
    np.testing.assert_allclose(numbers(top["probabilities"]), [[np.nan] * 2, [0.4, 0.3], [0.7, 0.15]], rtol=1e-6)
    np.testing.assert_array_equal(numbers(top["rank"]), [np.nan, 3, 2])
    np.testing.assert_allclose(numbers(top["probability"]), [np.nan, 0.2, 0.15], rtol=1e-6)
    assert names[numbers(top["own"])].tolist() == ["a", "b", "c"]
    assert top["vocab"] == 4


def test_given_tokens_and_probabilities_are_put_in_order():
    probabilities = np.array([[0.2, 0.5], [0.6, 0.1], [0.3, 0.4]])
    given = (np.array([[2, 1], [0, 3], [0, 1]]), probabilities)
    top = props(mv.tokens(with_ids([0, 1, 3]), top=given, vocabulary=dict(enumerate("abcd"))))["top"]
    names, chosen = np.array(top["names"]), numbers(top["top"])
    assert names[chosen[1:]].tolist() == [["b", "c"], ["a", "d"]]
    np.testing.assert_array_equal(numbers(top["rank"]), [np.nan, 1, 2])  # among those that are given
    np.testing.assert_allclose(numbers(top["probability"]), [np.nan, 0.5, 0.1], rtol=1e-6)
    assert top["vocab"] is None
    words = props(mv.tokens(WORDS, top=(np.array([["x", " Mary"]] * 3), probabilities)))["top"]
    assert [words["names"][i] for i in numbers(words["top"])[1]] == ["·Mary", "x"]
    np.testing.assert_array_equal(numbers(words["rank"]), [np.nan, 1, np.nan])  # " Mary" came, " ran" is not among them
    assert numbers(words["own"]).tolist() == [-1, words["names"].index("·Mary"), -1]


def test_each_text_has_its_own_predictions():
    texts = [with_ids([0, 1, 2]), with_ids([3, 0])]
    top = props(mv.tokens(texts, top=[LOGITS, LOGITS[:2]], k=1, vocabulary=["a", "b", "c", "d"]))["top"]
    names = np.array(top["names"])[numbers(top["top"])[:, 0]].tolist()
    assert [names[1], names[2], names[4]] == ["d", "a", "d"]
    assert np.isnan(numbers(top["probabilities"])[[0, 3], 0]).all()  # nothing was expected of a first token


@pytest.mark.parametrize(
    ("top", "error", "message"),
    [
        (np.zeros((2, 4)), ValueError, r"top must have shape \(position, vocab\)"),
        (np.zeros((1, 3, 4)), ValueError, r"no batch axis"),
        (np.zeros((3, 2)), ValueError, "top has a vocabulary of 2, and a token has the id 2"),
        ((np.zeros((3, 2), int),), TypeError, r"top must be logits or a pair \(tokens, probabilities\)"),
        (
            (np.zeros((3, 2)), np.zeros((3, 2))),
            TypeError,
            r"top\[0\] must hold token ids or strings; got dtype float64; .* pass \(indices, values\) of topk",
        ),
        ((np.zeros((3, 2), int), np.zeros((3, 4))), ValueError, r"got \(3, 2\) and \(3, 4\)"),
    ],
)
def test_predictions_that_are_refused(top, error, message):
    with pytest.raises(error, match=message):
        mv.tokens(with_ids([0, 1, 2]), top=top)


# ---- spans ----------------------------------------------------------------------------------------------------------


def test_spans_are_sent_in_order_and_checked():
    view = mv.tokens([WORDS, WORDS], spans=[[(1, 3), (0, 1)], [(0, 2)]])
    assert numbers(props(view)["spans"]).tolist() == [[0, 1], [1, 3], [3, 5]]
    assert props(view)["merged"] == "spans"
    words = props(mv.tokens(WORDS, spans="words"))
    assert (words["spans"], words["merged"]) == (None, "words")
    assert props(mv.tokens(WORDS))["merged"] == "tokens"


@pytest.mark.parametrize(
    ("spans", "error", "message"),
    [
        ("lines", ValueError, "spans must be \"words\" or a list of .*got 'lines'"),
        ([(0, 4)], ValueError, r"0 <= start < end <= 3, the number of tokens; got \(0, 4\)"),
        ([(1, 1)], ValueError, r"got \(1, 1\)"),
        ([(0, 2), (1, 3)], ValueError, r"must not overlap; got \(0, 2\) and \(1, 3\)"),
        ([(0, 1.5)], TypeError, r"pairs of positions, \(start, end\); got \(0, 1.5\)"),
        ([3], TypeError, "pairs of positions"),
        (3, TypeError, r'spans must be "words" or a list of \(start, end\); got 3'),
    ],
)
def test_spans_that_are_refused(spans, error, message):
    with pytest.raises(error, match=message):
        mv.tokens(WORDS, spans=spans)


# ---- as a view ------------------------------------------------------------------------------------------------------


def everything():
    texts = [with_ids([0, 1, 2]), with_ids([3, 0])]
    losses = [tagged([np.nan, 1, 2], LOSS), tagged([np.nan, math.pi], LOSS)]
    return mv.tokens(
        texts, losses, texts=["one", "two"], align="position", top=[LOGITS, LOGITS[:2]], spans=[[(0, 2)], []]
    )


def test_all_of_it_opens_again_from_a_file(tmp_path):
    view = everything()
    view.selection.texts, view.selection.positions = [1], [0, 1]
    view.save(tmp_path / "tokens.json")
    again = mv.open(tmp_path / "tokens.json")
    assert again.selection.to_dict() == view.selection.to_dict()
    first, second = props(view), props(again)
    assert first.keys() == second.keys()
    for name in ("values", "partners", "spans"):
        np.testing.assert_array_equal(numbers(first[name]), numbers(second[name]))
    np.testing.assert_array_equal(numbers(first["top"]["rank"]), numbers(second["top"]["rank"]))
    assert first["texts"] == second["texts"] and first["more"][0]["label"] == second["more"][0]["label"]


def test_values_of_any_kind_can_be_changed_in_place():
    view = mv.tokens(WORDS, [1, 2, 3], limits=(0, 9))
    view.update(values=[[1, 2], [3, 4], [5, 6]])
    assert [values for _, values, *_ in channels(view)] == [[1, 3, 5], [2, 4, 6]]
    assert props(view)["scale"]["limits"] == [0, 9]  # held
    view.update(values={"a": [7, 8, 9]})
    assert channels(view)[0][:2] == ("a", [7, 8, 9])
    with pytest.raises(ValueError, match=r"\(position,\) == \(3,\)"):
        view.update(values=[1, 2])
    assert channels(view)[0][:2] == ("a", [7, 8, 9])  # the last good one stays


def test_the_still_names_texts_and_says_that_there_are_more_channels():
    still = mv.tokens([["a"], ["b"]], [[[1, 2]], [[3, 4]]], texts=["<one>", "two"]).still()
    assert "<b>&lt;one&gt;</b>" in still and "<br><b>two</b>" in still
    assert "the first of 2 channels" in still
    assert "channels" not in mv.tokens([["a"], ["b"]], [[1], [2]]).still()


def test_height_has_room_for_texts_panels_and_predictions():
    def height(width=900, **options):
        return next(mv.tokens([" word"] * 300, np.zeros((300, 4)), **options)._specs()).height(width)

    assert height(multiples=True) > height()
    short = next(mv.tokens(with_ids([0, 1, 2]))._specs()).height(900)
    assert next(mv.tokens(with_ids([0, 1, 2]), top=LOGITS)._specs()).height(900) > short
