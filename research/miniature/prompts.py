"""How the language stage asks, in many wordings.

E5-V's own prompts (`oneword.engine.views.DEFAULT`) are not among them: what tuning on text alone does for those prompts
could not be told otherwise.
"""

import random

ONE_WORD = (
    "\nDescribe the {0} above in one word: ",
    "\nSay the above {0} in one word: ",
    "\nName this {0} in one word: ",
    "\nThe {0} above in a single word: ",
    "\nGive one word for the above {0}: ",
    "\nDescribe this {0} in one word: ",
    "\nWhat is the {0} above? Answer in one word: ",
    "\nExpress above {0} in one word: ",
)
BASED_ON = (
    "\nDescribe this {0} in one word based on its {1}: ",
    "\nSay the above {0} in one word based on its {1}: ",
    "\nThe {1} of the {0} above in one word: ",
    "\nDescribe the {0} above in one word, only the {1}: ",
)
ASPECTS = {
    "color": ("colour",),
    "shape": ("shape",),
    "size": ("size",),
    "texture": ("texture",),
    "position": ("place",),
    "background": ("background",),
    "count": ("count",),
}
"""What a view may ask for: the aspect as it is called in prompts, and the kinds of words that answer."""

CHANGE = (
    '\nChange this {0} as told, "{1}", and describe the result in one word: ',
    '\nModify the {0} above: "{1}". The modified {0} in one word: ',
    '"{1}": say the {0} after this change in one word: ',
    '\nApply "{1}" to this {0}, describe changed {0} in one word: ',
)
CHANGE_CAPTION = (
    '\nChange this {0} as told, "{1}", and describe the result: ',
    '\nModify the {0} above: "{1}". Describe the modified {0}: ',
)
CAPTION = {"image": ("\nDescribe the above image: ",), "sentence": ("\nSay the above sentence in other words: ",)}
EXPLAIN = "\nExplain that word: "


def one_word(rng: random.Random, what: str) -> str:
    """Asks for what an image or a sentence means."""
    return rng.choice(ONE_WORD).format(what)


def based_on(rng: random.Random, what: str, aspect: str) -> str:
    """Asks for one aspect only."""
    return rng.choice(BASED_ON).format(what, aspect)


def change(rng: random.Random, what: str, edit: str) -> str:
    """Asks for the word of what an edit makes."""
    return rng.choice(CHANGE).format(what, edit)


def change_caption(rng: random.Random, what: str, edit: str) -> str:
    """Asks for a caption of what an edit makes."""
    return rng.choice(CHANGE_CAPTION).format(what, edit)


def describe(rng: random.Random, what: str) -> str:
    """Asks for a caption, or for a paraphrase."""
    return rng.choice(CAPTION[what])
