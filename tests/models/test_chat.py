"""A chat goes through the tokenizer's own template, begins once, and says where its answer starts."""

from __future__ import annotations

import pytest
from zoo import build, ids

import mechviz as mv
from mechviz.models import load

USER = {"role": "user", "content": "Hello"}
ANSWER = {"role": "assistant", "content": "Hi"}
# "<s>[user]Hello[assistant]Hi</s>"; with a generation prompt it ends in "[assistant]"
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}"
    "{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


@pytest.fixture
def model(make_tokenizer):
    tokenizer = make_tokenizer(bos=True)
    tokenizer.chat_template = TEMPLATE
    return load(build("llama"), tokenizer)


def test_a_question_ends_where_the_answer_begins(model):
    tokens = model.trace([USER]).tokens
    assert "".join(tokens.text) == "<s>[user]Hello[assistant]"
    assert tokens.prompt == len(tokens) == 1 + len("[user]Hello[assistant]")  # one token a character, and <s>
    assert tokens.provenance["bos"] and tokens.ids[:2] == (1, tokens.ids[1]) and tokens.ids[1] != 1


def test_an_answer_starts_after_its_header(model):
    trace = model.trace([USER, ANSWER])
    assert "".join(trace.tokens.text[trace.tokens.prompt :]) == "Hi</s>"
    assert trace.tokens.prompt == model.trace([USER]).tokens.prompt == trace.tokens.provenance["prompt_tokens"]
    assert f"the first {trace.tokens.prompt} are the prompt, 3 the answer" in str(trace.report())


@pytest.mark.parametrize(("bos", "start"), [(None, "<s>["), (True, "<s>["), (False, "[u")])
def test_it_begins_once_or_not_at_all(model, bos, start):
    tokens = model.trace([USER, ANSWER], bos=bos).tokens
    assert "".join(tokens.text).startswith(start) and tokens.ids.count(1) == (bos is not False)
    assert "".join(tokens.text[tokens.prompt :]) == "Hi</s>" and tokens.provenance["bos"] == (bos is not False)


def test_a_template_without_a_beginning_gets_one_when_asked(model):
    model.tokenizer.chat_template = TEMPLATE.replace("{{ bos_token }}", "")
    assert not model.trace([USER]).tokens.provenance["bos"]
    tokens = model.trace([USER], bos=True).tokens
    assert tokens.ids[0] == 1 and tokens.prompt == len(tokens)


def test_a_template_that_begins_twice(model):
    model.tokenizer.chat_template = "{{ bos_token }}" + TEMPLATE
    assert model.trace([USER]).tokens.ids.count(1) == 1


def test_the_rendered_text_is_the_same_trace(model):
    rendered = model.tokenizer.apply_chat_template([USER, ANSWER], tokenize=False)
    text, chat = model.trace(rendered).tokens, model.trace([USER, ANSWER]).tokens
    assert text == chat and text.provenance["text"] == chat.provenance["text"]
    assert text.prompt is None


def test_an_answer_is_generated_and_one_that_was_begun_goes_on(model):
    trace = model.generate([USER], 4, do_sample=False)
    assert (
        "".join(trace.tokens.text[: trace.tokens.prompt]).endswith("[assistant]") and len(trace) > trace.tokens.prompt
    )
    begun = model.generate([USER, ANSWER], 4, do_sample=False)
    assert "".join(begun.tokens.text[: begun.tokens.prompt]).endswith("[assistant]Hi")


def test_several_chats(model):
    asked, answered = model.trace([[USER], [USER, ANSWER]])
    assert asked.tokens == model.trace([USER]).tokens and answered.tokens == model.trace([USER, ANSWER]).tokens
    assert asked.tokens.prompt == answered.tokens.prompt == len(asked)
    assert [trace.tokens.prompt for trace in model.traces([[USER], "Hello"])] == [len(asked), None]


def test_the_boundary_is_saved(model, tmp_path, capsys):
    trace = model.trace([USER, ANSWER])
    trace.save(tmp_path / "t.mv", ["loss"])
    assert mv.open(tmp_path / "t.mv").tokens.prompt == trace.tokens.prompt
    assert (
        f"{len(trace)} tokens, BOS, {trace.tokens.prompt} of them prompt"
        in mv.tokens(trace.tokens, trace.loss).to_html()
    )


def test_what_cannot_be_a_chat(model, make_tokenizer):
    with pytest.raises(
        TypeError, match=r'messages\[1\] must be a mapping with "role" and "content"; got keys \[\'role\'\]'
    ):
        model.trace([USER, {"role": "user"}])
    with pytest.raises(ValueError, match="this tokenizer has no chat template, so messages cannot be spelled: set"):
        load(build("llama"), make_tokenizer()).trace([USER])
    with pytest.raises(ValueError, match="this model was loaded without a tokenizer, so messages"):
        load(build("llama")).trace([USER])
    assert load(build("llama")).trace(ids()).tokens.prompt is None
