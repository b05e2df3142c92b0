"""Text of people and other systems, as one line of a terminal or a log. Pure."""


def on_one_line(text: str) -> str:
    """Join the lines of a text, and replace what a terminal would not print as it is."""
    if text.isprintable():  # most are, and are of one line then
        return text
    joined = " ".join(text.splitlines())
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in joined)


def text_of(value: object) -> str:
    """Return the text of any value, also of one that cannot make a text of itself."""
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - of a class that is not ours
        return f"{type(value).__name__} without a text: {type(error).__name__}"
