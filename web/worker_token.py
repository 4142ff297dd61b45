"""What workers sign in with at the desk."""

from core.config import ConfigError

TOKEN_MIN = 16
_PLACEHOLDERS = ("changeme", "change-me", "change_me", "placeholder", "example", "insert-", "your-", "your_")


def check_token(token: str) -> None:
    """Refuses a token that anybody could guess; workers and desk hold the same one. Raises `ConfigError`."""
    advice = (
        'Make one with `python -c "import secrets; print(secrets.token_urlsafe(32))"`, put it into a file '
        "that web.token_file names (or the variable HELMETWATCH_DESK_TOKEN), and give it to the workers."
    )
    if not token:
        raise ConfigError([f"web.token_file: the desk needs a token that workers sign in with. {advice}"])
    if len(token) < TOKEN_MIN:
        raise ConfigError([f"web.token_file: the token is shorter than {TOKEN_MIN} characters. {advice}"])
    if len(set(token)) < 6 or any(word in token.lower() for word in _PLACEHOLDERS):
        raise ConfigError([f"web.token_file: the token is a placeholder, not a secret. {advice}"])
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError([f"web.token_file: the token must be printable ASCII without spaces. {advice}"])
