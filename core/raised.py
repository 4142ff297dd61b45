"""What may be logged of an exception."""

import traceback


def facts(error: BaseException) -> dict[str, object]:
    """Its kind and the places in the code it came by, and no values: an exception's text may quote a payload."""
    where = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
    return {"error": type(error).__name__, "where": where}
