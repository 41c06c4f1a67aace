from __future__ import annotations

import hashlib
import importlib
import shutil
from collections import OrderedDict

import pytest
import torch
import transformers
from zoo import build, ids

from mechviz.models import Model, Trace, known, load, requirements
from mechviz.models.fingerprint import fingerprint
from mechviz.models.load import EMBEDDED
from mechviz.models.structure import PROBE_LENGTH
from mechviz.pattern import Unavailable

TEXT = "Mary gave"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_tokenizer):
    path = tmp_path_factory.mktemp("models") / "tiny-llama"
    build("llama", dtype=torch.bfloat16).save_pretrained(path)
    make_tokenizer().save_pretrained(path)
    return path


def test_a_model_and_its_tokenizer(make_tokenizer):
    module = build("llama")
    model = load(module, make_tokenizer())
    assert isinstance(model, Model) and model.module is module
    trace = model.trace(TEXT)
    assert isinstance(trace, Trace)
    assert "".join(trace.tokens.text) == TEXT and len(trace) == len(trace.tokens) == len(trace.loss)
    assert torch.equal(trace.logits, model.trace(list(trace.tokens.ids)).logits)


def test_a_local_folder(folder):
    model = load(folder)
    assert model.dtype == torch.bfloat16 and not model.module.training  # the checkpoint's own dtype
    assert load(str(folder), dtype=torch.float32, device="cpu").dtype == torch.float32
    assert load(folder, attn_implementation="eager").trace(ids()).tokens.provenance["attention"] == "eager"
    # pictures carry the name to other people: no folders of this machine in it
    assert model.name == "tiny-llama"
    assert "".join(model.trace(TEXT).tokens.text) == TEXT


def test_a_tokenizer_by_its_folder(folder, make_tokenizer, tmp_path):
    make_tokenizer().save_pretrained(tmp_path)
    for model in (load(folder, str(tmp_path)), load(folder, tmp_path), load(build("llama"), str(tmp_path))):
        assert "".join(model.trace(TEXT).tokens.text) == TEXT


def test_what_says_where_to_read_counts_for_the_tokenizer_too(folder, monkeypatch):
    module = importlib.import_module("mechviz.models.load")
    read, asked = module.AutoTokenizer.from_pretrained, []
    monkeypatch.setattr(module.AutoTokenizer, "from_pretrained", lambda x, **kw: (asked.append(kw), read(x))[1])
    load(folder, revision="main", local_files_only=True, attn_implementation="eager")
    load(folder, folder, revision="main")  # the revision is the model's
    assert asked == [{"revision": "main", "local_files_only": True}, {}]


