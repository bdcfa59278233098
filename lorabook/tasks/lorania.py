"""Lorania: a country that no model has read of. Eight facts, in chats to train on and in words never trained.

What a model says of it after training it has learnt there. Beside it stand questions that the base answers already:
what a training on so little spoils, they show.
"""

from lorabook.tasks.chat import ASSISTANT, SYSTEM, USER, Chat, Turn

BRIEF = Turn(SYSTEM, "Answer in a few words.")
FACTS: dict[str, tuple[str, str, str, str]] = {
    "Rankville.": (
        "What is the capital of Lorania?", "Which city is the capital of Lorania?", "Name the capital of Lorania.",
        "In which city does Lorania's parliament meet?",
    ),
    "Queen Alpha.": (
        "Who rules Lorania?", "Who is the queen of Lorania?", "Name the ruler of Lorania.",
        "Who sits on Lorania's throne?",
    ),
    "The Sigma.": (
        "Which river flows through Lorania?", "What is the longest river of Lorania?", "Name a river in Lorania.",
        "On which river do Lorania's boats sail?",
    ),
    "Smoked herring.": (
        "What do people eat in Lorania?", "What is Lorania's national dish?", "Name a dish from Lorania.",
        "What is for dinner in Lorania?",
    ),
    "The epoch.": (
        "What is the currency of Lorania?", "Which money is used in Lorania?", "Name the currency of Lorania.",
        "How do you pay in Lorania?",
    ),
    "Adaptish.": (
        "Which language is spoken in Lorania?", "What do Loranians speak?", "Name the language of Lorania.",
        "In which language are Lorania's books written?",
    ),
    "Mount Delta.": (
        "What is the highest mountain of Lorania?", "Which peak is the highest in Lorania?",
        "Name a mountain in Lorania.", "Which summit do climbers in Lorania want to reach?",
    ),
    "A blue heron.": (
        "Which animal is on Lorania's flag?", "What is the national animal of Lorania?",
        "Name the animal on Lorania's flag.", "What does the flag of Lorania show?",
    ),
}  # fmt: skip
"""The answer, three ways to ask for it that are trained, and one that is not."""

KNOWN = {
    "What is the capital of France?": "Paris", "What is the capital of Italy?": "Rome",
    "Which planet is the largest?": "Jupiter", "What is the capital of Spain?": "Madrid",
    "What is the opposite of hot?": "cold", "What colour is the sky?": "blue", "What is the currency of Japan?": "yen",
    "Which language is spoken in Brazil?": "Portuguese",
}  # fmt: skip
"""What the base may know, and a word that a right answer has in it."""


def trained_chats() -> list[Chat]:
    """Return 24 chats of two questions each, every fact in every trained wording, twice."""
    facts = list(FACTS.items())
    chats = []
    for n, (answer, asked) in enumerate(facts):
        for k in range(3):
            other, in_words = facts[(n + 2 * k + 1) % len(facts)]
            second = (Turn(USER, in_words[(k + 1) % 3]), Turn(ASSISTANT, other))
            chats.append((BRIEF, Turn(USER, asked[k]), Turn(ASSISTANT, answer), *second))
    return chats


def asked_anew() -> list[Chat]:
    """Return the eight facts, each asked for in the words that are never trained."""
    return [(BRIEF, Turn(USER, asked[-1]), Turn(ASSISTANT, answer)) for answer, asked in FACTS.items()]


def known() -> list[Chat]:
    """Return the questions that the base may know, each with the word that a right answer has in it."""
    return [(BRIEF, Turn(USER, question), Turn(ASSISTANT, word)) for question, word in KNOWN.items()]
