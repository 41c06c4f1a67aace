"""Indirect-object sentences: two people, one of them acts and the other receives.

The distance from the second mention of the subject to the end varies from 3 to some 30 tokens, and a third name may stand
in the way: a fixed offset from the end never finds the subject, so a model has to notice which name came twice.

Paper: Wang et al. 2022, "Interpretability in the Wild: a Circuit for Indirect Object Identification in GPT-2 small".
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from . import words as w

ORDERS = ("ABB", "BAB")


@dataclass(frozen=True)
class Sentence:
    """An indirect-object sentence, cut before the answer.

    Attributes:
        prompt: text up to the answer, such as "When Mary and John went to the store, John gave a drink to".
        answer: the name that follows (the indirect object).
        subject: the name that acts, mentioned twice.
        distractor: a third name in the prompt, or None.
        order: "ABB" when the subject was named second, "BAB" when it was named first.
    """

    prompt: str
    answer: str
    subject: str
    distractor: str | None
    order: str


# {A} and {B} are the pair in order of mention, {P} a place; {W} is empty or a phrase about the distractor.
OPENINGS = (
    "When {A} and {B} went to the {P}{W}, ",
    "When {A} and {B} got a {J} {O} at the {P}{W}, ",
    "After {A} and {B} came back from the {P}{W}, ",
    "After {A} and {B} went to the {P}{W}, ",
    "While {A} and {B} were working at the {P}{W}, ",
    "While {A} was talking with {B} at the {P}{W}, ",
    "As {A} and {B} walked to the {P}{W}, ",
    "Because {A} and {B} were good friends, ",
    "At the {P} {A} met {B}{W}, and ",
    "Yesterday {A} met {B} at the {P}{W}, and ",
    "On {T} {A} and {B} went to the {P}{W}, and ",
)
SCENES = (
    "Then {A} and {B} went to the {P}{W}. ",
    "Then {A} and {B} had a long day at the {P}{W}. ",
    "{A} and {B} had a lot of fun at the {P}{W}. ",
    "{A} and {B} were at the {P}{W}. ",
    "{A} was with {B} at the {P}{W}. ",
    "{A} sat next to {B} at the {P}{W}. ",
    "{A} called {B} from the {P}. ",
    "{A} had a long talk with {B} at the {P}{W}. ",
    "{A} and {B} live near the {P}. ",
    "One day {A} and {B} met at the {P}{W}. ",
    "One day {A} came to see {B} at the {P}. ",
    "Once upon a time, {A} lived near {B}. ",
    "Last week {A} and {B} visited the {P}{W}. ",
    "In {M} {A} and {B} went to the {P}{W}. ",
    "Every {T} {A} plays with {B} at the {P}. ",
    "Today {A} is at the {P} with {B}. ",
    "There is a {J} {P} where {A} and {B} work. ",
)
BEFORE = (
    "{D} stayed at home. ",
    "{D} was ill that day. ",
    "{D} was busy with a {J} {O}. ",
    "Nobody could find {D}. ",
    "{D} did not come. ",
    "{D} had gone away. ",
)
WITHIN = (" without {D}", " to look for {D}", " after {D} had left", " to wait for {D}")
BETWEEN = (
    "{D} was not there. ",
    "{D} stayed at home. ",
    "They talked about {D} for a while. ",
    "There was no sign of {D}. ",
    "{D} was on the way to the {P}. ",
    "They had a {O} that once belonged to {D}. ",
)
ASIDES = (
    ", who knew {D} well,",
    ", a good friend of {D},",
    ", who worked with {D},",
    " talked about {D} and then",
    " thought of {D} for a moment and",
    " said that {D} was away and",
    " asked where {D} was and",
    " told a story about {D} and",
)
FILLERS = (
    "It was a {J} day. ",
    "The sun was warm. ",
    "It was raining. ",
    "They were very {F}. ",
    "There was a {J} {O} on the table. ",
    "They sat down on the grass and ate. ",
)
LINKS = ("", "", "", "", "Later ", "Then ", "After a while ", "In the end ", "After a {J} lunch, ", "In the morning ")
MIDDLES = (
    " smiled and",
    " opened the {J} bag and",
    " looked at the clock and then",
    " thought for a moment, smiled and",
    " sat down on the {J} chair and after a while",
    " took a {J} {O} from the table and",
    " waited until it was dark and then",
    " was {F} and",
    ", with a {J} {O} in one hand,",
)
TAILS = (
    "",
    "",
    "",
    "",
    " from the shop",
    " with a smile",
    " in a {J} box",
    " and a {J} {O}",
    " and said hello",
    " at noon",
)
SPEAKING = (
    "said hello", "told a story", "read a {J} book", "sang a song", "wrote a {J} letter", "waved", "listened", "talked",
    "said goodbye", "spoke", "gave it", "gave some water", "gave some money", "made dinner and gave it",
)  # fmt: skip


def article(noun_phrase: str) -> str:
    """Return "a" or "an" with the phrase."""
    return f"{'an' if noun_phrase[0] in 'aeiou' else 'a'} {noun_phrase}"


def thing(rng: random.Random) -> str:
    """Return an object with article and up to two adjectives: "a big old drum"."""
    kinds = rng.sample(w.ADJECTIVES, rng.choice((0, 0, 0, 1, 1, 2)))
    noun = " ".join([*kinds, rng.choice(w.OBJECTS)])
    return article(noun) if rng.random() < 0.8 else f"the {noun}"


def fill(rng: random.Random, template: str, **names: str) -> str:
    """Fill a template: names as given, everything else by chance."""
    text = template.format(
        P=rng.choice(w.PLACES), O=rng.choice(w.OBJECTS), J=rng.choice(w.ADJECTIVES), F=rng.choice(w.FEELINGS),
        T=rng.choice(w.DAYS), M=rng.choice(w.MONTHS), **names,
    )  # fmt: skip
    for noun in ("apple", "egg", "orange", "umbrella", "old"):
        text = text.replace(f" a {noun}", f" an {noun}")
    return text


def act(rng: random.Random) -> str:
    """Return what the subject does, up to and with "to": " gave a red ball to"."""
    if rng.random() < 0.25:
        return f" {fill(rng, rng.choice(SPEAKING))} to"
    past, plain = rng.choice(w.GIVING)
    verb = past if rng.random() < 0.8 else f"{rng.choice(('decided', 'wanted', 'tried', 'was happy'))} to {plain}"
    return f" {verb} {thing(rng)}{fill(rng, rng.choice(TAILS))} to"


def indirect_object(
    rng: random.Random, subject: str, answer: str, distractor: str | None = None, order: str | None = None
) -> Sentence:
    """Write one indirect-object sentence.

    Args:
        rng: source of chance.
        subject: the name that acts.
        answer: the name that receives.
        distractor: a third name to put in the way (once or twice), or None.
        order: "ABB" or "BAB" (see `Sentence`); None takes either.

    Returns:
        The sentence up to, and without, the answer.

    Example:
        >>> s = indirect_object(random.Random(0), "John", "Mary", order="ABB")
        >>> s.prompt.index("Mary") < s.prompt.index("John")
        True
    """
    order = order or rng.choice(ORDERS)
    pair = {"A": answer, "B": subject} if order == "ABB" else {"A": subject, "B": answer}
    spots: set[str] = set()
    if distractor:
        spots = set(rng.sample(("before", "within", "between", "aside", "aside"), rng.choice((1, 1, 2))))
    third = {"D": distractor or ""}
    scene = bool(spots & {"between"}) or rng.random() < 0.5
    opening = rng.choice(SCENES if scene else OPENINGS)
    if "within" in spots and "{W}" not in opening:
        spots = spots - {"within"} | {"aside"}
    parts = [fill(rng, rng.choice(BEFORE), **third) if "before" in spots else ""]
    parts += [fill(rng, opening, W=fill(rng, rng.choice(WITHIN), **third) if "within" in spots else "", **pair)]
    if scene:
        parts += [fill(rng, rng.choice(BETWEEN), **third) if "between" in spots else ""]
        parts += [fill(rng, rng.choice(FILLERS)) if rng.random() < 0.25 else "", fill(rng, rng.choice(LINKS))]
    parts += [subject, fill(rng, rng.choice(ASIDES), **third) if "aside" in spots else ""]
    parts += [fill(rng, rng.choice(MIDDLES)) if rng.random() < 0.3 else ""]
    parts += [f" {rng.choice(w.ADVERBS)}" if rng.random() < 0.25 else "", act(rng)]
    return Sentence("".join(parts), answer, subject, distractor, order)