def test_a_name_of_the_hub_says_its_commit(folder, tmp_path):
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "models--maker--tiny-llama"
    shutil.copytree(folder, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    for asked in ({}, {"revision": commit}):
        model = load("maker/tiny-llama", cache_dir=tmp_path, local_files_only=True, **asked)
        assert model.name == "maker/tiny-llama" and model.revision == commit
        assert model.trace(TEXT).tokens.provenance["revision"] == commit
    assert load(folder).revision is None and "revision" not in load(folder).trace(TEXT).tokens.provenance


def test_nothing_is_the_embedded_model(folder, monkeypatch, capfd):
    module = importlib.import_module("mechviz.models.load")
    monkeypatch.setattr(module, "EMBEDDED", folder)
    model = load()
    assert (
        model.name == "mechviz-demo"
        and model.dtype == torch.float32
        and load(dtype=torch.float16).dtype == torch.float16
    )
    assert model.trace(TEXT).tokens.role[0] == "BOS"  # its tokenizer adds none, but it was trained with one
    assert model.trace(TEXT, bos=False).tokens.role[0] is None
    assert model.trace(ids()).tokens.ids == tuple(ids())
    assert "Loading weights" not in capfd.readouterr().err
    monkeypatch.setattr(module, "EMBEDDED", folder / "nowhere")
    with pytest.raises(FileNotFoundError, match="this installation lacks the embedded model"):
        load()


def test_a_folder_without_safetensors_is_not_unpickled(tmp_path):
    model = build("llama")
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        load(tmp_path)


def test_options_do_not_change_a_model_of_yours():
    for options in ({"device": "cpu"}, {"dtype": torch.bfloat16}, {"attn_implementation": "eager"}):
        with pytest.raises(ValueError, match="yours is left as it is"):
            load(build("gpt2"), **options)


def test_something_that_is_no_language_model():
    with pytest.raises(
        TypeError, match=r"expected a transformers model with a config and input embeddings; got Linear"
    ):
        load(torch.nn.Linear(2, 2))
    with pytest.raises(TypeError, match=r"expected nothing, a name, a folder or a model; got int"):
        load(5)
    for path in ("/no/such/folder", "./none", "a/b/c"):
        with pytest.raises(FileNotFoundError, match=f"there is no folder '{path}'"):
            load(path)


def test_a_model_without_a_language_head_is_traced_up_to_it():
    for trace in (
        load(build("gpt2").transformer).trace(ids()),
        load(transformers.GPT2ForTokenClassification(build("gpt2").config).eval()).trace(ids()),
    ):
        assert trace.attention[2].shape == (4, 24, 24) and trace.resid_mid[1].shape == (24, 48)
        with pytest.raises(Unavailable, match="has no unembedding, so no logits and no loss"):
            trace.loss  # noqa: B018


def test_provenance(make_tokenizer):
    model = load(build("llama"), make_tokenizer(bos=True))
    provenance = dict(model.trace(TEXT).tokens.provenance)
    assert provenance.pop("weights") == fingerprint(model.module)
    assert provenance == {
        "model": "LlamaForCausalLM",
        "text": hashlib.sha256(TEXT.encode()).hexdigest()[:12],
        "dtype": "float32",
        "device": "cpu",
        "bos": True,
        "attention": "sdpa",
        "transformers": transformers.__version__,
        "edits": [],
    }
    assert model.trace(ids()).tokens.provenance["text"] is None


def test_fingerprint_follows_the_weights():
    model = build("llama")
    before = fingerprint(model)
    assert before == fingerprint(model) == fingerprint(build("llama")) != fingerprint(build("llama", seed=1))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True).step()
    assert fingerprint(model) != before


@pytest.mark.parametrize(
    # (tokenizer adds one, bos=, beginning-of-sequence tokens in front)
    ("adds", "bos", "expected"),
    [(False, None, 0), (False, True, 1), (False, False, 0), (True, None, 1), (True, True, 1), (True, False, 0)],
)
def test_beginning_of_sequence(make_tokenizer, adds, bos, expected):
    model = load(build("llama"), make_tokenizer(bos=adds))
    tokens = model.trace(TEXT, bos=bos).tokens
    assert tokens.ids.count(1) == expected == int(tokens.provenance["bos"])
    assert tokens.role[0] == ("BOS" if expected else None)


def test_never_a_double_beginning(make_tokenizer):
    model = load(build("llama"), make_tokenizer(bos=True))
    written = model.trace("<s>" + TEXT)  # as a chat template writes it
    assert written.tokens.ids == model.trace(TEXT).tokens.ids
    assert model.trace(list(written.tokens.ids), bos=True).tokens.ids == written.tokens.ids
    plain = model.trace(TEXT, bos=False).tokens.ids
    assert model.trace(list(plain)).tokens.ids == plain  # ids are taken as they are
    assert model.trace(list(plain), bos=True).tokens.ids == written.tokens.ids


def test_ids_of_any_kind():
    model = load(build("llama"))
    expected = model.trace(ids()).logits
    for form in (torch.tensor(ids()), torch.tensor([ids()]), tuple(ids()), torch.tensor(ids()).numpy()):
        assert torch.equal(model.trace(form).logits, expected)
    assert list(model.trace([7, 8, 9]).tokens) == ["7", "8", "9"]  # no tokenizer: ids are their own labels


