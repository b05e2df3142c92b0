"""Text of people and other systems, as one line of a terminal or a log. Pure."""


def on_one_line(text: str) -> str:
    """Join the lines of a text, and replace what a terminal would not print as it is."""
    joined = " ".join(text.splitlines())
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in joined)
