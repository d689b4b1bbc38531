"""The one exception a user can cause, and the sentence about a value that is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["InputError", "fault_of"]


class InputError(Exception):
    """The input is at fault: the message is one sentence that names the file, the line or key, and what to do.

    The command line prints the sentence on standard error and exits with code 2.
    """


def fault_of(error: Mapping[str, Any]) -> str:
    """Say what is wrong with a value, from one of pydantic's errors, as it follows the name of the key.

    >>> fault_of({"type": "greater_than", "ctx": {"gt": 0.0}, "input": -1, "msg": "Input should be greater than 0"})
    'must be greater than 0, not -1'
    """
    kind, context = error["type"], error.get("ctx", {})
    if kind in ("missing", "extra_forbidden", "unexpected_keyword_argument"):
        return "is missing; add it" if kind == "missing" else "is not known; remove or correct it"
    wanted = _WANTED.get(kind)
    if wanted is None:
        reason = str(context.get("error", error["msg"]))
        remedy = "" if "; " in reason else "; correct it"
        return f"is refused: {reason[0].lower() + reason[1:].rstrip('.')}{remedy}"
    value = repr(error.get("input"))
    return f"must be {wanted.format(**context)}, not {value if len(value) < 80 else value[:77] + '...'}"


_WANTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "an ordinary whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "an ordinary number",
    "string_type": "text",
    "string_too_short": "text, not empty",
    "too_short": "a list with at least {min_length} values",
    "too_long": "a list with at most {max_length} values",
    "path_type": "a path",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list, such as [a, b]",
    "tuple_type": "a list, such as [a, b]",
    "dict_type": "a mapping of settings",
    "dataclass_type": "a mapping",
    "model_type": "a mapping of settings",
    "model_attributes_type": "a mapping of settings",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "greater_than": "greater than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
}