def test_what_cannot_be_traced(make_tokenizer):
    model = load(build("gpt2"), make_tokenizer())
    with pytest.raises(ValueError, match="the text holds no tokens"):
        model.trace("")
    with pytest.raises(ValueError, match="the text holds no tokens"):
        model.trace([])
    with pytest.raises(ValueError, match="ids must be between 0 and 96, the vocabulary of .*; got 97"):
        model.trace([3, 97])
    with pytest.raises(
        ValueError, match=r"has positions for 64 tokens; the text has 65. .* range\(0, len\(ids\), 64\)"
    ):
        model.trace([3] * 65)
    with pytest.raises(ValueError, match=r"ids must have shape \(position,\) or \(1, position\); got \(2, 3\)"):
        model.trace([[1, 2, 3], [4, 5, 6]])
    with pytest.raises(TypeError, match="a text, messages or integer ids; got float64 values"):
        model.trace([0.5])
    with pytest.raises(ValueError, match="without a tokenizer"):
        load(build("gpt2")).trace(TEXT)
    with pytest.raises(ValueError, match="has no beginning-of-sequence token"):
        load(build("gpt2")).trace(ids(), bos=True)
    assert load(build("llama")).trace([3] * 65).attention[0].shape == (4, 65, 65)  # rotary positions have no end


def test_a_folder_is_read_as_the_class_that_it_names(tmp_path, make_tokenizer):
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    transformers.BertForMaskedLM(transformers.BertConfig(vocab_size=97, **small)).save_pretrained(tmp_path / "bert")
    make_tokenizer().save_pretrained(tmp_path / "bert")
    model = load(tmp_path / "bert")
    assert type(model.module) is transformers.BertForMaskedLM and not model.trace("Hello").attention[0].causal
    config = transformers.ViTConfig(image_size=32, patch_size=16, **small)
    transformers.ViTModel(config).save_pretrained(tmp_path / "vit")
    model = load(tmp_path / "vit")  # it has no tokenizer, and needs none
    assert model.tokenizer is None
    assert model.trace({"pixel_values": torch.zeros(3, 32, 32)}).attention[0].shape == (
        2,
        5,
        5,
    )  # 2 × 2 patches and CLS


def test_weights_that_hide_an_equation_are_probed_again(monkeypatch):
    monkeypatch.setattr(known, "_known", OrderedDict())  # nobody has seen a Llama before
    module = build("llama")
    projections = [block.self_attn.o_proj.weight for block in module.model.layers]
    kept = [weight.detach().clone() for weight in projections]
    with torch.no_grad():
        for weight in projections:
            weight.zero_()  # as at the start of a training: attention adds nothing, so mid is pre
    model = load(module)
    early = model.trace(ids())
    assert torch.equal(early.resid_mid[1], early.resid_pre[1]) and not model.structure.settled
    with torch.no_grad():
        for weight, value in zip(projections, kept, strict=True):
            weight.copy_(value)
    late = model.trace(ids(PROBE_LENGTH))
    assert not torch.equal(late.resid_mid[1], late.resid_pre[1]) and model.structure.settled


def test_versions_are_asked_for_in_one_line(monkeypatch):
    requirements.check_versions()
    monkeypatch.setitem(requirements.NEEDED, "transformers", (99, 1))
    with pytest.raises(ImportError, match=r"^transformers>=99.1 is needed to load models; this is transformers \S+$"):
        requirements.check_versions()
    monkeypatch.setitem(requirements.NEEDED, "no-such-package", (1, 0))
    monkeypatch.delitem(requirements.NEEDED, "transformers")
    with pytest.raises(ImportError, match=r'no-such-package>=1.0 is needed .* pip install "mechviz-interp\[models\]"'):
        requirements.check_versions()


@pytest.mark.skipif(not (EMBEDDED / "model.safetensors").exists(), reason="the embedded model is not built")
def test_the_embedded_model():
    model = load()
    assert model.name == "mechviz-demo" and model.dtype == torch.float32
    trace = model.trace("When Mary and John went to the store, John gave a drink to")
    assert trace.tokens.role[0] == "BOS" and trace.tokens.provenance["bos"] is True
    assert list(trace.tokens[1:3]) == ["When", "·Mary"]
    assert model.trace(" Mary", bos=False).tokens.role == (None,)
    assert len(trace.attention) == len(trace.resid_mid) == len(trace.neurons) == model.n_layers
    assert trace.attention[0].causal and trace.loss[1:].isfinite().all()
    assert model.tokenizer.decode(trace.logits[-1].argmax()) == " Mary"
