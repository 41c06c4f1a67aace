"""The words of the demo corpus: names, places, things, and the facts it states.

Everything the embedded model knows is on this page. A list that is changed here changes the vocabulary, so the model
has to be trained again (`python -m mechviz.demo.train`).
"""

from __future__ import annotations

import hashlib

FEMALE = tuple(
    "Mary Anna Sarah Emma Alice Laura Kate Lucy Julia Clara Ella Grace Helen Jane Susan Linda Karen Nancy Betty Carol "
    "Sandra Donna Ruth Sharon Amy Angela Rebecca Emily Olivia Sophia Hannah Rachel Maria Diana Eva Nina Iris Lily Rose "
    "Zoe Wendy Tina Jessica Lisa Nicole Amanda Megan Claire Molly Chloe Julie Victoria Elizabeth Charlotte Margaret "
    "Martha".split()
)
MALE = tuple(
    "John Tom James David Peter Paul Mark Jack Adam Bob Dan Frank Henry Kevin Max Oscar Sam Victor Ben Eric Robert "
    "Michael William Richard Joseph Thomas Charles Daniel Matthew Anthony Steven Andrew Brian George Edward Jason Ryan "
    "Jacob Gary Simon Luke Martin Philip Alex Harry Oliver Leo Noah Ethan Lucas Aaron Nathan Roger Walter Arthur "
    "Louis".split()
)
NAMES = FEMALE + MALE

HELD_OUT_SHARE = 20  # one pair in twenty never occurs in training


def held_out(a: str, b: str) -> bool:
    """Whether the unordered pair of names is kept out of training.

    No training window, hence no training document, holds both names of a held-out pair: a model that identifies the
    indirect object in a sentence with such a pair does so by rule and not from memory. The rule is a hash of the two
    names, so training, evaluation and tests agree on it without a stored list. `Mary` and `John`, the pair of the
    README, are held out by hand.

    Args:
        a: a first name, such as "Mary".
        b: another first name; the order does not matter.

    Returns:
        True for about one pair in twenty; False for a name with itself.

    Example:
        >>> held_out("Mary", "John"), held_out("John", "Mary"), held_out("Mary", "Mary")
        (True, True, False)
    """
    first, second = sorted((a, b))
    if first == second:
        return False
    if (first, second) == ("John", "Mary"):
        return True
    digest = hashlib.sha256(f"{first} {second}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % HELD_OUT_SHARE == 0


PLACES = tuple(
    "store park school office beach library garden station market museum farm river village kitchen hospital bank "
    "church lake zoo shop restaurant airport hotel castle forest theater bridge cinema hall house".split()
)
OBJECTS = tuple(
    "drink book ring ball letter gift cake key phone flower hat cup map box coat toy picture bag pen lamp ticket "
    "sandwich basket bottle watch camera guitar kite coin card blanket bone computer apple egg orange umbrella".split()
)
ADJECTIVES = tuple("big small old new red blue green black white yellow nice little long heavy strange warm".split())
FEELINGS = tuple("happy sad tired hungry angry proud afraid surprised glad busy".split())
ADVERBS = tuple("quietly happily kindly slowly quickly soon later gently then finally often suddenly".split())
DAYS = tuple("Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split())
MONTHS = tuple("January February March April May June July August September October November December".split())
NUMBERS = tuple("one two three four five six seven eight nine ten eleven twelve".split())

# verb that takes "to" at the end: past tense, plain form
GIVING = (
    ("gave", "give"), ("handed", "hand"), ("sent", "send"), ("offered", "offer"), ("passed", "pass"),
    ("showed", "show"), ("brought", "bring"), ("sold", "sell"), ("lent", "lend"), ("threw", "throw"),
)  # fmt: skip

CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo", "Egypt": "Cairo", "Greece": "Athens",
    "Peru": "Lima", "Cuba": "Havana", "Norway": "Oslo", "Kenya": "Nairobi", "Poland": "Warsaw", "Austria": "Vienna",
    "Germany": "Berlin", "England": "London", "Russia": "Moscow", "China": "Beijing", "India": "Delhi",
    "Portugal": "Lisbon", "Ireland": "Dublin", "Sweden": "Stockholm", "Turkey": "Ankara", "Canada": "Ottawa",
}  # fmt: skip
COLOURS = {
    "sky": "blue", "grass": "green", "snow": "white", "coal": "black", "sun": "yellow", "blood": "red",
    "milk": "white", "night": "black", "chocolate": "brown", "leaf": "green", "sea": "blue", "fire": "red",
}  # fmt: skip
SOUNDS = {
    "cat": "meows", "dog": "barks", "cow": "moos", "duck": "quacks", "lion": "roars", "bee": "buzzes",
    "bird": "sings", "wolf": "howls", "frog": "croaks", "snake": "hisses",
}  # fmt: skip
YOUNG = {
    "dog": "puppy", "cat": "kitten", "cow": "calf", "duck": "duckling", "lion": "cub", "horse": "foal",
    "sheep": "lamb", "hen": "chick",
}  # fmt: skip
OPPOSITES = {
    "hot": "cold", "big": "small", "old": "new", "fast": "slow", "happy": "sad", "day": "night", "up": "down",
    "open": "closed", "hard": "soft", "light": "dark", "wet": "dry", "rich": "poor",
}  # fmt: skip
HOMES = {"fish": "water", "bird": "nest", "bee": "hive", "horse": "stable", "king": "castle", "farmer": "farm"}
JOBS = {
    "teacher": "school", "doctor": "hospital", "cook": "kitchen", "farmer": "farm", "pilot": "airport",
    "sailor": "ship",
}  # fmt: skip
