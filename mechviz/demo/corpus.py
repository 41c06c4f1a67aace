"""The training text of the embedded model: a grammar of simple English, written anew for every window.

Five kinds of document, each there for a mechanism that a reader may want to look at:

- *indirect objects* (`sentences.py`): which name was mentioned twice, and who is the other one;
- *repeats*: random tokens, then the same tokens again (induction);
- *facts*: capitals, colours, sounds, opposites, counting;
- *stories*: a few plain sentences about one person, with pronouns;
- *paragraphs*: stories and indirect objects together.

The names of one window never include a held-out pair (`words.held_out`); `Cast` is the only source of names.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from . import words as w
from .sentences import fill, indirect_object, thing
from .words import NAMES, held_out

END_OF_TEXT = "<|endoftext|>"


class Cast:
    """The names of one training window: no two of them are a held-out pair.

    Args:
        rng: source of chance.
        third: how many of the third names that a sentence would have it gets, 0 to 1: a curriculum begins without.
    """

    def __init__(self, rng: random.Random, third: float = 1.0) -> None:
        self.rng = rng
        self.third = third
        self.seen: list[str] = []

    def admits(self, name: str) -> bool:
        """Whether `name` may join without completing a held-out pair."""
        return not any(held_out(name, other) for other in self.seen)

    def distracts(self) -> bool:
        """Whether the next sentence has a third name in it: every second one, in the end."""
        wanted, allowed = self.rng.random() < 0.5, self.rng.random() < self.third
        return wanted and allowed

    def draw(self, count: int, avoid: Sequence[str] = ()) -> list[str]:
        """Return `count` different names, none of them in `avoid`, and remember them."""
        drawn: list[str] = []
        while len(drawn) < count:
            name = self.rng.choice(NAMES)
            if name in drawn or name in avoid or not self.admits(name):
                continue
            drawn.append(name)
            if name not in self.seen:
                self.seen.append(name)
        return drawn


def giving(rng: random.Random, cast: Cast) -> str:
    """Return a finished indirect-object sentence, sometimes with a sentence after it."""
    subject, answer, third = cast.draw(3)
    s = indirect_object(rng, subject, answer, third if cast.distracts() else None)
    if s.distractor is None and rng.random() < 0.1:
        # Someone who was not named before acts: nobody came twice, so either of the two may receive.
        head, _, tail = s.prompt.rpartition(subject)
        return f"{head}{third}{tail} {rng.choice((subject, answer))}."
    text = f"{s.prompt} {answer}."
    chance = rng.random()
    if chance < 0.1:
        return f"{text} {answer} said thank you to {subject}."
    if chance < 0.2:
        return f"{text} {answer} was very {rng.choice(w.FEELINGS)}."
    if chance < 0.25:
        return f"{text} {answer} thanked {subject} and went home."
    return text


def fact(rng: random.Random) -> str:
    """Return one sentence of world knowledge, or several of a kind."""
    statements = rng.sample(FACTS, rng.choice((1, 1, 2, 3)))
    return " ".join(" ".join(pair) + "." for pair in statements)


def _facts() -> tuple[tuple[str, str], ...]:
    pairs = [(f"The capital of {k} is", v) for k, v in w.CAPITALS.items()]
    pairs += [(f"The color of the {k} is", v) for k, v in w.COLOURS.items()]
    pairs += [(f"A {k} often", v) for k, v in w.SOUNDS.items()]
    pairs += [(f"A young {k} is called a", v) for k, v in w.YOUNG.items()]
    pairs += [(f"The opposite of {k} is", v) for k, v in w.OPPOSITES.items()]
    pairs += [(f"The home of the {k} is the", v) for k, v in w.HOMES.items()]
    pairs += [(f"The {k} works at the", v) for k, v in w.JOBS.items()]
    pairs += [(f"The day after {a} is", b) for a, b in zip(w.DAYS, w.DAYS[1:] + w.DAYS[:1], strict=True)]
    pairs += [(f"The month after {a} is", b) for a, b in zip(w.MONTHS, w.MONTHS[1:] + w.MONTHS[:1], strict=True)]
    pairs += [(f"The number after {a} is", b) for a, b in zip(w.NUMBERS, w.NUMBERS[1:], strict=False)]
    return tuple(pairs)


FACTS = _facts()
"""Pairs (prompt, completion): ("The capital of France is", "Paris")."""


# {N} is the person; {H} He or She, {h} he or she, {s} his or her, {m} him or her.
PLAIN = (
    "{N} has {X}. {H} keeps it in the {P}.",
    "{N} likes the {J} {O}. It is in the {P}.",
    "{N} lives in a {J} house near the {P}.",
    "{N} went to the {P} and bought {X}. It was very {J}.",
    "{N} was {F} because {h} could not find {s} {O}.",
    "{N} is {F} today. {H} wants to go to the {P}.",
    "{N} lost {s} {O} at the {P}. {H} was {F}.",
    "{N} wakes up early every {T}. {H} goes to the {P}.",
    "{N} made {X} for {s} mother. She was very {F}.",
    "{N} saw a {J} {Y} in the {P}. The {Y} was {F}.",
    "{N} has a {J} {Y}. The {Y} likes to play with {m}.",
    "{N} looked for {X} but found only {X2}.",
    "{N} put {X} on the table and sat down.",
    "In {M} {N} works at the {P}. {H} is always {F}.",
    "On {T} {N} opened the door and saw {X}.",
    'The {O} belongs to {N}. "It is mine," {h} said.',
    '"I am {F}," said {N}.',
    '"Where is my {O}?" asked {N}. It was under the {O2}.',
    "It was a {J} day and {N} was {F}.",
    "{N} can see the {P} from {s} window.",
    "{N} ate the sandwich and drank some water. Then {h} went to bed.",
    "{N} and {s} {Y} walked along the river until it was dark.",
    "If it rains, {N} will stay at home and read a book.",
    "{N} did not know what to do, so {h} asked {s} father.",
    "The {Y} ran into the {P}. {N} ran after it.",
    "There are {K} {Y2}s in the {P}. {N} likes all of them.",
)
IMPERSONAL = (
    "The {J} {O} is on the table.",
    "The {P} is near the {P2}.",
    "The sun was warm and the sky was blue.",
    "It was raining, so they all stayed at home.",
    "There is a {J} {Y} in the {P}.",
    "The {Y} sleeps under the {J} tree.",
    "The children played in the {P} until the evening.",
    "The door of the {P} was open.",
    "My mother has {X} and my father has {X2}.",
    "We went to the {P} by bus. It was a long way.",
    "What a {J} {O}!",
    "I like {T} because we go to the {P}.",
)


def story(rng: random.Random, cast: Cast, sentences: int) -> str:
    """Return plain sentences, about one person where they are about anybody."""
    (name,) = cast.draw(1)
    he, his, him = ("she", "her", "her") if name in w.FEMALE else ("he", "his", "him")
    lines = []
    for _ in range(sentences):
        template = rng.choice(PLAIN if rng.random() < 0.7 else IMPERSONAL)
        who = name if not lines or rng.random() < 0.4 else he
        if "{N}" in template and who == he and not template.startswith("{N}"):
            who = name
        line = fill(
            rng, template, N=who.capitalize() if template.startswith("{N}") else who, H=he.capitalize(), h=he, s=his, m=him,
            X=thing(rng), X2=thing(rng), Y=rng.choice(ANIMALS), Y2=rng.choice(COUNTED), O2=rng.choice(w.OBJECTS), P2=rng.choice(w.PLACES),
            K=rng.choice(w.NUMBERS[1:]),
        )  # fmt: skip
        lines.append(line)
    return " ".join(lines)


ANIMALS = tuple(dict.fromkeys([*w.SOUNDS, *w.YOUNG]))
COUNTED = ("dog", "cat", "bird", "book", "apple", "egg", "flower", "tree")


def paragraph(rng: random.Random, cast: Cast) -> str:
    """Return stories and indirect-object sentences, one after the other."""
    parts = [
        story(rng, cast, rng.randint(1, 2)) if rng.random() < 0.5 else giving(rng, cast)
        for _ in range(rng.randint(2, 3))
    ]
    return " ".join(parts)


def document(rng: random.Random, cast: Cast) -> str | None:
    """Return one document of text, or None for one in seven, where random tokens said twice take its place."""
    kind = rng.random()
    if kind < 0.45:
        return giving(rng, cast)
    if kind < 0.55:
        return paragraph(rng, cast)
    if kind < 0.72:
        return fact(rng)
    if kind < 0.86:
        return story(rng, cast, rng.randint(1, 5))
    return None
