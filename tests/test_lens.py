"""`mv.lens` and `mv.predictions`: which tokens, which numbers, and what is refused."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

import mechviz as mv
from mechviz.views._predicted import names_of, predicted

WORDS = ["The", " cat"]
VOCABULARY = ["The", " cat", " sat", " on"]
# Probabilities 1/8, 1/2, 1/4, 1/8: entropy (3 + 1 + 2 * 2 / ... ) = 1.75 bits.
LOGITS = np.log([[1 / 8, 1 / 2, 1 / 4, 1 / 8], [1 / 4, 1 / 4, 1 / 4, 1 / 4]])


def text(ids=(0, 1)):
    return mv.Tokens(("The", "·cat"), tuple(WORDS), (0, 1), (False,) * 2, (None,) * 2, ids)


def props(view):
    _, views = view.flat()
    ((_, found),) = views.values()
    return found


def numbers(found, name):
    return found[name].numbers()


def test_the_most_probable_tokens_of_every_position():
    found = props(mv.predictions(text(), LOGITS, k=3, vocabulary=VOCABULARY))
    names = np.array(found["names"])
    # Equal ones stand in the order of the vocabulary.
    assert names[numbers(found, "top")[0]].tolist() == [["·cat", "·sat", "The"], ["The", "·cat", "·sat"]]
    np.testing.assert_allclose(numbers(found, "probabilities")[0], [[0.5, 0.25, 0.125], [0.25] * 3], rtol=1e-6)
    # 1/8·3 + 1/2·1 + 1/4·2 + 1/8·3 = 1.75 bits, and 2 bits, in nats
    np.testing.assert_allclose(numbers(found, "entropy")[0], [1.75 * math.log(2), 2 * math.log(2)], rtol=1e-6)
    # The cells are [k, position].
    assert found["measures"][0]["values"].numbers().shape == (3, 2)


def test_rank_and_probability_of_the_next_token_or_of_a_chosen_one():
    found = props(mv.predictions(text(), LOGITS, vocabulary=VOCABULARY))
    # After "The" comes " cat", the most probable one; after the last nothing.
    assert numbers(found, "rank")[0, 0] == 1
    assert numbers(found, "target_probability")[0, 0] == pytest.approx(0.5)
    assert np.isnan(numbers(found, "rank")[0, 1])
    assert numbers(found, "targets")[1] == -1
    chosen = props(mv.predictions(WORDS, LOGITS, vocabulary=VOCABULARY, target=3))
    # " on" has 1/8 with "The": two are larger. Where all are equal none is.
    assert numbers(chosen, "rank")[0].tolist() == [3, 1]
    assert [chosen["names"][i] for i in numbers(chosen, "targets")] == ["·on", "·on"]
    assert np.isnan(numbers(props(mv.predictions(WORDS, LOGITS)), "rank")).all()


def test_a_token_is_chosen_by_its_text():
    by_id = props(mv.predictions(text(), LOGITS, vocabulary=VOCABULARY, target=2))
    for vocabulary in (VOCABULARY, np.array(VOCABULARY), dict(enumerate(VOCABULARY))):
        found = props(mv.predictions(text(), LOGITS, vocabulary=vocabulary, target=" sat"))
        assert found["names"][numbers(found, "targets")[0]] == "·sat"
        np.testing.assert_array_equal(numbers(found, "rank"), numbers(by_id, "rank"))
    model = mv.load()
    trace = model.trace("When Mary and John went")
    found = props(mv.lens(trace.tokens, mv.analysis.logit_lens(trace), target=" Mary"))
    assert found["names"][numbers(found, "targets")[0]] == "·Mary"


def test_a_text_may_be_chosen_for_each_position():
    found = props(mv.predictions(WORDS, LOGITS, vocabulary=VOCABULARY, target=[" sat", " on"]))
    assert [found["names"][i] for i in numbers(found, "targets")] == ["·sat", "·on"]
    with pytest.raises(TypeError, match=r"one for each of 2 positions \(ids or texts\); got int64 of shape \(3,\)"):
        mv.predictions(WORDS, LOGITS, vocabulary=VOCABULARY, target=[" sat"] * 3)


def test_probabilities_are_no_logits():
    weights = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
    for call in (lambda: mv.predictions(WORDS, weights), lambda: mv.lens(WORDS, [LOGITS, weights])):
        with pytest.raises(ValueError, match="logits must be scores before the softmax; got probabilities"):
            call()
    mv.predictions(WORDS, np.log(weights))
    mv.predictions(WORDS, np.eye(2, 4))  # ones and zeros may be scores


def test_k_is_at_most_the_vocabulary():
    assert numbers(props(mv.predictions(WORDS, LOGITS, k=50)), "top").shape == (1, 2, 4)


def test_a_lens_measures_every_layer_against_the_last():
    uniform = np.zeros((2, 4))
    found = props(mv.lens(WORDS, [uniform, LOGITS], layers=[3, 9], vocabulary=VOCABULARY, value="KL"))
    by_name = {measure["name"]: measure for measure in found["measures"]}
    # Σ p log(p / ¼) = log 4 − H(p) = 0.25 bits at the first position, and nothing at the second or to itself.
    np.testing.assert_allclose(by_name["kl"]["values"].numbers(), [[0.25 * math.log(2), 0], [0, 0]], atol=1e-6)
    # The target is the last layer's first token.
    assert [found["names"][i] for i in numbers(found, "targets")] == ["·cat", "The"]
    assert by_name["rank"]["values"].numbers().tolist() == [[1, 1], [1, 1]]
    assert found["rows"]["axes"]["layers"].numbers().tolist() == [3, 9]
    assert found["columns"]["axes"]["positions"].numbers().tolist() == [0, 1]
    assert found["open"] == 1
    assert found["kl_to"] == "L9"  # as its row is called
    assert props(mv.lens(WORDS, [uniform, LOGITS], layer_names=["embedding", "end"]))["kl_to"] == "end"


def test_an_array_and_a_list_of_layers_are_the_same():
    stack = np.random.default_rng(0).normal(size=(3, 2, 4)).astype(np.float16)
    one, other = props(mv.lens(WORDS, stack)), props(mv.lens(WORDS, list(stack)))
    assert numbers(one, "top").tolist() == numbers(other, "top").tolist()
    assert numbers(one, "kl").tolist() == numbers(other, "kl").tolist()


def test_many_positions_are_worked_on_in_parts():
    logits = np.random.default_rng(1).normal(size=(1, 150, 7)).astype(np.float32)
    found = predicted(list(logits), 2, None)
    order = np.argsort(-logits[0], axis=-1)[:, :2]
    assert found.ids[0].tolist() == order.tolist()
    exact = np.exp(logits[0].astype(float)) / np.exp(logits[0].astype(float)).sum(-1, keepdims=True)
    np.testing.assert_allclose(found.probabilities[0], np.take_along_axis(exact, order, -1), rtol=1e-5)


def test_nan_and_impossible_tokens():
    logits = np.array([[0.0, np.nan], [0.0, -np.inf]])
    found = predicted([logits], 2, np.array([0, 1]))
    assert np.isnan(found.probabilities[0, 0]).all()
    assert np.isnan(found.entropy[0, 0])
    assert np.isnan(found.rank[0, 0])
    assert found.probabilities[0, 1].tolist() == [1, 0]
    assert (found.entropy[0, 1], found.rank[0, 1], found.target_probability[0, 1]) == (0, 2, 0)


def test_a_divergence_from_what_a_layer_excludes_is_infinite():
    found = predicted([np.array([[0.0, -np.inf]]), np.zeros((1, 2))], 1, None)
    assert found.kl[:, 0].tolist() == [math.inf, 0]


def test_what_ids_spell():
    ids = np.array([[2, 0], [2, 2]])
    assert names_of(["a", "b", " c"], ids)[0] == ["a", "·c"]
    assert names_of(["a", "b", " c"], ids)[1].tolist() == [[1, 0], [1, 1]]
    assert names_of({2: " c"}, ids)[0] == ["⟨id 0⟩", "·c"]
    assert names_of(None, ids)[0] == ["0", "2"]


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (ValueError, r"logits must have shape \(position, vocab\) == \(2, …\); got \(3, 4\)", lambda: mv.predictions(WORDS, np.zeros((3, 4)))),
        (ValueError, r"no batch axis: pass logits\[0\]", lambda: mv.predictions(WORDS, LOGITS[None])),
        (ValueError, r"logits must have shape \(layer, position, vocab\); got \(2, 4\)", lambda: mv.lens(WORDS, LOGITS)),
        (ValueError, r"logits\[1\] must have shape", lambda: mv.lens(WORDS, [LOGITS, LOGITS[:, :3]])),
        (ValueError, "k must be at least 1; got 0", lambda: mv.predictions(WORDS, LOGITS, k=0)),
        (TypeError, "k must be a number of tokens", lambda: mv.predictions(WORDS, LOGITS, k="all")),
        (ValueError, "vocabulary must hold a string for every id up to 3; got 2", lambda: mv.predictions(WORDS, LOGITS, vocabulary=["a", "b"])),
        (TypeError, "vocabulary must be a tokenizer", lambda: mv.predictions(WORDS, LOGITS, vocabulary=3)),
        (ValueError, "needs tokens that know their ids", lambda: mv.predictions(WORDS, LOGITS, target="next")),
        (ValueError, "target=' sat' needs to know what ids spell: pass vocabulary=", lambda: mv.predictions(WORDS, LOGITS, target=" sat")),
        (ValueError, "'cat' is 0 tokens of the vocabulary; words inside a sentence", lambda: mv.predictions(WORDS, LOGITS, vocabulary=VOCABULARY, target="cat")),
        (ValueError, r"target must hold token ids 0 … 3", lambda: mv.predictions(WORDS, LOGITS, target=4)),
        (TypeError, "target must be one token, or one", lambda: mv.predictions(WORDS, LOGITS, target=[1, 2, 3])),
        (ValueError, "value must be one of probability, KL, rank, entropy", lambda: mv.lens(WORDS, LOGITS[None], value="loss")),
        (ValueError, r"layers must hold a number for each of 1 layers; got \[1, 2\]", lambda: mv.lens(WORDS, LOGITS[None], layers=[1, 2])),
        (TypeError, "layers must be a list of numbers; got 1", lambda: mv.lens(WORDS, LOGITS[None], layers=1)),
        (TypeError, "layers must be a list of numbers", lambda: mv.lens(WORDS, LOGITS[None], layers=["a"])),
        (ValueError, "layer_names must hold one string for each of 1 layers; got 2", lambda: mv.lens(WORDS, LOGITS[None], layer_names=["a", "b"])),
        (TypeError, "tokens must be a list of tokens", lambda: mv.predictions("The cat", LOGITS)),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(error, match, call):
    with pytest.raises(error, match=match):
        call()


def test_too_many_entries_name_k():
    with pytest.raises(ValueError, match="k=600 makes 4,800,000 entries"):
        mv.predictions(["a"] * 8000, np.broadcast_to(np.float32(0), (8000, 600)), k=600)


def test_tokens_of_a_tokenizer_spell_what_is_predicted():
    class Letters:
        """A tokenizer of the least kind: a letter for each id."""

        def decode(self, ids):
            return "".join("abcde"[i] for i in ids)

    logits = np.eye(5, dtype=np.float32)[[[1, 2], [3, 4]]] * 9  # [layer, position, vocab]: b c, then d e
    text = mv.Tokens.from_ids(Letters(), [0, 1])
    for tokens in (text, text[:1] + text[1:], pickle.loads(pickle.dumps(text))):
        names = mv.lens(tokens, logits, k=1).flat()[1]["0"][1]["names"]
        assert set(names[-4:]) == (set("bcde") if tokens.vocabulary else set("1234"))
    assert mv.predictions(text, logits[0], k=1, target=-1).flat()[1]["0"][1]["names"][-2:] == ["b", "c"]
    assert set(mv.lens(text, logits, k=1, vocabulary=["v", "w", "x", "y", "z"]).flat()[1]["0"][1]["names"]) == set(
        "wxyz"
    )
