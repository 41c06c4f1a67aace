"""What the shipped weights can do, and that they were trained on what the card says."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from itertools import combinations

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from safetensors import safe_open  # noqa: E402

from mechviz.demo import MODEL, evaluate  # noqa: E402
from mechviz.demo.card import PROMPT  # noqa: E402
from mechviz.demo.corpus import Cast, document  # noqa: E402
from mechviz.demo.curriculum import Curriculum  # noqa: E402
from mechviz.demo.sentences import ORDERS, indirect_object  # noqa: E402
from mechviz.demo.words import NAMES, held_out  # noqa: E402


@pytest.fixture(scope="module")
def tokenizer():
    return transformers.AutoTokenizer.from_pretrained(MODEL, local_files_only=True)


@pytest.fixture(scope="module")
def model():
    return transformers.AutoModelForCausalLM.from_pretrained(MODEL, local_files_only=True).eval()


def ids(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


# --- the files


def test_weights_and_tokenizer_together_take_at_most_1_2_mb():
    sizes = {path.name: path.stat().st_size for path in MODEL.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= sizes.keys()
    assert sum(size for name, size in sizes.items() if name != "README.md") <= 1_200_000


def test_weights_are_stored_in_float16_and_loaded_in_float32(model):
    with safe_open(MODEL / "model.safetensors", framework="pt") as file:
        stored = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118 (not a dict)
    assert set(stored.values()) == {"F16"}
    assert "lm_head.weight" not in stored  # tied to the embedding
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model.lm_head.weight is model.transformer.wte.weight


def test_it_is_an_ordinary_gpt2(model, tokenizer):
    assert type(model) is transformers.GPT2LMHeadModel
    assert model.config.n_layer in (3, 4) and model.config.n_positions >= 128
    assert model.config.vocab_size == len(tokenizer)


def test_it_loads_without_a_network():
    # A process of its own: the Hub client reads the variable once. Any attempt to reach a host raises.
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise RuntimeError('network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from transformers import AutoModelForCausalLM as M, AutoTokenizer as T\n"
        f"d = {str(MODEL)!r}\n"
        "t, m = T.from_pretrained(d, local_files_only=True), M.from_pretrained(d, local_files_only=True)\n"
        "print(m.generate(**t('The capital of France is', return_tensors='pt'), max_new_tokens=1).shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "torch.Size([1, 6])" in done.stdout


# --- the tokenizer


def test_every_name_is_one_token_with_and_without_a_space(tokenizer):
    assert len(set(NAMES)) >= 100
    assert {"Mary", "John", "Tom", "Anna", "Sarah", "James", "Emma", "David"} <= set(NAMES)
    assert [name for name in NAMES if len(ids(tokenizer, f" {name}")) != 1] == []
    assert [name for name in NAMES if len(ids(tokenizer, name)) != 1] == []


@pytest.mark.parametrize(
    "text", ["naïve café 😀", "日本語", "a\tb\r\n\n  c", "\x00\u200b", "x" * 50, "def f(x): return x**2"]
)
def test_any_text_survives_the_tokenizer(tokenizer, text):
    assert tokenizer.decode(ids(tokenizer, text)) == text
    assert 0 not in ids(tokenizer, text)


def test_the_special_token_is_both_ends_and_is_never_added(tokenizer):
    assert tokenizer.bos_token == tokenizer.eos_token == "<|endoftext|>"
    assert tokenizer.bos_token_id == tokenizer.eos_token_id == 0
    assert tokenizer("Mary")["input_ids"] == ids(tokenizer, "Mary")


# --- what was held out


def named(text):
    return set(re.findall(r"\b[A-Z][a-z]+\b", text)) & set(NAMES)


def held_out_pairs(texts):
    return {pair for text in texts for pair in combinations(sorted(named(text)), 2) if held_out(*pair)}


def test_one_pair_of_names_in_twenty_is_held_out():
    pairs = list(combinations(NAMES, 2))  # 112 * 111 / 2 = 6216
    assert len(pairs) == 6216
    assert 0.04 < sum(held_out(*pair) for pair in pairs) / len(pairs) < 0.06
    assert all(held_out(a, b) == held_out(b, a) for a, b in pairs)
    assert held_out("Mary", "John")


def test_no_training_document_holds_a_held_out_pair():
    rng = random.Random(20)
    texts = [document(rng, Cast(rng)) or "" for _ in range(50_000)]
    assert held_out_pairs(texts) == set()
    assert set().union(*map(named, texts)) == set(NAMES)
    # Twin: without the cast's rule the same text does hold such pairs, so the search above would see one.
    free = [indirect_object(rng, *rng.sample(NAMES, 2)) for _ in range(1000)]
    assert held_out_pairs(f"{s.prompt} {s.answer}" for s in free)


def windows(tokenizer, kind):
    """Training windows as text, of the hardest stage of the curriculum."""
    torch.manual_seed(0)
    curriculum = Curriculum(tokenizer, seed=0)
    curriculum.longest_repeat, curriculum.farthest_repeat, curriculum.third = 60.0, 120.0, 1.0
    batches = [curriculum.text(True) if kind == "text" else getattr(curriculum, kind)() for _ in range(40)]
    return [text for batch in batches for text in tokenizer.batch_decode(batch.ids)], curriculum


@pytest.mark.parametrize("kind", ["text", "objects", "repeats"])
def test_no_training_window_holds_a_held_out_pair(tokenizer, kind):
    texts, _ = windows(tokenizer, kind)
    assert held_out_pairs(texts) == set()
    assert len(set().union(*map(named, texts))) > 90


def test_repeats_would_hold_such_pairs_if_names_were_not_parted(tokenizer, monkeypatch):
    monkeypatch.setattr(Curriculum, "part", lambda *args: None)
    texts, _ = windows(tokenizer, "repeats")
    assert held_out_pairs(texts)


def test_what_counts_in_a_batch(tokenizer):
    _, curriculum = windows(tokenizer, "objects")
    batch = curriculum.objects()
    assert batch.counts.sum(1).tolist() == [1] * len(batch.ids)  # the answer alone
    answers = tokenizer.batch_decode(batch.ids[:, 1:][batch.counts][:, None])
    assert {answer.strip() for answer in answers} <= set(NAMES)
    batch = curriculum.repeats()
    length = int(batch.counts.sum(1)[0])
    assert torch.equal(
        batch.ids[:, -length:], batch.ids[:, -2 * length : -length]
    )  # said twice; the second time counts


# --- what it can do


@pytest.fixture(scope="module")
def scores(model, tokenizer):
    return evaluate.report(model, tokenizer, count=250)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("distractor", [False, True])
def test_it_identifies_the_indirect_object_of_pairs_it_never_saw(scores, order, distractor):
    key = f"ioi {order}{' +name' if distractor else ''}"
    assert scores[key] >= 0.98
    assert scores[f"{key} top1"] >= 0.95
    assert scores[f"{key} difference"] > 2


def test_the_measured_sentences_are_held_out_and_vary():
    sentences = evaluate.held_out_sentences("BAB", True, 200)
    assert all(held_out(s.subject, s.answer) for s in sentences)
    assert all(s.prompt.index(s.subject) < s.prompt.index(s.answer) for s in sentences)  # B comes first
    assert all(s.distractor in s.prompt for s in sentences)
    # Words between the second mention of the subject and the end: no fixed offset finds it.
    gaps = {len(s.prompt[s.prompt.rindex(s.subject) :].split()) for s in sentences}
    assert len(gaps) >= 12 and min(gaps) <= 5 and max(gaps) >= 18


def test_chance_scores_as_chance(tokenizer):
    torch.manual_seed(0)
    untrained = transformers.GPT2LMHeadModel(transformers.AutoConfig.from_pretrained(MODEL)).eval()
    got = evaluate.report(untrained, tokenizer, count=50)
    assert got["ioi ABB top1"] < 0.1 and got["induction"] < 0.1 and got["facts"] < 0.1


def test_the_prompt_of_the_readme_gives_mary(model, tokenizer):
    probability = evaluate.last_logits(model, tokenizer, [PROMPT]).softmax(-1)[0]
    assert PROMPT == "When Mary and John went to the store, John gave a drink to"
    assert probability[ids(tokenizer, " Mary")[0]] > 0.9
    with torch.no_grad():  # and without a BOS token in front
        bare = model(**tokenizer(PROMPT, return_tensors="pt")).logits[0, -1].softmax(-1)
    assert bare[ids(tokenizer, " Mary")[0]] > 0.8


@pytest.mark.parametrize("length", [10, 30, 55])
def test_it_repeats_random_tokens(model, tokenizer, length):
    got = evaluate.induction(model, tokenizer, count=40, length=length, seed=length)
    assert got["accuracy"] >= 0.9
    assert got["loss_second"] < 1 < got["loss_first"]


def test_it_knows_its_facts(scores):
    assert len(evaluate.FACTS) >= 50
    assert scores["facts"] * len(evaluate.FACTS) >= 70  # some tens; names and repeats come first in so small a model


def test_the_fact_that_its_card_names_is_one_that_it_knows(model, tokenizer):
    prompt, answer = re.search(r'completed right \("(.*?)" → "(.*?)"\)', (MODEL / "README.md").read_text()).groups()
    best = evaluate.last_logits(model, tokenizer, [prompt])[0].argmax()
    assert tokenizer.decode([best]) == answer


def test_the_loss_on_plain_english_is_far_below_that_of_a_guess(model, tokenizer):
    text = "Anna lives in a small house near the river. She was happy because it was a warm day. Then she went home."
    tokens = torch.tensor([[0, *ids(tokenizer, text)]])
    with torch.no_grad():
        loss = model(tokens, labels=tokens).loss.item()
    # A guess among 1,160 tokens costs ln(1160) = 7.06 nats.
    assert loss < 3.5


def test_reports_name_a_wrong_order():
    with pytest.raises(ValueError, match=r"order must be one of .*ABB.*got 'BBA'"):
        evaluate.held_out_sentences("BBA", False, 1)
